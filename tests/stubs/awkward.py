"""A service whose names are keywords somewhere, and whose documentation is meant to break comments."""

from dataclasses import dataclass

import derecho


@dataclass
class Class:
    """Ends a comment: */ and begins one: /* and quotes \"\"\" too, and a backslash \\ ."""

    int: int
    namespace: str
    final: bool


@derecho.service(name="awkward_names")
class Awkward:
    """Words that mean something: <b>, &amp;, @param, {@code x}, */."""

    @derecho.ordered
    def delete(self, new: int, default: str, params: Class, is_: bool) -> Class:
        """Delete, */ or not.

        >>> delete("\"\"\"")
        """

    @derecho.query
    def static(self, object: bytes, string: list[str], var: float, event: dict[str, Class]) -> list[Class] | None:
        """Nothing."""

    @derecho.query
    def no_docstring(self) -> tuple[derecho.uint8, derecho.uint8, derecho.uint8]: ...
