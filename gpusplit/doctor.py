"""gpusplit doctor: what is here, and what gpusplit would do with it."""

from __future__ import annotations

import time
import warnings
from typing import TextIO

import numpy as np
import pyopencl as cl

from gpusplit import devices, tenancy, waiting
from gpusplit.config import Config

_BUSY = """
kernel void gpusplit_busy(global float *out, int rounds)
{
    float x = get_global_id(0);
    for (int i = 0; i < rounds; i++)
        x = x * 1.0000001f + 0.5f;
    out[get_global_id(0)] = x;
}
"""
#: A wait that uses more of a core than this spins.
_SPINS = 0.5
#: A kernel is long enough to judge waits by from so many seconds on.
_LONG_ENOUGH = 0.05


def examine_system(config: Config, out: TextIO) -> int:
    """Print what was found; 1 where there is no OpenCL device."""
    found = 0
    try:
        platforms = cl.get_platforms()
    except cl.Error as error:
        print(f"no OpenCL platform: {error}", file=out)
        platforms = []
    for platform in platforms:
        print(f"platform {platform.name}, {platform.version}", file=out)
        for device in platform.get_devices():
            found += 1
            print(f"  device {device.name.strip()}, driver {device.driver_version}", file=out)
            print(
                f"    {device.max_compute_units} compute units, {devices.cores(device)} cores: "
                f"launches of fewer work-items stay whole",
                file=out,
            )
            print(f"    waits: {_describe_wait(device)}", file=out)
    if not found:
        print("no OpenCL device: install your GPU's OpenCL driver, or pocl-opencl-icd", file=out)
    source = tenancy.from_option(config.vms)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        count = source.vm_count()
    print(f"VM count from {source.describe()}", file=out)
    for warning in caught:
        print(f"    {warning.message}", file=out)
    print(f"    running VMs: {'unknown' if count is None else count}", file=out)
    print(f"policy {config.policy}: {_describe_policy(config, count)}", file=out)
    print(f"waits under gpusplit: {config.wait}", file=out)
    return 0 if found else 1


def _describe_policy(config: Config, count: int | None) -> str:
    from gpusplit.policy import Situation

    if config.policy == "time":
        return f"groups of at most {config.group_ms:g} ms, once a kernel has been measured"
    decision = config.make_policy().decide(Situation(2**40, count))
    if decision.groups <= 1:
        return f"launches stay whole ({decision.reason})"
    return f"large launches go out in about {decision.groups} groups ({decision.reason})"


def _describe_wait(device: cl.Device) -> str:
    try:
        measured = measure_wait(device)
    except cl.Error as error:
        return f"could not be measured: {error}"
    if measured is None:
        return "cannot be told: this device computes on the CPU that would spin"
    verdict = "spins" if measured > _SPINS else "sleeps"
    return f"the driver {verdict} ({measured:.0%} of a core while a kernel runs)"


def measure_wait(device: cl.Device) -> float | None:
    """CPU use of this process while it waits for a kernel, 1.0 being one core; None for CPUs."""
    if device.type & cl.device_type.CPU:
        return None
    context = cl.Context([device])
    queue = cl.CommandQueue(context)
    items = devices.cores(device) * 8
    buffer = cl.Buffer(context, cl.mem_flags.WRITE_ONLY, items * 4)
    kernel = cl.Kernel(cl.Program(context, _BUSY).build(), "gpusplit_busy")
    rounds = 10_000
    while True:
        kernel.set_args(buffer, np.int32(rounds))
        wall, cpu = time.perf_counter(), time.process_time()
        event = cl._cl.enqueue_nd_range_kernel(queue, kernel, (items,), None)
        waiting.driver_wait(event)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if wall >= _LONG_ENOUGH or rounds > 2**30:
            return cpu / wall
        rounds *= 2
