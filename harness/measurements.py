"""All that a run measured, and the statistics that claims are about.

A statistic is a function of a run and, mostly, of a number of CPU VMs; its name stands in
claims.toml. Where the measurement does not allow a number it raises `Unjudgeable`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from harness.experiments import ALONE, Mode, Point, adaptive
from harness.profiles import Profile
from harness.repetitions import PointResult, spread
from harness.samples import Verification
from harness.timeline import Timeline

RECOVERED = 0.05
"""Relative gain of CPU throughput below which the CPU VMs count as not having recovered."""

NOISE = 0.01
"""Throughputs this close, relatively, are equal for the choice of the best alpha."""


class Unjudgeable(Exception):
    """The measurement does not allow a verdict; the message says why."""


class NotMeasured(Unjudgeable):
    """The points that the verdict needs were not measured."""


class DoesNotArise(Exception):
    """The claim presupposes something that was not found: it does not hold. Says what."""


@dataclass(frozen=True)
class Calibration:
    """The search for the best alpha beside so many CPU VMs (the paper's Eq. 2)."""

    cpu_vms: int
    bound: float
    tried: tuple[tuple[PointResult, float], ...]
    """Points with their relative GPU slow-down over the unsplit job beside as many CPU VMs."""
    best: PointResult | None


@dataclass(frozen=True)
class Measurements:
    """All that a run measured, in the form that claims are judged on."""

    lab: str
    clock: str
    shared_cpus: int
    profile: Profile
    results: tuple[PointResult, ...]
    verification: Verification | None
    timeline: Timeline | None = None
    timeline_problem: str = ""
    """Why the timeline could not be measured; empty if nobody tried, or it was."""

    def beside(self, n: int) -> Measurements:
        """Return what may be compared with points beside n CPU VMs: what their host measured."""
        home = next((r.host for r in self.results if r.point.cpu_vms == n), None)
        mine = tuple(result for result in self.results if result.host == home)
        return replace(self, results=mine) if home is not None else self

    def find(self, point: Point) -> PointResult:
        """Return a point's trustworthy result, or say why there is none."""
        for result in self.results:
            if result.point == point:
                if result.problems:
                    raise Unjudgeable(f"{point.label}: {'; '.join(result.problems)}")
                return result
        raise NotMeasured(f"{point.label} was not measured")

    def at(self, cpu_vms: int, mode: Mode, **more: Any) -> PointResult:
        """Return the result of the point with these fields."""
        return self.find(Point(cpu_vms, mode, **more))

    def calibration(self, n: int) -> Calibration:
        """Choose the best alpha beside n CPU VMs: the one with the most CPU throughput.

        Only those count whose GPU slow-down keeps within the profile's bound. Of those that are
        equal within the noise the smallest is best: it cuts the least.
        """
        unsplit = _positive(self.at(n, Mode.UNSPLIT).gpu_seconds)
        tried = []
        for alpha in self.profile.alphas:
            result = self.at(n, Mode.GPUSPLIT, alpha=alpha)
            tried.append((result, _positive(result.gpu_seconds) / unsplit - 1))
        bound = self.profile.slow_down_bound
        allowed = [result for result, slow_down in tried if slow_down <= bound]
        most = max((_positive(result.cpu_throughput) for result in allowed), default=0.0)
        best = next((r for r in allowed if _positive(r.cpu_throughput) >= most * (1 - NOISE)), None)
        return Calibration(n, bound, tuple(tried), best)

    def gpusplit(self, n: int) -> PointResult:
        """Return the point of gpusplit at its best alpha beside n CPU VMs."""
        calibration = self.calibration(n)
        if calibration.best is not None:
            return calibration.best
        # None keeps within the bound: the claims are to see the one that comes nearest.
        return min(calibration.tried, key=lambda tried: tried[1])[0]

    def paper_points(self, n: int) -> Iterator[PointResult]:
        """Give the points of the paper's method beside n CPU VMs."""
        for result in self.results:
            if (result.point.cpu_vms, result.point.mode) == (n, Mode.PAPER):
                yield self.find(result.point)


def physical_limit(cpu_vms: int, shared_cpus: int = 1) -> float:
    """Return the largest possible CPU gain when n one-vCPU CPU VMs share the CPUs.

    A spinning GPU VM is one more consumer of equal weight: without it, each of n VMs gets
    1/n instead of 1/(n+1) of the CPUs, but never more than one CPU.
    """
    without = min(1.0, shared_cpus / cpu_vms)
    beside = min(1.0, shared_cpus / (cpu_vms + 1))
    return without / beside - 1


def cpu_gain(run: Measurements, n: int) -> float:
    """CPU throughput beside the split GPU job over that beside the unsplit one, less 1."""
    return _gain(run, n, run.gpusplit(n))


def cpu_gain_share(run: Measurements, n: int) -> float:
    """The CPU gain as a share of the largest that is possible on this host."""
    possible = physical_limit(n, run.shared_cpus)
    if possible <= 0:
        raise Unjudgeable(
            f"{n} CPU VMs and the GPU VM have a physical CPU each: nobody competes for one"
        )
    return cpu_gain(run, n) / possible


def gpu_time_ratio(run: Measurements, n: int) -> float:
    """Time of the split GPU job over that of the unsplit one, n CPU VMs beside each."""
    return 1 + _slow_down(run, n, run.gpusplit(n))


def split_cost(run: Measurements, n: int) -> float:
    """Relative time that the GPU job alone loses by the groups it used beside n CPU VMs."""
    wanted = run.gpusplit(n).wanted
    return _slow_down(run, 0, run.at(0, Mode.GPUSPLIT, groups=wanted))


def repeat_difference(run: Measurements, n: int) -> float:
    """Largest relative difference of CPU throughput between repetitions of the unsplit point."""
    point = next((r for r in run.results if r.point == Point(n, Mode.UNSPLIT)), None)
    if point is None:
        raise NotMeasured(f"{Point(n, Mode.UNSPLIT).label} was not measured")
    for sample in point.samples:
        if sample.problems:
            raise Unjudgeable(f"repetition {sample.repetition}: {'; '.join(sample.problems)}")
    if len(point.samples) < 2:
        raise NotMeasured(f"{point.point.label} was measured once only")
    return spread([_positive(sample.cpu_throughput) for sample in point.samples])


def spin_share(run: Measurements, n: int) -> float:
    """CPU time of the GPU VM under the spinning driver, over its fair share beside n CPU VMs."""
    return _cpu_share(run.at(n, Mode.UNSPLIT)) * (n + 1)


def blocking_share(run: Measurements, n: int) -> float:
    """CPU time of the GPU VM under the blocking driver, over the GPU job's time."""
    return _cpu_share(run.at(n, Mode.UNSPLIT, blocking_driver=True))


def gpu_number_error(run: Measurements, _n: int) -> float:
    """Largest relative error of the split GPU job's product against numpy's."""
    if run.verification is None:
        raise NotMeasured("the product was not checked against numpy")
    if run.verification.groups < 2:
        raise Unjudgeable("the product that was checked was not split")
    # An element that was never computed is as wrong as can be.
    error = run.verification.max_relative_error
    return math.inf if error is None else error


def neighbour_loss(run: Measurements, n: int) -> float:
    """CPU throughput that n CPU VMs lose by a GPU VM where a CPU VM might be (Fig. 2)."""
    beside = _positive(run.at(n, Mode.UNSPLIT).cpu_throughput)
    return 1 - beside / _positive(run.at(n + 1, Mode.NO_GPU).cpu_throughput)


def gpu_slow_down_by_neighbours(run: Measurements, n: int) -> float:
    """Relative time that the unsplit GPU job loses by n CPU VMs beside it."""
    alone = _positive(run.find(ALONE).gpu_seconds)
    return _positive(run.at(n, Mode.UNSPLIT).gpu_seconds) / alone - 1


def paper_recovery(run: Measurements, n: int) -> float:
    """Gain of CPU throughput over unsplit by the paper's method in the most groups (Fig. 4)."""
    return _gain(run, n, run.at(n, Mode.PAPER, groups=max(run.profile.sweep_groups)))


def paper_levelling(run: Measurements, n: int) -> float:
    """CPU throughput of the paper's method in 20 groups over that in 10, less 1 (Fig. 4)."""
    _require_recovery(run, n)
    return _ratio(run, Point(n, Mode.PAPER, groups=20), Point(n, Mode.PAPER, groups=10))


def paper_slow_down_10(run: Measurements, n: int) -> float:
    """Relative GPU slow-down by the paper's method in 10 groups, beside n CPU VMs (Fig. 5)."""
    return _slow_down(run, n, run.at(n, Mode.PAPER, groups=10))


def paper_slow_down_20(run: Measurements, n: int) -> float:
    """Relative GPU slow-down by the paper's method in 20 groups, beside n CPU VMs (Fig. 5)."""
    return _slow_down(run, n, run.at(n, Mode.PAPER, groups=20))


def paper_slow_down_grows(run: Measurements, n: int) -> float:
    """By how much 10 groups slow the GPU job down more beside n CPU VMs than beside one."""
    return paper_slow_down_10(run, n) - paper_slow_down_10(run, 1)


def paper_best_gain(run: Measurements, _n: int) -> float:
    """The paper's method's largest CPU gain at which the GPU job stays within the bound."""
    points = [(n, result) for n in run.profile.cpu_vms for result in run.paper_points(n)]
    if not points:
        raise NotMeasured("no point of the paper's method was measured")
    bound = run.profile.slow_down_bound
    gains = [_gain(run, n, result) for n, result in points if _slow_down(run, n, result) <= bound]
    if not gains:
        raise DoesNotArise("no number of groups keeps the GPU job within the bound")
    return max(gains)


def paper_slow_down(run: Measurements, n: int) -> float:
    """Relative GPU slow-down by the paper's method, groups by the number of VMs (Fig. 6)."""
    return _slow_down(run, n, run.at(n, Mode.PAPER, alpha=run.profile.alpha))


def many_groups_gain(run: Measurements, n: int) -> float:
    """CPU throughput of the paper's method in 500 groups over that in 20, less 1."""
    _require_recovery(run, n)
    many = Point(n, Mode.PAPER, groups=run.profile.many_groups)
    return _ratio(run, many, Point(n, Mode.PAPER, groups=20))


def many_groups_slow_down(run: Measurements, n: int) -> float:
    """Relative GPU slow-down by the paper's method in 500 groups."""
    return _slow_down(run, n, run.at(n, Mode.PAPER, groups=run.profile.many_groups))


def waiting_gain(run: Measurements, n: int) -> float:
    """CPU gain over unsplit by cooperative waiting alone (the ablation)."""
    return _gain(run, n, run.at(n, Mode.UNSPLIT_COOPERATIVE))


def splitting_gain(run: Measurements, n: int) -> float:
    """CPU gain over unsplit by splitting alone (the ablation)."""
    return _gain(run, n, run.at(n, Mode.PAPER, alpha=run.profile.alpha))


def sweep_gain(run: Measurements, n: int) -> float:
    """The smallest CPU gain of gpusplit over unsplit, whatever the number of groups."""
    return min(
        _gain(run, n, run.at(n, Mode.GPUSPLIT, groups=groups))
        for groups in run.profile.sweep_groups
    )


def adaptive_cpu_gain(run: Measurements, n: int) -> float:
    """CPU throughput with the policy adaptive over that with the best fixed alpha, less 1."""
    best = _positive(run.gpusplit(n).cpu_throughput)
    return _positive(run.find(adaptive(n)).cpu_throughput) / best - 1


def adaptive_gpu_cost(run: Measurements, n: int) -> float:
    """Time of the GPU job with the policy adaptive over that with the best fixed alpha, less 1."""
    best = _positive(run.gpusplit(n).gpu_seconds)
    return _positive(run.find(adaptive(n)).gpu_seconds) / best - 1


def adaptive_slow_down(run: Measurements, n: int) -> float:
    """Relative GPU slow-down over unsplit with the policy adaptive, n CPU VMs beside each."""
    return _slow_down(run, n, run.find(adaptive(n)))


def timeline_wrong_launches(run: Measurements, _n: int) -> float:
    """Kernel launches that went by a VM count which was no longer true."""
    if run.timeline_problem:
        raise Unjudgeable(f"the timeline: {run.timeline_problem}")
    if run.timeline is None:
        raise NotMeasured("the timeline was not measured")
    return float(len(run.timeline.wrong_launches()))


def _gain(run: Measurements, n: int, result: PointResult) -> float:
    unsplit = _positive(run.at(n, Mode.UNSPLIT).cpu_throughput)
    return _positive(result.cpu_throughput) / unsplit - 1


def _slow_down(run: Measurements, n: int, result: PointResult) -> float:
    return _positive(result.gpu_seconds) / _positive(run.at(n, Mode.UNSPLIT).gpu_seconds) - 1


def _ratio(run: Measurements, point: Point, other: Point) -> float:
    mine, theirs = run.find(point).cpu_throughput, run.find(other).cpu_throughput
    return _positive(mine) / _positive(theirs) - 1


def _require_recovery(run: Measurements, n: int) -> None:
    gain = paper_recovery(run, n)
    if gain < RECOVERED:
        raise DoesNotArise(
            f"the CPU VMs do not recover in the first place ({gain:+.1%}), so nothing levels off"
        )


def _cpu_share(result: PointResult) -> float:
    return _positive(result.gpu_vm_cpu_seconds) / _positive(result.gpu_seconds)


def _positive(value: float | None) -> float:
    if value is None or value <= 0:
        raise Unjudgeable(f"a number is missing or not positive: {value}")
    return value


STATISTICS: dict[str, Callable[[Measurements, int], float]] = {
    function.__name__: function
    for function in (
        cpu_gain,
        cpu_gain_share,
        gpu_time_ratio,
        split_cost,
        repeat_difference,
        spin_share,
        blocking_share,
        gpu_number_error,
        neighbour_loss,
        gpu_slow_down_by_neighbours,
        paper_recovery,
        paper_levelling,
        paper_slow_down_10,
        paper_slow_down_20,
        paper_slow_down_grows,
        paper_best_gain,
        paper_slow_down,
        many_groups_gain,
        many_groups_slow_down,
        waiting_gain,
        splitting_gain,
        sweep_gain,
        adaptive_cpu_gain,
        adaptive_gpu_cost,
        adaptive_slow_down,
        timeline_wrong_launches,
    )
}
