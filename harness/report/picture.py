"""The picture of a run, for a README: Fig. 6, or else the first figure that was measured."""

from __future__ import annotations

from pathlib import Path

from harness.keep.results import whole_or_not_at_all
from harness.keep.summary import Summary
from harness.report import plot
from harness.report.content import device_of
from harness.report.figures import figures

PICTURE = "throughput.png"
"""The file, in a run's folder."""


def draw_picture(summary: Summary, path: Path) -> None:
    """Draw a run's main figure into a PNG file; draw nothing if the run has none."""
    drawn = figures(summary)
    if not drawn:
        return
    figure = next((f for f in drawn if f.id == "fig6"), drawn[0])
    device = device_of(summary)
    kind = "emulated GPU" if "emulated" in device.lower() else "real GPU"
    title = (
        f"CPU VMs beside a GPU VM, {kind} ({figure.number})\n"
        f"lab {summary.lab}, {summary.clock} clock, profile {summary.profile}; {device}"
    )
    with whole_or_not_at_all(path) as partial:
        plot.save_picture(figure, title, partial)
