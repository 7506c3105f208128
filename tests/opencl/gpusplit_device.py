"""What the tests of gpusplit share: one context, and how to run a kernel."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyopencl as cl

import gpusplit

MF = cl.mem_flags
OUT_OF_ORDER = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
PROFILING = cl.command_queue_properties.PROFILING_ENABLE

#: Everything is worth splitting, down to single work-groups.
FIVE = gpusplit.Config(policy="fixed", groups=5, cores=1)


@functools.cache
def context() -> cl.Context:
    return cl.create_some_context(interactive=False)


def kernel(source: str, name: str = "k", options: list[str] | None = None) -> cl.Kernel:
    return cl.Kernel(cl.Program(context(), source).build(options=options), name)


def buffer(array: np.ndarray[Any, Any]) -> cl.Buffer:
    return cl.Buffer(context(), MF.READ_WRITE | MF.COPY_HOST_PTR, hostbuf=array)


def read(queue: cl.CommandQueue, buf: cl.Buffer, like: np.ndarray[Any, Any], **how: Any) -> Any:
    out = np.empty_like(like)
    cl.enqueue_copy(queue, out, buf, **how)
    return out


@contextmanager
def split(config: gpusplit.Config = FIVE, **options: Any) -> Iterator[list[gpusplit.Launch]]:
    """Splitting on; the launches inside."""
    with gpusplit.active(config, **options), gpusplit.recording() as launches:
        yield launches
