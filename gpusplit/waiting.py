"""Waiting for the GPU without using the CPU.

OpenCL drivers spin while they wait (docs/gpusplit.md has figures).  A cooperative wait sleeps
until shortly before the expected end, then asks for the event's status with short sleeps between.
hashcat (--spin-damp) and John the Ripper (AvoidBusyWait) found that this works and that callbacks
do not; both sleep a fixed part of earlier times, and so does this module, but it also asks now
and then on the way, so that a kernel that ends early is noticed early.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Protocol

#: The part of the expected time that is slept through (measured on an H200: 0.5 % of a core).
SLEEP_PART = 0.97
#: Between two questions shortly before and after the expected end, in seconds.
FINE_STEP = 20e-6
#: The same for long work, as a part of the expected time: nobody notices so little.
FINE_PART = 1 / 2000
#: Late by at most this part of the time waited, while the end is not near or not known.
COARSE_PART = 1 / 16
UNKNOWN_PART = 1 / 120
#: Seconds of asking without sleep before the first sleep; a sleep takes about twice as long.
FIRST_LOOK = 25e-6
#: A question is asked again after at least this many times the CPU time it costs: in the short
#: while around the expected end, and at other times.
FINE_COST_PART = 5
COARSE_COST_PART = 20
#: Earlier times of a kernel that are kept; the shortest of them is what is expected.
REMEMBERED = 8
#: Kinds of work that are remembered; the one seen first is forgotten for another.
MOST_KEYS = 4096


class Status(Protocol):
    """Returns whether the work is complete."""

    def __call__(self) -> bool:
        """True once complete."""
        ...


def next_sleep(elapsed: float, expected: float | None, cost: float = 0.0) -> float:
    """Seconds to sleep before asking again, *elapsed* seconds into work of *expected* seconds.

    Before the last 3 % of the expected time the steps grow with the time elapsed; around the
    expected end they are short; long after it they grow again, since the expectation was wrong.
    *cost* is the CPU time of one question: a slow CPU (an emulated guest) asks less often.
    """
    fine_step = max(FINE_STEP, FINE_COST_PART * cost, FINE_PART * (expected or 0.0))
    coarse_step = max(FINE_STEP, COARSE_COST_PART * cost)
    if expected is not None and expected > 0:
        until_window = SLEEP_PART * expected - elapsed
        if until_window > fine_step:
            # Never past the window, and never so long that an early end is missed for long.
            first_look = SLEEP_PART * expected / 4
            return min(until_window, max(first_look, COARSE_PART * elapsed, coarse_step))
        if elapsed < (2 - SLEEP_PART) * expected:
            return fine_step
    return max(coarse_step, UNKNOWN_PART * elapsed)


_PR_SET_TIMERSLACK, _PR_GET_TIMERSLACK = 29, 30


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None)
    libc.prctl.argtypes = [ctypes.c_int, *4 * (ctypes.c_ulong,)]
    return libc


class _FineTimer:
    """Lets short sleeps of this thread end in time (Linux: within 1 us instead of 50 us)."""

    def __init__(self) -> None:
        try:
            self._prctl: Any = _libc().prctl
        except (OSError, AttributeError):
            self._prctl = None

    def __enter__(self) -> None:
        if self._prctl is not None:
            self._slack = max(0, self._prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0))
            self._prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)

    def __exit__(self, *_: object) -> None:
        if self._prctl is not None:
            self._prctl(_PR_SET_TIMERSLACK, self._slack, 0, 0, 0)


def wait_cooperatively(
    complete: Status,
    expected: float | None,
    elapsed: float = 0.0,
    limit: float = float("inf"),
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool | None:
    """Sleep and ask until *complete* says so.

    expected: seconds the work takes in all, None if unknown; elapsed: seconds it has run already;
    limit: give up after so many seconds.  Returns True if its end was seen, False if it was over
    when first asked, None when given up.
    """
    if complete():
        return False
    entered = clock()
    begin = entered - elapsed
    # Small kernels are over before a sleep is: look for a moment first.
    while clock() - entered < FIRST_LOOK:
        if complete():
            return True
    with _FineTimer():
        return _sleep_and_ask(complete, expected, begin, entered + limit, sleep, clock)


def _sleep_and_ask(
    complete: Status,
    expected: float | None,
    begin: float,
    until: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> bool | None:
    cost = 0.0
    while True:
        now = clock()
        if now >= until:
            return None
        sleep(min(next_sleep(now - begin, expected, cost), until - now))
        asked = time.thread_time()
        if complete():
            return True
        # Sleeping and waking costs about as much as asking does.
        cost = 2 * (time.thread_time() - asked)


class Predictor:
    """How long a piece of work takes, from the times that the same work took before."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self._lock = threading.Lock()
        self._seconds: dict[Hashable, deque[float]] = {}

    def expect(self, key: Hashable) -> float | None:
        """The shortest of the last times in seconds, or None for work never seen."""
        seconds = self._seconds.get(key)
        return min(seconds) if seconds else None

    def learn(self, key: Hashable, seconds: float) -> None:
        """Remember that *key* took *seconds*."""
        with self._lock:
            if key not in self._seconds and len(self._seconds) >= MOST_KEYS:
                del self._seconds[next(iter(self._seconds))]
            self._seconds.setdefault(key, deque(maxlen=REMEMBERED)).append(seconds)

    def forget(self) -> None:
        """Know nothing again."""
        with self._lock:
            self._seconds.clear()
