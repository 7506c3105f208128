"""A kernel's arguments reach every slice, however they were set."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import ADD, LOCAL, PLUS, SIZE, ZEROS, buffer, context, kernel, read, split
from gpusplit_device import queue as queue

pytestmark = pytest.mark.opencl

UNION = np.dtype({"names": ["i", "f"], "formats": ["i4", "f4"], "offsets": [0, 0]})
DISORDERED = np.dtype({"names": ["i", "j"], "formats": ["i4", "i4"], "offsets": [4, 0]})


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


def test_arguments_of_which_one_was_refused_are_those_before_it(queue: cl.CommandQueue) -> None:
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
    assert launches[0].groups > 1


def test_a_clone_has_the_arguments_of_its_original(queue: cl.CommandQueue) -> None:
    original, a, b = kernel(ADD), buffer(ZEROS), buffer(ZEROS)
    original.set_args(a, np.int32(1))
    with split() as launches:
        k = original.clone()
        original.set_arg(0, b)
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert (read(queue, a, ZEROS) == np.arange(SIZE[0]) // LOCAL[0]).all()
        assert not read(queue, b, ZEROS).any()
    assert launches[0].groups > 1


def test_a_kernel_behind_two_objects_has_the_arguments_of_either(queue: cl.CommandQueue) -> None:
    k, a, b = kernel(ADD), buffer(ZEROS), buffer(ZEROS)
    k.set_args(a, np.int32(1))
    cl.Kernel.from_int_ptr(k.int_ptr).set_args(b, np.int32(1))
    with split() as launches:
        cl.enqueue_nd_range_kernel(queue, k, SIZE, LOCAL)
        assert read(queue, b, ZEROS).any()
        assert not read(queue, a, ZEROS).any()
    assert launches[0].groups > 1


def test_an_argument_that_was_replaced_is_not_kept_alive(queue: cl.CommandQueue) -> None:
    k, a = kernel(ADD), buffer(ZEROS)
    with split() as launches:
        k(queue, SIZE, LOCAL, a, np.int32(1))
        k(queue, SIZE, LOCAL, buffer(ZEROS), np.int32(1))
        queue.finish()
    assert launches[0].groups > 1
    assert references(a) == 1


@pytest.mark.parametrize("in_flight", [0, 2])
def test_buffers_of_a_call_are_not_kept_alive(queue: cl.CommandQueue, in_flight: int) -> None:
    k, a = kernel(ADD), buffer(ZEROS)
    with split(in_flight=in_flight, groups=20):
        k(queue, SIZE, LOCAL, a, np.int32(1)).wait()
        queue.finish()
    assert references(a) == 1


def references(memory: cl.Buffer) -> int:
    """How many hold it, once those that are about to let go have."""
    end = time.monotonic() + 10
    while (count := memory.get_info(cl.mem_info.REFERENCE_COUNT)) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    return count


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
