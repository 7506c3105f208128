"""What must hold, and the verdicts."""

from __future__ import annotations

import dataclasses
import math

import pytest

from harness.judge.claims import Kind, Outcome, Verdict, judge, load_claims
from harness.judge.evaluate import SampleResult
from harness.judge.measurements import Measurements, Quantity, physical_limit
from harness.judge.repetitions import PointResult
from harness.lab.samples import Verification
from harness.plan.experiments import Mode, Point, adaptive
from harness.plan.profiles import PROFILES, Profile

QUICK, SMOKE, FULL = (PROFILES[name] for name in ("quick", "smoke", "full"))


def result(
    point: Point,
    throughput: float | None = None,
    seconds: float | None = None,
    groups: int | None = None,
    problems: tuple[str, ...] = (),
    again: float | None = None,
) -> PointResult:
    samples = tuple(
        SampleResult(point, k, "xen1", groups, groups, rate, {}, seconds, None, {}, problems)
        for k, rate in enumerate((throughput, again), start=1)
        if k == 1 or rate is not None
    )
    return PointResult(
        point,
        "xen1",
        groups,
        groups,
        throughput,
        None,
        seconds,
        None,
        None,
        None,
        {},
        samples,
        problems,
    )


def measurements(*results: PointResult, profile: Profile = SMOKE) -> Measurements:
    checked = Verification(144, 4, 1e-7, "GPU")
    return Measurements("dryrun", "deterministic", 1, profile, results, checked)


def measured(
    *, gain: float = 0.9, slower: float = 1.0, cost: float = 0.01, again: float = 1.0
) -> Measurements:
    """One CPU VM; the split point differs from the unsplit one as told."""
    return measurements(
        result(Point(0, Mode.UNSPLIT), seconds=10.0, groups=1),
        result(Point(1, Mode.UNSPLIT), 100.0, 12.0, 1, again=100.0 * again),
        result(Point(1, Mode.GPUSPLIT, alpha=2), 100.0 * (1 + gain), 12.0 * slower, 4),
        result(Point(0, Mode.GPUSPLIT, groups=4), seconds=10.0 * (1 + cost), groups=4),
    )


def verdict(claim_id: str, found: Measurements) -> Verdict:
    claims = load_claims(found.profile, "dryrun")
    return judge(next(claim for claim in claims if claim.id == claim_id), found)


class TestTheClaims:
    """The limits of the project's main result, written down once more, on purpose."""

    def limits(self, name: str) -> list[float]:
        return [c.limit for c in load_claims(FULL, "dryrun") if c.id.startswith(f"{name}-n")]

    @pytest.mark.parametrize("name", ["cpu-gain", "sweep-gain", "waiting-gain"])
    def test_gain(self, name: str) -> None:
        assert self.limits(name) == [0.90, 0.425, 0.2667, 0.1875]

    def test_gain_is_what_is_left_if_the_gpu_vm_keeps_a_twentieth_of_the_cpu(self) -> None:
        """Each of n CPU VMs has (1 - c) / n of it, and 1 / (n + 1) beside the unsplit job."""
        for n, limit in enumerate(self.limits("cpu-gain"), start=1):
            assert limit == pytest.approx((1 - 0.05) / n * (n + 1) - 1, abs=5e-5)

    def test_gain_as_a_share_of_what_is_possible_is_the_same(self) -> None:
        bench = [c for c in load_claims(FULL, "bench") if c.statistic == "cpu_gain_share"]
        for n, claim in enumerate(bench, start=1):
            gain = self.limits("cpu-gain")[n - 1]
            assert claim.limit * physical_limit(n) == pytest.approx(gain, abs=5e-5)

    @pytest.mark.parametrize("lab", ["dryrun", "bench", "local"])
    def test_every_limit_has_a_reason(self, lab: str) -> None:
        assert all(len(claim.because) > 10 for claim in load_claims(FULL, lab))

    def test_no_gain_is_claimed_beyond_what_is_possible(self) -> None:
        for n, limit in enumerate(self.limits("cpu-gain"), start=1):
            assert limit < physical_limit(n)

    def test_gpu_time(self) -> None:
        assert self.limits("gpu-time") == [1.05] * 4
        assert self.limits("split-cost") == [0.05] * 4

    def test_only_measured_numbers_of_vms_are_judged(self) -> None:
        assert {claim.cpu_vms for claim in load_claims(SMOKE, "dryrun")} == {1, 2, None}

    def test_every_claim_has_an_id_of_its_own(self) -> None:
        ids = [claim.id for claim in load_claims(QUICK, "dryrun")]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("n", "limit"), [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)])
def test_physical_limit_of_one_cpu(n: int, limit: float) -> None:
    assert physical_limit(n) == pytest.approx(limit)


def test_physical_limit_where_everyone_has_a_cpu_is_nothing() -> None:
    assert physical_limit(1, shared_cpus=2) == 0


class TestAdaptive:
    """At least as good as the best fixed alpha, on both axes."""

    @pytest.mark.parametrize(
        ("claim_id", "throughput", "seconds", "outcome"),
        [
            ("adaptive-cpu-n1", 189.5, 12.0, Outcome.PASS),
            ("adaptive-cpu-n1", 188.1, 12.0, Outcome.INCONCLUSIVE),
            ("adaptive-cpu-n1", 186.5, 12.0, Outcome.FAIL),
            ("adaptive-gpu-n1", 190.0, 12.04, Outcome.PASS),
            ("adaptive-gpu-n1", 190.0, 12.12, Outcome.INCONCLUSIVE),
            ("adaptive-gpu-n1", 190.0, 12.20, Outcome.FAIL),
            ("adaptive-budget-n1", 190.0, 12.52, Outcome.PASS),
            ("adaptive-budget-n1", 190.0, 12.61, Outcome.INCONCLUSIVE),
            ("adaptive-budget-n1", 190.0, 12.68, Outcome.FAIL),
        ],
    )
    def test_on_both_sides_of_the_limit(
        self, claim_id: str, throughput: float, seconds: float, outcome: Outcome
    ) -> None:
        found = measured(gain=0.9)
        mine = result(adaptive(1), throughput, seconds, 1)
        found = dataclasses.replace(found, results=(*found.results, mine))
        assert verdict(claim_id, found).outcome is outcome

    def test_without_the_point_there_is_no_verdict(self) -> None:
        assert verdict("adaptive-cpu-n1", measured()).outcome is Outcome.INVALID


class TestJudge:
    @pytest.mark.parametrize(
        ("claim_id", "good", "near", "bad"),
        [
            ("cpu-gain-n1", {"gain": 0.915}, [{"gain": 0.901}, {"gain": 0.899}], {"gain": 0.885}),
            (
                "gpu-time-n1",
                {"slower": 1.043},
                [{"slower": 1.049}, {"slower": 1.051}],
                {"slower": 1.058},
            ),
            ("split-cost-n1", {"cost": 0.042}, [{"cost": 0.049}, {"cost": 0.051}], {"cost": 0.058}),
        ],
    )
    def test_clearly_on_one_side_of_the_limit_or_near_it(
        self,
        claim_id: str,
        good: dict[str, float],
        near: list[dict[str, float]],
        bad: dict[str, float],
    ) -> None:
        """A ratio of two points that were measured once is known within 0.6 %."""
        assert verdict(claim_id, measured(**good)).outcome is Outcome.PASS
        for each in near:
            assert verdict(claim_id, measured(**each)).outcome is Outcome.INCONCLUSIVE
        assert verdict(claim_id, measured(**bad)).outcome is Outcome.FAIL

    def test_what_is_inconclusive_does_not_fail_the_run(self) -> None:
        near = verdict("cpu-gain-n1", measured(gain=0.899))
        assert not near.fails_the_run
        assert near.reason.endswith("must be at least 0.9, which lies within")

    @pytest.mark.parametrize(
        ("again", "outcome"),
        [(0.996, Outcome.PASS), (1.011, Outcome.INCONCLUSIVE), (1.04, Outcome.FAIL)],
    )
    def test_whether_a_point_repeats(self, again: float, outcome: Outcome) -> None:
        assert verdict("repeat-n1", measured(again=again)).outcome is outcome

    def test_how_far_repetitions_are_apart_makes_every_claim_less_certain(self) -> None:
        def width(again: float) -> float:
            low, high = verdict("cpu-gain-n1", measured(again=again)).interval or (0, 0)
            return high - low

        assert width(1.02) > 2 * width(1.0)

    def test_a_faster_gpu_job_is_no_offence(self) -> None:
        assert verdict("gpu-time-n1", measured(slower=0.8)).outcome is Outcome.PASS

    def test_value_and_reason_are_given(self) -> None:
        found = verdict("cpu-gain-n1", measured(gain=0.5))
        assert found.value == pytest.approx(0.5)
        low, high = found.interval or (0, 0)
        assert low < 0.5 < high
        assert found.reason == f"0.5 (95 %: {low:.4g} to {high:.4g}); must be at least 0.9"

    def test_what_is_counted_or_compared_is_exact(self) -> None:
        found = verdict("gpu-numbers", measured())
        assert (found.interval, found.reason) == ((1e-7, 1e-7), "1e-07; must be at most 1e-05")

    def test_a_point_that_was_not_measured_is_invalid(self) -> None:
        found = verdict("cpu-gain-n2", measured())
        assert (found.outcome, found.value) == (Outcome.INVALID, None)
        assert found.reason == "n2-unsplit was not measured"

    def test_a_point_with_a_problem_is_invalid(self) -> None:
        good = measured()
        broken = dataclasses.replace(good.results[1], problems=("the guest restarted",))
        results = (good.results[0], broken, *good.results[2:])
        found = verdict("cpu-gain-n1", dataclasses.replace(good, results=results))
        assert (found.outcome, found.reason) == (
            Outcome.INVALID,
            "n1-unsplit: the guest restarted",
        )

    def test_repetition_is_promised_for_the_deterministic_clock_only(self) -> None:
        made = {claim.id for claim in load_claims(SMOKE, "dryrun") if claim.is_made_for("fast")}
        assert "repeat-n1" not in made
        assert "cpu-gain-n1" in made

    @pytest.mark.parametrize(
        ("verification", "outcome"),
        [
            (Verification(144, 4, 1e-7, "GPU"), Outcome.PASS),
            (Verification(144, 4, 0.5, "GPU"), Outcome.FAIL),
            (Verification(144, 4, None, "GPU"), Outcome.FAIL),
            (Verification(144, 1, 1e-7, "GPU"), Outcome.INVALID),
            (None, Outcome.INVALID),
        ],
    )
    def test_numbers_are_those_of_a_split_product(
        self, verification: Verification | None, outcome: Outcome
    ) -> None:
        found = verdict("gpu-numbers", dataclasses.replace(measured(), verification=verification))
        assert found.outcome is outcome

    @pytest.mark.parametrize("gain", [math.nan, -1.0])
    def test_no_number_is_no_verdict(self, gain: float) -> None:
        assert verdict("cpu-gain-n1", measured(gain=gain)).outcome is Outcome.INVALID


def fig4(
    gain_20: float, gain_10: float, *, seconds_20: float = 11.5, seconds_10: float = 10.2
) -> Measurements:
    """Four CPU VMs beside the paper's method."""
    return measurements(
        result(Point(4, Mode.UNSPLIT), 100.0, 10.0, 1),
        result(Point(4, Mode.PAPER, groups=10), 100.0 * (1 + gain_10), seconds_10, 10),
        result(Point(4, Mode.PAPER, groups=20), 100.0 * (1 + gain_20), seconds_20, 20),
        profile=QUICK,
    )


class TestThePapersClaims:
    def test_what_does_not_recover_is_not_said_to_level_off(self) -> None:
        found = verdict("paper-levelling-n4", fig4(0.001, 0.001))
        assert (found.outcome, found.value) == (Outcome.DOES_NOT_ARISE, None)
        assert not found.fails_the_run
        assert "do not recover in the first place (+0.1%)" in found.reason
        assert verdict("paper-levelling-n4", fig4(0.15, 0.14)).outcome is Outcome.PASS
        assert verdict("paper-levelling-n4", fig4(0.15, 0.02)).outcome is Outcome.FAIL

    def test_whether_it_recovers_may_be_less_than_can_be_told(self) -> None:
        found = verdict("paper-levelling-n4", fig4(0.05, 0.05))
        assert (found.outcome, found.value) == (Outcome.INCONCLUSIVE, None)
        assert "is not known (95 %: +4." in found.reason

    def test_near_their_limit_are_inconclusive_too(self) -> None:
        near = verdict("paper-recovery-n4", fig4(0.049, 0.0))
        assert (near.outcome, near.claim.kind) == (Outcome.INCONCLUSIVE, Kind.PAPER)
        assert verdict("paper-recovery-n4", fig4(0.04, 0.0)).outcome is Outcome.FAIL

    def test_that_do_not_hold_do_not_fail_the_run(self) -> None:
        found = verdict("paper-recovery-n4", fig4(0.0, 0.0))
        assert (found.outcome, found.claim.kind) == (Outcome.FAIL, Kind.PAPER)
        assert not found.fails_the_run
        assert verdict("cpu-gain-n1", measured(gain=0.1)).fails_the_run

    def test_about_the_cost_of_groups_are_judged_at_its_sizes_only(self) -> None:
        quick, full = ({c.id for c in load_claims(p, "dryrun")} for p in (QUICK, FULL))
        assert full - quick >= {"paper-20-groups-n4", "many-groups-slow-down-n4"}

    @pytest.mark.parametrize(
        ("seconds", "outcome", "value"),
        [
            # alpha 5 gains more and costs 15 %: alpha 2 is the best that the bound allows.
            ((10.2, 11.5), Outcome.PASS, 0.21),
            # alpha 2 costs 5 % or nearly.
            ((10.49, 11.5), Outcome.INCONCLUSIVE, 0.21),
            # None keeps the bound: the paper's Eq. 2 has no solution.
            ((11.0, 11.5), Outcome.FAIL, None),
        ],
    )
    def test_the_best_gain_is_that_of_its_own_best_alpha(
        self, seconds: tuple[float, float], outcome: Outcome, value: float | None
    ) -> None:
        found = verdict("paper-gain", paper_alphas((1.21, 1.5), seconds))
        assert found.outcome is outcome
        assert found.value == (value if value is None else pytest.approx(value))

    def test_what_chose_alpha_does_not_judge_it(self) -> None:
        """alpha 2 was chosen by a lucky first repetition; the second says what it is worth."""
        found = verdict("paper-gain", paper_alphas((1.30, 1.21), (10.0, 10.0), again=1.10))
        assert found.value == pytest.approx(0.10)
        only_once = paper_alphas((1.30, 1.21), (10.0, 10.0), again=None)
        found = verdict("paper-gain", only_once)
        assert found.outcome is Outcome.INVALID
        assert found.reason == "n2-paper-alpha2 was measured only when it was chosen"

    @pytest.mark.parametrize("claim", ["paper-gain", "paper-recovery-n2"])
    def test_where_nothing_was_lost_nothing_can_be_gained(self, claim: str) -> None:
        """Beside a driver that blocks, CPU VMs have all of the CPU already."""
        no_gpu = result(Point(2, Mode.NO_GPU), 101.0, None)
        found = paper_alphas((1.0, 1.0), (10.0, 10.0), again=1.0)
        found = dataclasses.replace(found, results=(*found.results, no_gpu))
        assert verdict(claim, found).outcome is Outcome.DOES_NOT_ARISE


def paper_alphas(
    gains: tuple[float, float], seconds: tuple[float, float], again: float | None = 1.21
) -> Measurements:
    """The paper's method at alpha 2 and 5 beside two CPU VMs, alpha 2 once more if *again*."""
    profile = dataclasses.replace(QUICK, cpu_vms=(2,), sweep_vms=(2,), alphas=(2, 5))
    points = [
        result(
            Point(2, Mode.PAPER, alpha=alpha), 100.0 * gain, took, 3 * alpha,
            again=100.0 * again if again and alpha == 2 else None,
        )
        for alpha, gain, took in zip((2, 5), gains, seconds, strict=True)
    ]  # fmt: skip
    unsplit = result(Point(2, Mode.UNSPLIT), 100.0, 10.0, 1)
    return measurements(unsplit, *points, profile=profile)


def sweep(*gains: float) -> Measurements:
    """Four CPU VMs beside gpusplit in 2, 10 and 20 groups, every point measured once."""
    points = [
        result(Point(4, Mode.GPUSPLIT, groups=groups), 100.0 * (1 + gain), 10.0, groups)
        for groups, gain in zip(QUICK.sweep_groups, gains, strict=True)
    ]
    return measurements(result(Point(4, Mode.UNSPLIT), 100.0, 10.0, 1), *points, profile=QUICK)


class TestASingleSample:
    """`make experiment` failed by bad luck once: 0.1899 where 0.19 was to be reached."""

    def judged(self, gain: float, limit: float = 0.19) -> Verdict:
        claim = next(c for c in load_claims(QUICK, "dryrun") if c.id == "sweep-gain-n4")
        return judge(dataclasses.replace(claim, limit=limit), sweep(gain, 0.21, 0.20))

    @pytest.mark.parametrize("gain", [0.1899, 0.1901])
    def test_beside_the_limit_decides_nothing(self, gain: float) -> None:
        found = self.judged(gain)
        assert found.outcome is Outcome.INCONCLUSIVE
        assert not found.fails_the_run

    def test_clearly_below_fails(self) -> None:
        found = self.judged(0.175)
        assert found.outcome is Outcome.FAIL
        assert found.fails_the_run

    def test_clearly_above_passes(self) -> None:
        assert self.judged(0.205, limit=0.18).outcome is Outcome.PASS

    def test_could_be_turned_by_repetitions(self) -> None:
        """The unsplit point again and again: what is known of it gets better, never worse."""
        points = sweep(0.1985, 0.21, 0.20)
        more = result(Point(4, Mode.UNSPLIT), 100.0, 10.0, 1, again=100.0)
        repeated = dataclasses.replace(points, results=(more, *points.results[1:]))
        intervals = [verdict("sweep-gain-n4", run).interval for run in (points, repeated)]
        (low, high), (lower, higher) = (found or (0.0, 0.0) for found in intervals)
        assert low < lower < higher < high

    def test_of_a_point_makes_use_of_how_others_repeat(self) -> None:
        known = sweep(0.2, 0.2, 0.2).repeatability(Quantity.CPU_THROUGHPUT)
        assert (known.deviation, known.freedom) == (0.002, 20)


class TestCalibration:
    def measured(self, *tried: tuple[int, float, float]) -> Measurements:
        """Beside one CPU VM, for each alpha the CPU throughput and the GPU job's seconds."""
        points = [
            result(
                Point(1, Mode.GPUSPLIT, alpha=alpha),
                throughput,
                seconds,
                2 * alpha,
                again=throughput,
            )
            for alpha, throughput, seconds in tried
        ]
        profile = dataclasses.replace(SMOKE, alphas=tuple(alpha for alpha, _, _ in tried))
        return measurements(result(Point(1, Mode.UNSPLIT), 100, 10.0, 1), *points, profile=profile)

    def test_the_most_throughput_within_the_bound_is_best(self) -> None:
        run = self.measured((1, 150, 9.0), (2, 180, 10.4), (5, 190, 10.6))
        assert run.chosen(1).point.alpha == 2

    def test_of_equals_the_smallest_is_best(self) -> None:
        run = self.measured((1, 199.0, 9.0), (2, 200.0, 9.0))
        assert run.chosen(1).point.alpha == 1

    def test_where_none_keeps_the_bound_the_nearest_is_judged(self) -> None:
        run = self.measured((1, 150, 11.0), (2, 180, 12.0))
        assert run.calibration(1).best is None
        assert run.chosen(1).point.alpha == 1
        assert verdict("gpu-time-n1", run).outcome is Outcome.FAIL
