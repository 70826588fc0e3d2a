"""The command ``derecho demo``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from .files import standard_library
from .show import Display, final_table, view_history
from .supervisor import NAMES, Demo, DemoError

__all__ = ["demo"]

_DEADLINE_S = 60.0


@click.command()
@click.option("--members", default=3, show_default=True, type=click.IntRange(1, len(NAMES) - 1), help="How many begin.")
@click.option("--kill", default="bob", show_default=True, metavar="NAME|none", help="Who is killed midway.")
@click.option("--wire", default="shm", show_default=True, type=click.Choice(["auto", "shm", "tcp"]))
@click.option(
    "--input",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The tree of files.  [default: this Python's standard library]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def demo(members: int, kill: str, wire: str, root: Path | None, as_json: bool) -> None:
    """Replicate a tree of files between processes, kill one of them midway, and let a fresh one take over.

    Ends with code 1 when any replica differs from the disk.
    """
    names = NAMES[:members]
    if kill != "none" and kill not in names:
        raise click.BadParameter(f"there is no {kill!r}; the members are {', '.join(names)}", param_hint="--kill")
    if kill != "none" and members < 3:
        raise click.BadParameter(
            f"of {members} members none can be killed: the rest would be no majority. Use --members 3, or --kill none",
            param_hint="--kill",
        )
    console = Console(stderr=as_json, quiet=as_json)
    display = Display(console)
    try:
        with display:
            run = Demo(
                (root or standard_library()).resolve(),
                members,
                None if kill == "none" else kill,
                wire,
                display.tick,
                display.say,
                _DEADLINE_S,
            )
            result = run.run()
    except DemoError as error:
        click.echo(f"derecho demo failed: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        console.print(final_table(result))
        console.print(view_history(result), highlight=False)
        console.print(_verdict(result["equal"], result["seconds"], result["kill_to_view_ms"]), highlight=False)
    if not result["equal"]:
        sys.exit(1)


def _verdict(equal: bool, seconds: float, view_ms: float | None) -> str:
    crash = "" if view_ms is None else f"; {view_ms:.0f} ms from kill -9 to the next view"
    if equal:
        return f"[green]Every replica equals the disk.[/green] {seconds:.1f} s{crash}"
    return f"[bold red]A replica differs from the disk.[/bold red] {seconds:.1f} s{crash}"
