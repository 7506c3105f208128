"""enqueue_nd_range_kernel_n on a real OpenCL device: the result is the unsplit launch's."""

from __future__ import annotations

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import buffer, context, kernel, read

import gpusplit

pytestmark = pytest.mark.opencl

SOURCE = """
kernel void ids(global int *out, int width) {
    out[get_global_id(1) * width + get_global_id(0)] += get_global_id(0) * 1000 + get_global_id(1);
}
"""
SIZE = (64, 130)
EXPECTED = np.arange(64)[None, :] * 1000 + np.arange(130)[:, None]


def launch(config: gpusplit.Config) -> tuple[np.ndarray, gpusplit.Launch]:
    queue = cl.CommandQueue(context())
    ids = kernel(SOURCE, "ids")
    zeros = np.zeros((130, 64), np.int32)
    out = buffer(zeros)
    ids.set_args(out, np.int32(64))
    with gpusplit.active(config), gpusplit.recording() as launches:
        gpusplit.enqueue_nd_range_kernel_n(queue, ids, SIZE, (16, 2)).wait()
    (told,) = launches
    return read(queue, out, zeros), told


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
def test_result_and_number_of_groups(options: dict[str, object], groups: int, wait: str) -> None:
    config = gpusplit.Config(wait=wait, judge="wait", **({"cores": 1} | options))  # type: ignore[arg-type]
    result, told = launch(config)
    assert (result == EXPECTED).all()
    assert told.kernel == "ids"
    assert told.groups == groups


def test_it_installs_what_the_environment_says_where_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"POLICY": "fixed", "GROUPS": "5", "CORES": "1", "JUDGE": "wait"}.items():
        monkeypatch.setenv(f"GPUSPLIT_{name}", value)
    queue, out = cl.CommandQueue(context()), buffer(np.zeros((130, 64), np.int32))
    ids = kernel(SOURCE, "ids")
    ids.set_args(out, np.int32(64))
    try:
        with gpusplit.recording() as launches:
            gpusplit.enqueue_nd_range_kernel_n(queue, ids, SIZE, (16, 2)).wait()
        assert gpusplit.installed() == gpusplit.Config.from_environment()
    finally:
        gpusplit.uninstall()
    assert [launch.groups for launch in launches] == [5]
    assert (read(queue, out, np.zeros((130, 64), np.int32)) == EXPECTED).all()
