"""What the demo looks like on a terminal."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, wait
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn
from rich.table import Table

from .supervisor import Demo

__all__ = ["Display", "final_table", "speed", "view_history"]


class Display:
    """A progress bar with bytes, rate and the current view, and a line for each turn of events."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("joining", total=None)

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tick(self, demo: Demo) -> None:
        """Draw how far it is."""
        view = demo.view
        text = "joining" if view is None else f"view {view['id']}: {', '.join(map(str, view['nodes']))}"
        done = demo.stored_bytes
        self._progress.update(self._task, total=demo.total_bytes, completed=done, description=text)

    def wait_for(self, future: Future[Any], what: str) -> None:
        """Draw what is waited for, until it is done."""
        self._progress.update(self._task, description=what)
        wait([future])

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(f"[bold]·[/bold] {sentence}", highlight=False)


def final_table(result: dict[str, Any]) -> Table:
    """Return the table at the end: one row a member, and one for the disk; the digests are over (path, content)."""
    table = Table(title=f"{result['files']} files, {result['bytes'] / 1e6:.1f} MB, over {result['wire']}")
    table.add_column("member")
    for name in ("files", "MB", "MB/s", "piece p50", "piece p99"):
        table.add_column(name, justify="right")
    table.add_column("SHA-256")
    for m in result["members"]:
        name = f"{m['name']} ({m['node']}) {m['language']}"
        if m["killed"]:
            table.add_row(name, "", "", "", "", "", "killed", style="dim")
            continue
        verdict = "[green]=[/green]" if m["equal"] else "[bold red]DIFFERS[/bold red]"
        table.add_row(
            name,
            f"{m['files']}",
            f"{m['bytes'] / 1e6:.1f}",
            "" if m["bytes_per_s"] is None else f"{m['bytes_per_s'] / 1e6:.1f}",
            _duration(m["piece_p50_us"]),
            _duration(m["piece_p99_us"]),
            f"{m['sha256'][:8]}… {verdict}",
        )
    megabytes = f"{result['bytes'] / 1e6:.1f}"
    table.add_row("disk", str(result["files"]), megabytes, "", "", "", f"{result['disk_sha256'][:8]}…")
    return table


def speed(result: dict[str, Any]) -> str:
    """Return what it took, and what that means: a piece waits behind megabytes, a lone call does not."""
    lines = []
    if result["bytes_per_s"]:
        lines.append(f"Together they replicated {result['bytes_per_s'] / 1e6:.0f} MB/s, once all had started.")
    if result["query_p50_us"] is not None:
        lone = _duration(result["query_p50_us"])
        lines.append(f"Meanwhile a lone query, from another process, took {lone} (p50).")
    lines.append("A piece is 128 KB, the last of 8 in its queue; its time ends when all have applied it.")
    return "\n".join(lines)


def view_history(result: dict[str, Any]) -> str:
    """Return a line for each member: the views it was in."""
    lines = []
    for m in result["members"]:
        views_by_nodes = itertools.groupby(m["views"], key=lambda view: view["nodes"])  # a view may only give votes
        changes = [next(same) for _, same in views_by_nodes]
        views = " → ".join(f"{v['id']} {{{', '.join(map(str, v['nodes']))}}}" for v in changes)
        lines.append(f"{m['name']:>6} saw views {views}{', then was killed' if m['killed'] else ''}")
    return "\n".join(lines)


def _duration(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds:.0f} µs" if microseconds < 10_000 else f"{microseconds / 1000:.1f} ms"
