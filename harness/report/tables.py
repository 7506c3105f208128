"""The tables of a report, as plain data: its pages only lay them out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.keep.summary import ClaimSummary, PointSummary, Summary
from harness.plan.experiments import Mode
from harness.report.points import (
    base_of,
    cpu_throughput,
    gpu_seconds,
    gpu_vm_cpu_share,
    outcome_of,
    points_of,
)
from harness.report.programs import gpu_piece, pieces
from harness.report.series import Datum, Figure, Panel, relative
from harness.report.style import MODE_NAMES, OUTCOMES

MISSING = "-"

THROUGHPUT = "#.4g"
"""Digits of a throughput: hundreds per second with small matrices, and 0.1 with the paper's."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    links: tuple[tuple[str, str], ...] = ()
    """Texts and relative paths of files."""
    doubtful: bool = False
    """The number cannot be trusted."""


@dataclass(frozen=True)
class Table:
    """A table; the first `words` columns are words, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1


def figure_table(figure: Figure) -> Table:
    """Return a figure's numbers, one row for each kind of bar."""
    numbers = sorted({n for panel in figure.panels for n in panel.cpu_vms})
    rows = []
    for panel in figure.panels:
        for series in panel.series:
            cells = [
                Cell(*_shown(series.data[n], panel)) if n in series.data else Cell("")
                for n in numbers
            ]
            rows.append((Cell(panel.title), Cell(series.name), *cells))
        if panel.limits:
            limits = [
                Cell(_number(panel.limits[n], panel) if n in panel.limits else "") for n in numbers
            ]
            rows.append((Cell(panel.title), Cell("physical limit"), *limits))
    return Table(("diagram", "bars", *(f"n = {n}" for n in numbers)), tuple(rows), words=2)


def ablation_table(summary: Summary) -> Table | None:
    """Return what splitting, waiting and groups in flight do; None if it was not measured."""
    points = [p for p in points_of(summary, "ablation") if p.cpu_vms > 0 and p.mode != Mode.NO_GPU]
    if not points:
        return None
    order = [
        Mode.UNSPLIT,
        # Waiting first: what it does alone is not splitting's.
        Mode.UNSPLIT_COOPERATIVE,
        Mode.PAPER,
        Mode.PAPER_AHEAD,
        Mode.GPUSPLIT_SINGLE,
        Mode.GPUSPLIT,
    ]
    rows = []
    for point in sorted(points, key=lambda p: (p.cpu_vms, order.index(Mode(p.mode)))):
        base = base_of(summary, point)
        split, wait, flight = _ways(Mode(point.mode))
        is_base = point.mode == Mode.UNSPLIT
        gain = relative(cpu_throughput(point), cpu_throughput(base))
        cost = relative(gpu_seconds(point), gpu_seconds(base))
        share = gpu_vm_cpu_share(point)
        rows.append(
            (
                Cell(str(point.cpu_vms)),
                Cell(split),
                Cell(wait),
                Cell(flight),
                _cell(cpu_throughput(point), THROUGHPUT),
                Cell("") if is_base else _cell(gain, "+z.1%"),
                _cell(gpu_seconds(point), ".3f"),
                Cell("") if is_base else _cell(cost, "+z.1%"),
                _cell(share, ".1%"),
            )
        )
    head = (
        "n",
        "split",
        "wait",
        "in flight",
        "multiplications/s",
        "against unsplit",
        "GPU job, s",
        "against unsplit",
        "CPU use of the GPU VM",
    )
    return Table(head, tuple(rows), words=4)


def calibration_table(summary: Summary) -> Table | None:
    """Return what the calibration tried, and chose; None if there was none."""
    if not summary.calibration:
        return None
    rows = []
    for found in summary.calibration:
        for tried in found.tried:
            chosen = "chosen" if tried.alpha == found.alpha else ""
            rows.append(
                (
                    Cell(str(found.cpu_vms)),
                    Cell(MODE_NAMES[Mode(found.mode)]),
                    Cell(chosen),
                    Cell(str(tried.alpha)),
                    Cell(_optional(tried.groups, "d")),
                    Cell(_optional(tried.cpu_throughput, THROUGHPUT)),
                    Cell(
                        MISSING if tried.gpu_slow_down is None else f"{tried.gpu_slow_down:+z.1%}"
                    ),
                    Cell(f"{found.bound:.0%}"),
                )
            )
    head = (
        "n",
        "method",
        "",
        "alpha",
        "groups",
        "multiplications/s",
        "GPU job's slow-down",
        "bound",
    )
    return Table(head, tuple(rows), words=2)


def conditions_table(summary: Summary) -> Table | None:
    """Return the map of conditions: what the paper's method does under each; None without one."""
    if not summary.conditions:
        return None
    statistics = list(
        dict.fromkeys(claim.statistic for found in summary.conditions for claim in found.claims)
    )
    rows = []
    for found in summary.conditions:
        by_statistic = {claim.statistic: claim for claim in found.claims}
        rows.append(
            (
                Cell(found.label or "the standard condition"),
                Cell(str(found.cpu_vms)),
                Cell(_waiting(found.points)),
                *(Cell(_outcome(by_statistic.get(name))) for name in statistics),
                Cell(MISSING if found.distance is None else f"{100 * found.distance:.1f}"),
            )
        )
    heads = (STATISTIC_NAMES.get(name, name) for name in statistics)
    head = ("condition", "n", "unsplit: CPU, wake-ups/s", *heads, "points from the paper")
    return Table(head, tuple(rows), words=1)


STATISTIC_NAMES = {
    "neighbour_loss": "loss beside a GPU VM",
    "paper_recovery": "gain by splitting",
    "paper_levelling": "20 groups against 10",
    "paper_slow_down_10": "GPU job's loss in 10 groups",
    "paper_slow_down_20": "GPU job's loss in 20 groups",
    "paper_best_gain": "gain by Fig. 6's groups",
    "paper_slow_down": "GPU job's loss by Fig. 6's groups",
    "many_groups_gain": "500 groups against 20",
    "many_groups_slow_down": "GPU job's loss by 500 groups",
    "sweep_gain": "gpusplit's gain",
}
"""What a statistic is called at the head of a column."""


def conditions_sentence(summary: Summary) -> str:
    """Say which condition comes nearest to the paper's numbers; empty without a map."""
    known = [found for found in summary.conditions if found.distance is not None]
    if not known:
        return ""
    best = min(known, key=lambda found: found.distance or 0.0)
    name = best.label or "the standard condition"
    return (
        "Nearest to the paper's numbers (CPU VMs 20 % faster, the GPU job under 5 % slower, and "
        f"38 % by 500 groups where that was measured) comes {name} at n = "
        f"{best.cpu_vms}: the worst of them is "
        f"{100 * (best.distance or 0.0):.1f} percentage points off."
    )


def _waiting(points: Iterable[PointSummary]) -> str:
    """Say what part of a CPU the GPU VM takes with whole kernels, and how often it is woken up."""
    for point in points:
        if point.mode == Mode.UNSPLIT and point.gpu_seconds and not point.problems:
            share = (point.gpu_vm_cpu_seconds or 0.0) / point.gpu_seconds
            sleeps = point.gpu_sleeps
            often = "" if sleeps is None else f", {sleeps / point.gpu_seconds:.3g}/s"
            return f"{share:.1%}{often}"
    return MISSING


def _outcome(claim: ClaimSummary | None) -> str:
    if claim is None:
        return MISSING
    outcome = outcome_of(claim)
    value = "" if claim.value is None else f" {claim.value:+z.1%}"
    return f"{OUTCOMES[outcome][0]} {OUTCOMES[outcome][1]}{value}"


def points_table(summary: Summary) -> Table:
    """Return every point, with its raw samples."""
    rows = [
        (
            Cell(point.label, doubtful=bool(point.problems)),
            Cell(MODE_NAMES[Mode(point.mode)]),
            Cell(str(point.cpu_vms)),
            Cell(_optional(point.groups, "d")),
            _cell(cpu_throughput(point), THROUGHPUT),
            _cell(gpu_seconds(point), ".3f"),
            Cell(_optional(point.gpu_vm_cpu_seconds, ".3f")),
            Cell(_optional(point.work_rate, THROUGHPUT)),
            Cell("", tuple((str(sample.repetition), sample.raw) for sample in point.samples)),
        )
        for point in summary.points
    ]
    head = (
        "point",
        "mode",
        "n",
        "groups",
        f"{pieces(summary)}/s",
        f"{gpu_piece(summary)}, s",
        "GPU VM's CPU, s",
        f"{pieces(summary)} per second of CPU",
        "raw samples",
    )
    return Table(head, tuple(rows), words=2)


def describe(panel: Panel) -> str:
    """Say what a diagram shows, for who cannot see it: every number of it."""
    parts = [
        f"{series.name}: "
        + ", ".join(f"n = {n}: {_shown(datum, panel)[0]}" for n, datum in series.data.items())
        for series in panel.series
    ]
    if panel.limits:
        limits = (f"n = {n}: {_number(limit, panel)}" for n, limit in panel.limits.items())
        parts.append(f"physical limit: {', '.join(limits)}")
    return f"{panel.axis}, by n, the number of CPU VMs. {'; '.join(parts)}."


def _ways(mode: Mode) -> tuple[str, str, str]:
    """Return how a mode launches, how it waits, and how many groups are on their way."""
    flight = "several" if mode in (Mode.PAPER_AHEAD, Mode.GPUSPLIT) else "one"
    wait = "cooperative" if mode.cooperates else "driver's"
    return "split" if mode.splits else "whole", wait, flight


def _optional(value: float | None, form: str) -> str:
    return MISSING if value is None else format(value, form)


def _cell(datum: Datum | None, form: str) -> Cell:
    if datum is None:
        return Cell(MISSING)
    return Cell(_with_interval(datum, form), doubtful=bool(datum.problems))


def _shown(datum: Datum | None, panel: Panel) -> tuple[str, tuple[()], bool]:
    """Return the arguments of a cell."""
    if datum is None:
        return "missing", (), True
    form = "+z.1%" if panel.relative else THROUGHPUT
    note = f", {datum.note}" if datum.note else ""
    invalid = ", invalid" if datum.problems else ""
    return f"{_with_interval(datum, form)}{note}{invalid}", (), bool(datum.problems)


def _with_interval(datum: Datum, form: str) -> str:
    if datum.interval is None:
        return format(datum.value, form)
    low, high = datum.interval
    half = format((high - low) / 2, form.lstrip("+z").replace(THROUGHPUT, "#.2g"))
    return f"{datum.value:{form}} ± {half}"


def _number(value: float, panel: Panel) -> str:
    return format(value, "+z.1%" if panel.relative else THROUGHPUT)
