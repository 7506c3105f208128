"""PoCL before version 6 counts wrong who runs a kernel: what would end the program is kept out."""

from __future__ import annotations

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

from gpusplit import lanes, queues

pytestmark = [pytest.mark.opencl, pytest.mark.alone]

SIZE = 65536


@pytest.fixture(autouse=True)
def one_at_a_time() -> None:
    if not queues.state(cl.CommandQueue(context())).one_at_a_time:
        pytest.skip("the device is none of PoCL before version 6")


@pytest.mark.parametrize("properties", [0, OUT_OF_ORDER])
def test_slices_run_one_after_another(properties: int, monkeypatch: pytest.MonkeyPatch) -> None:
    slices: list[cl.Event] = []
    enqueue = lanes.enqueue
    monkeypatch.setattr(lanes, "enqueue", lambda *args: slices.append(enqueue(*args)) or slices[-1])
    queue = cl.CommandQueue(context(), properties=int(PROFILING) | int(properties))
    out = np.zeros(SIZE, np.int32)
    slow = kernel(SLOW)
    with split():
        slow(queue, (SIZE,), (64,), buffer(out), slow_rounds())
        queue.finish()
    assert len(slices) == 5
    for before, after in pairwise(slices):
        assert before.profile.end <= after.profile.start


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
