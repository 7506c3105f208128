"""The picture of a run: CPU throughput by mode, and what the GPU job takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # before pyplot: there is no display, and none is wanted
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from harness.experiments import Mode
from harness.report.summary import PointSummary, Summary
from harness.report.table import gain_over_unsplit

# Told apart by lightness too, and by people with colour-blindness (Okabe and Ito's palette).
COLOURS = {Mode.NO_GPU: "#b8b8b8", Mode.UNSPLIT: "#d55e00", Mode.GPUSPLIT: "#0072b2"}
NAMES = {
    Mode.NO_GPU: "no GPU VM",
    Mode.UNSPLIT: "GPU VM, unsplit",
    Mode.GPUSPLIT: "GPU VM, gpusplit",
}
BAR = 0.26


def draw_throughput(summary: Summary, path: Path) -> None:
    """Draw a finished run into a PNG file."""
    figure, (cpu, gpu) = plt.subplots(
        1, 2, figsize=(11.5, 5.2), width_ratios=(1.55, 1), layout="constrained"
    )
    try:
        _draw_cpu(cpu, summary)
        _draw_gpu(gpu, summary)
        device = summary.environment.gpu_vm.get("device", "GPU")
        figure.suptitle(
            f"CPU VMs beside a GPU VM, {_kind_of_gpu(device)}\n"
            f"lab {summary.lab}, {summary.clock} clock, profile {summary.profile}; {device}",
            fontsize=11,
        )
        # One legend for both: the left axes have every kind of mark that the right ones have.
        figure.legend(*cpu.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.savefig(path, dpi=130, facecolor="white")
    finally:
        plt.close(figure)


def _kind_of_gpu(device: str) -> str:
    return "emulated GPU" if "emulated" in device.lower() else "real GPU"


def _points(summary: Summary, mode: Mode, numbers: Sequence[int]) -> dict[int, PointSummary]:
    found: dict[int, PointSummary] = {}
    for point in summary.points:
        if point.mode == mode and point.cpu_vms in numbers:
            found.setdefault(point.cpu_vms, point)  # the first is Fig. 6's
    return dict(sorted(found.items()))


def _draw_cpu(axes: Axes, summary: Summary) -> None:
    numbers = summary.parameters["cpu_vms"]
    for offset, mode in zip((-BAR, 0, BAR), COLOURS, strict=True):
        points = _points(summary, mode, numbers)
        bars = axes.bar(
            [numbers.index(n) + offset for n in points],
            [point.cpu_throughput or 0 for point in points.values()],
            width=BAR,
            color=COLOURS[mode],
            label=NAMES[mode],
        )
        if mode is Mode.GPUSPLIT:
            gains = [gain_over_unsplit(summary, point) for point in points.values()]
            labels = ["" if gain is None else f"{gain:+.0%}" for gain in gains]
            # Inside the bars: above them runs the limit.
            axes.bar_label(bars, labels, padding=-14, fontsize=9, color="white")
    limits = {
        numbers.index(n): point.cpu_throughput * (1 + summary.physical_limits[str(n)])
        for n, point in _points(summary, Mode.UNSPLIT, numbers).items()
        if point.cpu_throughput is not None
    }
    axes.hlines(
        list(limits.values()),
        [position - 1.6 * BAR for position in limits],
        [position + 1.6 * BAR for position in limits],
        colors="black",
        linestyles="dashed",
        linewidth=1.2,
        label="physical limit: unsplit, with the GPU VM's share given back",
    )
    for position, height in limits.items():
        gain = summary.physical_limits[str(numbers[position])]
        text = f"limit {gain:+.0%}"
        axes.annotate(
            text, (position, height), (0, 3), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_xticks(range(len(numbers)), [str(n) for n in numbers])
    axes.set_xlabel("CPU VMs on one physical CPU")
    axes.set_ylabel("multiplications per second, mean of the CPU VMs")
    axes.set_title("CPU jobs, while the GPU job runs")
    axes.margins(y=0.08)
    _plain(axes)


def _draw_gpu(axes: Axes, summary: Summary) -> None:
    numbers = (0, *summary.parameters["cpu_vms"])
    width = 1.3 * BAR
    for offset, mode in ((-width / 2, Mode.UNSPLIT), (width / 2, Mode.GPUSPLIT)):
        points = _points(summary, mode, numbers)
        bars = axes.bar(
            [numbers.index(n) + offset for n in points],
            [point.gpu_seconds or 0 for point in points.values()],
            width=width,
            color=COLOURS[mode],
            label=NAMES[mode],
        )
        axes.bar_label(bars, fmt="{:.1f}", padding=2, fontsize=8)
    axes.set_xticks(range(len(numbers)), ["none", *(str(n) for n in numbers[1:])])
    axes.set_xlabel("CPU VMs")
    axes.set_ylabel("seconds")
    axes.set_title("GPU job")
    axes.margins(y=0.08)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.grid(visible=True, color="#e6e6e6")
    axes.set_axisbelow(True)
