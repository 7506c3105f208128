"""The statistics that claims are about: arithmetic on a run's measurements.

A statistic is a function of a run and, mostly, of a number of CPU VMs; its name stands in
claims.toml. It gives its value with a 95 % interval (see `uncertainty`). Where the measurement
does not allow a number it raises `Unjudgeable`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from harness.judge.measurements import (
    DoesNotArise,
    DoesNotHold,
    Measurements,
    NotMeasured,
    Quantity,
    Undecided,
    Unjudgeable,
    physical_limit,
    positive,
)
from harness.judge.repetitions import PointResult
from harness.judge.uncertainty import Estimate, Uncertain, least
from harness.plan.experiments import ALONE, Mode, Point, adaptive

RECOVERED = 0.05
"""Relative gain of CPU throughput below which the CPU VMs count as not having recovered."""


def cpu_gain(run: Measurements, n: int) -> Estimate:
    """CPU throughput beside the split GPU job over that beside the unsplit one, less 1."""
    return _gain(run, n, run.judged(n)).estimate()


def cpu_gain_share(run: Measurements, n: int) -> Estimate:
    """The CPU gain as a share of the largest that is possible on this host."""
    possible = physical_limit(n, run.shared_cpus)
    if possible <= 0:
        raise Unjudgeable(
            f"{n} CPU VMs and the GPU VM have a physical CPU each: nobody competes for one"
        )
    return _gain(run, n, run.judged(n)).times(1 / possible).estimate()


def gpu_time_ratio(run: Measurements, n: int) -> Estimate:
    """Time of the split GPU job over that of the unsplit one, n CPU VMs beside each."""
    return _slow_down(run, n, run.judged(n)).plus(1).estimate()


def split_cost(run: Measurements, n: int) -> Estimate:
    """Relative time that the GPU job alone loses by the groups it used beside n CPU VMs."""
    wanted = run.chosen(n).wanted
    return _slow_down(run, 0, run.at(0, Mode.GPUSPLIT, groups=wanted)).estimate()


def repeat_difference(run: Measurements, n: int) -> Estimate:
    """Relative difference of CPU throughput to be expected when a point is measured again.

    By all points that the run repeated; the unsplit one beside n CPU VMs must be among them.
    """
    point = next((r for r in run.results if r.point == Point(n, Mode.UNSPLIT)), None)
    if point is None:
        raise NotMeasured(f"{Point(n, Mode.UNSPLIT).label} was not measured")
    if not point.trusted:
        raise Unjudgeable(f"{point.point.label}: {'; '.join(point.problems)}")
    if len(point.trusted) < 2:
        raise NotMeasured(f"{point.point.label} was measured well once only")
    for sample in point.trusted:
        positive(sample.cpu_throughput)
    return run.repeatability(Quantity.CPU_THROUGHPUT).largest_difference()


def spin_share(run: Measurements, n: int) -> Estimate:
    """CPU time of the GPU VM under the spinning driver, over its fair share beside n CPU VMs."""
    return _cpu_share(run, run.at(n, Mode.UNSPLIT)).times(n + 1).estimate()


def blocking_share(run: Measurements, n: int) -> Estimate:
    """CPU time of the GPU VM under the blocking driver, over the GPU job's time."""
    return _cpu_share(run, run.at(n, Mode.UNSPLIT, blocking_driver=True)).estimate()


def gpu_number_error(run: Measurements, _n: int) -> Estimate:
    """Largest relative error of the split GPU job's product against numpy's."""
    if run.verification is None:
        raise NotMeasured("the product was not checked against numpy")
    if run.verification.groups < 2:
        raise Unjudgeable("the product that was checked was not split")
    # An element that was never computed is as wrong as can be.
    error = run.verification.max_relative_error
    return Estimate.exact(math.inf if error is None else error)


def neighbour_loss(run: Measurements, n: int) -> Estimate:
    """CPU throughput that n CPU VMs lose by a GPU VM where a CPU VM might be (Fig. 2)."""
    beside, without = run.at(n, Mode.UNSPLIT), run.at(n + 1, Mode.NO_GPU)
    return run.faster(beside, without).times(-1).plus(1).estimate()


def gpu_slow_down_by_neighbours(run: Measurements, n: int) -> Estimate:
    """Relative time that the unsplit GPU job loses by n CPU VMs beside it."""
    return run.longer(run.at(n, Mode.UNSPLIT), run.find(ALONE)).plus(-1).estimate()


def paper_recovery(run: Measurements, n: int) -> Estimate:
    """Gain of CPU throughput over unsplit by the paper's method in the most groups (Fig. 4)."""
    _require_loss(run, n)
    return _recovery(run, n).estimate()


def paper_levelling(run: Measurements, n: int) -> Estimate:
    """CPU throughput of the paper's method in 20 groups over that in 10, less 1 (Fig. 4)."""
    _require_recovery(run, n)
    fewer, more = (run.find(Point(n, Mode.PAPER, groups=groups)) for groups in (10, 20))
    return run.faster(more, fewer).plus(-1).estimate()


def paper_slow_down_10(run: Measurements, n: int) -> Estimate:
    """Relative GPU slow-down by the paper's method in 10 groups, beside n CPU VMs (Fig. 5)."""
    return _slow_down(run, n, run.at(n, Mode.PAPER, groups=10)).estimate()


def paper_slow_down_20(run: Measurements, n: int) -> Estimate:
    """Relative GPU slow-down by the paper's method in 20 groups, beside n CPU VMs (Fig. 5)."""
    return _slow_down(run, n, run.at(n, Mode.PAPER, groups=20)).estimate()


def paper_slow_down_grows(run: Measurements, n: int) -> Estimate:
    """By how much 10 groups slow the GPU job down more beside n CPU VMs than beside one."""
    many, one = (_slow_down(run, k, run.at(k, Mode.PAPER, groups=10)) for k in (n, 1))
    return many.minus(one).estimate()


def paper_best_gain(run: Measurements, _n: int) -> Estimate:
    """The paper's method's largest CPU gain, with its own best alpha beside n CPU VMs each."""
    points = [(n, run.judged(n, Mode.PAPER)) for n in run.profile.cpu_vms]
    for n in run.profile.cpu_vms:
        _require_loss(run, n)
    bound = run.profile.slow_down_bound
    found = [(_gain(run, n, result), _slow_down(run, n, result)) for n, result in points]
    possible = [gain for gain, cost in found if cost.interval()[0] <= bound]
    if not possible:
        raise DoesNotHold("no number of groups keeps the GPU job within the bound")
    certain = [gain for gain, cost in found if cost.interval()[1] <= bound]
    likely = [gain for gain, cost in found if cost.value <= bound] or possible
    lows = [gain.interval(len(found))[0] for gain in certain]
    highs = [gain.interval(len(found))[1] for gain in possible]
    # Where none is certain to keep the bound the gain may be as small as can be.
    return Estimate(max(gain.value for gain in likely), (max(lows, default=-1.0), max(highs)))


def paper_slow_down(run: Measurements, n: int) -> Estimate:
    """Relative GPU slow-down by the paper's method at its own best alpha (Fig. 6)."""
    return _slow_down(run, n, run.judged(n, Mode.PAPER)).estimate()


def many_groups_gain(run: Measurements, n: int) -> Estimate:
    """CPU throughput of the paper's method in 500 groups over that in 20, less 1."""
    _require_recovery(run, n)
    numbers = (20, run.profile.many_groups)
    fewer, many = (run.find(Point(n, Mode.PAPER, groups=groups)) for groups in numbers)
    return run.faster(many, fewer).plus(-1).estimate()


def many_groups_slow_down(run: Measurements, n: int) -> Estimate:
    """Relative GPU slow-down by the paper's method in 500 groups."""
    many = run.at(n, Mode.PAPER, groups=run.profile.many_groups)
    return _slow_down(run, n, many).estimate()


def waiting_gain(run: Measurements, n: int) -> Estimate:
    """CPU gain over unsplit by cooperative waiting alone (the ablation)."""
    return _gain(run, n, run.at(n, Mode.UNSPLIT_COOPERATIVE)).estimate()


def waiting_cost(run: Measurements, n: int) -> Estimate:
    """Relative time that the GPU job loses by cooperative waiting alone."""
    return _slow_down(run, n, run.at(n, Mode.UNSPLIT_COOPERATIVE)).estimate()


def splitting_gain(run: Measurements, n: int) -> Estimate:
    """CPU gain over unsplit by splitting alone (the ablation)."""
    return _gain(run, n, run.at(n, Mode.PAPER, alpha=run.profile.alpha)).estimate()


def sweep_gain(run: Measurements, n: int) -> Estimate:
    """The smallest CPU gain of gpusplit over unsplit, whatever the number of groups."""
    _require_loss(run, n)
    return least(
        [
            _gain(run, n, run.at(n, Mode.GPUSPLIT, groups=groups))
            for groups in run.profile.sweep_groups
        ]
    )


def adaptive_cpu_gain(run: Measurements, n: int) -> Estimate:
    """CPU throughput with the policy adaptive over that with the best fixed alpha, less 1."""
    return run.faster(run.find(adaptive(n)), run.judged(n)).plus(-1).estimate()


def adaptive_gpu_cost(run: Measurements, n: int) -> Estimate:
    """Time of the GPU job with the policy adaptive over that with the best fixed alpha, less 1."""
    return run.longer(run.find(adaptive(n)), run.judged(n)).plus(-1).estimate()


def adaptive_slow_down(run: Measurements, n: int) -> Estimate:
    """Relative GPU slow-down over unsplit with the policy adaptive, n CPU VMs beside each."""
    return _slow_down(run, n, run.find(adaptive(n))).estimate()


def timeline_wrong_launches(run: Measurements, _n: int) -> Estimate:
    """Kernel launches that went by a VM count which was no longer true."""
    if run.timeline_problem:
        raise Unjudgeable(f"the timeline: {run.timeline_problem}")
    if run.timeline is None:
        raise NotMeasured("the timeline was not measured")
    wrong = run.timeline.wrong_launches()
    if not wrong and (unknown := run.timeline.unjudged_steps()):
        # What was found wrong stays wrong; but where nobody looked nothing was right.
        raise Unjudgeable(
            f"the timeline: no launch was late enough to be judged in {len(unknown)} of "
            f"{len(run.timeline.steps)} stretches between changes (the first from "
            f"{unknown[0].began:.1f} s on), which were too short for it"
        )
    return Estimate.exact(float(len(wrong)))


def _gain(run: Measurements, n: int, result: PointResult) -> Uncertain:
    return run.faster(result, run.at(n, Mode.UNSPLIT)).plus(-1)


def _slow_down(run: Measurements, n: int, result: PointResult) -> Uncertain:
    return run.longer(result, run.at(n, Mode.UNSPLIT)).plus(-1)


def _recovery(run: Measurements, n: int) -> Uncertain:
    return _gain(run, n, run.at(n, Mode.PAPER, groups=max(run.profile.sweep_groups)))


def _require_loss(run: Measurements, n: int) -> None:
    """Refuse to speak of a recovery where nothing was lost, as far as that was measured."""
    with suppress(NotMeasured):
        possible = _gain(run, n, run.at(n, Mode.NO_GPU))
        if possible.interval()[1] < RECOVERED:
            raise DoesNotArise(
                f"{n} CPU VMs lose hardly anything beside the unsplit GPU job "
                f"({possible.value:+.1%} without it), so there is nothing to recover"
            )


def _require_recovery(run: Measurements, n: int) -> None:
    gain = _recovery(run, n)
    low, high = gain.interval()
    if high < RECOVERED:
        raise DoesNotArise(
            f"the CPU VMs do not recover in the first place ({gain.value:+.1%}), so nothing "
            "levels off"
        )
    if low < RECOVERED:
        raise Undecided(
            f"whether the CPU VMs recover in the first place is not known (95 %: {low:+.1%} to "
            f"{high:+.1%})"
        )


def _cpu_share(run: Measurements, result: PointResult) -> Uncertain:
    """The GPU VM's CPU time over the GPU job's time.

    What the CPU VMs do not get the GPU VM does: its share of a CPU is as uncertain as theirs, and
    that is no less where it is small.
    """
    known = run.throughput(result)
    share = positive(result.gpu_vm_cpu_seconds) / positive(result.gpu_seconds)
    return Uncertain(share, known.deviation / known.value, known.freedom)


STATISTICS: dict[str, Callable[[Measurements, int], Estimate]] = {
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
        waiting_cost,
        splitting_gain,
        sweep_gain,
        adaptive_cpu_gain,
        adaptive_gpu_cost,
        adaptive_slow_down,
        timeline_wrong_launches,
    )
}
