"""From raw samples to numbers: pure arithmetic, no effects.

A number that cannot be trusted is still computed where possible, and carries the reason in
`problems`; a claim that rests on it is invalid, not passed or failed. `validity` knows the
reasons, `repetitions` puts the repetitions of a point together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from harness.judge.validity import problems_of
from harness.lab.samples import CpuSample, PointSamples, tightest
from harness.plan.experiments import Point


class NotCovered(ValueError):
    """The samples do not reach over the time that is asked for."""


@dataclass(frozen=True)
class SampleResult:
    """The numbers of one repetition of a point."""

    point: Point
    repetition: int
    host: str
    groups: int | None
    """Groups per kernel launch, as gpusplit recorded them."""
    wanted: int | None
    """Groups that were asked for: asking for them again gives the same split."""
    cpu_throughput: float | None
    """Multiplications per second, mean over the CPU VMs."""
    cpu_throughputs: dict[str, float]
    """Multiplications per second of each CPU VM."""
    gpu_seconds: float | None
    """Duration of the GPU job; where its lines are counted, of a line."""
    gpu_vm_cpu_seconds: float | None
    """CPU time that the GPU VM used meanwhile, by the lab's accounting."""
    work_rates: dict[str, float]
    """Multiplications of each CPU VM per second of CPU time that the accounting gives it."""
    problems: tuple[str, ...]
    """Why the numbers cannot be trusted; empty if they can."""
    gpu_sleeps: int | None = None
    """How often the GPU job gave up the CPU to wait."""
    accounting_tolerance: float = 0.03
    """Relative difference allowed between a work rate and the same VM's where all is alike."""
    real_cpus: bool = False
    """Work rates of different points are not alike: they are results."""
    repeated_for: tuple[str, ...] = ()
    """Why it was measured a second time; empty if the first try counts."""


def interpolate(times: Sequence[float], values: Sequence[float], at: float) -> float:
    """Return the value at a time, on straight lines between ascending samples."""
    if not times or not times[0] <= at <= times[-1]:
        reach = f"[{times[0]:.3f}, {times[-1]:.3f}]" if times else "nothing"
        raise NotCovered(f"the samples cover {reach}, not {at:.3f}")
    right = bisect_right(times, at)
    if right == len(times):
        return values[-1]
    left = right - 1
    share = (at - times[left]) / (times[right] - times[left])
    return values[left] + share * (values[right] - values[left])


def throughput(ends: Sequence[float], start: float, end: float) -> float:
    """Return parts done per second within [start, end], given when each one ended.

    A part that lies across an edge counts by the share of its time inside.
    """
    counts = range(1, len(ends) + 1)
    return (interpolate(ends, counts, end) - interpolate(ends, counts, start)) / (end - start)


def cpu_seconds(samples: Sequence[CpuSample], vm: str, start: float, end: float) -> float:
    """Return the CPU seconds that a VM used within [start, end]."""
    seen = [sample for sample in samples if vm in sample.cpu_seconds]
    times = [sample.time for sample in seen]
    used = [sample.cpu_seconds[vm] for sample in seen]
    return interpolate(times, used, end) - interpolate(times, used, start)


def work_rate(
    ends: Sequence[float], samples: Sequence[CpuSample], vm: str, start: float, end: float
) -> float:
    """Return parts per CPU second, `ends` being on the samples' clock.

    Between two samples nobody knows when the VM had the CPU, so the first and the last sample
    inside [start, end] are the edges: there the CPU time is exact.
    """
    seen = [sample for sample in samples if vm in sample.cpu_seconds]
    times = [sample.time for sample in seen]
    first, last = bisect_left(times, start), bisect_right(times, end) - 1
    if last <= first:
        raise NotCovered(f"there are no two samples of {vm} in [{start:.3f}, {end:.3f}]")
    used = seen[last].cpu_seconds[vm] - seen[first].cpu_seconds[vm]
    if used <= 0:
        raise NotCovered(f"{vm} used no CPU time by the accounting")
    length = times[last] - times[first]
    return throughput(ends, times[first], times[last]) * length / used


def evaluate(samples: PointSamples) -> SampleResult:
    """Compute one repetition's numbers, and why they may not be trusted."""
    point = samples.point
    problems: list[str] = list(problems_of(samples))
    clocks = tightest(samples.clocks)
    start, end = samples.window_start, samples.window_end

    throughputs: dict[str, float] = {}
    rates: dict[str, float] = {}
    for cpu in samples.cpus:
        offset = clocks[cpu.vm].offset
        try:
            parts = throughput(cpu.ends, start + offset, end + offset)
            throughputs[cpu.vm] = parts / cpu.parts
        except NotCovered as problem:
            problems.append(
                f"GPU job and CPU jobs did not overlap: {cpu.vm} did not compute during the "
                f"whole window: {problem}"
            )
            continue
        ends = [moment - offset for moment in cpu.ends]
        if not samples.own_cpu_jobs:
            continue  # a piece of foreign work is not like the next one
        try:
            parts = work_rate(ends, samples.accounting, cpu.vm, start, end)
            rates[cpu.vm] = parts / cpu.parts
        except NotCovered as problem:
            problems.append(f"the accounting of {cpu.vm} has a gap: {problem}")
    # Without every VM there is no mean over the VMs.
    complete = bool(throughputs) and len(throughputs) == point.cpu_vms

    gpu_vm_cpu_seconds = None
    if not samples.incidents:
        try:
            gpu_vm_cpu_seconds = cpu_seconds(samples.accounting, samples.gpu_vm, start, end)
        except NotCovered as problem:
            problems.append(f"the accounting of {samples.gpu_vm} has a gap: {problem}")

    gpu_seconds = samples.gpu.end - samples.gpu.start if samples.gpu else None
    if samples.gpu and samples.gpu.lines:
        offset = clocks[samples.gpu_vm].offset
        try:
            gpu_seconds = 1 / throughput(samples.gpu.lines, start + offset, end + offset)
        except (NotCovered, ZeroDivisionError) as problem:
            gpu_seconds = None
            problems.append(f"the GPU program's lines do not cover the window: {problem}")
        if gpu_vm_cpu_seconds is not None:
            lines = (end - start) / gpu_seconds if gpu_seconds else None
            gpu_vm_cpu_seconds = gpu_vm_cpu_seconds / lines if lines else None

    launches = samples.gpu.launches if samples.gpu else ()
    return SampleResult(
        point=point,
        repetition=samples.repetition,
        host=samples.host,
        groups=_only({launch.groups for launch in launches}),
        wanted=_only({launch.wanted for launch in launches}),
        cpu_throughput=mean(throughputs.values()) if complete else None,
        cpu_throughputs=throughputs,
        gpu_seconds=gpu_seconds,
        gpu_vm_cpu_seconds=gpu_vm_cpu_seconds,
        work_rates=rates,
        problems=tuple(problems),
        gpu_sleeps=samples.gpu.sleeps if samples.gpu else None,
        accounting_tolerance=samples.accounting_tolerance,
        real_cpus=samples.real_cpus,
        repeated_for=samples.repeated_for,
    )


def _only(values: set[int]) -> int | None:
    """Return the value of a set of one; None if there is none or more than one."""
    return next(iter(values)) if len(values) == 1 else None
