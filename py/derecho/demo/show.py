"""What the demo looks like on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn
from rich.table import Table

from .supervisor import Demo

__all__ = ["Display", "final_table"]


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

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(f"[bold]·[/bold] {sentence}", highlight=False)


def final_table(result: dict[str, Any]) -> Table:
    """Return the table at the end: one row a member, and one for the disk."""
    table = Table(title=f"{result['files']} files, {result['bytes'] / 1e6:.1f} MB, over {result['wire']}")
    table.add_column("member")
    table.add_column("views")
    for name in ("files", "MB", "MB/s sent", "call p50", "call p99"):
        table.add_column(name, justify="right")
    table.add_column("SHA-256 of (path, content)")
    for m in result["members"]:
        views = "  ".join(f"{v['id']}:{{{','.join(map(str, v['nodes']))}}}" for v in m["views"])
        name = f"{m['name']} ({m['node']})"
        if m["killed"]:
            table.add_row(name, views, "", "", "", "", "", "killed", style="dim")
            continue
        verdict = "[green]=[/green]" if m["equal"] else "[bold red]DIFFERS[/bold red]"
        table.add_row(
            name,
            views,
            f"{m['files']}",
            f"{m['bytes'] / 1e6:.1f}",
            "" if m["bytes_per_s"] is None else f"{m['bytes_per_s'] / 1e6:.1f}",
            _duration(m["call_p50_us"]),
            _duration(m["call_p99_us"]),
            f"{m['sha256'][:32]}… {verdict}",
        )
    table.add_row(
        "disk", "", str(result["files"]), f"{result['bytes'] / 1e6:.1f}", "", "", "", f"{result['disk_sha256'][:32]}…"
    )
    return table


def _duration(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds:.0f} µs" if microseconds < 10_000 else f"{microseconds / 1000:.1f} ms"
