"""How a guest's clock is read against the reference."""

from __future__ import annotations

from typing import cast

from harness.judge.validity import CLOCK_TOLERANCE
from harness.lab.hosts import Job
from harness.lab.lab import Sampler
from harness.lab.samples import tightest
from harness.measure.point import CLOCK_READINGS, MOST_CLOCK_READINGS, read_clocks


class Time:
    """The reference clock; it moves while a guest is asked."""

    def __init__(self) -> None:
        self.now = 1000.0

    def clock(self) -> float:
        return self.now


class Guest:
    """A guest that takes so many seconds for each answer; the last number holds from then on."""

    def __init__(self, time: Time, *seconds: float) -> None:
        self.time, self.seconds, self.asked = time, seconds, 0

    def clock(self) -> float:
        self.time.now += self.seconds[min(self.asked, len(self.seconds) - 1)]
        self.asked += 1
        return self.time.now


def read(time: Time, **guests: Guest) -> dict[str, float]:
    jobs = {name: cast(Job, guest) for name, guest in guests.items()}
    clocks = tightest(read_clocks(cast(Sampler, time), jobs))
    return {name: reading.uncertainty for name, reading in clocks.items()}


def test_guests_that_answer_at_once_are_read_a_few_times() -> None:
    time = Time()
    guests = {"cpu1": Guest(time, 0.01), "gpu1": Guest(time, 0.02)}
    read(time, **guests)
    assert [guest.asked for guest in guests.values()] == [CLOCK_READINGS] * 2


def test_only_a_guest_that_waits_for_its_turn_is_asked_more_often() -> None:
    time = Time()
    waiting = Guest(time, *[0.17] * (CLOCK_READINGS + 1), 0.01)
    quick = Guest(time, 0.01)
    assert read(time, waiting=waiting, quick=quick)["waiting"] <= CLOCK_TOLERANCE
    assert (waiting.asked, quick.asked) == (CLOCK_READINGS + 2, CLOCK_READINGS)


def test_one_that_is_always_slow_stays_unknown_and_does_not_hold_the_point_up() -> None:
    time = Time()
    slow = Guest(time, 0.17)
    assert read(time, slow=slow)["slow"] > CLOCK_TOLERANCE
    assert slow.asked == MOST_CLOCK_READINGS
