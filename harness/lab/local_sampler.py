"""Sampling this machine's accounting of CPU time in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from harness.errors import CommandTimedOut
from harness.lab.samples import CpuSample

AHEAD = time.time() - time.monotonic()


def now() -> float:
    """Return the time, by the monotonic clock: a clock that is set meanwhile moves nothing."""
    return AHEAD + time.monotonic()


class LocalSampler:
    """Samples every period in a thread; this machine's clock is the reference."""

    def __init__(self, take: Callable[[], CpuSample], period: float = 0.1) -> None:
        self._take = take
        self._period = period
        self._samples: list[CpuSample] = []
        self._sampled = threading.Condition()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def clock(self) -> float:
        return now()

    def begin(self) -> None:
        self._samples = [self._take()]
        self._ended.clear()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def wait_until(self, moment: float, timeout: float) -> None:
        with self._sampled:
            if not self._sampled.wait_for(lambda: self._samples[-1].time > moment, timeout):
                raise CommandTimedOut(
                    f"The accounting did not reach the end of the window within {timeout:.0f} s.",
                    "is the machine overloaded?",
                )

    def end(self) -> tuple[CpuSample, ...]:
        self.stop()
        self._samples.append(self._take())
        return tuple(self._samples)

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _sample(self) -> None:
        while not self._ended.wait(self._period):
            with self._sampled:
                self._samples.append(self._take())
                self._sampled.notify_all()
