"""The command ``derecho bench``."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .cases import LANGUAGES, WIRES, Case, all_cases, chosen, language_cases, quick_cases
from .ffi import measure_languages
from .processes import BenchError
from .runner import FULL, QUICK, Run, stamp
from .show import calls_line, ffi_table, show
from .targets import judge

__all__ = ["bench"]

#: Of the JSON; grows when a key changes its meaning or goes away, not when one is added.
SCHEMA = 1


@click.command()
@click.option("--quick", is_flag=True, help="Only what there are targets for: about a minute.")
@click.option("--only", metavar="PATTERN", help="Cases whose key matches, such as 'throughput.shm.3.*' or 'latency'.")
@click.option(
    "--lang", metavar="LANG,...", help=f"Only what compares languages: C, and these of {', '.join(LANGUAGES)}."
)
@click.option("--wire", type=click.Choice([*WIRES, "both"]), default="both", show_default=True)
@click.option("--members", type=click.Choice(["2", "3", "both"]), default="both", show_default=True)
@click.option("--rounds", type=click.IntRange(1, 100), help="How often each case is measured, for the median.")
@click.option(
    "--json", "json_to", metavar="FILE|-", help="Write the figures as JSON (docs/performance.md has the keys)."
)
@click.option("--ffi", is_flag=True, help="Only what a message costs in each language, beside its bare foreign call.")
@click.option("--list", "list_only", is_flag=True, help="Print the keys of the cases, and measure nothing.")
def bench(
    quick: bool,
    only: str | None,
    lang: str | None,
    wire: str,
    members: str,
    rounds: int | None,
    json_to: str | None,
    ffi: bool,
    list_only: bool,
) -> None:
    """Measure this machine, then libderecho on it: each figure beside the limit measured in the same run.

    Ends with code 1 when a case could not be measured; a target that is not met is no failure.
    """
    if ffi:
        _measure_ffi(rounds or 3, json_to)
        return
    languages = lang.split(",") if lang else []
    for language in languages:
        if language not in LANGUAGES:
            raise click.BadParameter(f"{language!r} is none of {', '.join(LANGUAGES)}", param_hint="--lang")
    cases = chosen(
        language_cases(languages) if lang else quick_cases() if quick else all_cases(),
        only,
        WIRES if wire == "both" else (wire,),
        (2, 3) if members == "both" else (int(members),),
    )
    if not cases:
        raise click.BadParameter("no case matches; see --list for their keys", param_hint="--only")
    if list_only:
        click.echo("\n".join(case.key for case in cases))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are reaped then, too
    to_stdout = json_to == "-"
    console = Console(stderr=to_stdout, width=None if sys.stdout.isatty() else 160)
    effort = QUICK if quick else FULL
    if rounds is not None:
        effort = type(effort)(**{**effort.__dict__, "rounds": rounds})
    try:
        report = _measure(cases, effort, console)
    except BenchError as error:
        click.echo(f"derecho bench failed: {error}", err=True)
        sys.exit(1)
    if json_to is not None:
        text = json.dumps(report, indent=1)
        if to_stdout:
            click.echo(text)
        else:
            Path(json_to).write_text(text + "\n")
    show(console, report)
    if any("error" in result for result in report["results"].values()):
        sys.exit(1)


def _measure_ffi(rounds: int, json_to: str | None) -> None:
    languages = measure_languages(rounds)
    report = {"schema": SCHEMA, "derecho": _version(), "machine": _machine(), "started": stamp(), "ffi_ns": languages}
    if json_to == "-":
        click.echo(json.dumps(report, indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(ffi_table(languages))
    console.print(calls_line(languages["C"]))
    if json_to is not None:
        Path(json_to).write_text(json.dumps(report, indent=1) + "\n")


def _measure(cases: list[Case], effort: Any, console: Console) -> dict[str, Any]:
    started, begin = stamp(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("limits of this machine", total=len(cases) * effort.rounds)

        def tell(case: Case) -> None:
            progress.update(task, description=case.key)
            progress.advance(task)

        run = Run(cases, effort, tell)
        run.measure()
    results, limits = run.results(), run.limits
    return {
        "schema": SCHEMA,
        "derecho": _version(),
        "machine": _machine(),
        "started": started,
        "seconds": time.monotonic() - begin,
        "effort": effort.__dict__,
        "limits": limits,
        "results": results,
        "targets": judge(results, limits),
    }


def _version() -> str:
    import derecho

    return derecho.version()


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "processors": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }
