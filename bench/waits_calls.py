"""What single calls of CUDA's driver cost, and how late timers are: python waits_calls.py [flag]

Prints JSON: microseconds of each (median), less what calling nothing costs.  From these follows
what a wait that sleeps and asks can reach here.  With `flag` the context waits by sleeping.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.waits_probe import BLOCKING, Gpu

TIMES = 400
#: Seconds that a thread sleeps, to see how late its timer is.
SLEEPS = (0.0001, 0.001, 0.01)


class Calls:
    """Calls by their names, timed one by one."""

    def __init__(self, flag: bool) -> None:
        self.gpu = Gpu(flag)
        self.driver: Any = ctypes.CDLL("libcuda.so.1")
        self.blocking = ctypes.c_void_p()
        self.gpu.call("cuEventCreate", ctypes.byref(self.blocking), 3)
        self.number = ctypes.c_int()
        self.nothing = 0.0
        self.nothing = self.took(lambda: self.driver.cuDriverGetVersion(ctypes.byref(self.number)))

    def took(
        self, call: Callable[[], Any], before: Callable[[], Any] = lambda: None, times: int = TIMES
    ) -> float:
        """Median of a call's microseconds; `before` runs before each and is not counted."""
        found = []
        for _ in range(times):
            before()
            start = time.perf_counter_ns()
            call()
            found.append(time.perf_counter_ns() - start)
        return round(statistics.median(found) / 1000 - self.nothing, 2)

    def asked(self, event: ctypes.c_void_p, milliseconds: float) -> float:
        """A kernel and an event, asked for until it is over, and then waited for."""
        gpu, driver = self.gpu, self.driver

        def wait() -> None:
            gpu.launch(milliseconds)
            driver.cuEventRecord(event, gpu.stream)
            while driver.cuEventQuery(event):
                pass
            driver.cuEventSynchronize(event)

        return self.took(wait)

    def copy_between(self, flags: tuple[int, int]) -> None:
        """A copy to ordinary memory while the context has other flags."""
        self.driver.cuCtxSetFlags(flags[0])
        self.gpu.wait_copy()
        self.driver.cuCtxSetFlags(flags[1])

    def all(self) -> dict[str, float]:
        gpu, driver = self.gpu, self.driver
        number = ctypes.byref(self.number)

        def busy() -> None:
            if driver.cuStreamQuery(gpu.stream) == 0:
                gpu.launch(5)
                driver.cuEventRecord(gpu.event, gpu.stream)

        calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "launch of 1 us": (lambda: gpu.launch(0.001), gpu.wait_stream),
            "stream's query, busy": (lambda: driver.cuStreamQuery(gpu.stream), busy),
            "event's query, busy": (lambda: driver.cuEventQuery(gpu.event), busy),
            "stream's query, over": (lambda: driver.cuStreamQuery(gpu.stream), gpu.wait_stream),
            "event's query, over": (lambda: driver.cuEventQuery(gpu.event), gpu.wait_stream),
            "stream's wait, over": (gpu.wait_stream, gpu.wait_stream),
            "context's wait, over": (gpu.wait_context, gpu.wait_stream),
            "event's wait, over": (
                lambda: driver.cuEventSynchronize(gpu.event),
                gpu.wait_event,
            ),
            "blocking event's wait, over": (
                lambda: driver.cuEventSynchronize(self.blocking),
                lambda: (
                    driver.cuEventRecord(self.blocking, gpu.stream),
                    driver.cuEventSynchronize(self.blocking),
                ),
            ),
            "event's record": (
                lambda: driver.cuEventRecord(gpu.event, gpu.stream),
                gpu.wait_stream,
            ),
            "blocking event's record": (
                lambda: driver.cuEventRecord(self.blocking, gpu.stream),
                gpu.wait_stream,
            ),
            "stream captures?": (
                lambda: driver.cuStreamIsCapturing(gpu.stream, number),
                lambda: None,
            ),
            "exchange of capture modes": (
                lambda: driver.cuThreadExchangeStreamCaptureMode(ctypes.byref(ctypes.c_int(2))),
                lambda: driver.cuThreadExchangeStreamCaptureMode(ctypes.byref(ctypes.c_int(0))),
            ),
            "current context": (
                lambda: driver.cuCtxGetCurrent(ctypes.byref(ctypes.c_void_p())),
                lambda: None,
            ),
            "copy of 64 bytes to ordinary memory": (gpu.wait_copy, gpu.wait_stream),
        }
        found = {name: self.took(*each) for name, each in calls.items()}
        for milliseconds in (0.02, 0.1):
            for name, event in (("event", gpu.event), ("blocking event", self.blocking)):
                found[f"{milliseconds:g} ms, {name} asked for"] = self.asked(event, milliseconds)
        flags = ctypes.c_uint()
        if hasattr(driver, "cuCtxSetFlags") and driver.cuCtxGetFlags(ctypes.byref(flags)) == 0:
            now, other = flags.value, flags.value ^ BLOCKING
            found["context's flags, set"] = self.took(lambda: driver.cuCtxSetFlags(now))
            found["copy under the other flag"] = self.took(lambda: self.copy_between((other, now)))
        return found


def lateness() -> dict[str, float]:
    """How late a thread wakes that sleeps so long, with fine timers: median, and one in ten."""
    libc = ctypes.CDLL(None)
    libc.prctl(29, 1)
    found = {}
    for seconds in SLEEPS:
        late = []
        for _ in range(int(1 / seconds**0.5) * 2):
            until = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(seconds * 1e9)
            at = (ctypes.c_long * 2)(*divmod(until, 10**9))
            libc.clock_nanosleep(1, 1, at, None)
            late.append((time.clock_gettime_ns(time.CLOCK_MONOTONIC) - until) / 1000)
        late.sort()
        found[f"late after {seconds * 1e3:g} ms"] = round(late[len(late) // 2], 1)
        found[f"late after {seconds * 1e3:g} ms, 1 of 10"] = round(late[len(late) * 9 // 10], 1)
    return found


def main() -> None:
    """Measure everything once."""
    print(json.dumps(Calls("flag" in sys.argv[1:]).all() | lateness()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
