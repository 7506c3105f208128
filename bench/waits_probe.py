"""Waits of known length, by CUDA's driver interface alone: python waits_probe.py [flag]

Prints JSON: for each length and way of waiting the median time and the CPU that it took.  With
`flag` the context waits by sleeping, which is CUDA's own remedy (CU_CTX_SCHED_BLOCKING_SYNC).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable

from gpusplit.cuda import SPIN, Driver

#: Milliseconds that a kernel takes, and how often it is waited for.
LENGTHS = ((10.0, 60), (1.0, 300), (0.1, 1500), (0.02, 3000))
WARM_UP = 12
BLOCKING = 4


class Gpu:
    """A context, a stream, an event and a kernel that takes as long as it is told."""

    def __init__(self, flag: bool) -> None:
        self.call = call = Driver().call
        if flag:
            call("cuDevicePrimaryCtxSetFlags_v2", 0, BLOCKING)
        context, module = ctypes.c_void_p(), ctypes.c_void_p()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        call("cuCtxSetCurrent", context)
        self.stream, self.event, self.spin = (ctypes.c_void_p() for _ in range(3))
        call("cuStreamCreate", ctypes.byref(self.stream), 1)
        call("cuEventCreate", ctypes.byref(self.event), 2)
        call("cuModuleLoadData", ctypes.byref(module), SPIN)
        call("cuModuleGetFunction", ctypes.byref(self.spin), module, b"spin")
        memory, self.host = ctypes.c_void_p(), ctypes.create_string_buffer(64)
        call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(64))
        self.memory = memory

    def launch(self, milliseconds: float) -> None:
        nanoseconds = ctypes.c_uint64(int(milliseconds * 1e6))
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(nanoseconds))
        one = (1,) * 6
        self.call("cuLaunchKernel", self.spin, *one, 0, self.stream, arguments, None)

    def wait_stream(self) -> None:
        self.call("cuStreamSynchronize", self.stream)

    def wait_event(self) -> None:
        self.call("cuEventRecord", self.event, self.stream)
        self.call("cuEventSynchronize", self.event)

    def wait_context(self) -> None:
        self.call("cuCtxSynchronize")

    def wait_copy(self) -> None:
        """A copy to memory that the driver does not know comes back when it is done."""
        size = ctypes.c_size_t(64)
        self.call("cuMemcpyDtoHAsync_v2", self.host, self.memory, size, self.stream)


def cpu() -> tuple[float, int]:
    """Seconds used until now, and how often this thread went to sleep."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    sleeps = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    return used.ru_utime + used.ru_stime, sleeps


def measure(
    gpu: Gpu, milliseconds: float, times: int, wait: Callable[[], None]
) -> dict[str, float]:
    """Median time of a launch and its wait in us, the part of a core that all took, wake-ups."""
    for _ in range(WARM_UP):
        gpu.launch(milliseconds)
        wait()
    took, (used, slept), began = [], cpu(), time.perf_counter()
    for _ in range(times):
        start = time.perf_counter()
        gpu.launch(milliseconds)
        wait()
        took.append(time.perf_counter() - start)
    now, sleeps = cpu()
    return {
        "us": statistics.median(took) * 1e6,
        "cpu": (now - used) / (time.perf_counter() - began),
        "wakes": (sleeps - slept) / times,
    }


def main() -> None:
    """Measure everything once."""
    gpu = Gpu("flag" in sys.argv[1:])
    ways = {
        "stream": gpu.wait_stream,
        "event": gpu.wait_event,
        "context": gpu.wait_context,
        "copy": gpu.wait_copy,
    }
    print(
        json.dumps(
            {
                f"{milliseconds:g} ms, {name}": measure(gpu, milliseconds, times, wait)
                for milliseconds, times in LENGTHS
                for name, wait in ways.items()
            }
        ),
        flush=True,
    )
    os._exit(0)  # a driver that ends slowly is not what is measured


if __name__ == "__main__":
    main()
