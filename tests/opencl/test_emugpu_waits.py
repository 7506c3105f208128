"""The emulated driver's ways of waiting, and what they and a launch cost.

CPU time is only ever compared with large margins.  That a wait burns it is told by what its thread
wanted of a CPU, that it sleeps by what it ran: neighbours change neither.
"""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.opencl

#: One launch of the prelude's `launch()` at scale 5: 22 waves of 48 work-groups of 256 work-items.
SCALE = 5
LAUNCH_S = SCALE * 22 * 48 * 256 * 619.692751e-9

#: CPU wanted and had in some waits, and time passed.
WAITS = """
launch(rows=16).wait()  # the first of a process is slower
start, before, ran = time.monotonic(), wanted_seconds(), time.thread_time()
for _ in range(LAUNCHES):
    launch(rows=ROWS).wait()
say(wanted=wanted_seconds() - before, ran=time.thread_time() - ran, wall=time.monotonic() - start)
"""
#: One wait for a launch of 0.8 s.
WAIT = WAITS.replace("LAUNCHES", "1").replace("ROWS", "SIDE")


def waited(emugpu, wait: str, **times: str) -> dict[str, float]:
    settings = {f"EMUGPU_{name.upper()}": value for name, value in times.items()}
    return emugpu.run(
        WAIT, EMUGPU_EXEC="none", EMUGPU_WAIT=wait, EMUGPU_SCALE=str(SCALE), **settings
    )


def wanted(used: dict[str, float]) -> float:
    """The part of a CPU that the wait wanted."""
    return used["wanted"] / used["wall"]


def ran(used: dict[str, float]) -> float:
    """The part of a CPU that the wait had."""
    return used["ran"] / used["wall"]


def test_yielding_burns_the_cpu_where_nobody_else_wants_it(emugpu):
    assert wanted(waited(emugpu, "yield")) > 0.5


def test_a_wait_for_ticks_ends_at_one(emugpu):
    """A launch of 0.8 s, and a clock that ticks every 2 s of CLOCK_MONOTONIC, at even seconds."""
    ended = emugpu.run(
        """
        launch().wait()
        say(now=time.clock_gettime(time.CLOCK_MONOTONIC))
        """,
        EMUGPU_EXEC="none",
        EMUGPU_WAIT="tick",
        EMUGPU_SCALE=str(SCALE),
        EMUGPU_TICK_US="2000000",
    )["now"]
    assert ended % 2 < 0.5
    assert ran(waited(emugpu, "tick")) < 0.3


@pytest.mark.parametrize("first", ["interrupt", "tick", "poll"])
def test_a_driver_that_blocks_at_first_spins_from_its_threshold_on(emugpu, first):
    cheap = {"poll_period_us": "10000", "poll_cost_us": "10"}
    soon = waited(emugpu, f"{first}-then-spin", then_after_us="100000", **cheap)
    never = waited(emugpu, f"{first}-then-spin", then_after_us="5000000", **cheap)
    at_once = waited(emugpu, f"{first}-then-spin", then_after_us="0", **cheap)
    assert ran(never) < 0.3
    assert wanted(soon) > 0.45
    assert wanted(at_once) > 0.5
    assert all(used["wall"] >= LAUNCH_S for used in (soon, never, at_once))


def test_a_driver_that_spins_at_first_sleeps_from_its_threshold_on(emugpu):
    assert ran(waited(emugpu, "spin-then-interrupt", then_after_us="1000")) < 0.3
    assert wanted(waited(emugpu, "spin-then-interrupt", then_after_us="5000000")) > 0.5


def test_a_driver_that_blocks_at_first_polls_from_its_threshold_on(emugpu):
    """Half of each period of 20 ms is spent looking."""
    polls = {"poll_period_us": "10000", "poll_cost_us": "10000"}
    late = waited(emugpu, "interrupt-then-poll", then_after_us="5000000", **polls)
    soon = waited(emugpu, "interrupt-then-poll", then_after_us="0", **polls)
    assert ran(late) < 0.2
    assert wanted(soon) > 0.3
    assert ran(soon) < 0.8


def test_a_threshold_counts_from_the_beginning_of_each_wait(emugpu):
    """Four launches of 0.2 s and a threshold of 0.4 s: no single wait is long enough to spin."""
    used = emugpu.run(
        WAITS.replace("LAUNCHES", "4").replace("ROWS", "128"),
        EMUGPU_EXEC="none",
        EMUGPU_WAIT="interrupt-then-spin",
        EMUGPU_THEN_AFTER_US="400000",
        EMUGPU_SCALE=str(SCALE),
    )
    assert ran(used) < 0.3


def test_what_a_launch_costs_the_device_can_be_said(emugpu):
    event = emugpu.run(
        """
        event = launch()
        event.wait()
        say(**times(event))
        """,
        EMUGPU_EXEC="none",
        EMUGPU_LAUNCH_LATENCY_US="12000",
    )
    assert event["start"] - event["submit"] == pytest.approx(12_000_000, abs=1)


def test_what_a_launch_costs_the_cpu_can_be_said(emugpu):
    used = emugpu.run(
        """
        launch(rows=16)
        queue.finish()
        before = wanted_seconds()
        for _ in range(20):
            launch(rows=16)
        say(wanted=wanted_seconds() - before)
        """,
        EMUGPU_EXEC="none",
        EMUGPU_WAIT="interrupt",
        EMUGPU_SUBMIT_US="20000",
    )
    assert used["wanted"] > 0.5 * 20 * 0.020


def test_what_is_said_outright_is_not_scaled_and_is_told(emugpu):
    """A job of a tenth of the length does not make a driver look ten times as often."""
    seen = emugpu.run(
        """
        event = launch()
        event.wait()
        say(driver=device.driver_version, **times(event))
        """,
        EMUGPU_EXEC="none",
        EMUGPU_SCALE="0.1",
        EMUGPU_WAIT="interrupt-then-poll",
        EMUGPU_LAUNCH_LATENCY_US="3000",
        EMUGPU_THEN_AFTER_US="200000",
    )
    assert seen["start"] - seen["submit"] == pytest.approx(3_000_000, abs=1)
    assert seen["driver"] == (
        "emugpu 1.0 exec=none wait=interrupt-then-poll scale=0.1 launch_latency_us=3000 "
        "then_after_us=200000"
    )


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"EMUGPU_WAIT": "spin-then-"}, "EMUGPU_WAIT=spin-then-: must be"),
        ({"EMUGPU_WAIT": "spin-then-poll-then-tick"}, "EMUGPU_WAIT=spin-then-poll-then-tick: must"),
        ({"EMUGPU_WAIT": "then-spin"}, "EMUGPU_WAIT=then-spin: must be"),
        ({"EMUGPU_THEN_AFTER_US": "soon"}, "EMUGPU_THEN_AFTER_US=soon: must be a number from 0"),
        ({"EMUGPU_THEN_AFTER_US": "-1"}, "EMUGPU_THEN_AFTER_US=-1: must be a number from 0"),
        ({"EMUGPU_SUBMIT_US": "nan"}, "EMUGPU_SUBMIT_US=nan: must be a number from 0"),
        ({"EMUGPU_SUBMIT_US": "1e13"}, "EMUGPU_SUBMIT_US=1e13: must be a number from 0"),
        ({"EMUGPU_TICK_US": "5 ms"}, "EMUGPU_TICK_US=5 ms: must be a number from 0"),
        (
            {"EMUGPU_WAIT": "interrupt-then-poll", "EMUGPU_POLL_PERIOD_US": "0"},
            "poll_period_us must be above 0 to poll",
        ),
        ({"EMUGPU_WAIT": "tick", "EMUGPU_TICK_US": "0"}, "tick_us must be above 0 to sleep by"),
        ({"EMUGPU_GAP_US": "60"}, "gap_us is a part of launch_latency_us and can't be more"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(emugpu, settings, complaint):
    done = emugpu.process("say(name=device.name)", **settings)
    lines = [line for line in done.stderr.splitlines() if "emugpu" in line]
    assert len(lines) == 1
    assert complaint in lines[0]
    assert "emulated" not in done.stdout


@pytest.mark.alone
@pytest.mark.parametrize(
    ("wait", "said"),
    [
        ("spin", r"the driver spins \((\d+ to )?\d+ % of a core while a kernel runs\)"),
        ("interrupt", r"the driver sleeps \((\d to )?\d % of a core while a kernel runs\)"),
        (
            "interrupt-then-spin",
            r"the driver sleeps, but uses more of a core in longer waits \(\d+ % for 0\.\d+ s, "
            r"[3-7]\d % for 3\.\d s\): if it spins in the end it does so after about [01]\.\d s,.*",
        ),
    ],
)
def test_gpusplit_doctor_tells_the_drivers_apart(emugpu, wait, said):
    """Among them the one under which splitting alone helps: its threshold is 1 s here."""
    told = emugpu.run(
        """
        from gpusplit import doctor
        say(waits=doctor.describe_waits(doctor.measure_waits(device)))
        """,
        EMUGPU_EXEC="none",
        EMUGPU_WAIT=wait,
        EMUGPU_THEN_AFTER_US="1000000",
    )["waits"]
    assert re.fullmatch(said, told), told
