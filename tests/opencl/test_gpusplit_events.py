"""A split launch stands in a program exactly where the unsplit one would.

Events, profiling times, wait lists, queues, threads and signals.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import (
    ADD,
    COPY,
    LOCAL,
    OUT_OF_ORDER,
    PLUS,
    PROFILING,
    SIZE,
    ZEROS,
    buffer,
    context,
    kernel,
    read,
    split,
)
from gpusplit_device import queue as queue

pytestmark = pytest.mark.opencl


def test_the_event_is_a_kernels_and_of_the_callers_queue(queue: cl.CommandQueue) -> None:
    with split() as launches:
        event = kernel(PLUS)(queue, SIZE, LOCAL, buffer(ZEROS), np.int32(1))
        event.wait()
    assert launches[0].groups > 1
    assert event.command_type == cl.command_type.NDRANGE_KERNEL
    assert event.get_info(cl.event_info.COMMAND_TYPE) == cl.command_type.NDRANGE_KERNEL
    assert event.command_queue == queue
    assert event.command_execution_status == cl.command_execution_status.COMPLETE


def test_profiling_times_span_all_slices() -> None:
    queue = cl.CommandQueue(context(), properties=PROFILING)
    k, a = kernel(ADD), buffer(ZEROS)

    def spans_all() -> bool:
        with split() as launches:
            event = k(queue, SIZE, LOCAL, a, np.int32(20_000))
            event.wait()
        assert launches[0].groups > 1
        times = event.profile
        assert times.queued <= times.submit <= times.start < times.end
        whole = k(queue, SIZE, LOCAL, a, np.int32(20_000))
        whole.wait()
        return times.end - times.start > 0.5 * (whole.profile.end - whole.profile.start)

    # One slice of five takes a fifth. Busy machines stretch either, but not every time.
    assert any(spans_all() for _ in range(5))


def test_an_unprofiled_queue_has_no_times_as_ever(queue: cl.CommandQueue) -> None:
    with split():
        event = kernel(PLUS)(queue, SIZE, LOCAL, buffer(ZEROS), np.int32(1))
        event.wait()
    with pytest.raises(cl.RuntimeError, match="PROFILING_INFO_NOT_AVAILABLE"):
        event.profile.start  # noqa: B018 (asking is what raises)


@pytest.mark.parametrize("properties", [0, OUT_OF_ORDER])
@pytest.mark.parametrize("queues", [1, 2, 3])
def test_what_follows_sees_all_slices_and_what_preceded_is_seen(
    properties: Any, queues: int
) -> None:
    """A chain of launches and copies; on the out-of-order queue, by wait lists."""
    queue = cl.CommandQueue(context(), properties=properties)
    double = kernel("kernel void k(global int *a) { a[get_global_id(0)] *= 2; }")
    plus = kernel(PLUS)
    a, b = buffer(ZEROS), buffer(ZEROS)
    expected = 0
    with split(queues=queues):
        event: Any = None
        for step in range(20):
            wait_for = [event] if event is not None else None
            event = plus(queue, SIZE, LOCAL, a, np.int32(step), wait_for=wait_for)
            event = double(queue, SIZE, LOCAL, a, wait_for=[event])
            expected = (expected + step) * 2
        event = cl.enqueue_copy(queue, b, a, wait_for=[event])
        assert (read(queue, b, ZEROS, wait_for=[event]) == expected).all()


def test_a_user_event_in_the_wait_list_holds_all_slices_and_the_call_returns(
    queue: cl.CommandQueue,
) -> None:
    gate = cl.UserEvent(context())
    a = buffer(ZEROS)
    other = cl.CommandQueue(context())
    # More slices than may be in flight: whoever waited for one here would wait for ever.
    with split(in_flight=1, groups=20) as launches:
        event = kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(7), wait_for=[gate])
        assert event.command_execution_status > cl.command_execution_status.COMPLETE
        assert (read(other, a, ZEROS) == 0).all()
        gate.set_status(cl.command_execution_status.COMPLETE)
        event.wait()
        assert (read(queue, a, ZEROS) == 7).all()
    assert launches[0].groups > 10


def test_a_user_event_ahead_in_the_queue_delays_the_call_little(queue: cl.CommandQueue) -> None:
    gate = cl.UserEvent(context())
    a, b = buffer(ZEROS), buffer(ZEROS + 5)
    cl.enqueue_copy(queue, a, b, wait_for=[gate])
    begin = time.monotonic()
    with split(in_flight=1, groups=20):
        event = kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(7))
        assert time.monotonic() - begin < 10
        gate.set_status(cl.command_execution_status.COMPLETE)
        event.wait()
        assert (read(queue, a, ZEROS) == 12).all()


def test_threads_share_a_queue_and_a_kernel(queue: cl.CommandQueue) -> None:
    """64 launches of one kernel object from 8 threads: each adds one, none is lost or torn."""
    k, a = kernel(PLUS), buffer(ZEROS)
    k.set_args(a, np.int32(1))
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(8):
                cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        except BaseException as error:
            errors.append(error)

    with split(in_flight=2):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert (read(queue, a, ZEROS) == 64).all()


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("aliased", [True, False])
def test_transfers_of_another_thread_come_before_or_after_a_launch(
    queue: cl.CommandQueue, blocking: bool, aliased: bool
) -> None:
    """Between two slices they would show the kernel half of what they write."""
    other = cl.CommandQueue.from_int_ptr(queue.int_ptr) if aliased else queue
    k, a, b = kernel(COPY), buffer(ZEROS), buffer(ZEROS)
    over = threading.Event()

    def write() -> None:
        value = 0
        while not over.is_set():
            value += 1
            cl.enqueue_copy(other, a, ZEROS + value, is_blocking=blocking)

    # The driver's waits hold the launch up between slices, which gives the other thread time.
    with split(groups=20, wait="driver") as launches:
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(30):
                k(queue, SIZE, LOCAL, a, b)
                assert len(set(read(queue, b, ZEROS))) == 1
        finally:
            over.set()
            thread.join()
    assert launches[0].groups > 10


def test_a_transfer_that_waits_does_not_keep_the_queue_from_other_threads(
    queue: cl.CommandQueue,
) -> None:
    gate = cl.UserEvent(context())
    a, b = buffer(ZEROS), buffer(ZEROS)
    with split():
        thread = threading.Thread(target=read, args=(queue, a, ZEROS), kwargs={"wait_for": [gate]})
        thread.start()
        event = kernel(PLUS)(queue, SIZE, LOCAL, b, np.int32(1))
        gate.set_status(cl.command_execution_status.COMPLETE)
        event.wait()
        thread.join()
        assert (read(queue, b, ZEROS) == 1).all()


def test_several_contexts_and_queues_at_once() -> None:
    results = []
    with split():
        for _ in range(3):
            ctx = cl.Context(context().devices)
            queues = [cl.CommandQueue(ctx) for _ in range(2)]
            k = cl.Kernel(cl.Program(ctx, ADD).build(), "k")
            flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
            a = cl.Buffer(ctx, flags, hostbuf=ZEROS)
            first = k(queues[0], SIZE, LOCAL, a, np.int32(2))
            k(queues[1], SIZE, LOCAL, a, np.int32(2), wait_for=[first])
            results.append(read(queues[1], a, ZEROS))
    assert (results[0] == results[1]).all()
    assert (results[0] == results[2]).all()
    assert results[0].any()


@pytest.mark.parametrize(
    ("wait", "in_flight"), [("cooperative", 0), ("cooperative", 2), ("driver", 0)]
)
def test_what_a_signal_raises_does_not_come_between_two_slices(
    queue: cl.CommandQueue, wait: str, in_flight: int
) -> None:
    """Ctrl-C that cuts a program short leaves every launch done, or not begun."""
    armed = False
    pressed = 0

    def press(*_: object) -> None:
        nonlocal pressed
        if armed:
            pressed += 1
            raise KeyboardInterrupt

    k, a = kernel(PLUS), buffer(ZEROS)
    k.set_args(a, np.int32(1))
    before = signal.signal(signal.SIGALRM, press)
    try:
        with split(in_flight=in_flight, groups=20, wait=wait) as launches:
            for turn in range(60):
                try:
                    armed = True
                    # Again and again: Python drops what is raised while it collects garbage.
                    signal.setitimer(signal.ITIMER_REAL, 0.0002 * (1 + turn % 20), 0.001)
                    while True:
                        for _ in range(8):
                            cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
                        queue.finish()
                except KeyboardInterrupt:
                    armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert len(set(read(queue, a, ZEROS))) == 1
    finally:
        signal.signal(signal.SIGALRM, before)
    assert pressed >= 60
    assert all(launch.groups > 10 for launch in launches)
