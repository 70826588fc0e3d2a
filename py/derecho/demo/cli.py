"""The command ``derecho demo``."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
from rich.console import Console

from .files import standard_library
from .launchers import LANGUAGES, Launcher, Missing, launcher
from .show import Display, final_table, speed, view_history
from .supervisor import NAMES, Demo, DemoError

__all__ = ["demo"]

_DEADLINE_S = 60.0


@click.command()
@click.option(
    "--members",
    default="py,java,cs",
    show_default=True,
    metavar="LANG,...|N",
    help=f"Who begins: languages, of {', '.join(LANGUAGES)}; or how many in Python.",
)
@click.option("--kill", metavar="NAME|none", help="Who is killed midway.  [default: the last of --members]")
@click.option(
    "--fresh", default="cpp", show_default=True, metavar="LANG", help="Who joins in the place of the killed one."
)
@click.option("--wire", default="shm", show_default=True, type=click.Choice(["auto", "shm", "tcp", "verbs"]))
@click.option(
    "--input",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The tree of files.  [default: this Python's standard library]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def demo(members: str, kill: str | None, fresh: str, wire: str, root: Path | None, as_json: bool) -> None:
    """Replicate a tree of files between processes in several languages, kill one of them midway, and let a fresh one
    take over.

    Where a language has no compiler or runtime here, Python stands in for it. Ends with code 1 when any replica differs
    from the disk.
    """
    languages = _languages(members)
    names = NAMES[: len(languages)]
    victim = None if kill == "none" or (kill is None and len(names) < 3) else kill or names[-1]
    if victim is not None and victim not in names:
        raise click.BadParameter(f"there is no {kill!r}; the members are {', '.join(names)}", param_hint="--kill")
    if victim is not None and len(names) < 3:
        raise click.BadParameter(
            f"of {len(names)} members none can be killed: the rest would be no majority. Use three, or --kill none",
            param_hint="--kill",
        )
    if fresh not in LANGUAGES:
        raise click.BadParameter(f"{fresh!r} is none of {', '.join(LANGUAGES)}", param_hint="--fresh")
    console = Console(stderr=as_json, quiet=as_json)
    display = Display(console)
    try:
        with display:
            launchers = prepare([*languages, fresh] if victim else [*languages, "py"], display)
            run = Demo(
                (root or standard_library()).resolve(), launchers, victim, wire, display.tick, display.say, _DEADLINE_S
            )
            result = run.run()
    except DemoError as error:
        click.echo(f"derecho demo failed: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        console.print(final_table(result))
        console.print(speed(result), highlight=False)
        console.print(view_history(result), highlight=False)
        console.print(_verdict(result["equal"], result["seconds"], result["kill_to_view_ms"]), highlight=False)
    if not result["equal"]:
        sys.exit(1)


def _verdict(equal: bool, seconds: float, view_ms: float | None) -> str:
    crash = "" if view_ms is None else f"; {view_ms:.0f} ms from kill -9 to the next view"
    if equal:
        return f"[green]Every replica equals the disk.[/green] {seconds:.1f} s{crash}"
    return f"[bold red]A replica differs from the disk.[/bold red] {seconds:.1f} s{crash}"


def _languages(members: str) -> list[str]:
    """What --members says, as languages."""
    most = len(NAMES) - 1
    languages = ["py"] * int(members) if members.isdecimal() and int(members) <= most else members.split(",")
    if not 1 <= len(languages) <= most:
        raise click.BadParameter(f"from 1 to {most} members", param_hint="--members")
    for language in languages:
        if language not in LANGUAGES:
            raise click.BadParameter(
                f"{language!r} is none of {', '.join(LANGUAGES)}, nor a number up to {most}", param_hint="--members"
            )
    return languages


def prepare(languages: list[str], display: Display) -> list[Launcher]:
    """Build what is not built yet, side by side; Python stands in for what cannot be."""
    with ThreadPoolExecutor() as pool:
        pending = {language: pool.submit(launcher, language) for language in dict.fromkeys(languages)}
        found: dict[str, Launcher] = {}
        for language, future in pending.items():
            try:
                display.wait_for(future, f"building the member in {LANGUAGES[language]}")
                found[language] = future.result()
            except Missing as reason:
                display.say(f"{LANGUAGES[language]}: {reason}. A member in Python stands in")
                found[language] = launcher("py")
    return [found[language] for language in languages]
