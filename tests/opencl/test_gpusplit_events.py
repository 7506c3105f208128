"""A split launch stands in a program exactly where the unsplit one would.

Events, profiling times, wait lists, queues, threads, arguments, sizes and errors.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import (
    FIVE,
    OUT_OF_ORDER,
    PROFILING,
    buffer,
    context,
    kernel,
    read,
    split,
)

import gpusplit
from gpusplit import lanes, launch, waiting

pytestmark = [pytest.mark.opencl, pytest.mark.alone]

# Reads what earlier commands wrote, and takes long enough on a CPU to be seen running.
ADD = """
kernel void k(global int *a, int n) {
    int x = a[get_global_id(0)];
    for (int i = 0; i < n; i++) x = x * 3 + (int)get_group_id(0);
    a[get_global_id(0)] = x;
}
"""
PLUS = "kernel void k(global int *a, int n) { a[get_global_id(0)] += n; }"
COPY = "kernel void k(global int *a, global int *b) { b[get_global_id(0)] = a[get_global_id(0)]; }"
SIZE, LOCAL = (4096,), (64,)
ZEROS = np.zeros(SIZE, np.int32)
NEVER_FREED: list[cl.Kernel] = []
"""Kernels that had a second object: a later kernel at the same address would be left whole, too."""


@pytest.fixture
def queue() -> Iterator[cl.CommandQueue]:
    queue = cl.CommandQueue(context())
    yield queue
    queue.finish()


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


@pytest.mark.parametrize(
    ("properties", "where"),
    [
        (0, "queue"),
        *product((0, OUT_OF_ORDER), ("wait list", "what the wait list waits for")),
    ],
)
def test_a_user_event_that_fails_fails_the_launch_and_nothing_else(
    properties: int, where: str
) -> None:
    """PoCL 3.1 aborts the program if a command fails so whose event has been released."""
    queue = cl.CommandQueue(context(), properties=properties)
    a, b = buffer(ZEROS), buffer(ZEROS)
    with split(groups=20) as launches:
        for _ in range(3):
            gate = cl.UserEvent(context())
            ahead = cl.enqueue_copy(queue, b, a, wait_for=[gate]) if where != "wait list" else gate
            wait_for = None if where == "queue" else [ahead]
            event = kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(7), wait_for=wait_for)
            gate.set_status(-5)
            with pytest.raises(cl.RuntimeError):
                event.wait()
        event = kernel(PLUS)(queue, SIZE, LOCAL, b, np.int32(1))
        assert (read(queue, b, ZEROS, wait_for=[event]) == 1).all()
        assert (read(queue, a, ZEROS) == 0).all()
    assert all(launch.groups > 1 for launch in launches)


def test_a_user_event_ahead_in_the_queue_delays_the_call_little(queue: cl.CommandQueue) -> None:
    gate = cl.UserEvent(context())
    a, b = buffer(ZEROS), buffer(ZEROS + 5)
    cl.enqueue_copy(queue, a, b, wait_for=[gate])
    begin = time.monotonic()
    with split(in_flight=1, groups=20):
        event = kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(7))
        assert time.monotonic() - begin < 10  # it gives up holding back after 0.2 s
        gate.set_status(cl.command_execution_status.COMPLETE)
        event.wait()
        assert (read(queue, a, ZEROS) == 12).all()


def test_arguments_may_change_right_after_the_call(queue: cl.CommandQueue) -> None:
    k, a, b = kernel(ADD.replace("x * 3 +", "x +")), buffer(ZEROS), buffer(ZEROS)
    with split():
        for target, n in ((a, 3), (b, 5)):
            k.set_args(target, np.int32(n))
            cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        groups = np.arange(SIZE[0]) // LOCAL[0]
        assert (read(queue, a, ZEROS) == 3 * groups).all()
        assert (read(queue, b, ZEROS) == 5 * groups).all()


def test_set_args_hold_for_several_launches_and_single_ones_replace(
    queue: cl.CommandQueue,
) -> None:
    k, a = kernel(PLUS + "// get_group_id"), buffer(ZEROS)
    with split() as launches:
        k.set_args(a, np.int32(3))
        for _ in range(3):
            cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        k.set_arg(1, np.int32(100))
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert (read(queue, a, ZEROS) == 109).all()
    assert all(entry.groups > 1 for entry in launches)


def test_arguments_that_nobody_saw_leave_the_kernel_whole(queue: cl.CommandQueue) -> None:
    original, a = kernel(PLUS), buffer(ZEROS)
    original.set_args(a, np.int32(3))
    with split() as launches:
        k = original.clone()
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert (read(queue, a, ZEROS) == 3).all()
    assert launches[0].groups == 1
    assert "arguments" in launches[0].reason


def test_a_kernel_behind_two_objects_is_left_whole(queue: cl.CommandQueue) -> None:
    """The other object may have been given arguments that this one does not know of."""
    k, a, b = kernel(ADD), buffer(ZEROS), buffer(ZEROS)
    NEVER_FREED.append(k)
    k.set_args(a, np.int32(1))
    cl.Kernel.from_int_ptr(k.int_ptr).set_args(b, np.int32(1))
    with split() as launches:
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert read(queue, b, ZEROS).any()
        assert not read(queue, a, ZEROS).any()
    assert launches[0].groups == 1


def test_what_an_argument_was_holds_and_not_what_became_of_its_array(
    queue: cl.CommandQueue,
) -> None:
    struct = "typedef struct { int x, y; } S; kernel void k(global int *a, S s)"
    k = kernel(struct + "{ a[get_global_id(0)] = s.x + get_num_groups(0); }")
    typed = kernel("kernel void k(global int *a, int n) { a[get_global_id(0)] = n; }//")
    a, s = buffer(ZEROS), np.array((5, 0), [("x", np.int32), ("y", np.int32)])
    with split() as launches:
        k.set_args(a, s)
        s["x"] = 7000
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert (read(queue, a, ZEROS) == 5 + 64).all()
        k.set_arg(1, s)
        s["x"] = 9
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert (read(queue, a, ZEROS) == 7000 + 64).all()
        typed.set_scalar_arg_dtypes([None, np.int32])
        n = np.array(4, np.int32)
        typed.set_args(a, n)
        n[...] = 100
        cl.enqueue_nd_range_kernel(queue, typed, SIZE, LOCAL)
        assert (read(queue, a, ZEROS) == 4).all()
    assert all(entry.groups > 1 for entry in launches)


UNION = np.dtype({"names": ["i", "f"], "formats": ["i4", "f4"], "offsets": [0, 0]})
DISORDERED = np.dtype({"names": ["i", "j"], "formats": ["i4", "i4"], "offsets": [4, 0]})


@pytest.mark.parametrize("fields", [UNION, DISORDERED], ids=["union", "out of order"])
@pytest.mark.parametrize("scalar", [False, True], ids=["array", "scalar"])
def test_an_argument_that_memoryview_refuses_is_given_to_the_variant_too(
    queue: cl.CommandQueue, fields: np.dtype[np.void], scalar: bool
) -> None:
    place = fields.fields["i"][1] // 4  # type: ignore[index]
    k = kernel(
        f"typedef struct {{ int n[{fields.itemsize // 4}]; }} S; kernel void k(global int *a, S s)"
        f"{{ a[get_global_id(0)] = s.n[{place}] + get_num_groups(0); }}"
    )
    a, given = buffer(ZEROS), np.zeros((), fields)
    given["i"] = 7
    with split() as launches:
        k(queue, SIZE, LOCAL, a, given[()] if scalar else given)
        assert (read(queue, a, ZEROS) == 7 + 64).all()
    assert launches[0].groups > 1


def test_an_argument_in_columns_is_given_to_the_variant_as_it_lies_in_memory(
    queue: cl.CommandQueue,
) -> None:
    k = kernel(
        "typedef struct { int n[6]; } S; kernel void k(global int *a, S s)"
        "{ a[get_global_id(0)] = s.n[1] + get_num_groups(0); }"
    )
    a, given = buffer(ZEROS), np.asfortranarray(np.array([[1, 2, 3], [4, 5, 6]], np.int32))
    with split() as launches:
        k(queue, SIZE, LOCAL, a, given)
        assert (read(queue, a, ZEROS) == 4 + 64).all()
    assert launches[0].groups > 1


def test_arguments_of_which_one_was_refused_leave_the_kernel_whole(queue: cl.CommandQueue) -> None:
    k = kernel(
        "kernel void k(global int *a, int n, int m){ a[get_global_id(0)] = n + get_num_groups(0); }"
    )
    a, b = buffer(ZEROS), buffer(ZEROS)
    with split() as launches:
        k.set_args(a, np.int32(1), np.int32(0))
        with pytest.raises(cl.LogicError):
            k.set_args(b, np.int32(2), "no number")
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert not read(queue, a, ZEROS).any()
        assert (read(queue, b, ZEROS) == 2 + 64).all()
    assert launches[0].groups == 1


def test_an_argument_that_was_replaced_is_not_kept_alive(queue: cl.CommandQueue) -> None:
    k, a = kernel(PLUS), buffer(ZEROS)
    k.set_args(a, np.int32(1))
    k.set_args(buffer(ZEROS), np.int32(1))
    for _ in range(2):
        k.set_arg(0, a)
    k.set_arg(0, buffer(ZEROS))
    import sys

    assert sys.getrefcount(a) == 2


def test_a_build_option_may_not_change_the_prelude(queue: cl.CommandQueue) -> None:
    source = "kernel void k(global int *a) { a[get_global_id(0)] = get_num_groups(0); }"
    a = buffer(ZEROS)
    with split() as launches:
        cl.Program(context(), source).build("-Duint=uint").k(queue, SIZE, LOCAL, a)
        assert (read(queue, a, ZEROS) == 64).all()
    assert launches[0].groups == 1
    assert "defines uint" in launches[0].reason


def test_what_a_signal_raises_while_slices_are_held_back_does_not_lose_the_others(
    queue: cl.CommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> bool:
        raise KeyboardInterrupt

    a = buffer(ZEROS)
    with split(in_flight=1, groups=20, wait="driver"):
        with monkeypatch.context() as patched:
            patched.setattr(launch.events, "driver_wait", interrupted)
            patched.setattr(waiting, "wait_cooperatively", interrupted)
            with pytest.raises(KeyboardInterrupt):
                kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(1))
        assert (read(queue, a, ZEROS) == 1).all()


@pytest.mark.parametrize("wait", ["driver", "cooperative"])
def test_ctrl_c_does_not_come_between_two_slices(
    queue: cl.CommandQueue, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    sent = 0

    def enqueue(*call: Any) -> cl.Event:
        nonlocal sent
        sent += 1
        if sent == 7:
            signal.raise_signal(signal.SIGINT)
        return lanes_enqueue(*call)

    lanes_enqueue = lanes.enqueue
    handler = signal.getsignal(signal.SIGINT)
    a, k = buffer(ZEROS), kernel(PLUS)
    with split(in_flight=2, groups=20, wait=wait):
        with monkeypatch.context() as patched:
            patched.setattr(lanes, "enqueue", enqueue)
            with pytest.raises(KeyboardInterrupt):
                k(queue, SIZE, LOCAL, a, np.int32(1))
        assert sent >= 20
        assert (read(queue, a, ZEROS) == 1).all()
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_ends_the_waiting_between_slices(
    queue: cl.CommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 0

    def pressed(*_: Any, **__: Any) -> bool:
        nonlocal waits
        waits += 1
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on waiting")

    a = buffer(ZEROS)
    with split(in_flight=1, groups=20):
        with monkeypatch.context() as patched:
            patched.setattr(waiting, "wait_cooperatively", pressed)
            with pytest.raises(KeyboardInterrupt):
                kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(1))
        assert waits == 1
        assert (read(queue, a, ZEROS) == 1).all()


def test_buffers_of_a_call_are_not_kept_alive(queue: cl.CommandQueue) -> None:
    k = kernel(PLUS)
    a = buffer(ZEROS)
    with split():
        k(queue, SIZE, LOCAL, a, np.int32(1)).wait()
        queue.finish()
    import sys

    # The name here and getrefcount's own argument.
    assert sys.getrefcount(a) == 2


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


@pytest.mark.parametrize("config", [gpusplit.Config(policy="unsplit"), FIVE])
class TestOpenCLsOwnErrorsAndOddities:
    """The same with and without splitting."""

    def test_a_local_size_that_does_not_divide(
        self, queue: cl.CommandQueue, config: gpusplit.Config
    ) -> None:
        k = kernel(PLUS, options=["-cl-std=CL1.2"])
        a = buffer(ZEROS)
        with split(config), pytest.raises(cl.LogicError, match="INVALID_WORK_GROUP_SIZE"):
            k(queue, (100,), (64,), a, np.int32(1))
        assert (read(queue, a, ZEROS) == 0).all()

    def test_arguments_not_set(self, queue: cl.CommandQueue, config: gpusplit.Config) -> None:
        with split(config), pytest.raises(cl.LogicError, match="INVALID_KERNEL_ARGS"):
            cl.enqueue_nd_range_kernel(queue, kernel(PLUS), SIZE, LOCAL)

    def test_dimensions_that_differ(self, queue: cl.CommandQueue, config: gpusplit.Config) -> None:
        k = kernel(PLUS)
        k.set_args(buffer(ZEROS), np.int32(1))
        with split(config), pytest.raises(cl.LogicError, match="differing dimensions"):
            cl.enqueue_nd_range_kernel(queue, k, (16, 16), (4,))

    def test_no_queue(self, queue: cl.CommandQueue, config: gpusplit.Config) -> None:
        k = kernel(PLUS)
        k.set_args(buffer(ZEROS), np.int32(1))
        with split(config), pytest.raises(TypeError):
            cl.enqueue_nd_range_kernel(None, k, SIZE, LOCAL)  # type: ignore[arg-type]

    def test_an_empty_range(self, queue: cl.CommandQueue, config: gpusplit.Config) -> None:
        k, a = kernel(PLUS), buffer(ZEROS)
        k.set_args(a, np.int32(1))
        with split(config):
            event: Any = cl._cl.enqueue_nd_range_kernel
            event(queue, k, (0,), LOCAL, None, None, False, True).wait()
            assert (read(queue, a, ZEROS) == 0).all()

    def test_no_local_size(self, queue: cl.CommandQueue, config: gpusplit.Config) -> None:
        a = buffer(ZEROS)
        with split(config):
            kernel(PLUS)(queue, SIZE, None, a, np.int32(1))
            assert (read(queue, a, ZEROS) == 1).all()

    def test_sizes_as_lists_and_numpy_integers(
        self, queue: cl.CommandQueue, config: gpusplit.Config
    ) -> None:
        a = buffer(ZEROS)
        with split(config):
            size: Any = [np.int64(SIZE[0])]
            kernel(PLUS)(queue, size, [np.int32(64)], a, np.int32(1))  # type: ignore[arg-type]
            kernel(PLUS)(queue, np.array(SIZE), LOCAL, a, np.int32(1))  # type: ignore[arg-type]
            assert (read(queue, a, ZEROS) == 2).all()

    @pytest.mark.filterwarnings("error")
    def test_sizes_of_numpys_that_multiply_beyond_their_type(
        self, queue: cl.CommandQueue, config: gpusplit.Config
    ) -> None:
        size = (np.int32(65536), np.int32(65536))
        with split(config), pytest.raises(cl.LogicError):
            kernel(PLUS)(queue, size, (3, 1), buffer(ZEROS), np.int32(1))

    def test_a_wait_list_that_can_be_gone_through_once(
        self, queue: cl.CommandQueue, config: gpusplit.Config
    ) -> None:
        other, a = cl.CommandQueue(context()), buffer(ZEROS)
        gate = cl.UserEvent(context())
        with split(config):
            kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(1), wait_for=iter([gate]))  # type: ignore[arg-type]
            assert (read(other, a, ZEROS) == 0).all()
            gate.set_status(cl.command_execution_status.COMPLETE)
            assert (read(queue, a, ZEROS) == 1).all()


def test_a_slice_that_fails_first_leaves_the_launch_whole(
    queue: cl.CommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = buffer(ZEROS)
    real = lanes.enqueue

    def fail(*args: Any) -> cl.Event:
        if args[2] != SIZE:
            raise cl.LogicError("clEnqueueNDRangeKernel failed: OUT_OF_RESOURCES")
        return real(*args)

    monkeypatch.setattr(lanes, "enqueue", fail)
    with split() as launches:
        kernel(PLUS)(queue, SIZE, LOCAL, a, np.int32(1))
        assert (read(queue, a, ZEROS) == 1).all()
    assert launches[0].groups == 1
    assert "OUT_OF_RESOURCES" in launches[0].reason


def test_a_slice_that_fails_in_the_middle_raises_opencls_error_and_leaves_the_queue_usable(
    queue: cl.CommandQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = buffer(ZEROS)
    real, calls = lanes.enqueue, []

    def fail(*args: Any) -> cl.Event:
        calls.append(args)
        if len(calls) == 3:
            raise cl.RuntimeError("clEnqueueNDRangeKernel failed: OUT_OF_RESOURCES")
        return real(*args)

    monkeypatch.setattr(lanes, "enqueue", fail)
    k = kernel(PLUS)
    with split():
        with pytest.raises(cl.RuntimeError, match="OUT_OF_RESOURCES"):
            k(queue, SIZE, LOCAL, a, np.int32(1))
        queue.finish()
        before = read(queue, a, ZEROS)
        k(queue, SIZE, LOCAL, a, np.int32(1))
        assert (read(queue, a, ZEROS) == before + 1).all()


def test_shared_virtual_memory_is_left_whole(queue: cl.CommandQueue) -> None:
    device = context().devices[0]
    if not device.svm_capabilities & cl.device_svm_capabilities.COARSE_GRAIN_BUFFER:
        pytest.skip("the device has no shared virtual memory")
    memory: Any = cl.csvm_empty(context(), SIZE, np.dtype(np.int32))
    svm: Any = cl.SVM(memory)
    with svm.map_rw(queue) as host:
        host.fill(0)
    with split() as launches:
        kernel(PLUS)(queue, SIZE, LOCAL, svm, np.int32(1)).wait()
    with svm.map_ro(queue) as host:
        assert (host == 1).all()
    assert launches[0].groups == 1
    assert "shared virtual memory" in launches[0].reason
