"""Services, methods, parameters and fields whose names are words of some language, or names of its binding.

What Python itself refuses as a name cannot be one anywhere. Services have their names as text, so they can have any.
"""

import dataclasses
import keyword

import derecho
from derecho.stubs import cpp, csharp_text, java_text

CONTEXTUAL = "async await dynamic get global module nameof partial permits record sealed set value var when where with"
SERVICES = """
    Lock Event Switch Default Class None Caller Object String Std Int32 Exception int list 2cache Time Signal Log Test
    Install Record Override Dispose Func Group Service Replies Status Config System Map
"""
_WORDS = {
    word.lower(): word
    for word in java_text.words(java_text.KEYWORDS, java_text.OF_OBJECT, CONTEXTUAL)
    | csharp_text._KEYWORDS
    | cpp._KEYWORDS
    | {word.lower() for word in SERVICES.split()} - {"derecho"}
    if word.isidentifier() and not keyword.iskeyword(word) and not word.startswith("_")
}
WORDS = sorted(_WORDS.values())  # no two of which would be one in a language with names in lower case
# What every DLL has itself: a method of such a name is refused there (test_dll.py).
IN_EVERY_DLL = {"call", "close", "leave", "member", "open", "wait"}

PARTS = [WORDS[i : i + 60] for i in range(0, len(WORDS), 60)]  # Java has at most 255 parameters
STRUCTS = [dataclasses.make_dataclass(f"Words{i}", [(word, int) for word in part]) for i, part in enumerate(PARTS)]
for _struct in STRUCTS:
    _struct.__module__ = __name__


def _method(name: str, words: list[str], result: object) -> object:
    """A method with an integer of each name; it takes code, as its signature does."""
    scope: dict[str, object] = {}
    exec(f"def {name}(self, {', '.join(f'{word}: int' for word in words)}): ...", scope)
    method = scope[name]
    method.__annotations__["return"] = result
    return method


def _service(name: str, methods: list[object]) -> type:
    made = {method.__name__: derecho.ordered(method) for method in methods}  # type: ignore[attr-defined]
    return derecho.service(name=name)(type("Made", (), made | {"__module__": __name__}))


EveryWord = _service(
    "EveryWord",
    [
        *(_method(word, [word], int) for word in WORDS if word not in IN_EVERY_DLL),
        *(_method(f"words_{i}", PARTS[i], struct) for i, struct in enumerate(STRUCTS)),
    ],
)
for _name in SERVICES.split():
    globals()[f"Service{_name}"] = _service(_name, [_method("put", ["value"], int)])
