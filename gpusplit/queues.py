"""What gpusplit keeps for each command queue: its companion, and what runs on it.

An in-order queue gets a companion, a second queue of the same kind.  Slices go to the two in turn,
so that the work-groups of one slice fill the hole that the tail of the one before leaves (measured
on an H200: 0.1 % slow-down instead of 39 % at 80 groups).
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any

import pyopencl as cl

from gpusplit import devices, events, history, layer, pocl, waiting
from gpusplit.lanes import marker

_ATTRIBUTE = "_gpusplit"
_PROFILING = cl.command_queue_properties.PROFILING_ENABLE
_OUT_OF_ORDER = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE

#: Launches remembered per queue to predict waits; older ones are most likely over.
_MOST_PENDING = 256


_locks: weakref.WeakValueDictionary[int, threading.RLock] = weakref.WeakValueDictionary()


@dataclass(slots=True)
class Pending:
    """One command on a queue whose end somebody may wait for.

    Attributes
    ----------
    event: complete when the command is.
    key: what the history knows it by.
    enqueued: when, in seconds of time.monotonic().
    begin: when it began to run, if known: the queue was idle, or its predecessor's end was seen.
    work_items: of the launch.
    end: when its end was seen, if it was.
    """

    event: cl.Event
    key: history.Key
    enqueued: float
    begin: float | None
    work_items: int
    end: float | None = None


class QueueState:
    """What gpusplit keeps for one CommandQueue object; it lives as long as that."""

    def __init__(self, queue: cl.CommandQueue) -> None:
        """Ask *queue* what it is."""
        properties = int(queue.properties)
        self.device = queue.device
        # Never freed while a queue of it lives.
        self.device_address = self.device.int_ptr
        self.out_of_order = bool(properties & int(_OUT_OF_ORDER))
        self.profiled = bool(properties & int(_PROFILING))
        #: Markers and barriers with wait lists came with OpenCL 1.2; without them nothing is split.
        self.modern = queue._get_cl_version() >= (1, 2)
        self.cores = devices.cores(self.device)
        self.compute_units = self.device.max_compute_units
        self.address_bits = self.device.address_bits
        self.is_nvidia = "NVIDIA" in self.device.vendor
        self.is_pocl = self.device.platform.name == "Portable Computing Language"
        #: PoCL before version 6: slices run one after another.
        self.one_at_a_time = pocl.counts_wrong(
            self.device.platform.name, self.device.driver_version
        )
        self.is_gpu = bool(self.device.type & cl.device_type.GPU)
        self.pending: deque[Pending] = deque(maxlen=_MOST_PENDING)
        #: Held while slices are enqueued: no other thread's command may come between them.
        #: One for all objects that stand for the queue.
        self.lock = _locks.setdefault(queue.int_ptr, threading.RLock())
        self._companions: dict[bool, list[cl.CommandQueue]] = {False: [], True: []}
        self._prober: cl.CommandQueue | None = None
        self._no_more = False

    def companions(
        self, queue: cl.CommandQueue, count: int, profiled: bool
    ) -> list[cl.CommandQueue]:
        """*count* further queues for slices; fewer where the device does not give so many."""
        made = self._companions[profiled]
        properties: Any = _PROFILING if profiled else 0
        while len(made) < count and not self._no_more:
            try:
                made.append(cl.CommandQueue(queue.context, self.device, properties))
            except cl.Error:
                self._no_more = True
        return made[:count]

    def prober(self, queue: cl.CommandQueue) -> cl.CommandQueue | None:
        """A profiled queue to measure single slices on; None where the device gives none.

        Slices do not go there otherwise: NVIDIA's driver lets nothing overlap with a kernel of a
        profiled queue (an H200: 18 % slow-down instead of 1 % at 80 groups).
        """
        if self._prober is None and not self._no_more:
            try:
                self._prober = cl.CommandQueue(queue.context, self.device, _PROFILING)
            except cl.Error:
                self._no_more = True
        return self._prober

    def enqueued(self, event: cl.Event, key: history.Key, work_items: int) -> None:
        """Remember a command that was just enqueued."""
        pending = self.pending
        now = time.monotonic()
        idle = not pending or events.complete(pending[-1].event)
        begin = now if idle else None
        pending.append(Pending(event, key, now, begin, work_items))

    def tidy(self, unseen: bool = False) -> None:
        """Learn from commands that are over, and forget them.

        Done before a wait rather than after it: then the device works meanwhile.
        unseen: the driver waits, so that ends are not seen; a program that waits for each launch
        is just back from the last one.
        """
        pending = self.pending
        if unseen and len(pending) == 1 and events.complete(pending[0].event):
            pending[0].end = time.monotonic()
        while pending and events.complete(pending[0].event):
            try:
                entry = pending.popleft()
            except IndexError:  # another thread was faster
                return
            if entry.end is not None and pending and pending[0].begin is None:
                # In order: it began when this one ended, unless it came later.
                pending[0].begin = max(entry.end, pending[0].enqueued)
            if events.status(entry.event) == 0:
                _learn(self, entry)


_by_address: weakref.WeakValueDictionary[int, QueueState] = weakref.WeakValueDictionary()


def state(queue: cl.CommandQueue) -> QueueState:
    """The state of *queue*, made if need be."""
    try:
        found: QueueState = queue._gpusplit  # type: ignore[attr-defined]
    except AttributeError:
        found = QueueState(queue)
        setattr(queue, _ATTRIBUTE, found)
        _by_address[queue.int_ptr] = found
    return found


def wait_for(event: cl.Event) -> None:
    """Sleep until *event* is over; the caller then asks OpenCL for the outcome.

    Commands before it whose time is known are slept through one after another, so that each is
    predicted, and learned from, by itself.
    """
    if events.complete(event):
        return
    queue = event.command_queue
    # A user event belongs to no queue.
    found = _by_address.get(queue.int_ptr) if queue is not None else None
    if queue is not None:
        # A command that nobody flushed never starts, and asking for its status does not flush.
        queue.flush()
    if found is not None:
        found.tidy()
        address = event.int_ptr
        entries = list(found.pending)
        for at, entry in enumerate(entries):
            if entry.event.int_ptr == address:
                for ahead in entries[:at] if not found.out_of_order else ():
                    _wait_for_pending(found, ahead)
                _wait_for_pending(found, entry)
                return
    _sleep(event)


def _sleep(event: cl.Event, expected: float | None = None, elapsed: float = 0.0) -> bool | None:
    """As wait_cooperatively, until *event* is over; by the native library where that is."""
    if not layer.waits():
        return waiting.wait_cooperatively(lambda: events.complete(event), expected, elapsed)
    if events.complete(event):
        return False
    with contextlib.suppress(cl.Error):  # the caller asks OpenCL for the outcome
        events.driver_wait(event)
    return True


def wait_for_queue(queue: cl.CommandQueue) -> None:
    """Sleep until everything enqueued on *queue* so far is over."""
    found = state(queue)
    queue.flush()
    found.tidy()
    for entry in list(found.pending):
        _wait_for_pending(found, entry)
    last = marker(queue, None) if found.modern else cl.enqueue_marker(queue)
    queue.flush()
    _sleep(last)


def expected_left(found: QueueState) -> float:
    """Seconds until the known commands on a queue are over; 0 where nothing is known."""
    left = 0.0
    now = time.monotonic()
    for entry in list(found.pending):
        if not events.complete(entry.event):
            expected = history.expect(entry.key) or 0.0
            left += max(0.0, expected - (now - entry.begin if entry.begin is not None else 0.0))
    return left


def _wait_for_pending(found: QueueState, entry: Pending) -> None:
    if entry.begin is None and found.pending and found.pending[0] is entry:
        # What was before it is over and forgotten.
        entry.begin = time.monotonic()
    event = entry.event
    elapsed = 0.0 if entry.begin is None else time.monotonic() - entry.begin
    expected = history.expect(entry.key)
    if _sleep(event, expected, elapsed):
        entry.end = time.monotonic()
        following = found.pending
        if len(following) > 1 and following[0] is entry and following[1].begin is None:
            following[1].begin = max(entry.end, following[1].enqueued)


def _learn(found: QueueState, entry: Pending) -> None:
    """Learn how long a command took, from the device's clock or from having seen its end."""
    seconds = events.seconds(entry.event) if found.profiled else None
    if seconds is None and entry.begin is not None and entry.end is not None:
        seconds = entry.end - entry.begin
    if seconds is None:
        return
    history.learn(entry.key, entry.work_items, seconds)
