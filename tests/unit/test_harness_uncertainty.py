"""How well numbers are known, and that nothing is decided which a second sample could turn."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.judge.claims import Outcome, held_against
from harness.judge.uncertainty import (
    KNOWN,
    Repeatability,
    Uncertain,
    least,
    of_repetitions,
    paired_ratio,
    relative_deviation,
    repeatability,
    within_rounds,
)

KNOWN_HERE = Repeatability(0.002, 20)


class TestHeldAgainstALimit:
    @pytest.mark.parametrize(
        ("interval", "outcome"),
        [
            ((0.19, 0.20), Outcome.PASS),
            ((0.18, 0.1899), Outcome.FAIL),
            ((0.18, 0.19), Outcome.INCONCLUSIVE),
            ((0.1899, 0.2), Outcome.INCONCLUSIVE),
            ((0.19, 0.19), Outcome.PASS),
        ],
    )
    def test_at_least(self, interval: tuple[float, float], outcome: Outcome) -> None:
        assert held_against(interval, 0.19, at_least=True) is outcome

    @pytest.mark.parametrize(
        ("interval", "outcome"),
        [
            ((0.01, 0.05), Outcome.PASS),
            ((0.051, 0.06), Outcome.FAIL),
            ((0.05, 0.06), Outcome.INCONCLUSIVE),
            ((0.0, 0.0), Outcome.PASS),
        ],
    )
    def test_at_most(self, interval: tuple[float, float], outcome: Outcome) -> None:
        assert held_against(interval, 0.05, at_least=False) is outcome

    def test_one_sample_of_0_1899_against_0_19_is_inconclusive(self) -> None:
        """The run that ended with an error by bad luck: one point each, multiplications per s."""
        known = repeatability([], KNOWN_HERE)
        split, unsplit = (of_repetitions(x, [x], known) for x in (118.99, 100.0))
        gain = split.over(unsplit).plus(-1)
        assert gain.value == pytest.approx(0.1899)
        assert held_against(gain.interval(), 0.19, at_least=True) is Outcome.INCONCLUSIVE

    @given(st.floats(0.1, 0.3), st.floats(1e-6, 0.1))
    def test_what_is_at_most_and_what_is_at_least_are_mirrored(
        self, value: float, deviation: float
    ) -> None:
        low, high = Uncertain(value, deviation).interval()
        mirrored = held_against((-high, -low), -0.19, at_least=False)
        assert held_against((low, high), 0.19, at_least=True) is mirrored


class TestRepeatability:
    def test_is_what_was_known_where_nothing_was_repeated(self) -> None:
        assert repeatability([[100.0], []], KNOWN_HERE) == KNOWN_HERE

    def test_is_pooled_over_the_points_that_were_repeated(self) -> None:
        """Two points, of two repetitions and of three: 1 + 2 degrees of freedom."""
        points = [[100.0, 101.0], [9.9, 10.0, 10.1]]
        found = repeatability(points, KNOWN_HERE)
        pairs = zip((1, 2), map(relative_deviation, points), strict=True)
        squares = 20 * 0.002**2 + sum(freedom * s**2 for freedom, s in pairs)
        assert found.freedom == 23
        assert found.deviation == pytest.approx(math.sqrt(squares / 23))

    def test_of_a_run_that_repeats_much_is_its_own(self) -> None:
        points = [[100.0, 102.0]] * 1000
        own = relative_deviation(points[0])
        assert repeatability(points, KNOWN_HERE).deviation == pytest.approx(own, rel=0.02)

    def test_is_never_nothing_even_if_all_repetitions_agree(self) -> None:
        assert repeatability([[100.0] * 3] * 30, KNOWN_HERE).deviation > 0.0009

    def test_is_known_for_every_clock_a_lab_may_have(self) -> None:
        assert KNOWN.keys() == {"deterministic", "real", "fast"}

    def test_says_how_far_apart_two_measurements_may_be(self) -> None:
        """ISO 5725-6: 2.8 standard deviations."""
        found = Repeatability(0.002, 20).largest_difference()
        assert found.value == pytest.approx(0.00554, rel=0.01)
        low, high = found.interval
        assert low < found.value < high
        assert high / low == pytest.approx(
            math.sqrt(stats.chi2.ppf(0.975, 20) / stats.chi2.ppf(0.025, 20))
        )


class TestAPoint:
    def test_that_was_measured_once_is_as_uncertain_as_the_run_repeats(self) -> None:
        assert of_repetitions(50.0, [50.0], KNOWN_HERE) == Uncertain(50.0, 0.1, 20)

    def test_is_known_better_by_repetitions(self) -> None:
        once = of_repetitions(50.0, [50.0], KNOWN_HERE)
        twice = of_repetitions(50.0, [50.0, 50.0], KNOWN_HERE)
        thrice = of_repetitions(50.0, [50.0, 50.0, 50.0], KNOWN_HERE)
        assert twice.deviation == pytest.approx(once.deviation / math.sqrt(2))
        # The median of three is hardly better than the mean of two.
        assert 0.99 < thrice.deviation / once.deviation * math.sqrt(3 / (math.pi / 2)) < 1.01

    def test_that_scatters_more_than_the_run_does_is_taken_at_its_word(self) -> None:
        values = [49.0, 51.0]
        assert of_repetitions(50.0, values, KNOWN_HERE).deviation == pytest.approx(
            50.0 * relative_deviation(values) / math.sqrt(2)
        )


class TestArithmetic:
    def test_a_ratio_has_both_numbers_relative_uncertainties(self) -> None:
        ratio = Uncertain(20.0, 0.6, 30).over(Uncertain(10.0, 0.4, 12))
        assert ratio == Uncertain(2.0, pytest.approx(2.0 * 0.05), 12)

    def test_a_difference_has_both_numbers_uncertainties(self) -> None:
        assert Uncertain(5.0, 3.0).minus(Uncertain(1.0, 4.0)) == Uncertain(4.0, 5.0)

    def test_exact_numbers_move_and_scale(self) -> None:
        assert Uncertain(2.0, 0.1).plus(-1) == Uncertain(1.0, 0.1)
        assert Uncertain(2.0, 0.1).times(-3) == Uncertain(-6.0, pytest.approx(0.3))

    def test_the_interval_is_students(self) -> None:
        low, high = Uncertain(10.0, 1.0, 2).interval()
        assert (low, high) == pytest.approx((10 - 4.303, 10 + 4.303), abs=1e-3)
        low, high = Uncertain(10.0, 1.0).interval()
        assert (low, high) == pytest.approx((10 - 1.96, 10 + 1.96), abs=1e-3)

    def test_what_is_exact_has_an_interval_of_no_width(self) -> None:
        assert Uncertain(10.0, 0.0).interval() == (10.0, 10.0)


class TestTheLeastOfSeveral:
    def test_is_no_better_known_than_each(self) -> None:
        """The least of three is lower by chance, too: each has 1 - 5 % / 3."""
        numbers = [Uncertain(x, 0.1) for x in (1.0, 1.1, 5.0)]
        found = least(numbers)
        assert found.value == 1.0
        assert found.interval[0] < numbers[0].interval()[0]
        assert found.interval[1] > numbers[0].interval()[1]

    def test_may_be_one_that_is_hardly_known(self) -> None:
        low, _ = least([Uncertain(1.0, 0.01), Uncertain(1.1, 1.0)]).interval
        assert low < 0

    def test_of_one_is_that_one(self) -> None:
        assert least([Uncertain(1.0, 0.1)]).interval == Uncertain(1.0, 0.1).interval()


class TestRatiosWithinRounds:
    """A machine that gets 10 % faster from round to round, and two points 30 % apart."""

    DRIFT = (1.0, 1.1, 1.21)

    def points(self, *noise: float) -> tuple[dict[int, float], dict[int, float]]:
        ours = {k: 130.0 * drift for k, drift in enumerate(self.DRIFT, start=1)}
        theirs = {k: 100.0 * drift for k, drift in enumerate(self.DRIFT, start=1)}
        for k, error in enumerate(noise, start=1):
            ours[k] *= 1 + error
        return ours, theirs

    def test_drift_does_not_matter(self) -> None:
        ours, theirs = self.points()
        known = within_rounds([ours, theirs], KNOWN_HERE)
        assert known.deviation < KNOWN_HERE.deviation
        assert known.freedom == KNOWN_HERE.freedom + 2
        found = paired_ratio(ours, theirs, known)
        assert found.value == pytest.approx(1.3)
        unpaired = repeatability([list(ours.values()), list(theirs.values())], KNOWN_HERE)
        assert unpaired.deviation > 10 * known.deviation

    def test_noise_of_its_own_does(self) -> None:
        ours, theirs = self.points(0.02, -0.02, 0.01)
        quiet = paired_ratio(*self.points(), KNOWN_HERE)
        assert paired_ratio(ours, theirs, KNOWN_HERE).deviation > 3 * quiet.deviation

    def test_only_rounds_that_both_have_count(self) -> None:
        _, theirs = self.points()
        found = paired_ratio({1: 130.0, 2: 143.0, 9: 1.0}, theirs | {8: 5.0}, KNOWN_HERE)
        assert found.value == pytest.approx(1.3)

    def test_one_point_tells_nothing_of_rounds(self) -> None:
        ours, _ = self.points()
        assert within_rounds([ours, {1: 5.0}], KNOWN_HERE) == KNOWN_HERE

    @given(st.lists(st.floats(-0.01, 0.01), min_size=3, max_size=3))
    def test_the_other_way_round_is_the_inverse(self, noise: list[float]) -> None:
        ours, theirs = self.points(*noise)
        one, other = (paired_ratio(*pair, KNOWN_HERE) for pair in ((ours, theirs), (theirs, ours)))
        assert one.value * other.value == pytest.approx(1.0)
        assert one.deviation / one.value == pytest.approx(other.deviation / other.value)
