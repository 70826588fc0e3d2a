"""The command ``derecho doctor``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from .configs import read_configs
from .facts import Facts, FactsError
from .gather import gather
from .reach import Reach, reach_all, split_address
from .report import load_facts, needs_of, pairs, report
from .show import show

__all__ = ["doctor"]

_REACH_S = 2.0
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("configs", nargs=-1, metavar="[CONFIG]...", type=_FILE)
@click.option(
    "--between",
    multiple=True,
    metavar="HOST[:PORT],...",
    help="Say which wire auto uses between this host and these. With a port, also who answers there.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="FILE",
    type=_FILE,
    help="What derecho doctor --json printed on another host, for which --between's answer then is exact.",
)
@click.option("--nodes", type=click.IntRange(1, 64), help="Size of the group.  [default: 3, or the configurations']")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON (docs/doctor.md has the keys).")
def doctor(
    configs: tuple[Path, ...], between: tuple[str, ...], hosts: tuple[Path, ...], nodes: int | None, as_json: bool
) -> None:
    """Look at what the library depends on here, and say what to change, with the commands that do.

    Given CONFIG files, the doctor checks them, too, before a start: options, addresses, contacts; and that those of one
    group fit together. Changes nothing. Ends with code 1 when something must be changed, with 2 when called wrongly.
    """
    addresses = _addresses(between)
    others = _others(hosts)
    facts = gather()
    read = read_configs(configs)
    need = needs_of(nodes, read)
    found = report(facts, need, read, pairs(facts, others, _reached(addresses), need))
    if as_json:
        import derecho

        click.echo(json.dumps(found.as_json(derecho.version()), indent=2))
    else:
        show(Console(width=None if sys.stdout.isatty() else 160), found)
    if found.must_change:
        sys.exit(1)


def _addresses(between: tuple[str, ...]) -> list[str]:
    addresses = [address for given in between for address in given.split(",")]
    for address in addresses:
        try:
            split_address(address)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--between") from error
    return addresses


def _others(hosts: tuple[Path, ...]) -> list[Facts]:
    try:
        return [load_facts(path) for path in hosts]
    except FactsError as error:
        raise click.BadParameter(str(error), param_hint="--host") from error


def _reached(addresses: list[str]) -> dict[str, Reach]:
    reached = reach_all(addresses, _REACH_S)
    for address, reach in reached.items():
        if reach.status == "unknown host":
            raise click.BadParameter(f"{address}: {reach.detail}", param_hint="--between")
    return reached
