"""Under which conditions the paper's claims hold: a map, and what comes nearest to its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from harness.judge.claim_statistics import STATISTICS
from harness.judge.claims import Claim, Kind, Verdict, judge, load_claims
from harness.judge.measurements import (
    DoesNotArise,
    Measurements,
    Undecided,
    Unjudgeable,
    physical_limit,
)
from harness.plan.conditions import STANDARD, Condition
from harness.plan.experiments import Mode, Point
from harness.plan.profiles import Profile

PAPERS_GAIN, PAPERS_COST, PAPERS_MANY = 0.20, 0.05, 0.38
"""CPU VMs up to 20 % faster, the GPU job less than 5 % slower, and 38 % by 500 groups."""

MAPPED = (
    "neighbour_loss",
    "paper_recovery",
    "paper_levelling",
    "paper_slow_down_10",
    "paper_slow_down_20",
    "paper_best_gain",
    "paper_slow_down",
    "many_groups_gain",
    "many_groups_slow_down",
)
"""The statistics of the paper's claims that a condition's points allow to judge."""

SPOKEN_OF = {"paper_slow_down_10": 1, "paper_slow_down_20": 4}
"""The number of CPU VMs of claims that the paper makes for one: Fig. 5's 2 and 5 VMs."""


@dataclass(frozen=True)
class ConditionVerdicts:
    """What came out under one condition, beside one number of CPU VMs."""

    condition: Condition
    cpu_vms: int
    measurements: Measurements
    """What was measured under it."""
    verdicts: tuple[Verdict, ...]
    distance: float | None
    """From the paper's numbers, see `distance`; None if too little was measured."""


def map_conditions(measurements: Measurements) -> Iterator[ConditionVerdicts]:
    """Judge the paper's claims and ours under every condition, the standard one first."""
    profile = measurements.profile
    if not profile.conditions:
        return
    for condition in (STANDARD, *profile.conditions, *profile.waits):
        for n in profile.condition_vms:
            under = measurements.under(condition)
            verdicts = tuple(_judged(under, n))
            yield ConditionVerdicts(condition, n, under, verdicts, distance(under, n))


def _judged(under: Measurements, n: int) -> Iterator[Verdict]:
    few = tuple(g for g in under.profile.condition_groups if g <= 20)
    ours = under.profile.condition_groups[-2:-1]
    for groups, kind, statistics in ((few, Kind.PAPER, MAPPED), (ours, Kind.OURS, ("sweep_gain",))):
        profile = _only(under.profile, n, groups)
        for claim in load_claims(profile, under.lab):
            about = SPOKEN_OF.get(claim.statistic, claim.cpu_vms or n)
            if claim.kind is kind and claim.statistic in statistics and about == n:
                asked = _of_what_is_lost(claim, under, n) if kind is Kind.OURS else claim
                verdict = judge(asked, replace(_by_alpha(under), profile=profile))
                if verdict.measured:
                    yield verdict


def _of_what_is_lost(claim: Claim, under: Measurements, n: int) -> Claim:
    """Our claim with its limit by what can be recovered under this condition.

    Its own limit is a part of what a driver takes that spins all the time (claims.toml); one that
    spins for a part of its waits takes less, and the same part of it is asked for.
    """
    with suppress(Unjudgeable):
        possible = under.faster(under.at(n, Mode.NO_GPU), under.at(n, Mode.UNSPLIT)).value - 1
        part = min(1.0, max(0.0, possible) / physical_limit(n, under.shared_cpus))
        return replace(claim, limit=claim.limit * part)
    return claim


def _by_alpha(under: Measurements) -> Measurements:
    """Add Fig. 6's points: alpha groups for each of n + 1 VMs are measured as so many groups.

    There is nothing to choose between, so that the one repetition judges.
    """
    alpha = under.profile.alpha
    same = tuple(
        replace(result, point=replace(result.point, groups=None, alpha=alpha))
        for result in under.results
        if result.point.mode is Mode.PAPER
        and result.point.groups == alpha * (result.point.cpu_vms + 1)
    )
    known = {result.point for result in under.results}
    return replace(under, results=under.results + tuple(r for r in same if r.point not in known))


def _only(profile: Profile, n: int, groups: tuple[int, ...]) -> Profile:
    """The profile of a run that has the points of one condition beside n CPU VMs alone."""
    many = (n,) if profile.many_groups in profile.condition_groups else ()
    return replace(
        profile, cpu_vms=(n,), alphas=(profile.alpha,), fig2_vms=(n,), sweep_vms=(n,),
        sweep_groups=groups, g500_vms=many, ablation_vms=(), adaptive_vms=(), timeline_vms=(),
        repeat_unsplit=(), blocking_driver=(),
    )  # fmt: skip


def distance(under: Measurements, n: int) -> float | None:
    """Return how far the worst of the paper's numbers is from what was measured, in parts.

    Two-sided where the paper gives a number: the CPU VMs' gain in 10 groups and, where it was
    measured, the GPU job's loss in 500; one-sided where it gives a bound, for the loss in 10.
    """
    missed = []
    try:
        unsplit = under.at(n, Mode.UNSPLIT)
        ten = under.find(Point(n, Mode.PAPER, groups=10))
        missed.append(abs(under.faster(ten, unsplit).value - 1 - PAPERS_GAIN))
        missed.append(max(0.0, under.longer(ten, unsplit).value - 1 - PAPERS_COST))
    except Unjudgeable:
        return None
    with suppress(Unjudgeable, DoesNotArise, Undecided):
        loss = STATISTICS["many_groups_slow_down"](under, n).value
        missed.append(abs(loss - PAPERS_MANY))
    return max(missed)
