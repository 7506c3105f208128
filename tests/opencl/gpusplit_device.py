"""What the tests of gpusplit share: one context, kernels, and how to run one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyopencl as cl
import pytest

import gpusplit

# The library has to be below OpenCL from its start; nothing is split until a test says so.
gpusplit.install(gpusplit.Config(policy="unsplit"))
gpusplit.uninstall()

MF = cl.mem_flags
OUT_OF_ORDER = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
PROFILING = cl.command_queue_properties.PROFILING_ENABLE

#: Everything is worth splitting, down to single work-groups.
FIVE = gpusplit.Config(policy="fixed", groups=5, cores=1, judge="wait")


@functools.cache
def context() -> cl.Context:
    return cl.create_some_context(interactive=False)


#: Reads what earlier commands wrote, and takes long enough on a CPU to be seen running.
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

#: A kernel that runs for some milliseconds, on a CPU as on a large GPU.
SLOW = """
kernel void k(global int *a, int n) {
    int x = 1;
    for (int i = 0; i < n; i++) x = x * 3 + 1;
    a[get_global_id(0)] = x;
}
"""


@pytest.fixture
def queue() -> Iterator[cl.CommandQueue]:
    queue = cl.CommandQueue(context())
    yield queue
    queue.finish()


@functools.cache
def slow_rounds() -> np.int32:
    """The argument n that makes SLOW slow with 65536 work-items."""
    is_cpu = context().devices[0].type & cl.device_type.CPU
    return np.int32(3000 if is_cpu else 3_000_000)


def kernel(source: str, name: str = "k", options: list[str] | None = None) -> cl.Kernel:
    return cl.Kernel(cl.Program(context(), source).build(options=options), name)


def buffer(array: np.ndarray[Any, Any]) -> cl.Buffer:
    return cl.Buffer(context(), MF.READ_WRITE | MF.COPY_HOST_PTR, hostbuf=array)


def read(queue: cl.CommandQueue, buf: cl.Buffer, like: np.ndarray[Any, Any], **how: Any) -> Any:
    out = np.empty_like(like)
    cl.enqueue_copy(queue, out, buf, **how)
    return out


@contextmanager
def split(config: gpusplit.Config = FIVE, **options: Any) -> Iterator[Sequence[gpusplit.Launch]]:
    """Splitting on; the launches inside."""
    with gpusplit.active(config, **options), gpusplit.recording() as launches:
        yield launches
