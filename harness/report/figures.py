"""The figures of a run, with the paper's numbers, as data: which numbers stand in which diagram."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from harness.keep.summary import ExperimentSummary, PointSummary, Summary
from harness.plan.experiments import Mode
from harness.report import findings
from harness.report.points import (
    base_of,
    by_vms,
    cpu_throughput,
    experiment_of,
    fair_shares,
    gpu_seconds,
    points_of,
    select,
)
from harness.report.programs import programs_figure
from harness.report.series import Datum, Figure, Panel, Series, on_one_scale, relative
from harness.report.style import MODE_NAMES

CPU_GAIN = "CPU throughput against unsplit, %"
CPU_ABSOLUTE = "multiplications/s of a CPU VM"
GPU_CHANGE = "GPU job's time against unsplit, %"
GPU_ABSOLUTE = "seconds"

Number = Callable[[PointSummary | None], Datum | None]
Side = Literal["cpu", "gpu"]
Make = Callable[[Summary, ExperimentSummary], Figure | None]


def figures(summary: Summary) -> list[Figure]:
    """Return every figure of which the run measured something, in the paper's order."""
    made = []
    for name, make in FIGURES.items():
        experiment = experiment_of(summary, name)
        figure = make(summary, experiment) if experiment else None
        if figure is not None:
            made.append(figure)
    return made


def more_vms(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """Fig. 2: what a GPU VM costs its neighbours, beside what one more CPU VM costs them."""
    # Without a GPU VM the same numbers of CPU VMs are a part of Fig. 6.
    without = select(summary.points, Mode.NO_GPU)
    beside = select(points_of(summary, experiment.id), Mode.UNSPLIT)
    numbers = sorted(n for n in beside if n > 0)
    if not numbers:
        return None
    unsplit = {n: cpu_throughput(beside[n]) for n in numbers}
    cpu = Panel(
        id="fig2-cpu",
        title="CPU VMs",
        side="cpu",
        axis=CPU_ABSOLUTE,
        series=(
            Series(
                "n CPU VMs, no GPU VM",
                "no_gpu",
                {n: cpu_throughput(without[n]) for n in numbers if n in without},
            ),
            Series(
                "n + 1 CPU VMs, no GPU VM",
                "no_gpu",
                {n: cpu_throughput(without[n + 1]) for n in numbers if n + 1 in without},
                shade=0.4,
            ),
            Series("n CPU VMs and the GPU VM, unsplit", "unsplit", unsplit),
        ),
        limits=_limits(summary, unsplit),
        fair=fair_shares(summary, without),
    )
    seconds = {n: gpu_seconds(point) for n, point in sorted(beside.items())}
    gpu = Panel(
        id="fig2-gpu",
        title="GPU job",
        side="gpu",
        axis=GPU_ABSOLUTE,
        series=(Series("n CPU VMs and the GPU VM, unsplit", "unsplit", seconds),),
    )
    return _figure(experiment, "Fig. 2", (cpu, gpu), findings.more_vms(cpu, gpu))


def groups_cpu(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """Fig. 4: the CPU VMs beside a job split into a fixed number of groups."""
    panels = _group_panels(summary, experiment, "cpu", cpu_throughput, CPU_GAIN)
    if not panels:
        return None
    return _figure(experiment, "Fig. 4", panels, findings.groups_cpu(panels))


def groups_gpu(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """Fig. 5: what the same splits cost the GPU job."""
    panels = _group_panels(summary, experiment, "gpu", gpu_seconds, GPU_CHANGE)
    if not panels:
        return None
    return _figure(experiment, "Fig. 5", panels, findings.groups_gpu(panels))


def best_alpha(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """Fig. 6: as many groups as the number of VMs asks for, with the best alpha."""
    points = points_of(summary, experiment.id)
    unsplit = {n: cpu_throughput(p) for n, p in select(points, Mode.UNSPLIT).items() if n > 0}
    split = {mode: by_vms(summary, points, mode) for mode in (Mode.PAPER, Mode.GPUSPLIT)}
    if not unsplit or not any(split.values()):
        return None
    shown = {Mode.NO_GPU: select(points, Mode.NO_GPU), Mode.UNSPLIT: select(points, Mode.UNSPLIT)}
    cpu = Panel(
        id="fig6-cpu",
        title="CPU VMs",
        side="cpu",
        axis=CPU_ABSOLUTE,
        series=tuple(
            Series(
                MODE_NAMES[mode],
                str(mode),
                {n: cpu_throughput(p) for n, p in found.items() if n in unsplit},
            )
            for mode, found in (shown | split).items()
            if found
        ),
        limits=_limits(summary, unsplit),
        fair=fair_shares(summary, {n: p for n, p in shown[Mode.NO_GPU].items() if n in unsplit}),
    )
    gpu = _by_mode(summary, experiment, "gpu", gpu_seconds, GPU_CHANGE, split)
    return _figure(experiment, "Fig. 6", (cpu, gpu), findings.best_alpha(summary, cpu, gpu))


def many_groups(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """The paper's text: far more groups gain nothing, and cost."""
    cpu = _many_panel(summary, experiment, "cpu", cpu_throughput, CPU_GAIN)
    gpu = _many_panel(summary, experiment, "gpu", gpu_seconds, GPU_CHANGE)
    if not cpu.series:
        return None
    return _figure(experiment, "500 groups", (cpu, gpu), findings.many_groups(cpu, gpu))


def ablation(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """What comes from splitting, and what from waiting."""
    points = [p for p in points_of(summary, experiment.id) if p.cpu_vms > 0]
    modes = (
        Mode.UNSPLIT_COOPERATIVE,
        Mode.PAPER,
        Mode.PAPER_AHEAD,
        Mode.GPUSPLIT_SINGLE,
        Mode.GPUSPLIT,
    )
    # Runs before the fifth way was measured have three of them.
    found = {mode: some for mode in modes if (some := select(points, mode))}
    if not any(found.values()):
        return None
    cpu = _by_mode(summary, experiment, "cpu", cpu_throughput, CPU_GAIN, found)
    gpu = _by_mode(summary, experiment, "gpu", gpu_seconds, GPU_CHANGE, found)
    return _figure(experiment, "Ablation", (cpu, gpu), findings.ablation(cpu, gpu))


def adaptive(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """What the policy adaptive found, beside the best alpha of the calibration."""
    points = points_of(summary, experiment.id)
    kinds = {
        "best fixed alpha": (by_vms(summary, points, Mode.GPUSPLIT), 0.4),
        "adaptive": ({point.cpu_vms: point for point in points if point.adaptive}, 1.0),
    }
    if not kinds["adaptive"][0]:
        return None
    cpu, gpu = (
        _panel(
            summary, f"{experiment.id}-{side}", side, title, axis,
            tuple(
                Series(
                    name,
                    str(Mode.GPUSPLIT),
                    {n: _against_unsplit(summary, p, number) for n, p in sorted(found.items())},
                    shade,
                )
                for name, (found, shade) in kinds.items()
            ),
        )
        for side, title, number, axis in _SIDES
    )  # fmt: skip
    return _figure(experiment, "Adaptive", (cpu, gpu), findings.adaptive(cpu, gpu))


_SIDES: tuple[tuple[Side, str, Number, str], ...] = (
    ("cpu", "CPU VMs", cpu_throughput, CPU_GAIN),
    ("gpu", "GPU job", gpu_seconds, GPU_CHANGE),
)


FIGURES: dict[str, Make] = {
    "fig2": more_vms,
    "fig4": groups_cpu,
    "fig5": groups_gpu,
    "fig6": best_alpha,
    "g500": many_groups,
    "ablation": ablation,
    "adaptive": adaptive,
    "programs": programs_figure,
}
"""How each experiment is drawn, by its id."""


def _figure(
    experiment: ExperimentSummary, number: str, panels: tuple[Panel, ...], finding: str
) -> Figure:
    doubt = findings.doubts(panels)
    return Figure(
        id=experiment.id,
        number=number,
        title=experiment.title,
        source=experiment.source,
        panels=panels,
        finding=f"{finding} {doubt}".strip(),
    )


def _limits(summary: Summary, unsplit: Mapping[int, Datum | None]) -> dict[int, float]:
    """Return the throughput that is physically possible, by the number of CPU VMs."""
    return {
        n: datum.value * (1 + summary.physical_limits[str(n)])
        for n, datum in unsplit.items()
        if datum is not None and str(n) in summary.physical_limits
    }


def _gain_limits(summary: Summary, panel: Iterable[Series]) -> dict[int, float]:
    numbers = {n for series in panel for n in series.data}
    limits = {int(n): limit for n, limit in summary.physical_limits.items()}
    return {n: limits[n] for n in sorted(numbers) if n in limits}


def _bound(summary: Summary) -> float | None:
    """Return the slow-down of the GPU job that the calibration allowed; None without one."""
    return next((calibration.bound for calibration in summary.calibration), None)


def _against_unsplit(summary: Summary, point: PointSummary, number: Number) -> Datum | None:
    return relative(number(point), number(base_of(summary, point)))


def _panel(
    summary: Summary, panel_id: str, side: Side, title: str, axis: str, series: tuple[Series, ...]
) -> Panel:
    return Panel(
        id=panel_id,
        title=title,
        side=side,
        axis=axis,
        series=series,
        relative=True,
        limits=_gain_limits(summary, series) if side == "cpu" else None,
        bound=_bound(summary) if side == "gpu" else None,
    )


def _group_panels(
    summary: Summary, experiment: ExperimentSummary, side: Side, number: Number, axis: str
) -> tuple[Panel, ...]:
    """Return one diagram for the paper's method and one for gpusplit, with bars by groups."""
    points = points_of(summary, experiment.id)
    panels = []
    for mode in (Mode.PAPER, Mode.GPUSPLIT):
        counts = sorted(_counts(points, mode))
        series = tuple(
            Series(
                f"{count} groups",
                str(mode),
                {
                    n: _against_unsplit(summary, point, number)
                    for n, point in sorted(select(points, mode, count).items())
                    if n > 0 or side == "gpu"
                },
                shade=1 - 0.8 * (len(counts) - 1 - position) / len(counts),
            )
            for position, count in enumerate(counts)
        )
        if series:
            panel_id = f"{experiment.id}-{mode}"
            panels.append(_panel(summary, panel_id, side, MODE_NAMES[mode], axis, series))
    return on_one_scale(tuple(panels))


def _counts(points: Iterable[PointSummary], mode: Mode) -> set[int]:
    """Return the fixed numbers of groups that a mode was measured with."""
    return {p.wanted for p in points if p.mode == mode and p.wanted and p.alpha is None}


def _by_mode(
    summary: Summary,
    experiment: ExperimentSummary,
    side: Side,
    number: Number,
    axis: str,
    found: Mapping[Mode, Mapping[int, PointSummary]],
) -> Panel:
    """Return a diagram with one kind of bars for each mode."""
    series = tuple(
        Series(
            MODE_NAMES[mode],
            str(mode),
            {n: _against_unsplit(summary, p, number) for n, p in sorted(points.items())},
        )
        for mode, points in found.items()
        if points
    )
    title = "CPU VMs" if side == "cpu" else "GPU job"
    return _panel(summary, f"{experiment.id}-{side}", side, title, axis, series)


def _many_panel(
    summary: Summary, experiment: ExperimentSummary, side: Side, number: Number, axis: str
) -> Panel:
    """Return a diagram of very many groups, each mode beside its most groups of Fig. 4."""
    points = points_of(summary, experiment.id)
    fewer = points_of(summary, "fig4")
    series = []
    for mode in (Mode.PAPER, Mode.GPUSPLIT):
        many = _counts(points, mode)
        if not many:
            continue
        numbers = {n for n in select(points, mode, max(many)) if n > 0 or side == "gpu"}
        usual = _counts(fewer, mode) - many
        choices = [(points, max(many), 1.0)]
        if usual:
            choices.insert(0, (fewer, max(usual), 0.4))
        series += [
            Series(
                f"{MODE_NAMES[mode]}, {count} groups",
                str(mode),
                {
                    n: _against_unsplit(summary, point, number)
                    for n, point in sorted(select(source, mode, count).items())
                    if n in numbers
                },
                shade,
            )
            for source, count, shade in choices
        ]
    title = "CPU VMs" if side == "cpu" else "GPU job"
    return _panel(summary, f"{experiment.id}-{side}", side, title, axis, tuple(series))
