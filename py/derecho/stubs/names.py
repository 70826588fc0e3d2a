"""Names and comments, bent to what each language is used to."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping

__all__ = ["camel", "comment_lines", "constant", "distinct", "fold", "literals", "pascal", "plain", "snake"]

_LITERAL = 80  # characters of a string in one line


def plain(name: str) -> str:
    """``"odd-service.2"`` to ``"odd_service_2"``: nothing that no language has in its names."""
    return re.sub(r"\W|^(?=\d)", "_", name)


def distinct(
    names: Mapping[str, str], taken: Iterable[str], forms: Callable[[str], list[str]] = lambda name: [name]
) -> dict[str, str]:
    """Names of a language by those of the schema, with an underscore where they would clash.

    Parameters
    ----------
    names : mapping of str to str
        What each would be.
    taken : iterable of str
        What generated code has already.
    forms : callable
        All that is made of one name.
    """
    used, found = set(taken), {}
    for name, made in names.items():
        while used.intersection(forms(made)):
            made += "_"
        used.update(forms(made))
        found[name] = made
    return found


def _words(name: str) -> list[str]:
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", plain(name)))
    return [word for word in parted.split("_") if word]


def snake(name: str) -> str:
    """``"HTTPCache"`` to ``"http_cache"``."""
    return plain("_".join(word.lower() for word in _words(name)) or name)


def pascal(name: str) -> str:
    """``"get_all"`` to ``"GetAll"``."""
    return plain("".join(word[:1].upper() + word[1:] for word in _words(name)) or name)


def camel(name: str) -> str:
    """``"get_all"`` to ``"getAll"``."""
    whole = pascal(name)
    return plain(whole[:1].lower() + whole[1:])


def constant(name: str) -> str:
    """``"get_all"`` to ``"GET_ALL"``."""
    return snake(name).upper()


def comment_lines(doc: str, width: int) -> list[str]:
    """A docstring as the lines of a comment, no longer than `width`; its own line breaks and indents are kept."""
    lines = []
    for line in doc.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False) or [""]
    return lines


def literals(text: str, end: str) -> list[str]:
    """A long text as strings of Java or C#, a line each, that are added up."""
    pieces = [line[at : at + _LITERAL] for line in text.splitlines(True) for at in range(0, len(line), _LITERAL)]
    written = [json.dumps(piece, ensure_ascii=False) for piece in pieces]
    return [f"{piece} +" for piece in written[:-1]] + [written[-1] + end]


def fold(lines: list[str], width: int = 120) -> list[str]:
    """Code with lines no longer than `width`, broken after commas and indented by four more; comments stay."""
    folded = []
    for line in lines:
        if line.lstrip().startswith(("//", "*", "/*", "#")):
            folded.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        while len(line) > width and ", " in line[len(indent) : width]:
            cut = line.rindex(", ", len(indent), width) + 1
            folded.append(line[:cut])
            line = indent + line[cut:].lstrip()
        folded.append(line)
    return folded
