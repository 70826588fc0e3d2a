"""What the doctor looks like on a terminal."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .facts import Rdma
from .findings import Finding
from .report import Pair, Report

__all__ = ["show"]

_MARKS = {"must": "[bold red]✗[/bold red]", "should": "[yellow]![/yellow]", "fine": "[green]✓[/green]"}
_STYLES = {"must": "bold red", "should": "yellow"}


def show(console: Console, report: Report) -> None:
    """Print what was found, which wires are used, and at last what to change."""
    host = report.facts.host
    here = [finding for finding in report.findings if not finding.about]
    console.print(_findings(f"{host.name}: Linux {host.kernel} on {host.architecture}", here))
    if report.facts.rdma.devices:
        console.print(_gids(report.facts.rdma))
    for about in dict.fromkeys(finding.about for finding in report.findings if finding.about):
        console.print(_findings(about, (finding for finding in report.findings if finding.about == about)))
    if report.pairs:
        console.print(_wires(report.pairs))
    _changes(console, [finding for finding in report.findings if finding.severity != "fine"])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title), title_justify="left", show_header=bool(columns))
    for column in columns:
        table.add_column(column)
    return table


def _findings(title: str, findings: Iterable[Finding]) -> Table:
    table = _table(title)
    for finding in findings:
        table.add_row(_MARKS[finding.severity], finding.check, escape(finding.what))
    return table


def _gids(rdma: Rdma) -> Table:
    note = f" ({rdma.source_note})" if rdma.source_note else ""
    table = _table(f"GIDs, from {rdma.source}{note}", "device", "port", "index", "GID", "type", "netdev")
    for device in rdma.devices:
        for port in device.ports:
            for gid in port.gids:
                table.add_row(device.name, str(port.number), str(gid.index), _gid_text(gid.gid), gid.type, gid.netdev)
    return table


def _gid_text(gid: str) -> str:
    mapped = ipaddress.IPv6Address(gid).ipv4_mapped
    return f"::ffff:{mapped}" if mapped else gid


def _wires(pairs: Iterable[Pair]) -> Table:
    table = _table("Wires that auto uses", "between", "and", "wire", "because", "which assumes")
    for pair in pairs:
        why = pair.choice.why
        if pair.reach and pair.reach.status in ("derecho", "listens", "refused"):
            answer = {"derecho": "a node answers", "listens": "something listens", "refused": "nobody listens"}
            why += f"; {answer[pair.reach.status]} there"
        elif pair.reach and pair.b.rpartition(":")[0]:
            why += f"; {pair.reach.detail}"
        wire = pair.choice.wire + ("?" if pair.choice.assumes else "")
        table.add_row(escape(pair.a), escape(pair.b), wire, escape(why), escape(pair.choice.assumes))
    return table


def _changes(console: Console, findings: list[Finding]) -> None:
    # Commands are not wrapped, so that they can be copied.
    for severity in ("must", "should"):
        for finding in (finding for finding in findings if finding.severity == severity):
            style = _STYLES[severity]
            about = f"{finding.about}: " if finding.about else ""
            sentence = escape(f"{about}{finding.check}: {finding.what}")
            console.print(f"\n[{style}]{severity} change[/{style}]  {sentence}", highlight=False)
            if finding.why:
                console.print(f"  {escape(finding.why)}", highlight=False)
            for command in finding.commands:
                console.print(f"    {escape(command)}", highlight=False, soft_wrap=True)
    musts = sum(finding.severity == "must" for finding in findings)
    shoulds = len(findings) - musts
    verdict = f"[bold red]{musts} must be changed[/bold red]" if musts else "[green]Nothing must be changed[/green]"
    console.print(f"\n{verdict}{f', {shoulds} should be' if shoulds else ''}.", highlight=False)
