"""What waits cost on modelled machines: no GPU, no sleep, and the same figures every time."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest
from compiled import PROGRAMS, made

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)

Model = Callable[..., dict[str, float]]

#: How late timers are: at least, and more on average, in us; and the part of sleeps that end a
#: millisecond later, since somebody else ran.
PROMPT, GUEST, TARDY, STOLEN = (5, 2, 0), (50, 20, 0), (100, 40, 0), (10, 10, 0.1)


@pytest.fixture(scope="module")
def model() -> Model:
    program = made(PROGRAMS, "engine_model") / "engine_model"

    def run(
        timers: tuple[float, ...], *lengths: int, jitter: float = 3, options: tuple[str, ...] = ()
    ) -> dict[str, float]:
        words = [program, *options, *timers, jitter, 2000, *lengths]
        ran = subprocess.run([str(word) for word in words], check=True, capture_output=True)
        figures: dict[str, float] = json.loads(ran.stdout)
        return figures

    return run


@pytest.mark.parametrize("timers", [PROMPT, GUEST, TARDY])
@pytest.mark.parametrize(
    ("length", "cpu"), [(10_000, 0.015), (1_000, 0.065), (100, 1.0), (20, 1.0)]
)
def test_a_wait_ends_with_its_work(
    model: Model, timers: tuple[float, ...], length: int, cpu: float
) -> None:
    """However late the timers: then the thread wakes earlier."""
    figures = model(timers, length)
    assert figures["median_late_us"] < 2
    assert figures["p90_late_us"] < 40
    assert figures["cpu"] <= cpu
    assert figures["naps"] < 1.1
    assert figures["drivers"] == 0


def test_where_timers_are_prompt_short_work_is_slept_through_as_well(model: Model) -> None:
    assert model(PROMPT, 1_000)["cpu"] < 0.04
    assert model(PROMPT, 100)["cpu"] < 0.35


def test_work_that_varies_is_asked_for_a_little_longer(model: Model) -> None:
    for length in (20, 100, 1_000, 10_000):
        figures = model(PROMPT, length, jitter=15)
        assert figures["p90_late_us"] < 3, length


@pytest.mark.parametrize("length", [41_000, 330_000])
def test_how_late_a_cpu_wakes_from_a_long_sleep_is_learned(model: Model, length: int) -> None:
    """However late that is, of a sleep so long: no other program need have run meanwhile."""
    figures = model((400, 100, 0), length)
    assert figures["median_late_us"] < 2
    assert figures["cpu"] < 0.005


def test_beside_busy_programs_a_thread_that_wakes_is_let_onto_the_cpu(model: Model) -> None:
    """By a short slice, which it has while it sleeps."""
    figures = model(STOLEN, 10_000)
    assert figures["p99_late_us"] < 100
    assert figures["slice_changed"] == 0


def test_a_long_launch_that_varies_is_not_slept_through(model: Model) -> None:
    """Nor asked for all the time after one that was early."""
    figures = model(GUEST, 328_800, *[329_000] * 8, jitter=100)
    assert figures["median_late_us"] < 330
    assert figures["p90_late_us"] < 330
    assert figures["cpu"] < 0.001


def test_a_stolen_cpu_does_not_spoil_the_other_waits(model: Model) -> None:
    """As on kernels that know no slices."""
    figures = model(STOLEN, 10_000, options=("-o",))
    assert figures["median_late_us"] < 2
    assert figures["most_naps"] <= 8


@pytest.mark.parametrize("timers", [PROMPT, GUEST, TARDY, STOLEN])
def test_two_kinds_of_work_of_one_name_are_told_from_each_other(
    model: Model, timers: tuple[float, ...]
) -> None:
    """By looking when the short one may be over; an argument saves that look."""
    figures = model(timers, 6_000, 600, options=("-o",))
    assert figures["median_late_us"] < 2
    assert figures["cpu"] < 0.05
    assert figures["most_naps"] <= 8
    told = model(timers, 6_000, 600, options=("-a", "-o"))
    assert told["median_late_us"] < 2
    assert told["naps"] < 1.1
    assert told["cpu"] < figures["cpu"]


@pytest.mark.parametrize("length", [100, 1_000, 10_000])
def test_a_pause_of_the_program_is_not_slept_through_when_there_is_none(
    model: Model, length: int
) -> None:
    """A second between two launches, or before the wait, is no time that the next wait takes."""
    figures = model(GUEST, length, options=("-p", "-d"))
    assert figures["median_late_us"] < 2
    assert figures["most_late_us"] < 1_000_000 / 32 + 1_000
    assert figures["most_naps"] <= 8


def test_where_no_driver_sleeps_the_engine_goes_on_asking(model: Model) -> None:
    figures = model(PROMPT, 12_000, 6_000, 600, options=("-d",))
    assert figures["median_late_us"] < 2
    assert figures["drivers"] == 0
