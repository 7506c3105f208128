"""What goes wrong is told to a program as if nothing were split."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import (
    FIVE,
    LOCAL,
    OUT_OF_ORDER,
    PLUS,
    SIZE,
    ZEROS,
    buffer,
    context,
    kernel,
    read,
    split,
)
from gpusplit_device import queue as queue
from native_layer import FORCED, Layer
from native_layer import layer as layer

import gpusplit

pytestmark = pytest.mark.opencl


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


def test_a_build_option_may_not_change_the_prelude(queue: cl.CommandQueue) -> None:
    source = "kernel void k(global int *a) { a[get_global_id(0)] = get_num_groups(0); }"
    a = buffer(ZEROS)
    with split() as launches:
        cl.Program(context(), source).build("-Duint=uint").k(queue, SIZE, LOCAL, a)
        assert (read(queue, a, ZEROS) == 64).all()
    assert launches[0].groups == 1
    assert "defines uint" in launches[0].reason


#: Launch once, with a slice refused, and once more.
REFUSED = """
import os
kernel = cl.Kernel(cl.Program(context, "kernel void k(global int *a) { a[get_global_id(0)] += 1; }")
                   .build(), "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(4096, np.int32))
out, code = np.empty(4096, np.int32), 0
os.environ["WATCH_REFUSES"] = str(WHICH)
try:
    kernel(queue, (4096,), (64,), a)
except cl.Error as error:
    code = error.code
cl.enqueue_copy(queue, out, a)
before = out.copy()
kernel(queue, (4096,), (64,), a)
cl.enqueue_copy(queue, out, a)
say(code=code, done=int(before.sum()), usable=bool((out == before + 1).all()))
"""


def test_a_slice_that_is_refused_first_leaves_the_launch_whole(layer: Layer) -> None:
    ran = layer.run(REFUSED.replace("WHICH", "1"), layer.watcher, **FORCED, groups="5")
    assert json.loads(ran.facts) == {"code": 0, "done": 4096, "usable": True}
    assert ran.split()[:2] == (2, 1)
    assert "refused" in ran.why_whole()


def test_a_slice_that_is_refused_in_the_middle_raises_opencls_error_and_leaves_the_queue_usable(
    layer: Layer,
) -> None:
    ran = layer.run(REFUSED.replace("WHICH", "3"), layer.watcher, **FORCED, groups="5")
    said = json.loads(ran.facts)
    assert (said["code"], said["usable"]) == (-59, True)
    assert 0 < said["done"] < 4096
