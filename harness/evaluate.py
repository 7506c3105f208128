"""From raw samples to a point's numbers: pure arithmetic, no effects.

A number that cannot be trusted is still computed where possible, and the point carries
the reason in `problems`; a claim that rests on such a point is invalid, not passed or
failed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from harness.experiments import Mode, Point
from harness.samples import ClockReading, PointSamples, XenSample, tightest

CLOCK_TOLERANCE = 0.05
"""Seconds to which the difference of a guest's clock from dom0's must be known."""


class NotCovered(ValueError):
    """The samples do not reach over the time that is asked for."""


@dataclass(frozen=True)
class PointResult:
    """The numbers of one point."""

    point: Point
    groups: int | None
    """Groups per kernel launch, as gpusplit recorded them."""
    wanted: int | None
    """Groups that were asked for: asking for them again gives the same split."""
    cpu_throughput: float | None
    """Multiplications per second, mean over the CPU VMs."""
    cpu_throughputs: dict[str, float]
    """Multiplications per second of each CPU VM."""
    gpu_seconds: float | None
    """Duration of the GPU job."""
    gpu_vm_cpu_seconds: float | None
    """CPU time that the GPU VM used in the window, by Xen's accounting."""
    problems: tuple[str, ...]
    """Why the numbers cannot be trusted; empty if they can."""


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
    """Return multiplications per second within [start, end], given when each one ended.

    A multiplication that lies across an edge counts by the part of its time inside.
    """
    counts = range(1, len(ends) + 1)
    return (interpolate(ends, counts, end) - interpolate(ends, counts, start)) / (end - start)


def cpu_seconds(samples: Sequence[XenSample], domid: int, start: float, end: float) -> float:
    """Return the CPU seconds that a domain used within [start, end]."""
    seen = [sample for sample in samples if domid in sample.cpu_seconds]
    times = [sample.time for sample in seen]
    used = [sample.cpu_seconds[domid] for sample in seen]
    return interpolate(times, used, end) - interpolate(times, used, start)


def evaluate(samples: PointSamples) -> PointResult:
    """Compute a point's numbers, and why they may not be trusted."""
    point = samples.point
    clocks = tightest(samples.clocks)
    problems: list[str] = list(_unknown_clocks(clocks.values()))

    throughputs: dict[str, float] = {}
    for cpu in samples.cpus:
        offset = clocks[cpu.vm].offset
        try:
            throughputs[cpu.vm] = throughput(
                cpu.ends, samples.window_start + offset, samples.window_end + offset
            )
        except NotCovered as problem:
            problems.append(f"{cpu.vm} did not compute during the whole window: {problem}")
    # Without every VM there is no mean over the VMs.
    complete = bool(throughputs) and len(throughputs) == point.cpu_vms

    gpu_vm_cpu_seconds = None
    try:
        gpu_vm_cpu_seconds = cpu_seconds(
            samples.xen, samples.gpu_domid, samples.window_start, samples.window_end
        )
    except NotCovered as problem:
        problems.append(f"Xen's accounting of the GPU VM has a gap: {problem}")

    problems += _unexpected_groups(samples)
    launches = samples.gpu.launches if samples.gpu else ()
    return PointResult(
        point=point,
        groups=_only({launch.groups for launch in launches}),
        wanted=_only({launch.wanted for launch in launches}),
        cpu_throughput=mean(throughputs.values()) if complete else None,
        cpu_throughputs=throughputs,
        gpu_seconds=samples.gpu.end - samples.gpu.start if samples.gpu else None,
        gpu_vm_cpu_seconds=gpu_vm_cpu_seconds,
        problems=tuple(problems),
    )


def _unknown_clocks(clocks: Iterable[ClockReading]) -> Iterator[str]:
    for clock in clocks:
        if clock.uncertainty > CLOCK_TOLERANCE:
            yield f"the clock of {clock.vm} is known only to within {clock.uncertainty:.3f} s"


def _unexpected_groups(samples: PointSamples) -> Iterator[str]:
    """Check that the GPU job was split as the point says."""
    if samples.point.mode is Mode.NO_GPU or samples.gpu is None:
        return
    groups = sorted({launch.groups for launch in samples.gpu.launches})
    wanted = sorted({launch.wanted for launch in samples.gpu.launches})
    if len(groups) != 1 or len(wanted) != 1:
        yield f"the number of groups changed within the GPU job: {groups}"
    elif samples.point.mode is Mode.UNSPLIT and groups != [1]:
        yield f"the unsplit GPU job was split into {groups[0]} groups"
    elif samples.point.groups is not None and wanted != [samples.point.groups]:
        yield f"{samples.point.groups} groups were to be asked for, {wanted[0]} were"
    elif samples.point.mode is Mode.GPUSPLIT and groups == [1]:
        reasons = sorted({launch.reason for launch in samples.gpu.launches})
        yield f"the GPU job was not split: {', '.join(reasons)}"
    if samples.point.mode is Mode.GPUSPLIT and samples.point.groups is None:
        running = samples.point.cpu_vms + 1
        counted = {launch.vm_count for launch in samples.gpu.launches} - {running}
        if counted:
            yield f"{running} VMs were running, gpusplit counted {counted}"


def _only(values: set[int]) -> int | None:
    """Return the value of a set of one; None if there is none or more than one."""
    return next(iter(values)) if len(values) == 1 else None
