"""Profiles of the emulated GPU, and what they make of the driver.

`split-cost` reads a profile as the layer does and needs no OpenCL, so most refusals are shown with
it; that the layer says the same line and doesn't load is shown once.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.opencl

NONE = {"EMUGPU_EXEC": "none"}


@pytest.fixture
def profile(emugpu, tmp_path):
    """Return a function that writes the paper's card's profile with changes, and says where."""

    def write(*changes: tuple[str, str]) -> str:
        text = Path(emugpu.profile("radeon-hd6570")).read_text()
        for old, new in changes:
            text, n = re.subn(f"(?m){old}", new, text)
            assert n == 1, f"{old!r} is in the profile once"
        path = tmp_path / "card.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_built_in_card_is_the_profile_of_the_papers_card(emugpu):
    event = """
        event = launch()
        event.wait()
        say(name=device.name, ns=event.profile.end - event.profile.start)
    """
    built_in = emugpu.run(event, **NONE)
    from_file = emugpu.run(event, EMUGPU_PROFILE=emugpu.profile("radeon-hd6570"), **NONE)
    assert built_in["name"] == from_file["name"]
    assert from_file["ns"] == pytest.approx(built_in["ns"], abs=1)


def test_the_h200_shows_itself_as_nvidia_does(emugpu):
    card = emugpu.run(
        """
        say(name=device.name, vendor=device.vendor, units=device.max_compute_units,
            capability=[device.compute_capability_major_nv, device.compute_capability_minor_nv],
            warp=device.warp_size_nv, extensions=device.extensions)
        """,
        EMUGPU_PROFILE=emugpu.profile("nvidia-h200"),
    )
    assert card["name"] == "NVIDIA H200 (emulated)"
    assert card["vendor"] == "NVIDIA Corporation (emulated)"
    assert (card["units"], card["capability"], card["warp"]) == (132, [9, 0], 32)
    assert "cl_nv_device_attribute_query" in card["extensions"].split()


def test_a_kernels_time_is_found_by_its_name(emugpu, profile):
    path = profile((r"\Z", "\n[kernels.twice]\nwave_us = 1234.0\n"))
    event = emugpu.run(
        """
        event = launch(rows=16)
        event.wait()
        say(ns=event.profile.end - event.profile.start)
        """,
        EMUGPU_PROFILE=path,
        **NONE,
    )
    assert event["ns"] == pytest.approx(1_234_000, abs=1)


def test_a_kernels_time_may_grow_with_an_argument(emugpu):
    """The matrix product's loop is as long as its argument 0; at 5120 the time is the paper's."""
    times = emugpu.run(
        """
        program = cl.Program(context, '''
            __kernel void matmul(const int size, __global float *c) { c[0] = size; }''').build()
        def time_at(size):
            event = program.matmul(queue, (256, 256), (16, 16), np.int32(size), buffer)
            event.wait()
            return event.profile.end - event.profile.start
        say(half=time_at(2560), whole=time_at(5120))
        """,
        **NONE,
    )
    assert times["whole"] == pytest.approx(6 * 48 * 256 * 619.692751, abs=50)
    assert times["half"] == pytest.approx(times["whole"] / 2, abs=2)


def test_submitting_costs_cpu_time(emugpu, profile):
    used = emugpu.run(
        """
        launch(rows=16)
        queue.finish()
        before = wanted_seconds()
        for _ in range(20):
            launch(rows=16)
        say(wanted=wanted_seconds() - before)
        """,
        EMUGPU_PROFILE=profile(("submit_us = 5.0", "submit_us = 20_000.0")),
        EMUGPU_WAIT="interrupt",
        **NONE,
    )
    # Of all of it, for a host that takes CPUs from this machine takes the time from no account.
    assert used["wanted"] > 0.5 * 20 * 0.020


def test_the_polling_driver_costs_a_part_of_the_cpu(emugpu, profile):
    """1 ms of looking every 10 ms: less than a tenth, where spinning takes all."""
    used = emugpu.run(
        """
        before = time.thread_time()
        for _ in range(6):
            launch().wait()
        say(cpu=time.thread_time() - before)
        """,
        EMUGPU_PROFILE=profile(
            ('wait = "spin"', 'wait = "poll"'),
            ("poll_period_us = 50.0", "poll_period_us = 10_000.0"),
            ("poll_cost_us = 1.0", "poll_cost_us = 1_000.0"),
        ),
        **NONE,
    )
    assert 0.02 < used["cpu"] < 0.5  # of one second


REFUSED = [
    ("compute_units = 6", "compute_units = 0", "compute_units must be a whole number from 1 to"),
    ("compute_units = 6", "compute_units = 6.5", "compute_units must be a whole number"),
    ("compute_units = 6", 'compute_units = "6"', "compute_units must be a whole number"),
    ("compute_units = 6", "", "[card] compute_units is missing"),
    ("compute_units = 6", "compute_units = 6 7", "unexpected text at the end of the line"),
    ("compute_units = 6", "compute_units: 6", "a key must be followed by ="),
    ("compute_units = 6", "compute_units = 06", "not a number"),
    ("compute_units = 6", "compute_units = 6\ncompute_units = 7", "compute_units is given twice"),
    ("compute_units = 6", "compute_units = 6\nfans = 1", "there is no key fans in [card]"),
    ("gap_us = 10.0", "gap_us = -1.0", "gap_us must be a number from 0 to"),
    ("gap_us = 10.0", "gap_us = nan", "not a number"),
    ("gap_us = 10.0", "gap_us = 60.0", "gap_us is a part of launch_latency_us"),
    ("^tail = 1.0", "tail = 1.1", "tail must be a number from 0 to 1"),
    ('wait = "spin"', 'wait = "busy"', 'wait must be "spin", "interrupt", "poll", "yield" or'),
    ('wait = "spin"', 'wait = "spin-then-busy"', "wait must be"),
    ("tick_us = .*", "", "[driver] tick_us is missing"),
    ("then_after_us = .*", "then_after_us = -1", "then_after_us must be a number from 0"),
    ('wait = "spin"', 'wait = "spin', "a string without its closing quote"),
    ('wait = "spin"', "wait = 'spin'", 'only "strings", numbers'),
    (r"\[execution\]", "[execution", "a table's name must end with ]"),
    (r"\[execution\]", "[card]", "card is given twice"),
    (r"\[kernels.default\]", "[kernels.main]", "[kernels.default] work_item_ns is missing"),
    ('vendor_queries = "amd"', 'vendor_queries = "ati"', "vendor_queries must be"),
    ("cores_per_unit = 80", "cores_per_unit = 81", "must be a multiple of wavefront / 4"),
    (r"\Z", "[kernels.k]\nwave_us = 1\nwork_item_ns = 1\n", "[kernels.k] must have either"),
    (r"\Z", "[kernels.k]\ntimes_argument = 1\n", "[kernels.k] must have either"),
    (r"\Z", "[kernels.k]\nspeed = 1\n", "[kernels.k] has no key speed"),
    (r"\Z", "[[kernels]]\n", "arrays of tables are not supported"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), REFUSED)
def test_a_bad_profile_is_refused_with_what_is_wrong(emugpu, profile, old, new, complaint):
    path = profile((old, new))
    done = emugpu.tool("split-cost", path, "k", "256", "0", "1")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.startswith(f"split-cost: profile {path}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("path", ["/nowhere/card.toml", "/proc/self/mem", "/"])
def test_a_profile_that_cannot_be_read_is_refused(emugpu, path):
    done = emugpu.tool("split-cost", path, "k", "256", "0", "1")
    assert done.returncode == 1
    assert done.stderr.startswith(f"split-cost: profile {path}: ")


def test_the_layer_does_not_load_with_a_bad_profile(emugpu, profile):
    path = profile(("compute_units = 6", "compute_units = many"))
    done = emugpu.process("say(name=device.name)", EMUGPU_PROFILE=path)
    lines = [line for line in done.stderr.splitlines() if "emugpu" in line]
    assert lines == [f"emugpu: not loaded: profile {path}: line 11: not a number"]
    assert "emulated" not in done.stdout
