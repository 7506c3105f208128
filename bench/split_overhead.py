"""What splitting and waiting cost: python -m bench.split_overhead --json

The naive 16x16-tile matrix product, unsplit under the driver's own wait and split under gpusplit,
in turn, so that clocks and heat meet both alike.  Every figure stands beside the unsplit driver's
from the same run.  On a CPU device, where kernels and waits share the cores, the figures mean
nothing and are judged by nobody.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyopencl as cl

import gpusplit
from gpusplit import history, patch, queues

TILE = 16
SOURCE = """
kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void product(global const float *a, global const float *b, global float *c, int n)
{
    local float ta[16][16], tb[16][16];
    const int x = get_local_id(0), y = get_local_id(1);
    const int col = get_global_id(0), row = get_global_id(1);
    float sum = 0;
    for (int t = 0; t < n; t += 16) {
        ta[y][x] = a[row * n + t + x];
        tb[y][x] = b[(t + y) * n + col];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < 16; k++)
            sum += ta[y][k] * tb[k][x];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    c[row * n + col] = sum;
}
kernel void empty(global float *a) { }
"""

#: What the project promises for an NVIDIA H200 class GPU (issue 3).
BARS = {
    "slowdown_20_groups_large": 0.005,
    "slowdown_20_groups_small": 0.005,
    "slowdown_500_groups_large": 0.010,
    "cpu_use_20_groups_large": 0.015,
    "first_launch_cpu_use": 0.05,
    "first_launch_late": 0.01,
    "enqueue_added_us": 3.0,
}


@dataclass(frozen=True)
class Run:
    """Seconds of one launch from its enqueue to the end of the wait, and CPU seconds used."""

    wall: float
    cpu: float


class Product:
    """An n x n matrix product to launch again and again."""

    def __init__(self, queue: cl.CommandQueue, program: cl.Program, n: int) -> None:
        """n: a multiple of 16."""
        self.queue = queue
        self.n = n
        self.kernel = cl.Kernel(program, "product")
        rng = np.random.default_rng(1)
        host = rng.random((n, n), np.float32)
        flags = cl.mem_flags
        self.a, self.b = (
            cl.Buffer(queue.context, flags.READ_ONLY | flags.COPY_HOST_PTR, hostbuf=host)
            for _ in range(2)
        )
        self.c = cl.Buffer(queue.context, flags.WRITE_ONLY, host.nbytes)
        self.launch().wait()

    def launch(self) -> cl.Event:
        """One product."""
        return self.kernel(
            self.queue, (self.n, self.n), (TILE, TILE), self.a, self.b, self.c, np.int32(self.n)
        )

    def timed(self) -> Run:
        """One product, waited for."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.launch().wait()
        return Run(time.perf_counter() - wall, time.process_time() - cpu)


#: Launches of one kind before the other has its turn; the first of them is not counted, since a
#: program installs gpusplit once and not before every launch.
BLOCK = 4


def block(product: Product, **options: Any) -> tuple[list[Run], int]:
    """BLOCK launches, under gpusplit if there are *options*; runs, and groups of the last."""
    if not options:
        return [product.timed() for _ in range(BLOCK)][1:], 1
    with gpusplit.active(gpusplit.Config(), **options):
        runs = [product.timed() for _ in range(BLOCK)][1:]
        with gpusplit.recording() as launches:
            product.timed()
    return runs, launches[0].groups


def compare(product: Product, groups: int, repeats: int) -> dict[str, Any]:
    """Unsplit and *groups* groups in turn; medians over *repeats* pairs of blocks."""
    options = {"policy": "fixed", "groups": groups, "wait": "cooperative"}
    driver: list[Run] = []
    split: list[Run] = []
    slowdowns: list[float] = []
    block(product, **options)  # teaches the predictor
    made = 0
    for _ in range(repeats):
        unsplit_runs, _ = block(product)
        split_runs, made = block(product, **options)
        driver += unsplit_runs
        split += split_runs
        slowdowns.append(
            statistics.median(r.wall for r in split_runs)
            / statistics.median(r.wall for r in unsplit_runs)
            - 1
        )
    return {
        "n": product.n,
        "groups_asked": groups,
        "groups_made": made,
        "driver_seconds": statistics.median(r.wall for r in driver),
        "split_seconds": statistics.median(r.wall for r in split),
        "slowdown": statistics.median(slowdowns),
        "slowdown_spread": [min(slowdowns), max(slowdowns)],
        "driver_cpu_use": sum(r.cpu for r in driver) / sum(r.wall for r in driver),
        "split_cpu_use": sum(r.cpu for r in split) / sum(r.wall for r in split),
    }


def first_launch(product: Product, repeats: int) -> dict[str, Any]:
    """An unsplit launch under a cooperative wait that has never seen the kernel."""
    driver: list[Run] = []
    first: list[Run] = []
    for _ in range(repeats):
        driver.append(product.timed())
        with gpusplit.active(gpusplit.Config(), policy="unsplit", wait="cooperative"):
            queues.state(product.queue).pending.clear()
            history.launches.forget()
            first.append(product.timed())
    late = [f.wall / d.wall - 1 for d, f in zip(driver, first, strict=True)]
    return {
        "seconds": statistics.median(r.wall for r in first),
        "late": statistics.median(late),
        "cpu_use": statistics.median(r.cpu / r.wall for r in first),
    }


def enqueue_cost(queue: cl.CommandQueue, program: cl.Program, repeats: int) -> dict[str, Any]:
    """Microseconds of a call of the empty kernel, by the driver alone and under gpusplit."""
    kernel = cl.Kernel(program, "empty")
    buffer = cl.Buffer(queue.context, cl.mem_flags.READ_WRITE, 64)

    def batch() -> list[float]:
        times = []
        for _ in range(200):
            begin = time.perf_counter()
            kernel(queue, (1,), (1,), buffer)
            times.append(time.perf_counter() - begin)
        queue.finish()
        return times

    batch()
    plain: list[float] = []
    under: list[float] = []
    # The wrappers that remember arguments come with the import; take them off for the plain calls.
    with_arguments = _without_argument_wrappers
    for _ in range(repeats):
        plain += with_arguments(batch)
        # The count says two VMs, so that only the kernel's size keeps it whole.
        with gpusplit.active(gpusplit.Config(), policy="vms", vms="static:2"):
            under += batch()
    plain_us, under_us = statistics.median(plain) * 1e6, statistics.median(under) * 1e6
    return {"driver_us": plain_us, "gpusplit_us": under_us, "added_us": under_us - plain_us}


def _without_argument_wrappers(call: Callable[[], list[float]]) -> list[float]:
    wrapped = {}
    for name in ("_set_arg_multi", "_set_arg_buf_multi", "_set_arg_buf_pack_multi"):
        current = getattr(cl._cl.Kernel, name)
        wrapped[name] = current
        setattr(cl._cl.Kernel, name, current.gpusplit_original)
    try:
        return call()
    finally:
        for name, current in wrapped.items():
            setattr(cl._cl.Kernel, name, current)


def measure(device: cl.Device, large: int, small: int, repeats: int) -> dict[str, Any]:
    """All figures on *device*, with matrices of *large* and *small*."""
    patch.uninstall()
    context = cl.Context([device])
    queue = cl.CommandQueue(context)
    program = cl.Program(context, SOURCE).build()
    big, little = Product(queue, program, large), Product(queue, program, small)
    result: dict[str, Any] = {
        "device": device.name.strip(),
        "driver": device.driver_version,
        "is_gpu": bool(device.type & cl.device_type.GPU),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "pyopencl": cl.VERSION_TEXT,
        "large_20": compare(big, 20, repeats),
        "large_500": compare(big, 500, repeats),
        "small_20": compare(little, 20, 4 * repeats),
        "first_launch": first_launch(big, max(3, repeats // 2)),
        "enqueue": enqueue_cost(queue, program, 4 * repeats),
    }
    figures = {
        "slowdown_20_groups_large": result["large_20"]["slowdown"],
        "slowdown_20_groups_small": result["small_20"]["slowdown"],
        "slowdown_500_groups_large": result["large_500"]["slowdown"],
        "cpu_use_20_groups_large": result["large_20"]["split_cpu_use"],
        "first_launch_cpu_use": result["first_launch"]["cpu_use"],
        "first_launch_late": result["first_launch"]["late"],
        "enqueue_added_us": result["enqueue"]["added_us"],
    }
    result["figures"] = {
        name: {
            "value": value,
            "bar": BARS[name],
            # What a CPU device does is judged by nobody.
            "within": value <= BARS[name] if result["is_gpu"] else None,
        }
        for name, value in figures.items()
    }
    return result


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 unless something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.split_overhead", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--large", type=int, help="side of the large matrices (a multiple of 16)")
    parser.add_argument("--small", type=int, help="side of the small matrices")
    parser.add_argument(
        "--repeats", type=int, default=5, help="pairs of blocks of launches per figure"
    )
    options = parser.parse_args(arguments)
    device = cl.create_some_context(interactive=False).devices[0]
    is_gpu = bool(device.type & cl.device_type.GPU)
    large = options.large or (10240 if is_gpu else 512)
    small = options.small or (5120 if is_gpu else 256)
    result = measure(device, large, small, options.repeats)
    if options.json:
        print(json.dumps(result, indent=2))
        return 0
    print(f"{result['device']}, driver {result['driver']}, {result['date']}")
    for name, figure in result["figures"].items():
        verdict = ("within" if figure["within"] else "ABOVE") if is_gpu else "not judged"
        print(f"{name:28} {figure['value']:10.4f}   bar {figure['bar']:g}   {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
