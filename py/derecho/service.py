"""The decorators that make a class a replicated service.

The class stays an ordinary class, for type checkers, too: ``Cache().put("k", b"v")`` is an int, so that it can be
tested without a group. What ``group[Cache]`` gives has, for type checkers, the type of the class itself
(``type[Cache]``, which is `Caller` ``[Cache]``): reached through it, a method is an `OrderedCall` or a `QueryCall`,
whose results are futures.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, overload

from .codec.method import MARK, ServiceSchema, schema_of

if TYPE_CHECKING:
    from .calls import OrderedCall, QueryCall

__all__ = ["Caller", "ordered", "query", "schema", "service"]

C = TypeVar("C", bound=type)
S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")

_SCHEMA = "__derecho_schema__"

#: The type of ``group[Cache]``, for annotations: ``def fill(cache: derecho.Caller[Cache]) -> None``.
Caller: TypeAlias = type[S]

if TYPE_CHECKING:

    class OrderedMethod(Generic[S, P, R]):
        """What type checkers see of an ordered method."""

        @overload
        def __get__(self, instance: None, owner: type) -> OrderedCall[P, R]: ...
        @overload
        def __get__(self, instance: S, owner: type) -> Callable[P, R]: ...
        def __get__(self, instance: Any, owner: type) -> Any: ...

    class QueryMethod(Generic[S, P, R]):
        """What type checkers see of a query."""

        @overload
        def __get__(self, instance: None, owner: type) -> QueryCall[P, R]: ...
        @overload
        def __get__(self, instance: S, owner: type) -> Callable[P, R]: ...
        def __get__(self, instance: Any, owner: type) -> Any: ...

    def ordered(function: Callable[Concatenate[S, P], R]) -> OrderedMethod[S, P, R]:
        """Declare a method that every member runs, in the same order."""
        ...

    def query(function: Callable[Concatenate[S, P], R]) -> QueryMethod[S, P, R]:
        """Declare a method that one member runs, out of order with ordered ones. It must not change the state."""
        ...

else:

    def ordered(function=None):
        """Declare a method that every member runs, in the same order.

        It must be deterministic: given the same state and arguments, the same new state at every member. Parameters and
        result are annotated (docs/layout.md lists the types).
        """
        return _mark("ordered", function)

    def query(function=None):
        """Declare a method that one member runs, out of order with ordered ones. It must not change the state."""
        return _mark("query", function)

    def _mark(kind, function):
        if not inspect.isfunction(function):
            raise TypeError(_no_function(kind, function))
        before = getattr(function, MARK, None)
        if before is not None:
            raise TypeError(f"{function.__qualname__}: has @derecho.{before} already: a method is ordered or a query")
        setattr(function, MARK, kind)
        return function

    def _no_function(kind, given):
        if given is None:
            return f"write @derecho.{kind} without parentheses, in the line above a method: it has no options"
        if isinstance(given, (staticmethod, classmethod, property)):
            return (
                f"@derecho.{kind} is for a method of a replica, which takes self: {type(given).__name__} "
                f"{getattr(given, '__qualname__', '')} does not go with it".replace("  ", " ")
            )
        return f"@derecho.{kind} is written above a function in a class, not above {given!r}"


@overload
def service(cls: C) -> C: ...
@overload
def service(*, name: str | None = None, state: Any = None) -> Callable[[C], C]: ...
def service(cls: Any = None, *, name: str | None = None, state: Any = None) -> Any:
    """Make a class a replicated service.

    Parameters
    ----------
    cls : type
        Its methods with :func:`ordered` or :func:`query` are the interface. It may define, for its state,
        ``__derecho_save__(self) -> bytes`` and ``__derecho_load__(self, data: bytes) -> None``; by default the
        instance's attributes are saved as MessagePack.
    name : str, optional
        Of the service in the group; by default the class's.
    state : type, optional
        Any type that a parameter may have. The two hooks then return and take a value of it instead of bytes, so that
        members in other languages understand the state.

    Raises
    ------
    TypeError
        For a signature with an unsupported type, naming method, parameter and the accepted types.
    """
    scope = sys._getframe(1).f_locals

    def decorate(target: type) -> type:
        if not isinstance(target, type):
            raise TypeError(
                f"@derecho.service is written above a class, not above {target!r}; @derecho.ordered and "
                "@derecho.query are for its methods"
            )
        setattr(target, _SCHEMA, schema_of(target, name or target.__name__, scope, state))
        return target

    return decorate if cls is None else decorate(cls)


def schema(cls: type | object) -> ServiceSchema:
    """Return the schema of a service: its class or an instance.

    Raises
    ------
    TypeError
        When the class is not decorated with :func:`service`.
    """
    target = cls if isinstance(cls, type) else type(cls)
    found = vars(target).get(_SCHEMA)
    if found is None:
        raise TypeError(f"{target.__name__} is not decorated with @derecho.service")
    assert isinstance(found, ServiceSchema)
    return found
