"""The policy adaptive in a program on the emulated GPU, waits and launches being real."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.opencl, pytest.mark.alone]

#: A launch of 20 ms; what a wait uses of a CPU is not to be mistaken for what computing does.
SLOW = {"EMUGPU_EXEC": "none", "EMUGPU_SCALE": "0.12"}

FIRST = """
import gpusplit
gpusplit.install(gpusplit.Config(policy="unsplit"))
"""

#: Launch for so many seconds; how many groups each launch had, and why.
RUN = """
def run(vms, seconds, **options):
    config = gpusplit.Config(policy="adaptive", vms=vms, cores=1, judge="wait", **options)
    with gpusplit.active(config), gpusplit.recording() as launches:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            launch().wait()
    say(groups=[one.groups for one in launches], reason=launches[-1].reason,
        vms=launches[-1].vm_count)
"""


@pytest.fixture(autouse=True)
def _emulated(emugpu):
    """Elsewhere a launch takes microseconds, and there is nothing to cut."""
    said = emugpu.run("say(name=device.name, gpu=bool(device.type & cl.device_type.GPU))")
    if "emulated" not in said["name"]:
        # Where tests run on PoCL's CPU device a layer that is not loaded is a fault.
        assert said["gpu"], f"the layer is not loaded: {said['name']}"
        # A real GPU's launches are too short for this; without one, as in CI, all of it runs.
        pytest.skip(f"these launch on the emulated GPU, and OpenCL gave them {said['name']}")


def test_a_wait_that_sleeps_has_nothing_to_give(emugpu):
    said = emugpu.run(RUN + "run('static:3', 2)", FIRST, **SLOW)
    assert set(said["groups"]) == {1}
    assert "waits use next to no CPU" in said["reason"]
    assert said["vms"] == 3


def test_with_the_drivers_waits_launches_are_measured_too(emugpu):
    """What is done then depends on what this machine's host says of its neighbours."""
    said = emugpu.run(RUN + "run('static:3', 2, wait='driver')", FIRST, **SLOW)
    assert "not measured" not in said["reason"]
    assert said["vms"] == 3


def test_with_the_drivers_waits_groups_are_as_short_as_wanted(emugpu):
    program = """
with gpusplit.active(policy="time", group_ms=5, cores=1, judge="wait", wait="driver"):
    with gpusplit.recording() as launches:
        for _ in range(4):
            launch().wait()
say(groups=[one.groups for one in launches])
"""
    groups = emugpu.run(program, FIRST, **SLOW)["groups"]
    assert groups[0] == 1
    # Of 20 ms, or some more where the machine is busy.
    assert min(groups[1:]) >= 4


def test_a_vm_that_is_alone_again_launches_whole(emugpu):
    said = emugpu.run(RUN + "run('static:1', 0.3)", FIRST, **SLOW)
    assert set(said["groups"]) == {1}
    assert said["reason"] == "this VM is alone"
    assert said["vms"] == 1
