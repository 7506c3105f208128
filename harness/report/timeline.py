"""The timeline in a report: a drawing, its numbers as a table, and what it shows in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from harness.judge.timeline import REACTION, Timeline
from harness.report.findings import listed
from harness.report.plot import GRID, INK, MUTED, STYLE
from harness.report.style import COLOURS
from harness.report.tables import MISSING, Cell, Table

ID = "timeline"

SIZE = (8.2, 6.4)
"""Inches of the drawing."""

GPU, CPU = COLOURS["gpusplit"].light, COLOURS["no_gpu"].light


@dataclass(frozen=True)
class TimelineReport:
    """What a report says of the timeline."""

    timeline: Timeline
    finding: str
    table: Table
    title: str = "Timeline"

    def describe(self) -> str:
        """Say what the drawing shows, for who cannot see it."""
        rows = ("; ".join(c.text for c in row) for row in self.table.rows)
        return f"{', '.join(self.table.head)}: {'. '.join(rows)}."


def timeline_report(timeline: Timeline | None) -> TimelineReport | None:
    """Return what to say; None if no timeline was measured."""
    if timeline is None or not timeline.launches:
        return None
    return TimelineReport(timeline, finding(timeline), timeline_table(timeline))


def finding(timeline: Timeline) -> str:
    """Say whether the GPU job followed every change."""
    wrong = timeline.wrong_launches()
    number = len(timeline.steps) - 1
    how = list(dict.fromkeys(step.how for step in timeline.steps[1:] if step.how))
    what = f"were {listed(how)}" if how else "stopped or went on"
    after = (
        f"all {len(timeline.launches)} kernel launches"
        if not wrong
        else f"all but {len(wrong)} of {len(timeline.launches)} kernel launches"
    )
    unknown = len(timeline.unjudged_steps())
    short = f" {unknown} of {number + 1} stretches were too short for any." if unknown else ""
    return (
        f"CPU VMs {what}, {number} changes while the GPU job ran. {after.capitalize()} "
        f"that began {REACTION:g} s after a change or later had the groups of the new VM count."
        f"{short}"
    )


def timeline_table(timeline: Timeline) -> Table:
    """Return a row for every stretch between two changes."""
    rows = []
    ends = [step.began for step in timeline.steps[1:]] + [timeline.launches[-1].end]
    for step, end in zip(timeline.steps, ends, strict=True):
        first = timeline.first_after(step)
        settled = [one for one in timeline.launches if step.ended <= one.start and one.end <= end]
        groups = sorted({one.groups for one in settled})
        rate = _throughput(timeline, step.ended, end)
        rows.append(
            (
                Cell(step.how or MISSING),
                Cell(f"{step.began:.1f}"),
                Cell(str(step.cpu_vms + 1)),
                Cell(MISSING if first is None else f"{max(0.0, first.start - step.began):.1f}"),
                Cell(", ".join(map(str, groups)) or MISSING),
                Cell(f"{mean(o.end - o.start for o in settled):.3f}" if settled else MISSING),
                Cell(MISSING if rate is None else f"{rate:#.4g}"),
            )
        )
    head = (
        "CPU VMs",
        "from, s",
        "running VMs",
        "first launch that knew, s later",
        "groups",
        "launch, s",
        "multiplications/s, all CPU VMs",
    )
    return Table(head, tuple(rows), words=1)


def _throughput(timeline: Timeline, start: float, end: float) -> float | None:
    """Return the sum over the CPU VMs, of the bins that lie within."""
    width = timeline.bin_seconds
    totals = [sum(rates) for rates in zip(*timeline.throughput.values(), strict=True)]
    inside = [
        total
        for number, total in enumerate(totals)
        if start <= number * width and (number + 1) * width <= end
    ]
    return mean(inside) if inside else None


@contextmanager
def canvas(timeline: Timeline) -> Iterator[Canvas]:
    """Give the drawing: VM count, groups, CPU throughput and launch times, one below the other."""
    with plt.rc_context(STYLE):
        figure, rows = plt.subplots(
            4, 1, figsize=SIZE, sharex=True, layout="constrained", height_ratios=(1, 1, 1.6, 1)
        )
        try:
            _draw(timeline, list(rows))
            yield figure
        finally:
            plt.close(figure)


def _draw(timeline: Timeline, rows: list[Axes]) -> None:
    end = timeline.launches[-1].end
    vms, groups, cpu, gpu = rows
    edges = [step.ended for step in timeline.steps] + [end]
    vms.stairs([s.cpu_vms + 1 for s in timeline.steps], edges, baseline=None, color=INK, lw=1.6)
    vms.set_ylabel("running VMs")
    starts = [launch.start for launch in timeline.launches]
    for axes, values in (
        (groups, [launch.groups for launch in timeline.launches]),
        (gpu, [launch.end - launch.start for launch in timeline.launches]),
    ):
        axes.hlines(values, starts, [o.end for o in timeline.launches], color=GPU, linewidth=2.5)
        axes.plot(starts, values, "|", color=GPU, markersize=9)
    groups.set_ylabel("groups")
    gpu.set_ylabel("a launch, s")
    gpu.set_xlabel("seconds since the GPU job's start")
    _stack(cpu, timeline)
    for axes in (vms, groups):
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    for axes in rows:
        axes.set_ylim(0, 1.15 * axes.dataLim.y1)
        axes.set_xlim(0, end)
        axes.yaxis.grid(visible=True, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for step in timeline.steps[1:]:
            axes.axvspan(step.began, step.ended, facecolor=MUTED, alpha=0.25, linewidth=0)


def _stack(axes: Axes, timeline: Timeline) -> None:
    """Draw the CPU VMs' throughputs upon each other, the first at the bottom."""
    rates = list(timeline.throughput.values())
    if not rates or not rates[0]:
        return
    width = timeline.bin_seconds
    edges = [width * number for number in range(len(rates[0]) + 1)]
    sums = [
        [sum(column) for column in zip(*rates[:count], strict=True)]
        for count in range(1, len(rates) + 1)
    ]
    for position in reversed(range(len(sums))):
        axes.stairs(
            sums[position],
            edges,
            fill=True,
            facecolor=(CPU, 0.9 - 0.6 * position / max(1, len(sums) - 1)),
            edgecolor=INK,
            linewidth=0.5,
        )
    axes.set_ylabel("multiplications/s,\nCPU VMs stacked")
