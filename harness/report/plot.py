"""Drawing a diagram with matplotlib. Nothing here computes: a panel holds what is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib

matplotlib.use("Agg")  # before pyplot: there is no display, and none is wanted
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.report.series import Datum, Figure, Panel, Series
from harness.report.style import COLOURS

SIZE = (4.1, 3.1)
"""Inches of one diagram. Small, so that its text can be read at the width of a phone."""

GROUP = 0.82
"""Width of all bars of one number of CPU VMs; the distance to the next is 1."""

INK, MUTED, GRID, LIMIT, BOUND, FAIR, SURFACE = (
    COLOURS[role].light for role in ("ink", "muted", "grid", "limit", "fail", "fair", "surface")
)

SMALL = 1 / 16
"""The part of a shared axis below which bars are too small to be read, and told in words."""

# matplotlib types the names of its settings one by one, which says too much here.
STYLE: Any = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 10,
    "font.size": 9,
    "hatch.color": MUTED,
    "hatch.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def canvas(panel: Panel) -> Iterator[Canvas]:
    """Give a drawing of one diagram, without title and legend."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
        try:
            draw(axes, panel)
            yield figure
        finally:
            plt.close(figure)


def draw(axes: Axes, panel: Panel) -> None:
    """Draw a panel: grouped bars with error bars, the limit and the bound as lines."""
    numbers = panel.cpu_vms
    factor = 100 if panel.relative else 1
    width = GROUP / max(len(panel.series), 1)
    for position, series in enumerate(panel.series):
        offset = (position - (len(panel.series) - 1) / 2) * width
        for n, datum in series.data.items():
            _bar(axes, numbers.index(n) + offset, width, series, datum, factor)
    kinds: tuple[tuple[Mapping[int, float] | None, str, Literal["dashed", "dashdot"]], ...] = (
        (panel.limits, LIMIT, "dashed"),
        (panel.fair, FAIR, "dashdot"),
    )
    for levels, colour, line in kinds:
        for n in (levels or {}).keys() & set(numbers):
            axes.hlines(
                (levels or {})[n] * factor,
                numbers.index(n) - 0.47,
                numbers.index(n) + 0.47,
                colors=colour,
                linestyles=line,
                linewidth=1.4,
                zorder=3,
            )
    if panel.bound is not None:
        axes.axhline(panel.bound * factor, color=BOUND, linestyle="dotted", linewidth=1.4)
    _frame(axes, panel)


def _bar(
    axes: Axes, x: float, width: float, series: Series, datum: Datum | None, factor: float
) -> None:
    colour = COLOURS[series.colour].light
    if datum is None:
        axes.plot([x], [0], marker="x", color=MUTED, markersize=5, clip_on=False, zorder=5)
        return
    axes.bar(
        x,
        datum.value * factor,
        width=width * 0.92,
        facecolor=(colour, 0.12 if datum.problems else series.shade),
        edgecolor=colour,
        linewidth=0.9,
        hatch="////" if datum.problems else None,
    )
    if datum.interval is not None:
        low, high = datum.interval
        axes.errorbar(
            x,
            datum.value * factor,
            yerr=[
                [max(0.0, datum.value - low) * factor],
                [max(0.0, high - datum.value) * factor],
            ],
            color=INK,
            capsize=2,
            elinewidth=1,
        )
    _dots(axes, x, width, datum, factor)


def _dots(axes: Axes, x: float, width: float, datum: Datum, factor: float) -> None:
    """Draw every repetition as a dot: a full one, or a hollow one where there is no other."""
    values = [value * factor for _, value in sorted(datum.repeats.items())]
    once = len(values) == 1
    for k, value in enumerate(values, start=1):
        axes.plot(
            [x + width * (0.0 if once else 0.5 * (k / (len(values) + 1) - 0.5))],
            [value],
            "o",
            markersize=3.4 if once else 2.2,
            markerfacecolor=SURFACE if once else INK,
            markeredgecolor=INK,
            markeredgewidth=0.8,
            clip_on=False,
            zorder=4,
        )


def _frame(axes: Axes, panel: Panel) -> None:
    names = ["0 (alone)" if n == 0 else str(n) for n in panel.cpu_vms]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel("n, the number of CPU VMs")
    axes.set_ylabel(panel.axis)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.grid(visible=True, color=GRID, linewidth=0.8)
    axes.tick_params(axis="x", length=0)
    axes.set_axisbelow(True)
    axes.margins(y=0.08)
    if panel.relative:
        axes.axhline(0, color=MUTED, linewidth=0.8)
    if panel.reach is not None:
        low, high = (end * (100 if panel.relative else 1) for end in panel.reach)
        axes.set_ylim(low, high)
        values = [value for series in panel.series for value in panel.trusted(series).values()]
        if values and max(map(abs, values)) < SMALL * (panel.reach[1] - panel.reach[0]):
            words = f"all bars: {min(values):+z.1%} to {max(values):+z.1%}"
            place = 0.05 * (high - low) + max(0.0, (panel.bound or 0.0) * 100)
            axes.annotate(words, (0.5, place), xycoords=("axes fraction", "data"), ha="center")


def save_picture(figure: Figure, title: str, path: Path) -> None:
    """Draw a figure's diagrams side by side into a PNG file, with a legend."""
    width, height = SIZE
    with plt.rc_context(STYLE):
        count = len(figure.panels)
        drawing, axes = plt.subplots(
            1,
            count,
            figsize=(width * count * 1.2, height * 1.45),
            layout="constrained",
            squeeze=False,
        )
        try:
            for place, panel in zip(axes[0], figure.panels, strict=True):
                draw(place, panel)
                place.set_title(panel.title)
            drawing.suptitle(title, fontsize=11)
            drawing.legend(handles=_handles(figure.panels), loc="outside lower center", ncols=4)
            drawing.savefig(path, format="png", dpi=130, facecolor="white")
        finally:
            plt.close(drawing)


ONCE = "measured once"
"""What a hollow dot means."""


def measured_once(panel: Panel) -> bool:
    """Say whether a diagram has a number without repetitions."""
    data = (datum for series in panel.series for datum in series.data.values())
    return any(datum is not None and len(datum.repeats) == 1 for datum in data)


def _handles(panels: Sequence[Panel]) -> list[Artist]:
    """Return what stands in a legend for each kind of mark, once."""
    handles: dict[str, Artist] = {}
    for panel in panels:
        for series in (s for s in panel.series if s.data):
            colour = COLOURS[series.colour].light
            handles[series.name] = Patch(
                facecolor=(colour, series.shade), edgecolor=colour, label=series.name
            )
    if any(panel.limits for panel in panels):
        handles["limit"] = Line2D([], [], color=LIMIT, linestyle="dashed", label="physical limit")
    if any(panel.fair for panel in panels):
        handles["fair"] = Line2D([], [], color=FAIR, linestyle="dashdot", label="fair share")
    if any(measured_once(panel) for panel in panels):
        handles["once"] = Line2D(
            [], [], color=INK, marker="o", markerfacecolor=SURFACE, linestyle="", markersize=4,
            label=ONCE,
        )  # fmt: skip
    for bound in {panel.bound for panel in panels if panel.bound is not None}:
        label = f"bound for the GPU job, {bound:.0%}"
        handles["bound"] = Line2D([], [], color=BOUND, linestyle="dotted", label=label)
    return list(handles.values())
