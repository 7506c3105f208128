"""An operator's own programs in a report: what they are, their units, their figure."""

from __future__ import annotations

from pydantic import TypeAdapter

from harness.keep.summary import ExperimentSummary, Summary
from harness.plan.experiments import Mode
from harness.plan.programs import Programs, Work
from harness.report import findings
from harness.report.points import (
    base_of,
    cpu_throughput,
    fair_shares,
    gpu_seconds,
    points_of,
    select,
)
from harness.report.series import Figure, Panel, Series, relative

NAMES = {
    Mode.NO_GPU: "without it",
    Mode.UNSPLIT: "plain",
    Mode.UNSPLIT_COOPERATIVE: "gpusplit, waits alone",
    Mode.GPUSPLIT: "gpusplit, waits and splitting",
}
"""How the GPU program is run, in the figure's legend."""


def programs_of(summary: Summary) -> Programs:
    """Return the programs that a run measured; neither where it had jobs of its own."""
    found = TypeAdapter(Programs | None).validate_python(summary.parameters.get("programs"))
    return found or Programs()


def pieces(summary: Summary) -> str:
    """Name what a CPU VM does: its throughput counts these per second."""
    program = programs_of(summary).cpu
    return f"{program.unit}s" if program else "multiplications"


def gpu_piece(summary: Summary) -> str:
    """Name what a point's GPU seconds are those of."""
    program = programs_of(summary).gpu
    if program is None:
        return "GPU job"
    return "GPU program" if program.work is Work.TIME else "a line of the GPU program"


def programs_figure(summary: Summary, experiment: ExperimentSummary) -> Figure | None:
    """What the GPU program does to the CPU programs, and what gpusplit gives."""
    points = points_of(summary, experiment.id)
    found = {mode: select(points, mode) for mode in NAMES}
    beside = {n: cpu_throughput(p) for n, p in found[Mode.UNSPLIT].items() if n > 0}
    if not beside:
        return None
    cpu = Panel(
        id=f"{experiment.id}-cpu",
        title="CPU VMs",
        side="cpu",
        axis=f"{pieces(summary)}/s of a CPU VM",
        series=tuple(
            Series(
                NAMES[mode],
                str(mode),
                {n: cpu_throughput(p) for n, p in sorted(some.items()) if n > 0},
            )
            for mode, some in found.items()
            if some
        ),
        fair=fair_shares(summary, {n: p for n, p in found[Mode.NO_GPU].items() if n in beside}),
    )
    gpu = Panel(
        id=f"{experiment.id}-gpu",
        title=gpu_piece(summary),
        side="gpu",
        axis="its time against plain, %",
        series=tuple(
            Series(
                NAMES[mode],
                str(mode),
                {
                    n: relative(gpu_seconds(p), gpu_seconds(base_of(summary, p)))
                    for n, p in sorted(found[mode].items())
                },
            )
            for mode in (Mode.UNSPLIT_COOPERATIVE, Mode.GPUSPLIT)
            if found[mode]
        ),
        relative=True,
    )
    doubt = findings.doubts((cpu, gpu))
    return Figure(
        id=experiment.id,
        number="Programs",
        title=experiment.title,
        source=experiment.source,
        panels=(cpu, gpu),
        finding=f"{_finding(cpu, gpu)} {doubt}".strip(),
    )


def _finding(cpu: Panel, gpu: Panel) -> str:
    trusted = {series.colour: cpu.trusted(series) for series in cpu.series}
    costs = {series.colour: gpu.trusted(series) for series in gpu.series}
    alone, plain = (trusted.get(mode, {}) for mode in (Mode.NO_GPU, Mode.UNSPLIT))
    clauses = []
    if lost := findings.ratios(plain, alone):
        words = findings.changes(lost.values(), "faster", "slower")
        clauses.append(f"beside the plain GPU program a CPU program is {words} than without it")
    for mode, name in (
        (Mode.UNSPLIT_COOPERATIVE, "with gpusplit's waits"),
        (Mode.GPUSPLIT, "with gpusplit's waits and splitting"),
    ):
        if gain := findings.ratios(trusted.get(mode, {}), plain):
            words = findings.changes(gain.values(), "faster", "slower")
            clause = f"{name} it is {words} than beside the plain one"
            if cost := costs.get(mode):
                words = findings.changes(cost.values(), "slower", "faster")
                clause += f", and the GPU program is {words}"
            clauses.append(clause)
    return findings.sentence(clauses)
