"""What must hold, and the verdicts."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from harness.claims import Kind, Outcome, Verdict, judge, load_claims
from harness.evaluate import SampleResult
from harness.experiments import Mode, Point, adaptive, experiments
from harness.measurements import Measurements, physical_limit
from harness.profiles import PROFILES, Profile
from harness.repetitions import PointResult
from harness.samples import Verification
from harness.timeline import NAME as TIMELINE

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

    def test_gain(self) -> None:
        assert self.limits("cpu-gain") == [0.80, 0.40, 0.26, 0.19]

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
            ("adaptive-cpu-n1", 188.2, 12.0, Outcome.PASS),
            ("adaptive-cpu-n1", 188.0, 12.0, Outcome.FAIL),
            ("adaptive-gpu-n1", 190.0, 12.11, Outcome.PASS),
            ("adaptive-gpu-n1", 190.0, 12.13, Outcome.FAIL),
            ("adaptive-budget-n1", 190.0, 12.59, Outcome.PASS),
            ("adaptive-budget-n1", 190.0, 12.61, Outcome.FAIL),
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
        ("claim_id", "good", "bad"),
        [
            ("cpu-gain-n1", {"gain": 0.801}, {"gain": 0.799}),
            ("gpu-time-n1", {"slower": 1.049}, {"slower": 1.051}),
            ("split-cost-n1", {"cost": 0.049}, {"cost": 0.051}),
            ("repeat-n1", {"again": 0.991}, {"again": 1.011}),
        ],
    )
    def test_on_both_sides_of_the_limit(
        self, claim_id: str, good: dict[str, float], bad: dict[str, float]
    ) -> None:
        assert verdict(claim_id, measured(**good)).outcome is Outcome.PASS
        assert verdict(claim_id, measured(**bad)).outcome is Outcome.FAIL

    def test_a_faster_gpu_job_is_no_offence(self) -> None:
        assert verdict("gpu-time-n1", measured(slower=0.8)).outcome is Outcome.PASS

    def test_value_and_reason_are_given(self) -> None:
        found = verdict("cpu-gain-n1", measured(gain=0.5))
        assert found.value == pytest.approx(0.5)
        assert found.reason == "0.5; must be at least 0.8"

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


def fig4(gain_20: float, gain_10: float) -> Measurements:
    """Two CPU VMs beside the paper's method."""
    return measurements(
        result(Point(2, Mode.UNSPLIT), 100.0, 10.0, 1),
        result(Point(2, Mode.PAPER, groups=10), 100.0 * (1 + gain_10), 10.2, 10),
        result(Point(2, Mode.PAPER, groups=20), 100.0 * (1 + gain_20), 11.5, 20),
        profile=QUICK,
    )


class TestThePapersClaims:
    def test_what_does_not_recover_is_not_said_to_level_off(self) -> None:
        found = verdict("paper-levelling-n2", fig4(0.001, 0.001))
        assert (found.outcome, found.value) == (Outcome.FAIL, None)
        assert "do not recover in the first place (+0.1%)" in found.reason
        assert verdict("paper-levelling-n2", fig4(0.15, 0.14)).outcome is Outcome.PASS
        assert verdict("paper-levelling-n2", fig4(0.15, 0.02)).outcome is Outcome.FAIL

    def test_that_do_not_hold_do_not_fail_the_run(self) -> None:
        found = verdict("paper-recovery-n2", fig4(0.0, 0.0))
        assert (found.outcome, found.claim.kind) == (Outcome.FAIL, Kind.PAPER)
        assert not found.fails_the_run
        assert verdict("cpu-gain-n1", measured(gain=0.1)).fails_the_run

    def test_about_the_cost_of_groups_are_judged_at_its_sizes_only(self) -> None:
        quick, full = ({c.id for c in load_claims(p, "dryrun")} for p in (QUICK, FULL))
        assert full - quick >= {"paper-20-groups-n4", "many-groups-slow-down-n4"}

    def test_the_best_gain_is_within_the_bound(self) -> None:
        """20 groups gain more and cost 15 %: 10 groups are the best that the bound allows."""
        profile = dataclasses.replace(QUICK, cpu_vms=(2,))
        found = dataclasses.replace(fig4(0.5, 0.21), profile=profile)
        assert verdict("paper-gain", found).value == pytest.approx(0.21)


class TestCalibration:
    def measured(self, *tried: tuple[int, float, float]) -> Measurements:
        """Beside one CPU VM, for each alpha the CPU throughput and the GPU job's seconds."""
        points = [
            result(Point(1, Mode.GPUSPLIT, alpha=alpha), throughput, seconds, 2 * alpha)
            for alpha, throughput, seconds in tried
        ]
        profile = dataclasses.replace(SMOKE, alphas=tuple(alpha for alpha, _, _ in tried))
        return measurements(result(Point(1, Mode.UNSPLIT), 100, 10.0, 1), *points, profile=profile)

    def test_the_most_throughput_within_the_bound_is_best(self) -> None:
        run = self.measured((1, 150, 9.0), (2, 180, 10.4), (5, 190, 10.6))
        assert run.gpusplit(1).point.alpha == 2

    def test_of_equals_the_smallest_is_best(self) -> None:
        run = self.measured((1, 199.0, 9.0), (2, 200.0, 9.0))
        assert run.gpusplit(1).point.alpha == 1

    def test_where_none_keeps_the_bound_the_nearest_is_judged(self) -> None:
        run = self.measured((1, 150, 11.0), (2, 180, 12.0))
        assert run.calibration(1).best is None
        assert run.gpusplit(1).point.alpha == 1
        assert verdict("gpu-time-n1", run).outcome is Outcome.FAIL


class TestTheFile:
    TABLE = (
        '[[claim]]\nid = "x"\nexperiment = "e"\nfigure = "f"\nkind = "ours"\nper = "run"\n'
        'statistic = "gpu_number_error"\ntext = "t"\nsource = "s"\n'
    )

    def test_limits_may_differ_by_lab(self, tmp_path: Path) -> None:
        file = tmp_path / "claims.toml"
        file.write_text(self.TABLE + "at_most = {dryrun = 0.5, local = 0.7}\n")
        limits = [
            [claim.limit for claim in load_claims(SMOKE, lab, file)]
            for lab in ("dryrun", "local", "bench")
        ]
        assert limits == [[0.5], [0.7], []]

    def test_a_claim_that_claims_nothing_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "claims.toml"
        file.write_text(self.TABLE)
        with pytest.raises(ValueError, match="one of at_least and at_most"):
            load_claims(SMOKE, "dryrun", file)

    @pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
    def test_every_experiment_of_a_claim_is_there(self, profile: Profile) -> None:
        claimed = {claim.experiment for claim in load_claims(profile, "dryrun")}
        assert claimed <= {experiment.id for experiment in experiments(profile)} | {
            "checks",
            TIMELINE,
        }
