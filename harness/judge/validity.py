"""When a measurement does not allow a verdict, and why.

Each rule gives reasons in words. `problems_of` judges one repetition of a point by itself,
`accounting_disagreements` judges it beside the whole run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from harness.lab.samples import ClockReading, PointSamples, tightest
from harness.plan.conditions import Condition
from harness.plan.experiments import Mode, Point

if TYPE_CHECKING:
    from harness.judge.evaluate import SampleResult

CLOCK_TOLERANCE = 0.05
"""Seconds to which the difference of a guest's clock from the reference must be known."""

LEAST_PIECES = 5
"""Runs of an operator's program, or lines of it, that must end within a window: of those at its
edges nobody knows what part lies inside."""

LONGEST_GAP = 1.5
"""Seconds between two samples of the accounting beyond which some are missing."""


def problems_of(samples: PointSamples) -> Iterator[str]:
    """Give every reason against one repetition of a point that it shows by itself."""
    if samples.incidents:
        yield from samples.incidents
        return  # the rest is not there, and says nothing more
    yield from _unknown_clocks(tightest(samples.clocks).values())
    yield from _moved_clocks(samples)
    yield from _restarted(samples)
    yield from _missing_samples(samples)
    yield from _stolen_time(samples)
    yield from _unexpected_groups(samples)
    yield from _few_pieces(samples)


def accounting_disagreements(results: Sequence[SampleResult]) -> dict[int, list[str]]:
    """Cross-check throughput against the accounting of CPU time, over a whole run.

    A VM does as many multiplications per second of CPU time at every point that is alike. Where it
    seems to do more or fewer than it mostly does on that host, either the accounting or the job's
    own account is wrong: time was stolen, say. Returns the reasons by the result's index.
    """
    rates: dict[tuple[str, str, Point | Condition], list[float]] = defaultdict(list)
    for result in results:
        if not result.problems:
            for vm, rate in result.work_rates.items():
                rates[result.host, vm, _alike(result)].append(rate)
    usual = {key: median(seen) for key, seen in rates.items() if len(seen) > 1}
    found: dict[int, list[str]] = defaultdict(list)
    for index, result in enumerate(results):
        for vm, rate in result.work_rates.items():
            expected = usual.get((result.host, vm, _alike(result)))
            if expected and abs(rate / expected - 1) > result.accounting_tolerance:
                found[index].append(
                    f"{vm} did {rate:.4g} multiplications per second of CPU time, and "
                    f"{expected:.4g} at the other points: time was stolen, or is wrongly accounted"
                )
    return found


def _alike(result: SampleResult) -> Point | Condition:
    """What decides how much work a VM does in a second of its CPU time.

    On real CPUs their caches, hyper-threads and clock rates do, which each point uses in its own
    way; on emulated ones what the hypervisor does itself meanwhile, which is another amount under
    another scheduler, or with a GPU VM that wakes up all the time, as often as its kernel's cut has
    it. Where only the same point is alike, the work for a second of CPU time is a result.
    """
    point = result.point
    wakes_up = point.condition.wakes_up and not point.mode.cooperates
    return point if wakes_up or result.real_cpus else point.condition.without_gpu


def _unknown_clocks(clocks: Iterable[ClockReading]) -> Iterator[str]:
    for clock in clocks:
        if clock.uncertainty > CLOCK_TOLERANCE:
            yield f"the clock of {clock.vm} is known only to within {clock.uncertainty:.3f} s"


def _moved_clocks(samples: PointSamples) -> Iterator[str]:
    """Check that every clock kept its distance from the reference, as far as both were known."""
    after = tightest(samples.clocks_after)
    for vm, before in tightest(samples.clocks).items():
        if vm not in after:
            continue  # of a run before clocks were read twice
        moved = after[vm].offset - before.offset
        unknown = after[vm].uncertainty + before.uncertainty
        if abs(moved) > CLOCK_TOLERANCE + unknown:
            yield f"the clock of {vm} moved by {moved:+.3f} s while the point was measured"


def _restarted(samples: PointSamples) -> Iterator[str]:
    for vm, identity in samples.identities.items():
        after = samples.identities_after.get(vm)
        if after is None:
            yield f"{vm} was gone at the end"
        elif after != identity:
            yield f"{vm} was restarted: it was {identity} before and {after} after"


def _missing_samples(samples: PointSamples) -> Iterator[str]:
    inside = [
        sample.time
        for sample in samples.accounting
        if samples.window_start <= sample.time <= samples.window_end
    ]
    edges = [samples.window_start, *inside, samples.window_end]
    gap = max(after - before for before, after in pairwise(edges))
    if gap > LONGEST_GAP:
        yield f"samples of the accounting are missing: none for {gap:.2f} s"


def _stolen_time(samples: PointSamples) -> Iterator[str]:
    """Check that the VMs had the shared CPUs to themselves: CPU VMs never leave one idle."""
    if not samples.own_cpu_jobs:
        return  # foreign ones may idle
    wanted = min(samples.shared_cpus, samples.point.cpu_vms)
    inside = [
        sample
        for sample in samples.accounting
        if samples.window_start <= sample.time <= samples.window_end
    ]
    if wanted == 0 or len(inside) < 2:
        return
    first, last = inside[0], inside[-1]
    used = sum(
        last.cpu_seconds[vm] - first.cpu_seconds[vm]
        for vm in samples.identities
        if vm in first.cpu_seconds and vm in last.cpu_seconds
    )
    share = used / (wanted * (last.time - first.time))
    if share < 1 - samples.accounting_tolerance:
        yield f"time was stolen: the VMs together had {share:.1%} of the CPUs that they could use"


def _unexpected_groups(samples: PointSamples) -> Iterator[str]:
    """Check that the GPU job was split as the point says."""
    point = samples.point
    if point.mode is Mode.NO_GPU or samples.gpu is None or not samples.gpu.launches:
        return  # an operator's program does not tell of its launches
    groups = sorted({launch.groups for launch in samples.gpu.launches})
    wanted = sorted({launch.wanted for launch in samples.gpu.launches})
    if point.adaptive:
        pass  # whatever it finds, and it may change its mind
    elif len(groups) != 1 or len(wanted) != 1:
        yield f"the number of groups changed within the GPU job: {groups}"
    elif not point.mode.splits and groups != [1]:
        yield f"the unsplit GPU job was split into {groups[0]} groups"
    elif point.groups is not None and wanted != [point.groups]:
        yield f"{point.groups} groups were to be asked for, {wanted[0]} were"
    elif point.mode.splits and groups == [1]:
        reasons = sorted({launch.reason for launch in samples.gpu.launches})
        yield f"the GPU job was not split: {', '.join(reasons)}"
    if point.alpha is not None or point.adaptive:
        running = point.cpu_vms + 1
        counted = {launch.vm_count for launch in samples.gpu.launches} - {running}
        if counted:
            yield f"{running} VMs were running, gpusplit counted {counted}"


def _few_pieces(samples: PointSamples) -> Iterator[str]:
    """Check that an operator's program did enough pieces of work to be counted by them."""
    foreign = [] if samples.own_cpu_jobs else [(cpu.vm, cpu.ends) for cpu in samples.cpus]
    if samples.gpu is not None and samples.gpu.lines:
        foreign.append((samples.gpu_vm, samples.gpu.lines))
    clocks = tightest(samples.clocks)
    for vm, marks in foreign:
        ahead = clocks[vm].offset
        start, end = samples.window_start + ahead, samples.window_end + ahead
        count = sum(start <= mark <= end for mark in marks)
        if count < LEAST_PIECES:
            yield (
                f"the program in {vm} did {count} piece{'s' * (count != 1)} of work in a window "
                f"of {end - start:.1f} s, and {LEAST_PIECES} are the least that can be counted: "
                "make a piece (a run, or a line) smaller, or the GPU program's run longer"
            )
