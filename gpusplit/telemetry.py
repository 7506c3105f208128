"""What happened to each launch, for programs, tests and people: records, a summary, a timeline."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pyopencl as cl

    from gpusplit.ndrange import NDRange


@dataclass(frozen=True, slots=True)
class Launch:
    """One call of enqueue_nd_range_kernel and what became of it.

    Attributes
    ----------
    kernel: the kernel's function name.
    global_size: work-items per dimension; empty where the arguments were not understood.
    groups: slices that were enqueued; 1 means that the launch stayed whole.
    wanted: groups that the policy asked for.
    vm_count: running VMs at that moment; None where unknown or not asked for.
    reason: why this many, in words.
    """

    kernel: str
    global_size: tuple[int, ...]
    groups: int
    wanted: int
    vm_count: int | None
    reason: str


_lock = threading.Lock()
_listeners: list[Callable[[Launch], None]] = []
_timelines: list[Timeline] = []


def listening() -> bool:
    """Whether anybody records launches; reading a kernel's name costs, so ask first."""
    return bool(_listeners)


def tracing() -> bool:
    """Whether a timeline is kept, for which slices go to profiled queues."""
    return bool(_timelines)


def record(launch: Launch) -> None:
    """Hand *launch* to everybody who records."""
    for listener in tuple(_listeners):
        listener(launch)


def sliced(kernel: str, event: cl.Event, part: NDRange | None, lane: int) -> None:
    """A slice (None: a whole launch) was enqueued on *lane* (0: the caller's queue)."""
    for timeline in _timelines:
        timeline.add(kernel, event, part, lane)


@contextmanager
def recording() -> Iterator[list[Launch]]:
    """Collect a Launch for every launch, of any thread, inside the with block.

    >>> with recording() as launches:
    ...     pass
    >>> launches
    []
    """
    launches: list[Launch] = []
    listener = launches.append
    with _lock:
        _listeners.append(listener)
    try:
        yield launches
    finally:
        with _lock:
            # By identity: two empty lists are equal, and so are their append methods.
            _listeners[:] = [entry for entry in _listeners if entry is not listener]


class Summary:
    """Counts launches by kernel and by what became of them."""

    def __init__(self) -> None:
        """Count from now on."""
        self._counts: Counter[tuple[str, bool, str]] = Counter()
        self._slices: Counter[str] = Counter()
        with _lock:
            _listeners.append(self._add)

    def _add(self, launch: Launch) -> None:
        split = launch.groups > 1
        self._counts[launch.kernel, split, launch.reason] += 1
        if split:
            self._slices[launch.kernel] += launch.groups

    def close(self) -> None:
        """Count no longer."""
        with _lock:
            _listeners[:] = [entry for entry in _listeners if entry != self._add]

    def write(self, file: TextIO) -> None:
        """One line for each kernel and outcome, the most frequent first."""
        launches = sum(self._counts.values())
        split = sum(count for (_, was_split, _), count in self._counts.items() if was_split)
        print(f"gpusplit: {launches} launches, {split} of them split", file=file)
        for (kernel, was_split, reason), count in self._counts.most_common():
            outcome = "split" if was_split else "whole"
            print(f"gpusplit: {count:8} x {kernel}: {outcome} ({reason})", file=file)


class Timeline:
    """Slices with their times, written in the Trace Event Format.

    chrome://tracing and Perfetto open it.  Times are the device's, in microseconds, where the
    command was profiled; commands of unprofiled queues are left out, and counted.
    """

    #: Events of finished commands are turned into numbers after so many.
    _BATCH = 256

    def __init__(self) -> None:
        """Keep a timeline from now on."""
        self._open: list[tuple[str, cl.Event, tuple[int, ...], tuple[int, ...], int, float]] = []
        self._done: list[dict[str, Any]] = []
        self._unprofiled = 0
        with _lock:
            _timelines.append(self)

    def add(self, kernel: str, event: cl.Event, part: NDRange | None, lane: int) -> None:
        """A command was enqueued just now."""
        size = part.global_size if part is not None else ()
        offset = part.offset if part is not None else ()
        self._open.append((kernel, event, size, offset, lane, time.monotonic()))
        if len(self._open) >= self._BATCH:
            self._collect(wait=False)

    def close(self) -> None:
        """Keep no more."""
        with _lock:
            _timelines[:] = [entry for entry in _timelines if entry is not self]

    def write(self, path: str) -> None:
        """Write what was kept to the file *path*, waiting for commands that still run.

        It takes the place of one that is there: the native library may go on writing to that.
        """
        import json  # few runs write a timeline
        import os

        self._collect(wait=True)
        lanes = sorted({entry["tid"] for entry in self._done})
        names = [
            {
                "name": "thread_name", "ph": "M", "pid": 1, "tid": lane,
                "args": {"name": "the program's queue" if lane == 0 else f"companion {lane}"},
            }
            for lane in lanes
        ]  # fmt: skip
        document = {
            "traceEvents": names + self._done,
            "displayTimeUnit": "ms",
            "otherData": {"commands without profiling": self._unprofiled},
        }
        new = f"{path}.{os.getpid()}"
        with open(new, "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(new, path)

    def _collect(self, wait: bool) -> None:
        import pyopencl as cl

        from gpusplit import events

        still_open = []
        for entry in self._open:
            kernel, event, size, offset, lane, _ = entry
            if not events.complete(event):
                if not wait:
                    still_open.append(entry)
                    continue
                event.wait()
            try:
                begin = events.profile(event, cl.profiling_info.START)
                end = events.profile(event, cl.profiling_info.END)
            except cl.Error:
                self._unprofiled += 1
                continue
            self._done.append(
                {
                    "name": kernel,
                    "cat": "slice" if size else "whole",
                    "ph": "X",
                    "ts": begin / 1e3,
                    "dur": (end - begin) / 1e3,
                    "pid": 1,
                    "tid": lane,
                    "args": {"global size": list(size), "offset": list(offset)},
                }
            )
        self._open = still_open


def report_at_exit(summary: bool, timeline: str) -> Callable[[], None]:
    """Keep a summary and a timeline, and put them out when the program ends.

    Returns a function that puts them out at once, and not again at the end.
    """
    counts = Summary() if summary else None
    kept = Timeline() if timeline else None
    done = False

    def finish() -> None:
        nonlocal done
        if done:
            return
        done = True
        if counts is not None:
            counts.close()
            counts.write(sys.stderr)
        if kept is not None:
            kept.close()
            try:
                kept.write(timeline)
            except OSError as error:
                print(f"gpusplit: the timeline could not be written: {error}", file=sys.stderr)

    if counts is not None or kept is not None:
        atexit.register(finish)
    return finish
