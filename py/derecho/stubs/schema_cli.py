"""The command ``derecho schema``: what members must agree on about a service, and where two files differ."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .model import StubError, StubModel, read_services

__all__ = ["schema"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("service", type=_FILE)
@click.argument("other", type=_FILE, required=False)
def schema(service: Path, other: Path | None) -> None:
    """Print the schema of the services in SERVICE, a Python file: a line a method, which is what members compare a hash
    of when they meet. With OTHER, name the methods that differ between the two, and end with code 1 if any does.
    """
    try:
        ours = read_services(service)
        if other is None:
            for model in ours:
                click.echo(f"{model.schema.name} 0x{model.schema.hash:x}\n" + _indented(model))
            return
        theirs = {model.schema.name: model for model in read_services(other)}
    except StubError as error:
        click.echo(f"derecho schema: {error}", err=True)
        sys.exit(2)
    differences = [line for model in ours for line in _differences(model, theirs.pop(model.schema.name, None), other)]
    differences += [f"service {name}: only in {other}" for name in theirs]
    click.echo("\n".join(differences) or "they agree")
    sys.exit(1 if differences else 0)


def _indented(model: StubModel) -> str:
    return "".join(f"    {line}\n" for line in model.schema.text.splitlines()[1:])


def _lines(model: StubModel) -> dict[str, str]:
    """The canonical lines by what they are of: a method's name, or the state."""
    found = {m.name: m.text for m in model.methods}
    return found | ({"the state": model.schema.state.type.text} if model.schema.state else {})


def _differences(ours: StubModel, theirs: StubModel | None, other: Path) -> list[str]:
    name = ours.schema.name
    if theirs is None:
        return [f"service {name}: not in {other}"]
    here, there = _lines(ours), _lines(theirs)
    found = []
    for key in dict.fromkeys([*here, *there]):
        if key not in there:
            found.append(f"{name}: {key} is not in {other}")
        elif key not in here:
            found.append(f"{name}: {key} is only in {other}")
        elif here[key] != there[key]:
            found.append(f"{name}: {key} differs:\n    {here[key]}\n    {there[key]}")
    if not found and list(here) != list(there):
        found.append(f"{name}: the methods are in another order: {', '.join(here)} and {', '.join(there)}")
    return found
