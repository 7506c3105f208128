"""One event that stands for all slices of a launch.

The event that goes back to the caller is a real one of the caller's queue, a barrier that waits
for the slices, so that it may stand in any wait list.  pyopencl's Event accepts no attributes, no
weak references and no subclass, so what the barrier cannot know is kept here by address: when the
first slice was queued and started, and when the last one ended.  The wrapped getters answer for the
launch: its type is that of a kernel, its times are those of the slices.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pyopencl as cl

from gpusplit import hooks

_get_info = cl._cl.Event.get_info
_get_profiling_info = cl._cl.Event.get_profiling_info

_STATUS = cl.event_info.COMMAND_EXECUTION_STATUS
_COMPLETE = cl.command_execution_status.COMPLETE
_RUNNING = cl.command_execution_status.RUNNING

Events = tuple[cl.Event, ...]
#: By address: the event that the caller has, the slices that began the launch, the last ones, and
#: all its commands (PoCL 3.1 aborts if one whose event nobody holds fails with what it waits for).
_launches: dict[int, tuple[cl.Event, Events, Events, Events]] = {}
_lock = threading.Lock()
#: The fewest entries that are worth looking through for dead ones.
_SWEEP_FROM = 256
_sweep_at = [_SWEEP_FROM]

#: The driver's own wait, whatever is patched later.
driver_wait: Callable[[cl.Event], None] = cl._cl.Event.wait


def status(event: cl.Event) -> int:
    """Execution status: 3 queued, 2 submitted, 1 running, 0 complete, negative an error."""
    return _get_info(event, _STATUS)  # type: ignore[return-value]


def complete(event: cl.Event) -> bool:
    """Whether *event* is over, well or badly."""
    return status(event) <= _COMPLETE


def profile(event: cl.Event, what: int) -> int:
    """Nanoseconds of the device's clock, of this one command; cl.Error if not profiled."""
    return _get_profiling_info(event, what)  # type: ignore[return-value]


def stand_for(barrier: cl.Event, first: Events, last: Events, kept: Events) -> None:
    """Let *barrier* answer for a launch whose slices begin with *first* and end with *last*.

    kept: further events of the launch that are not to be released before it is over.
    """
    with _lock:
        _launches[barrier.int_ptr] = (barrier, first, last, kept)
        if len(_launches) >= _sweep_at[0]:
            _sweep()
            _sweep_at[0] = max(_SWEEP_FROM, 2 * len(_launches))


def _sweep() -> None:
    """Forget the launches whose event nobody holds any more."""
    for address in list(_launches):
        # The tuple, getrefcount's argument: whoever else holds it makes three.
        if sys.getrefcount(_launches[address][0]) <= 2 and complete(_launches[address][0]):
            del _launches[address]


def seconds(event: cl.Event) -> float | None:
    """How long the launch behind a completed *event* ran, by the device's clock; None if unknown.

    Where the caller's queue is not profiled, the slices on its companion are; they begin and end
    within a slice of the launch's own begin and end.
    """
    known = _launches.get(event.int_ptr)
    first, last = ((event,), (event,)) if known is None else known[1:3]
    starts: list[int] = []
    ends: list[int] = []
    for parts, what, times in (
        (first, cl.profiling_info.START, starts),
        (last, cl.profiling_info.END, ends),
    ):
        for part in parts:
            try:
                times.append(profile(part, what))
            except cl.Error:
                continue
    return (max(ends) - min(starts)) * 1e-9 if starts and ends else None


def _wrapped_profiling_info(self: cl.Event, param: int) -> Any:
    known = _launches.get(self.int_ptr)
    # First, so that an event that is not profiled or not complete raises what it always does.
    value = _get_profiling_info(self, param)
    if known is None:
        return value
    _, first, last, _ = known
    info = cl.profiling_info
    if param in (info.QUEUED, info.SUBMIT, info.START):
        return min(profile(event, param) for event in first)
    return max(profile(event, param) for event in last)


def _wrapped_info(self: cl.Event, param: cl.event_info) -> Any:
    value = _get_info(self, param)
    known = _launches.get(self.int_ptr) if _launches else None
    if known is None:
        return value
    if param == cl.event_info.COMMAND_TYPE:
        return int(cl.command_type.NDRANGE_KERNEL)
    if param == _STATUS and int(value) > _RUNNING:  # type: ignore[call-overload]
        # The barrier waits; the launch runs as soon as one of its slices does.
        return _RUNNING if any(status(event) <= _RUNNING for event in known[1]) else value
    return value


if hooks.once(cl._cl.Event, "_gpusplit_events"):
    hooks.put(cl._cl.Event, "get_profiling_info", _wrapped_profiling_info)
    hooks.put(cl._cl.Event, "get_info", _wrapped_info)
    # pyopencl's attributes hold the unwrapped getter.
    hooks.put(
        cl._cl.Event,
        "command_type",
        property(lambda self: _wrapped_info(self, cl.event_info.COMMAND_TYPE)),
    )
    hooks.put(
        cl._cl.Event,
        "command_execution_status",
        property(lambda self: _wrapped_info(self, _STATUS)),
    )
