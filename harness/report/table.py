"""The table at the end of a run."""

from __future__ import annotations

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from harness.keep.summary import PointSummary, Summary
from harness.plan.experiments import Mode
from harness.report.points import outcome_of
from harness.report.programs import gpu_piece, pieces
from harness.report.style import MODE_NAMES, OUTCOMES
from harness.report.tables import THROUGHPUT

COLOURS = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "does_not_arise": "dim",
    "invalid": "yellow",
    "not_reproduced": "yellow",
}


def gain_over_unsplit(summary: Summary, point: PointSummary) -> float | None:
    """Return a point's relative gain of CPU throughput over the unsplit point beside it."""
    for other in summary.points:
        if (other.cpu_vms, other.mode) == (point.cpu_vms, Mode.UNSPLIT) and (
            not other.blocking_driver
        ):
            if point.cpu_throughput is None or not other.cpu_throughput:
                return None
            return point.cpu_throughput / other.cpu_throughput - 1
    return None


def points_table(summary: Summary) -> Table:
    """Return the table of all points."""
    table = Table(title="Throughput of each CPU VM while the GPU job runs; the GPU job")
    for heading in (
        "CPU VMs",
        "mode",
        "groups",
        f"{pieces(summary)}/s".replace("multiplications", "multipl."),
        "gain",
        f"{gpu_piece(summary)}, s",
        "its VM's CPU, s",
    ):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    previous = None
    for point in sorted(summary.points, key=lambda point: point.cpu_vms):
        if previous not in (None, point.cpu_vms):
            table.add_section()
        previous = point.cpu_vms
        gain = gain_over_unsplit(summary, point) if point.mode != Mode.UNSPLIT else None
        table.add_row(
            str(point.cpu_vms),
            MODE_NAMES[Mode(point.mode)]
            + (", blocking driver" if point.blocking_driver else "")
            + (" (!)" if point.problems else ""),
            _cell(point.groups, "d"),
            _cell(point.cpu_throughput, THROUGHPUT),
            _cell(gain, "+.1%"),
            _cell(point.gpu_seconds, ".3f"),
            _cell(point.gpu_vm_cpu_seconds, ".3f"),
        )
    return table


def claims_table(summary: Summary, kind: str) -> Table:
    """Return the table of the verdicts on our claims, or on the paper's."""
    title = "Claims" if kind == "ours" else "What the paper says of its own method"
    table = Table(title=title)
    table.add_column("claim")
    table.add_column("verdict")
    table.add_column("value and limit, or why there is no verdict", overflow="fold")
    for claim in summary.claims:
        if claim.kind == kind:
            outcome = outcome_of(claim)
            verdict = Text(OUTCOMES[outcome][1], style=COLOURS[outcome])
            table.add_row(claim.id, verdict, Text(claim.reason))
    return table


def print_tables(console: Console, summary: Summary) -> None:
    """Print what a run found."""
    kinds = [k for k in ("paper", "ours") if any(claim.kind == k for claim in summary.claims)]
    tables = (claims_table(summary, kind) for kind in kinds)
    console.print(Group(points_table(summary), *tables))
    for point in summary.points:
        for problem in point.problems:
            console.print(f"(!) {point.label}: {problem}", markup=False, highlight=False)
    if note := undecided(summary):
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def undecided(summary: Summary) -> str:
    """Name the claims that are inconclusive, and what would decide them; empty if none is."""
    names = [claim.id for claim in summary.claims if claim.outcome == "inconclusive"]
    if not names:
        return ""
    return (
        f"Inconclusive, for the limit lies within the 95 % interval: {', '.join(names)}. "
        "More repetitions narrow it (--repetitions N)."
    )


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
