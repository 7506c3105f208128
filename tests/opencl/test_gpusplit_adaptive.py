"""The policy adaptive in a program on the emulated GPU, waits and launches being real."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.opencl, pytest.mark.alone]

#: A launch of 20 ms, whose results are computed.
SLOW = {"EMUGPU_EXEC": "full", "EMUGPU_SCALE": "0.12"}

#: Launch for so many seconds; how many groups each launch had, and why.
RUN = """
import gpusplit
from gpusplit import adapt
from gpusplit.launch import make_launcher

# A wait that sleeps uses some hundredths of a CPU and one that spins a whole one; a busy machine
# may add to the one and take from the other, but not as much as this.
adapt.WORTH = 0.3

twice.set_args(buffer)  # where gpusplit sees it

def run(config, seconds):
    with gpusplit.active(config), gpusplit.recording() as launches:
        # The verdict is waited for, which is not what is looked at here.
        launch(rows=SIDE).wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            launch(rows=SIDE).wait()
    return launches

def result(config, launches):
    say(groups=[one.groups for one in launches], reason=launches[-1].reason,
        phase=make_launcher(config).policy.control.phase.name,
        right=bool((read() == 2.0 ** count(launches)).all()))

total = 0
def count(launches):
    global total
    total += len(launches)
    # In single precision larger powers are infinite.
    return min(total, 128)

def read():
    out = np.empty_like(host)
    with np.errstate(over="ignore"):
        cl.enqueue_copy(queue, out, buffer)
    return out
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
    said = emugpu.run(
        RUN
        + """
config = gpusplit.Config(policy="adaptive", vms="static:3", cores=1, judge="wait")
result(config, run(config, 1.5))
""",
        **SLOW,
    )
    assert set(said["groups"]) == {1}
    assert "waits use next to no CPU" in said["reason"]
    assert said["right"]


def test_a_driver_that_spins_is_tried_and_left_alone(emugpu):
    said = emugpu.run(
        RUN
        + """
config = gpusplit.Config(policy="adaptive", vms="static:3", cores=1, judge="wait", wait="driver",
                         budget=1.0)
policy = make_launcher(config).policy
policy._stolen_seconds = lambda: None  # whatever this machine's host says
launches = run(config, 3)
result(config, launches)
""",
        EMUGPU_WAIT="spin",
        **SLOW,
    )
    assert max(said["groups"]) > 1, "it was tried"
    assert said["groups"][-1] == 1
    assert "freed" in said["reason"]
    assert said["right"]


def test_a_driver_that_uses_less_for_short_launches_is_cut_within_two_seconds(emugpu):
    said = emugpu.run(
        RUN
        + """
config = gpusplit.Config(policy="adaptive", vms="static:3", cores=1, judge="wait", budget=1.0)
policy = make_launcher(config).policy
used, before = 0.0, time.monotonic()
def cpu_seconds():
    global used, before
    now = time.monotonic()
    used += (now - before) * (0.9 if policy.control.level == 1 else 0.2)
    before = now
    return used
policy._cpu_seconds = cpu_seconds
policy._stolen_seconds = lambda: None
policy._open_window()
launches = run(config, 2)
result(config, launches)
""",
        **SLOW,
    )
    assert said["phase"] == "SPLIT"
    assert said["groups"][-1] > 1
    assert "of a CPU" in said["reason"]
    assert said["right"]


def test_a_vm_that_is_alone_again_launches_whole(emugpu):
    said = emugpu.run(
        RUN
        + """
config = gpusplit.Config(policy="adaptive", vms="static:1", cores=1, judge="wait")
launches = run(config, 0.3)
say(groups=[one.groups for one in launches], reason=launches[-1].reason)
""",
        **SLOW,
    )
    assert set(said["groups"]) == {1}
    assert said["reason"] == "this VM is alone"
