"""Waits sleep, look seldom, and are not late; the clock here is a simulated one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusplit.waiting import MOST_KEYS, Predictor, next_sleep, wait_cooperatively


class World:
    """Time that passes only in sleeps (and a little in each question)."""

    #: A sleep ends this much late, a question costs so much; as measured on an H200's host.
    LATE, QUESTION = 10e-6, 3e-6

    def __init__(self, end: float) -> None:
        self.now = 0.0
        self.end = end
        self.questions = 0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + self.LATE

    def complete(self) -> bool:
        self.questions += 1
        self.now += self.QUESTION
        return self.now >= self.end

    def wait(self, expected: float | None, limit: float = float("inf")) -> bool | None:
        return wait_cooperatively(
            self.complete, expected, limit=limit, sleep=self.sleep, clock=self.clock
        )


def test_work_of_known_time_is_slept_through() -> None:
    world = World(0.331)
    assert world.wait(expected=0.331)
    assert world.now - world.end < 0.001 * world.end
    assert world.questions * world.QUESTION < 0.01 * world.end


def test_work_of_unknown_time_is_at_most_one_percent_late() -> None:
    world = World(0.331)
    assert world.wait(expected=None)
    assert world.now - world.end < 0.01 * world.end
    assert world.questions * 3 * world.QUESTION < 0.05 * world.end


@given(st.floats(1e-4, 10), st.floats(0.01, 100))
def test_a_wrong_expectation_is_noticed(end: float, ratio: float) -> None:
    """Whatever was expected, the wait ends, and never later than a quarter of what was expected
    or a tenth of the real time."""
    world = World(end)
    assert world.wait(expected=end * ratio)
    late = world.now - world.end
    assert late <= max(0.26 * end * ratio, 0.1 * end) + 1e-3


def test_over_at_once_is_no_wait() -> None:
    world = World(0.0)
    assert world.wait(expected=1.0) is False
    assert world.questions == 1


def test_a_limit_is_kept() -> None:
    world = World(1e9)
    assert world.wait(expected=None, limit=0.2) is None
    assert world.now == pytest.approx(0.2, rel=0.02)


@given(st.floats(0, 100), st.one_of(st.none(), st.floats(1e-6, 100)), st.floats(0, 1))
def test_sleeps_are_positive_and_a_slow_cpu_sleeps_longer(
    elapsed: float, expected: float | None, cost: float
) -> None:
    assert next_sleep(elapsed, expected) > 0
    assert next_sleep(elapsed, expected, cost) >= min(cost, next_sleep(elapsed, expected))


def test_the_shortest_of_the_last_times_is_expected() -> None:
    predictor = Predictor()
    assert predictor.expect("k") is None
    for seconds in (3.0, 1.0, 2.0):
        predictor.learn("k", seconds)
    assert predictor.expect("k") == 1.0
    for _ in range(8):
        predictor.learn("k", 5.0)
    assert predictor.expect("k") == 5.0


def test_a_program_with_ever_new_sizes_is_not_remembered_without_end() -> None:
    predictor = Predictor()
    for size in range(MOST_KEYS + 1):
        predictor.learn(size, 1.0)
    assert predictor.expect(0) is None
    assert predictor.expect(1) == predictor.expect(MOST_KEYS) == 1.0
