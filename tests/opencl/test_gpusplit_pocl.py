"""PoCL before version 6 counts wrong who runs a kernel: what would end the program is kept out."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import (
    FIVE,
    OUT_OF_ORDER,
    PROFILING,
    SLOW,
    buffer,
    context,
    kernel,
    read,
    slow_rounds,
    split,
)

from gpusplit.ndrange import NDRange, slices, steps

pytestmark = pytest.mark.opencl

SIZE, LOCAL = 65536, 64

#: Each work-group writes down the order in which all of them begin and end.
ORDER = """
kernel void k(global int *clock, global int *begins, global int *ends, int n) {
    if (get_local_id(0) == 0) begins[get_group_id(0)] = atomic_inc(clock);
    int x = 1;
    for (int i = 0; i < n; i++) x = x * 3 + 1;
    begins[get_group_id(0)] += x == 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) == 0) ends[get_group_id(0)] = atomic_inc(clock);
}
"""


@pytest.fixture(autouse=True)
def one_at_a_time() -> None:
    device = context().devices[0]
    version = re.match(r"(\d+)\.", device.driver_version)
    pocl = device.platform.name == "Portable Computing Language"
    if not (pocl and version and int(version[1]) < 6):
        pytest.skip("the device is none of PoCL before version 6")


@pytest.mark.parametrize("properties", [0, OUT_OF_ORDER])
def test_slices_run_one_after_another(properties: int) -> None:
    queue = cl.CommandQueue(context(), properties=int(properties))
    groups = np.zeros(SIZE // LOCAL, np.int32)
    clock, begins, ends = buffer(np.zeros(1, np.int32)), buffer(groups), buffer(groups)
    with split() as launches:
        kernel(ORDER)(queue, (SIZE,), (LOCAL,), clock, begins, ends, slow_rounds())
        queue.finish()
    assert launches[0].groups == 5
    began, ended = read(queue, begins, groups), read(queue, ends, groups)
    whole = NDRange((SIZE,), (LOCAL,), (0,))
    parts = [
        range(part.offset[0] // LOCAL, (part.offset[0] + part.global_size[0]) // LOCAL)
        for part in slices(whole, steps(whole.work_groups, 5, 1))
    ]
    assert len(parts) == 5
    for before, after in pairwise(parts):
        assert ended[before].max() < began[after].min()


def test_a_kernel_that_waits_on_another_queue_stays_whole_and_waits_for_nothing() -> None:
    first, second = (cl.CommandQueue(context()) for _ in range(2))
    outs = [buffer(np.zeros(SIZE, np.int32)) for _ in range(2)]
    slow, same = kernel(SLOW), kernel(SLOW)
    user = cl.UserEvent(context())
    with split(FIVE) as launches:
        slow(first, (SIZE,), (64,), outs[0], slow_rounds(), wait_for=[user])
        same(second, (SIZE,), (64,), outs[1], slow_rounds())
        second.finish()
        user.set_status(cl.command_execution_status.COMPLETE)
        first.finish()
        same(second, (SIZE,), (64,), outs[1], slow_rounds())
        second.finish()
    assert [launch.groups for launch in launches] == [5, 1, 5]
    assert "two queues at once" in launches[1].reason
    like = np.zeros(SIZE, np.int32)
    assert (read(first, outs[0], like) == read(second, outs[1], like)).all()


def test_a_kernel_whose_slices_run_on_another_queue_waits_for_them() -> None:
    first, second = (cl.CommandQueue(context(), properties=PROFILING) for _ in range(2))
    outs = [buffer(np.zeros(SIZE, np.int32)) for _ in range(2)]
    slow, same = kernel(SLOW), kernel(SLOW)
    with split(FIVE) as launches:
        sliced = slow(first, (SIZE,), (64,), outs[0], slow_rounds() * 10)
        whole = same(second, (SIZE,), (64,), outs[1], slow_rounds())
        whole.wait()
    assert [launch.groups for launch in launches] == [5, 1]
    assert sliced.profile.end <= whole.profile.start
