"""Whatever a kernel asks about its place in the NDRange, a split launch answers as the whole one.

Random kernels x random NDRanges, offsets and local sizes x random splits, byte for byte against
OpenCL's own launch.  LONG_TESTS=100 in the environment runs a hundred times as many cases, of more
kernels.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import MF, OUT_OF_ORDER, PROFILING, context
from gpusplit_kernels import IdKernel, id_kernel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpusplit

pytestmark = pytest.mark.opencl

LONG = int(os.environ.get("LONG_TESTS", "1"))
CASES = 1000 * LONG
KERNELS = 30 * min(LONG, 10)


@functools.cache
def queue(properties: int) -> cl.CommandQueue:
    return cl.CommandQueue(context(), properties=properties)  # type: ignore[arg-type]


@functools.cache
def compiled(seed: int) -> tuple[IdKernel, cl.Kernel]:
    made = id_kernel(seed)
    return made, cl.Kernel(cl.Program(context(), made.source).build(), "record")


@dataclass(frozen=True)
class Case:
    """One launch and one way to split it."""

    seed: int
    groups: tuple[int, ...]
    local: int
    offset: tuple[int, ...]
    g_times_l: bool
    k: int
    config: gpusplit.Config
    properties: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    seed = draw(st.integers(0, KERNELS - 1))
    kernel = id_kernel(seed)
    if kernel.shapes is None:
        # One group alone has nothing to split: mostly more.
        groups = (
            draw(st.integers(2, 6)),
            *(draw(st.integers(1, 6)) for _ in range(kernel.dims - 1)),
        )
        offset = tuple(draw(st.sampled_from((0, 0, 1, 5))) for _ in range(kernel.dims))
        local = draw(st.integers(0, 1))
    else:
        # Its IDs are compiled in for each NDRange: few of them, or the compiler takes all day,
        # and not more than are compiled.
        shape = draw(st.integers(0, len(kernel.shapes) - 1))
        groups, local = kernel.shapes[shape], shape % 2
        offset = (draw(st.sampled_from((0, 3))),) * kernel.dims
    return Case(
        seed,
        groups,
        local,
        offset,
        draw(st.booleans()),
        draw(st.integers(0, 4)),
        gpusplit.Config(
            policy="fixed",
            groups=draw(st.integers(2, 12)),
            wait=draw(st.sampled_from(("cooperative", "driver"))),
            queues=draw(st.sampled_from((0, 1, 2, 3))),
            in_flight=draw(st.sampled_from((0, 1, 3))),
            cores=1,
            judge="wait",
        ),
        draw(st.sampled_from((0, int(OUT_OF_ORDER), int(PROFILING)))),
    )


split = {"launches": 0, "slices": 0}
why_whole: Counter[str] = Counter()


@settings(
    max_examples=CASES,
    deadline=None,  # the first case of a kernel compiles it
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
@given(cases())
def test_a_split_launch_writes_the_same_bytes(case: Case) -> None:
    made, kernel = compiled(case.seed)
    local = made.local_sizes[case.local]
    width = local or (2,) * made.dims
    size = tuple(g * n for g, n in zip(case.groups, width, strict=True))
    g_times_l = case.g_times_l and local is not None
    offset = tuple(o * n if g_times_l else o for o, n in zip(case.offset, width, strict=True))
    given_size, given_offset = (case.groups, case.offset) if g_times_l else (size, offset)
    count = int(np.prod(size)) * made.width

    def run(config: gpusplit.Config) -> tuple[bytes, gpusplit.Launch]:
        q = queue(case.properties)
        out = np.full(count, 0xABCDEF, np.uint64)
        buffer = cl.Buffer(context(), MF.READ_WRITE | MF.COPY_HOST_PTR, hostbuf=out)
        kernel.set_args(
            buffer,
            np.uint32(made.dims),
            np.array((*size, 1, 1, 1)[:4], np.uint32),
            np.array((*offset, 0, 0, 0)[:4], np.uint32),
            np.uint32(case.k),
        )
        with gpusplit.active(config), gpusplit.recording() as launches:
            event = gpusplit.enqueue_nd_range_kernel_n(
                q, kernel, given_size, local, given_offset, None, g_times_l
            )
            cl.enqueue_copy(q, out, buffer, wait_for=[event])
        (told,) = launches
        return out.tobytes(), told

    expected, whole = run(gpusplit.Config(policy="unsplit"))
    found, told = run(case.config)
    assert whole.groups == 1
    assert found == expected, told
    if told.groups == 1:
        why_whole[told.reason] += 1
    split["launches"] += told.groups > 1
    split["slices"] += told.groups


def test_most_of_those_cases_were_really_split() -> None:
    """The test above shows nothing about launches that stayed whole."""
    assert split["launches"] > 0.6 * CASES, why_whole
    assert split["slices"] > 3 * split["launches"]
