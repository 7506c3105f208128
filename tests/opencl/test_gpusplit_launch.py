"""enqueue_nd_range_kernel_n on a real OpenCL device: the result is the unsplit launch's."""

from __future__ import annotations

import numpy as np
import pyopencl as cl
import pytest

import gpusplit

pytestmark = pytest.mark.opencl

SOURCE = """
kernel void ids(global int *out, int width) {
    out[get_global_id(1) * width + get_global_id(0)] += get_global_id(0) * 1000 + get_global_id(1);
}
"""
SIZE = (64, 130)
EXPECTED = np.arange(64)[None, :] * 1000 + np.arange(130)[:, None]


@pytest.fixture(scope="module")
def context() -> cl.Context:
    return cl.create_some_context(interactive=False)


def launch(context: cl.Context, config: gpusplit.Config) -> tuple[np.ndarray, gpusplit.Launch]:
    queue = cl.CommandQueue(context)
    kernel = cl.Kernel(cl.Program(context, SOURCE).build(), "ids")
    result = np.zeros((130, 64), np.int32)
    buffer = cl.Buffer(
        context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=result
    )
    kernel.set_args(buffer, np.int32(64))
    with gpusplit.recording() as launches:
        event = gpusplit.enqueue_nd_range_kernel_n(queue, kernel, SIZE, (16, 2), config=config)
    gpusplit.wait(event, config)
    cl.enqueue_copy(queue, result, buffer)
    (told,) = launches
    return result, told


@pytest.mark.parametrize("wait", ["cooperative", "driver"])
@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({"policy": "unsplit"}, 1),
        ({"policy": "fixed", "groups": 7}, 7),
        ({"policy": "vms", "vms": "static:3", "alpha": 4}, 13),  # 65 rows: 13 x 5
        ({"policy": "vms", "vms": "static:1", "alpha": 4}, 1),
        ({"policy": "fixed", "groups": 7, "cores": 64 * 130 + 1}, 1),
    ],
)
def test_result_and_number_of_groups(
    context: cl.Context, options: dict[str, object], groups: int, wait: str
) -> None:
    config = gpusplit.Config(wait=wait, judge="wait", **({"cores": 1} | options))  # type: ignore[arg-type]
    result, told = launch(context, config)
    assert (result == EXPECTED).all()
    assert told.kernel == "ids"
    assert told.groups == groups
