"""Slices that are sent when the call is back: a bounded number, and no sleep in an enqueue."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import EmuGpu
from native_layer import FORCED, Layer, Ran
from native_layer import layer as layer

pytestmark = pytest.mark.opencl

#: Ten launches of 512 slices, which no call waits for.
MANY = """
source = "kernel void k(global int *a, int n) { int x = get_num_groups(0); \\
    for (int i = 0; i < n; i++) x = x * 3 + 1; a[get_global_id(0)] += x; }"
kernel = cl.Kernel(cl.Program(context, source).build(), "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(4096, np.int32))
out = np.empty(4096, np.int32)
def go(wait_for=None):
    return kernel(queue, (4096,), (8,), a, np.int32(300), wait_for=wait_for)
"""


@pytest.mark.parametrize("in_flight", [1, 40])
@pytest.mark.parametrize("wait", ["cooperative", "driver"])
def test_a_bounded_number_of_slices_is_in_flight(layer: Layer, in_flight: int, wait: str) -> None:
    program = (
        MANY
        + """
events = [go() for _ in range(10)]
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())), status=[e.command_execution_status for e in events])
"""
    )
    options = FORCED | {"groups": "512", "in_flight": str(in_flight), "wait": wait}
    ran = layer.run(program, layer.watcher, **options)
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (10, 10, 5120)
    assert ran.in_flight <= in_flight


@pytest.mark.parametrize("wait", ["cooperative", "driver"])
def test_nothing_waits_inside_an_enqueue_for_what_the_program_is_yet_to_do(
    layer: Layer, wait: str
) -> None:
    # What the first launch waits for comes when the last one is enqueued.
    program = (
        MANY
        + """
for properties in 0, OUT_OF_ORDER:
    queue = cl.CommandQueue(context, properties=properties)
    user = cl.UserEvent(context)
    events = [go([user])]
    for _ in range(4):
        events.append(go([events[-1]]))
    queue.flush()
    waiting = [e.command_execution_status > 1 for e in events]
    user.set_status(COMPLETE)
    events[-1].wait()
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())), waiting=waiting)
"""
    )
    ran = layer.run(program, None, **FORCED, groups="512", in_flight="4", wait=wait)
    assert ran.facts == layer.run(program, None).facts
    # Out of order, PoCL before version 6 does not split a kernel that it runs just now.
    assert ran.split()[0] == 10
    assert ran.split()[1] >= 6


def test_with_the_drivers_waits_it_waits_for_each_slice_as_the_paper_does(
    layer: Layer, emugpu: EmuGpu
) -> None:
    """A driver that blocks first and then spins spins for a launch, and for none of its slices."""
    environ = {
        "EMUGPU_WAIT": "interrupt-then-spin", "EMUGPU_THEN_AFTER_US": "150000", "EMUGPU_SCALE": "4",
        "EMUGPU_REPORT": "1",
    }  # fmt: skip

    def spun(groups: str) -> int:
        """Waits that did: however late a thread comes to its CPU, no wait does for a slice."""
        options = FORCED | {"wait": "driver", "groups": groups}
        ran = layer.run(
            "launch().wait(); launch().wait(); say()", emugpu, "none", environ, **options
        )
        found = re.search(r"emugpu: (\d+) waits spun", ran.errors)
        assert found is not None, ran.errors
        return int(found[1])

    assert spun("1") > 0
    assert spun("16") == 0


def test_out_of_order_a_launch_may_wait_for_one_behind_it(layer: Layer) -> None:
    program = (
        MANY
        + """
queue = cl.CommandQueue(context, properties=OUT_OF_ORDER)
user = cl.UserEvent(context)
first = go([user])
second = go()
queue.flush()
second.wait()
user.set_status(COMPLETE)
first.wait()
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())))
"""
    )
    ran = layer.run(program, None, **FORCED, groups="512", in_flight="4")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split()[1] > 0


def test_a_slice_that_the_driver_refuses_fails_its_launch(layer: Layer) -> None:
    program = """
import os
os.environ["WATCH_REFUSES"] = "7"
""" + (
        MANY
        + """
try:
    event = go()
    event.wait()
    code = 0
except cl.Error as error:
    code = error.code
queue = cl.CommandQueue(context)
go().wait()
say(failed=code < 0)
"""
    )
    for in_flight in ("4", "600"):  # sent later, and sent in the call
        ran = layer.run(program, layer.watcher, **FORCED, groups="512", in_flight=in_flight)
        assert ran.facts == '{"failed": true}'


#: Slices all of which have an offset: on PoCL before version 6 others cannot run beside them.
OF_NVIDIAS = (
    MANY.replace("get_num_groups(0)", "3").replace("get_global_id(0)]", "get_global_id(0) - 8]")
    + """
def go():
    return kernel(queue, (4096,), (8,), a, np.int32(300), global_offset=(8,))
"""
)


def test_slices_that_nobody_asks_for_have_no_event(layer: Layer) -> None:
    """On NVIDIA, where all are sent in the call: the first and the last of each queue have one."""
    program = (
        OF_NVIDIAS
        + """
events = [go() for _ in range(3)]
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())), status=[e.command_execution_status for e in events],
    types=[e.command_type for e in events],
    ran=[0 < e.profile.end - e.profile.start < 60e9 for e in events])
"""
    )
    nvidia = {"WATCH_NVIDIA": "1"}
    ran = layer.run(program, layer.watcher, settings=nvidia, **FORCED, groups="128")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (3, 3, 384)
    assert ran.watched("events") == 12


def test_what_follows_a_refused_slice_waits_for_those_that_have_no_event(layer: Layer) -> None:
    program = (
        OF_NVIDIAS
        + """
try:
    go()
    code = 0
except cl.Error as error:
    code = error.code
cl.enqueue_copy(queue, out, a)
before, behind = out[:320].tolist(), out[320:]
say(failed=code < 0, before=before[0] != 0 and len(set(before)) == 1, behind=not behind.any())
"""
    )
    nvidia = {"WATCH_NVIDIA": "1", "WATCH_REFUSES": "41"}
    ran = layer.run(program, layer.watcher, settings=nvidia, **FORCED, groups="512")
    assert ran.facts == '{"failed": true, "before": true, "behind": true}'


def test_a_launch_out_of_order_comes_after_a_barrier_before_it(layer: Layer) -> None:
    """Also where nothing else says what it waits for."""
    program = (
        OF_NVIDIAS
        + """
queue = cl.CommandQueue(context, properties=OUT_OF_ORDER)
b = cl.Buffer(context, flags, hostbuf=np.full(4096, 7, np.int32))
user = cl.UserEvent(context)
cl.enqueue_copy(queue, a, b, wait_for=[user])
cl.enqueue_barrier(queue)
last = go()
queue.flush()
# One that does not wait begins meanwhile. If it is slow it may pass; one that waits never fails.
time.sleep(0.2)
user.set_status(COMPLETE)
last.wait()
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())))
"""
    )
    nvidia = {"WATCH_NVIDIA": "1"}
    ran = layer.run(program, layer.watcher, settings=nvidia, **FORCED, groups="128")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (1, 1, 128)


def test_a_launch_on_a_queue_that_is_over_needs_no_marker(layer: Layer) -> None:
    program = (
        MANY
        + """
events, start = [], np.zeros(4096, np.int32)
for end in range(6):
    events.append(go())
    queue.finish() if end % 2 else events[-1].wait()
gate = cl.UserEvent(context)
written = cl.enqueue_copy(queue, a, start, wait_for=[gate], is_blocking=False)
events.append(go())
gate.set_status(COMPLETE)
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())), status=[e.command_execution_status for e in events],
    ran=[0 < e.profile.end - e.profile.start < 60e9 for e in events])
"""
    )
    ran = layer.run(program, layer.watcher, **FORCED, groups="8")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (7, 7, 56)
    assert ran.watched("markers") == 2  # the first launch's, and the last's, behind a copy


def test_a_program_may_end_with_slices_to_be_sent(layer: Layer) -> None:
    program = (
        MANY
        + """
import ctypes, sys
# Whoever was registered before comes after us, and finds the launches whole.
def at_last():
    cl.enqueue_copy(queue, out, a)
    say(values=sorted(set(out.tolist())))
at_last = ctypes.CFUNCTYPE(None)(at_last)
# What C's atexit is made of; that itself is in no shared library.
ctypes.CDLL(None).__cxa_atexit(at_last, None, None)
for _ in range(10):
    go()
sys.stdout.flush()
ctypes.CDLL(None).exit(0)
"""
    )
    ran = layer.run(program, None, **FORCED, groups="512", in_flight="4")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (10, 10, 5120)


def test_what_is_released_and_forked_meanwhile_stays_right(layer: Layer) -> None:
    program = (
        MANY
        + """
import os
children = []
for _ in range(4):
    go()
    b = cl.Buffer(context, flags, hostbuf=np.zeros(4096, np.int32))
    kernel(queue, (4096,), (8,), b, np.int32(300))
    pid = os.fork()
    if not pid:
        b.release()
        os._exit(3)
    view = cl.enqueue_map_buffer(queue, b, cl.map_flags.READ, 0, (4096,), np.int32,
                                 is_blocking=False)[0]
    b.release()
    children.append(os.waitpid(pid, 0)[1] >> 8)
cl.enqueue_copy(queue, out, a)
say(values=sorted(set(out.tolist())), released=sorted(set(view.tolist())), children=children)
"""
    )
    ran = layer.run(program, None, **FORCED, groups="512", in_flight="4")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (8, 8, 8 * 512)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("in_flight", ["0", "2"])
def test_a_callback_in_the_middle_of_a_launch_does_not_come_between_slices(
    layer: Layer, after: bool, in_flight: str
) -> None:
    environ = layer.environment(layer.watcher, **FORCED, groups="7", in_flight=in_flight)
    environ |= {"WATCH_CALLS_BACK": "1"} | ({"WATCH_AFTER": "1"} if after else {})
    done = subprocess.run(
        [layer.library.parent / "callback_calls"], env=environ, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "0 seen by halves, last 24; called 1\n"
    assert Ran("", done.stderr).split() == (24, 24, 168)


@pytest.mark.parametrize("after", [False, True])
def test_a_callback_in_the_middle_of_a_launch_may_launch_what_another_thread_does(
    layer: Layer, after: bool
) -> None:
    """Who has a kernel waits for the queue; what is in the middle not for the kernel."""
    environ = layer.environment(layer.watcher, **FORCED, groups="7")
    environ |= {"WATCH_CALLS_BACK": "1"} | ({"WATCH_AFTER": "1"} if after else {})
    done = subprocess.run(
        [layer.library.parent / "callback_calls", "launches"], env=environ, capture_output=True,
        text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "0 seen by halves, last 24; called 1\n"
