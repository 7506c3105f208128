"""What a figure shows, before it is drawn: numbers by the number of CPU VMs.

The same panels give the drawing, the table below it and the sentence beside it, so that the
three cannot say different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.judge.repetitions import Interval


@dataclass(frozen=True)
class Datum:
    """One number of a point, or of one point relative to another."""

    value: float
    interval: Interval | None = None
    """The 95 % confidence interval; None if there is none, as with one repetition."""
    problems: tuple[str, ...] = ()
    """Why the number cannot be trusted; empty if it can."""
    note: str = ""
    """What belongs beside it in a table, such as the number of groups."""
    repeats: Mapping[int, float] = field(default_factory=dict)
    """The trustworthy repetitions by their number, of which the value is the median."""


@dataclass(frozen=True)
class Series:
    """The bars of one kind: one for each number of CPU VMs."""

    name: str
    colour: str
    """The role of a colour in `style.COLOURS`."""
    data: Mapping[int, Datum | None]
    """By the number of CPU VMs; None where a point gave no number, no key where none was wanted."""
    shade: float = 1.0
    """How strongly the bars are filled, up to 1: tells apart what has the same colour."""


@dataclass(frozen=True)
class Panel:
    """One diagram."""

    id: str
    title: str
    side: Literal["cpu", "gpu"]
    """Whose numbers these are: the CPU VMs', or the GPU job's."""
    axis: str
    """What is on the vertical axis, with its unit."""
    series: tuple[Series, ...]
    relative: bool = False
    """Values are relative changes, written in per cent."""
    limits: Mapping[int, float] | None = None
    """The physical limit by the number of CPU VMs."""
    bound: float | None = None
    """A value that should not be passed, the same for every number of CPU VMs."""
    fair: Mapping[int, float] | None = None
    """By the number of CPU VMs: what one has whose GPU VM takes as much as a CPU VM would."""
    reach: tuple[float, float] | None = None
    """The lower and the upper end of the axis where it is shared with others; None: its own."""

    @property
    def cpu_vms(self) -> tuple[int, ...]:
        """The numbers of CPU VMs of which there is a number, or should be."""
        return tuple(sorted({n for series in self.series for n in series.data}))

    def doubtful(self) -> tuple[str, ...]:
        """Name the numbers that cannot be trusted or are missing."""
        return tuple(
            f"{series.name}, n = {n}"
            for series in self.series
            for n, datum in sorted(series.data.items())
            if datum is None or datum.problems
        )

    def trusted(self, series: Series) -> dict[int, float]:
        """Return a series' trustworthy values."""
        return {
            n: datum.value
            for n, datum in sorted(series.data.items())
            if datum is not None and not datum.problems
        }


@dataclass(frozen=True)
class Figure:
    """A figure of the paper, or one that the paper lacks: diagrams and what they show."""

    id: str
    number: str
    title: str
    source: str
    """Which part of the paper it repeats."""
    panels: tuple[Panel, ...]
    finding: str
    """What it shows, in a sentence or two made from the numbers."""


def relative(datum: Datum | None, base: Datum | None) -> Datum | None:
    """Return by how much a number differs from another, relative to that; None without both.

    The interval is the widest that the two intervals allow, so that it is never too narrow.
    """
    if datum is None or base is None or base.value <= 0:
        return None
    interval = None
    if datum.interval and base.interval and base.interval[0] > 0:
        interval = (
            datum.interval[0] / base.interval[1] - 1,
            datum.interval[1] / base.interval[0] - 1,
        )
    problems = (*datum.problems, *(p for p in base.problems if p not in datum.problems))
    repeats = {number: value / base.value - 1 for number, value in datum.repeats.items()}
    return Datum(datum.value / base.value - 1, interval, problems, datum.note, repeats)


def on_one_scale(panels: tuple[Panel, ...]) -> tuple[Panel, ...]:
    """Return diagrams of the same changes with one axis, so that bars compare at a glance."""
    values = [
        end
        for panel in panels
        for series in panel.series
        for datum in series.data.values()
        if datum is not None
        for end in (datum.value, *(datum.interval or ()), *datum.repeats.values())
    ]
    values += [limit for panel in panels for limit in (panel.limits or {}).values()]
    values += [panel.bound for panel in panels if panel.bound is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = MARGIN * (high - low)
    reach = (low - room if low < 0 else 0.0, high + room)
    return tuple(replace(panel, reach=reach) for panel in panels)


MARGIN = 0.06
"""The part of an axis that is left beyond what is drawn."""


def span(values: Iterable[float]) -> tuple[float, float] | None:
    """Return the least and the largest value; None if there is none."""
    values = list(values)
    return (min(values), max(values)) if values else None
