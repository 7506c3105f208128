"""gpusplit doctor: what is here, and what gpusplit would do with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import pyopencl as cl

from gpusplit import cuda, devices, reaching, running, tenancy
from gpusplit.config import Config
from gpusplit.cpu_wanted import cpu_wanted

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
#: A driver changes its mind if a long wait uses so much more of a core than a short one.
_CHANGES = 0.15
#: Waits are measured for kernels of about so many seconds.  The last is longer than what Windows
#: allows a GPU, 2 s, at which a driver may change the way it waits (docs/simulation.md).
_LENGTHS = (0.05, 0.5, 3.0)
#: A kernel is no longer made to last than this many rounds of its loop allow.
_MOST_ROUNDS = 2**30


def examine_system(config: Config, out: TextIO) -> int:
    """Print what was found; 1 where there is no device."""
    found = _examine_opencl(out) + _examine_cuda(out)
    print("programs can be reached:", file=out)
    for way in reaching.ways():
        print(f"  {way.name}: {'no: ' + way.trouble if way.trouble else 'yes'}", file=out)
    everywhere = reaching.everywhere(os.environ)
    print(
        "  everything in this session without gpusplit run: "
        + ("yes" if everywhere else "no (docs/good-neighbour.md)"),
        file=out,
    )
    _examine_count(config, out)
    return 0 if found else 1


def _examine_opencl(out: TextIO) -> int:
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
    return found


def _examine_cuda(out: TextIO) -> int:
    plain = _ask_cuda({**os.environ, "GPUSPLIT_WAIT": "driver"})
    if "missing" in plain:
        print(f"no CUDA: {plain['missing']}", file=out)
        return 0
    ours = _ask_cuda(running.environment(os.environ, Config(), False))
    print(f"CUDA, driver for version {plain['version']}", file=out)
    for (name, waits), (_, slept) in zip(plain["devices"], ours["devices"], strict=True):
        print(f"  device {name}", file=out)
        print(f"    waits: {describe_waits(waits)}", file=out)
        print(f"    under gpusplit: {max(100 * share for _, share in slept):.0f} %", file=out)
    return len(plain["devices"])


def _ask_cuda(environ: Mapping[str, str]) -> dict[str, Any]:
    """What gpusplit.cuda says in this environment."""
    command = [sys.executable, "-m", cuda.__name__]
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=True, timeout=300
        )
        said: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return {"missing": f"could not be measured: {error}"}
    return said


def _examine_count(config: Config, out: TextIO) -> None:
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


def _describe_policy(config: Config, count: int | None) -> str:
    if config.policy == "unsplit":
        return "launches stay whole"
    if config.policy == "fixed":
        return f"large launches go out in about {config.groups} groups"
    if config.policy == "time":
        return f"groups of at most {config.group_ms:g} ms, once a kernel has been measured"
    if count is None:
        return "launches stay whole (the number of VMs is unknown)"
    if count == 1:
        return "launches stay whole (this VM is alone)"
    if config.policy == "adaptive":
        return "as many groups as help the neighbours, once a kernel has been measured"
    groups = max(1, round(count * config.alpha))
    return f"large launches go out in about {groups} groups ({count} VMs x {config.alpha:g})"


def _describe_wait(device: cl.Device) -> str:
    try:
        measured = measure_waits(device)
    except cl.Error as error:
        return f"could not be measured: {error}"
    if measured is None:
        return "cannot be told: this device computes on the CPU that would spin"
    return describe_waits(measured)


def describe_waits(measured: Sequence[tuple[float, float]]) -> str:
    """What a driver does, by the seconds of some waits and the part of a core each used.

    >>> describe_waits([(0.05, 0.99), (0.5, 1.0), (3.0, 1.0)])
    'the driver spins (99 to 100 % of a core while a kernel runs)'
    >>> describe_waits([(0.05, 0.01), (0.5, 0.02), (3.0, 0.34)])  # doctest: +ELLIPSIS
    'the driver sleeps, but uses more of a core in longer waits (1 % for 0.05 s, 34 % for 3 s): ...'
    """
    shares = [share for _, share in measured]
    low, high = min(shares), max(shares)
    (short, first), (long, last) = measured[0], measured[-1]
    if last - first > _CHANGES:
        # Whoever sleeps at first and then spins has spun for the rest.
        turn = long * (1 - last)
        return (
            f"the driver sleeps, but uses more of a core in longer waits ({first:.0%} for "
            f"{short:.2g} s, {last:.0%} for {long:.2g} s): ".replace("%", " %")
            + f"if it spins in the end it does so after about {turn:.1f} s, and splitting alone "
            "helps the neighbours of longer kernels"
        )
    verdict = "spins" if high > _SPINS else "sleeps"
    span = " to ".join(dict.fromkeys(f"{100 * share:.0f}" for share in (low, high)))
    return f"the driver {verdict} ({span} % of a core while a kernel runs)"


def measure_waits(device: cl.Device) -> list[tuple[float, float]] | None:
    """Some waits: seconds, and CPU use of this process, 1.0 being one core; None for CPUs."""
    if device.type & cl.device_type.CPU:
        return None
    context = cl.Context([device])
    queue = cl.CommandQueue(context)
    items = devices.cores(device) * 8
    buffer = cl.Buffer(context, cl.mem_flags.WRITE_ONLY, items * 4)
    kernel = cl.Kernel(cl.Program(context, _BUSY).build(), "gpusplit_busy")
    rounds = 10_000
    measured: list[tuple[float, float]] = []
    for length in _LENGTHS:
        while True:
            kernel.set_args(buffer, np.int32(rounds))
            wall, cpu = time.perf_counter(), cpu_wanted()
            cl.enqueue_nd_range_kernel(queue, kernel, (items,), None).wait()
            wall, cpu = time.perf_counter() - wall, cpu_wanted() - cpu
            if wall >= length or rounds >= _MOST_ROUNDS:
                break
            # By a factor of two at most: the first launch of a kernel may be slow.
            rounds = min(_MOST_ROUNDS, max(rounds + 1, int(rounds * min(2.0, 1.1 * length / wall))))
        measured.append((wall, cpu / wall))
        if rounds >= _MOST_ROUNDS:
            break
    return measured
