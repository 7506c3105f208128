"""Everything that a report says, as plain data: its pages (HTML, Markdown) only lay it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from harness.experiments import Mode
from harness.progress import duration
from harness.report.figures import figures
from harness.report.points import (
    base_of,
    cpu_throughput,
    gpu_seconds,
    gpu_vm_cpu_share,
    outcome_of,
    points_of,
)
from harness.report.schema import ClaimSummary, PointSummary, Summary
from harness.report.series import Datum, Figure, Panel, relative
from harness.report.style import MODE_NAMES, MODE_TEXTS, OUTCOMES

MISSING = "–"


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


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on claims that say the same, each for another number of CPU VMs."""

    text: str
    source: str
    figure: str
    anchor: str
    """The id of the figure that shows it; empty if none does."""
    claims: tuple[ClaimSummary, ...]


@dataclass(frozen=True)
class Content:
    """A whole report."""

    run: str
    """The run's name, that of its folder."""
    device: str
    emulated: bool
    """Whether the GPU was an emulated one."""
    headline: str
    facts: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdicts, ...]
    figures: tuple[tuple[Figure, Table], ...]
    modes: tuple[tuple[str, str, str], ...]
    """Role of the colour, name and meaning of every mode that was measured."""
    ablation: Table | None
    calibration: Table | None
    points: Table
    problems: tuple[tuple[str, str], ...]
    """What is wrong at which point."""
    environment: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    files: tuple[str, ...]
    """What else there is in the run's folder."""


def content(summary: Summary, run: str, files: Iterable[str] = ()) -> Content:
    """Put a run's report together."""
    device = device_of(summary)
    drawn = figures(summary)
    return Content(
        run=run,
        device=device,
        emulated="emulated" in device.lower(),
        headline=headline(summary.claims),
        facts=_facts(summary, device),
        verdicts=_verdicts(summary.claims, {figure.id for figure in drawn}),
        figures=tuple((figure, figure_table(figure)) for figure in drawn),
        modes=tuple(
            (str(mode), MODE_NAMES[mode], text)
            for mode, text in MODE_TEXTS.items()
            if any(point.mode == mode for point in summary.points)
        ),
        ablation=ablation_table(summary),
        calibration=calibration_table(summary),
        points=points_table(summary),
        problems=tuple(_problems(summary.points)),
        environment=_environment(summary),
        files=tuple(files),
    )


def device_of(summary: Summary) -> str:
    """Return the name of the GPU that the run used."""
    return str(_plain(summary.environment)["gpu_vm"].get("device", "no GPU device recorded"))


def headline(claims: Iterable[ClaimSummary]) -> str:
    """Count the verdicts in a sentence."""
    counts = Counter(outcome_of(claim) for claim in claims)
    if not counts:
        return "No claim was judged."
    parts = [
        f"{counts[outcome]} {name}" for outcome, (_, name) in OUTCOMES.items() if counts[outcome]
    ]
    return f"{sum(counts.values())} verdicts: {', '.join(parts)}."


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


def ablation_table(summary: Summary) -> Table | None:
    """Return what splitting and waiting do, alone and together; None if it was not measured."""
    points = [p for p in points_of(summary, "ablation") if p.cpu_vms > 0 and p.mode != Mode.NO_GPU]
    if not points:
        return None
    order = [Mode.UNSPLIT, Mode.PAPER, Mode.UNSPLIT_COOPERATIVE, Mode.GPUSPLIT]
    rows = []
    for point in sorted(points, key=lambda p: (p.cpu_vms, order.index(Mode(p.mode)))):
        base = base_of(summary, point)
        split, wait = _ways(Mode(point.mode))
        is_base = point.mode == Mode.UNSPLIT
        gain = relative(cpu_throughput(point), cpu_throughput(base))
        cost = relative(gpu_seconds(point), gpu_seconds(base))
        share = gpu_vm_cpu_share(point)
        rows.append(
            (
                Cell(str(point.cpu_vms)),
                Cell(split),
                Cell(wait),
                _cell(cpu_throughput(point), ".2f"),
                Cell("") if is_base else _cell(gain, "+.1%"),
                _cell(gpu_seconds(point), ".3f"),
                Cell("") if is_base else _cell(cost, "+.1%"),
                _cell(share, ".1%"),
            )
        )
    head = (
        "n",
        "split",
        "wait",
        "multiplications/s",
        "against unsplit",
        "GPU job, s",
        "against unsplit",
        "CPU use of the GPU VM",
    )
    return Table(head, tuple(rows), words=3)


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
                    Cell(chosen),
                    Cell(str(tried.alpha)),
                    Cell(MISSING if tried.groups is None else str(tried.groups)),
                    Cell(
                        MISSING if tried.cpu_throughput is None else f"{tried.cpu_throughput:.2f}"
                    ),
                    Cell(MISSING if tried.gpu_slow_down is None else f"{tried.gpu_slow_down:+.1%}"),
                    Cell(f"{found.bound:.0%}"),
                )
            )
    head = (
        "n",
        "",
        "alpha",
        "groups",
        "multiplications/s",
        "GPU job's slow-down",
        "bound",
    )
    return Table(head, tuple(rows), words=2)


def points_table(summary: Summary) -> Table:
    """Return every point, with its raw samples."""
    rows = [
        (
            Cell(point.label, doubtful=bool(point.problems)),
            Cell(MODE_NAMES[Mode(point.mode)]),
            Cell(str(point.cpu_vms)),
            Cell(MISSING if point.groups is None else str(point.groups)),
            _cell(cpu_throughput(point), ".2f"),
            _cell(gpu_seconds(point), ".3f"),
            Cell(
                MISSING if point.gpu_vm_cpu_seconds is None else f"{point.gpu_vm_cpu_seconds:.3f}"
            ),
            Cell("", tuple((str(sample.repetition), sample.raw) for sample in point.samples)),
        )
        for point in summary.points
    ]
    head = (
        "point",
        "mode",
        "n",
        "groups",
        "multiplications/s",
        "GPU job, s",
        "GPU VM's CPU, s",
        "raw samples",
    )
    return Table(head, tuple(rows), words=2)


def _ways(mode: Mode) -> tuple[str, str]:
    """Return how a mode launches and how it waits."""
    split = mode in (Mode.PAPER, Mode.GPUSPLIT)
    cooperative = mode in (Mode.UNSPLIT_COOPERATIVE, Mode.GPUSPLIT)
    return "split" if split else "whole", "cooperative" if cooperative else "driver's"


def _facts(summary: Summary, device: str) -> tuple[tuple[str, str], ...]:
    started, finished = (datetime.fromisoformat(t) for t in (summary.started, summary.finished))
    repetitions = max((len(point.samples) for point in summary.points), default=0)
    return (
        ("Lab", f"{summary.lab}, {summary.clock} clock"),
        ("Profile", summary.profile),
        ("GPU", device),
        ("Started", f"{started:%Y-%m-%d %H:%M} {started.tzname() or ''}".strip()),
        ("Took", duration((finished - started).total_seconds())),
        ("Repetitions", f"up to {repetitions}" if repetitions > 1 else "one, so no error bars"),
    )


def _verdicts(claims: Iterable[ClaimSummary], drawn: set[str]) -> tuple[Verdicts, ...]:
    return tuple(
        Verdicts(
            text=text,
            source=source,
            figure=figure,
            anchor=experiment if experiment in drawn else "",
            claims=tuple(group),
        )
        for (text, source, figure, experiment), group in groupby(
            claims, key=lambda c: (c.text, c.source, c.figure, c.experiment)
        )
    )


def _problems(points: Iterable[PointSummary]) -> Iterable[tuple[str, str]]:
    for point in points:
        for problem in point.problems:
            yield point.label, problem


def _environment(
    summary: Summary,
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    found = _plain(summary.environment)
    groups = {
        "Commit": {"commit": found["commit"]},
        "Controller": found["controller"],
        "Host": found["host"],
        "GPU VM": found["gpu_vm"],
        "Parameters of the profile": _plain(summary.parameters),
        "Check of the GPU job's numbers": _plain(summary.verification or {}),
    }
    return tuple(
        (title, tuple((name, _text(value)) for name, value in facts.items()))
        for title, facts in groups.items()
        if facts
    )


def _plain(value: Any) -> dict[str, Any]:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return MISSING if value is None else str(value)


def _cell(datum: Datum | None, form: str) -> Cell:
    if datum is None:
        return Cell(MISSING)
    return Cell(_with_interval(datum, form), doubtful=bool(datum.problems))


def _shown(datum: Datum | None, panel: Panel) -> tuple[str, tuple[()], bool]:
    """Return the arguments of a cell."""
    if datum is None:
        return "missing", (), True
    form = "+.1%" if panel.relative else ".2f"
    note = f", {datum.note}" if datum.note else ""
    invalid = ", invalid" if datum.problems else ""
    return f"{_with_interval(datum, form)}{note}{invalid}", (), bool(datum.problems)


def _with_interval(datum: Datum, form: str) -> str:
    if datum.interval is None:
        return format(datum.value, form)
    low, high = (format(end, form) for end in datum.interval)
    return f"{datum.value:{form}} [{low}, {high}]"


def _number(value: float, panel: Panel) -> str:
    return format(value, "+.1%" if panel.relative else ".2f")
