"""What must hold, and the verdicts."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from harness.claims import (
    Claim,
    Measurements,
    Outcome,
    Verdict,
    judge,
    load_claims,
    physical_limit,
)
from harness.evaluate import PointResult
from harness.experiments import PROFILES, Mode, Point
from harness.samples import Verification

QUICK, SMOKE = PROFILES["quick"], PROFILES["smoke"]


def result(
    point: Point,
    throughput: float | None = None,
    seconds: float | None = None,
    groups: int | None = None,
    problems: tuple[str, ...] = (),
) -> PointResult:
    return PointResult(point, groups, groups, throughput, {}, seconds, None, problems)


def measured(
    *, gain: float = 0.9, slower: float = 1.0, cost: float = 0.01, again: float = 1.0
) -> Measurements:
    """One CPU VM; the split point differs from the unsplit one as told."""
    return Measurements(
        clock="deterministic",
        results=(
            result(Point(0, Mode.UNSPLIT), seconds=10.0, groups=1),
            result(Point(1, Mode.UNSPLIT), 100.0, 12.0, 1),
            result(Point(1, Mode.GPUSPLIT), 100.0 * (1 + gain), 12.0 * slower, 4),
            result(Point(1, Mode.UNSPLIT, repetition=2), 100.0 * again, 12.0, 1),
            result(Point(0, Mode.GPUSPLIT, groups=4), seconds=10.0 * (1 + cost), groups=4),
        ),
        verification=Verification(144, 4, 1e-7, "GPU"),
    )


def verdict(claim_id: str, measurements: Measurements) -> Verdict:
    claim = next(claim for claim in load_claims(SMOKE) if claim.id == claim_id)
    return judge(claim, measurements)


class TestTheClaims:
    """The limits of the project's main result, written down once more, on purpose."""

    def limits(self, name: str) -> list[float]:
        return [c.limit for c in load_claims(QUICK) if c.id.startswith(f"{name}-n")]

    def test_gain(self) -> None:
        assert self.limits("cpu-gain") == [0.80, 0.40, 0.26, 0.19]

    def test_no_gain_is_claimed_beyond_what_is_possible(self) -> None:
        for n, limit in enumerate(self.limits("cpu-gain"), start=1):
            assert limit < physical_limit(n)

    def test_gpu_time(self) -> None:
        assert self.limits("gpu-time") == [1.05] * 4
        assert self.limits("split-cost") == [0.05] * 4

    def test_only_measured_numbers_of_vms_are_judged(self) -> None:
        assert {claim.cpu_vms for claim in load_claims(SMOKE)} == {1, 2, None}

    def test_every_claim_has_an_id_of_its_own(self) -> None:
        ids = [claim.id for claim in load_claims(QUICK)]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("n", "limit"), [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)])
def test_physical_limit_of_one_cpu(n: int, limit: float) -> None:
    assert physical_limit(n) == pytest.approx(limit)


def test_physical_limit_where_everyone_has_a_cpu_is_nothing() -> None:
    assert physical_limit(1, shared_cpus=2) == 0


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
        assert found.reason == "n2-gpusplit was not measured"

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
        made = {claim.id for claim in load_claims(SMOKE) if claim.is_made_for("fast")}
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


def test_claims_come_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "claims.toml"
    file.write_text(
        '[[claim]]\nid = "x"\nper = "run"\nstatistic = "gpu_number_error"\n'
        'at_most = 0.5\ntext = "t"\nsource = "s"\n'
    )
    assert load_claims(SMOKE, file) == [Claim("x", "gpu_number_error", 0.5, False, "t", "s")]
