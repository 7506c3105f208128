"""What gpusplit keeps for each command queue: its companion, and what runs on it.

An in-order queue gets a companion, a second queue of the same kind.  Slices go to the two in turn,
so that the work-groups of one slice fill the hole that the tail of the one before leaves (measured
on an H200: 0.1 % slow-down instead of 39 % at 80 groups).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pyopencl as cl

from gpusplit import devices, events, history, waiting

_ATTRIBUTE = "_gpusplit"
_PROFILING = cl.command_queue_properties.PROFILING_ENABLE
_OUT_OF_ORDER = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE

#: Launches remembered per queue to predict waits; older ones are most likely over.
_MOST_PENDING = 256


@dataclass(slots=True)
class Pending:
    """One command on a queue whose end somebody may wait for.

    Attributes
    ----------
    event: complete when the command is.
    key: what the predictor knows it by; None for commands that are not predicted.
    enqueued: when, in seconds of time.monotonic().
    begin: when it began to run, if known: the queue was idle, or its predecessor's end was seen.
    kernel: what the history of group times knows it by; None if it is no launch in slices.
    samples: (event, work-items) of some of its slices, on the companion.
    """

    event: cl.Event
    key: Hashable
    enqueued: float
    begin: float | None
    kernel: Hashable = None
    samples: Sequence[tuple[cl.Event, int]] = ()


class QueueState:
    """What gpusplit keeps for one CommandQueue object; it lives as long as that."""

    def __init__(self, queue: cl.CommandQueue) -> None:
        """Ask *queue* what it is."""
        properties = int(queue.properties)
        self.device = queue.device
        self.out_of_order = bool(properties & int(_OUT_OF_ORDER))
        self.profiled = bool(properties & int(_PROFILING))
        self.cores = devices.cores(self.device)
        self.compute_units = self.device.max_compute_units
        self.address_bits = self.device.address_bits
        self.is_nvidia = "NVIDIA" in self.device.vendor
        self.is_gpu = bool(self.device.type & cl.device_type.GPU)
        self.pending: deque[Pending] = deque(maxlen=_MOST_PENDING)
        #: Held while slices are enqueued: no other thread's command may come between them.
        self.lock = threading.RLock()
        self._companion: cl.CommandQueue | None = None
        self._companion_failed = False

    def companion(self, queue: cl.CommandQueue) -> cl.CommandQueue | None:
        """The second queue for slices; None where the device does not give one.

        It is profiled, which a queue of gpusplit's own may be, so that group times are known.
        """
        if self._companion is None and not self._companion_failed:
            try:
                self._companion = cl.CommandQueue(queue.context, self.device, _PROFILING)
            except cl.Error:
                # A device may have one queue only; slices then all go to the caller's.
                self._companion_failed = True
        return self._companion

    def enqueued(
        self,
        event: cl.Event,
        key: Hashable,
        kernel: Hashable = None,
        samples: Sequence[tuple[cl.Event, int]] = (),
    ) -> None:
        """Remember a command that was just enqueued."""
        pending = self.pending
        now = time.monotonic()
        idle = not pending or events.complete(pending[-1].event)
        pending.append(Pending(event, key, now, now if idle else None, kernel, samples))


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
        address = event.int_ptr
        entries = list(found.pending)
        ahead = [entry for entry in entries if entry.event.int_ptr == address]
        if ahead and not found.out_of_order:
            ahead = entries[: entries.index(ahead[0]) + 1]
        for entry in ahead:
            _wait_for_pending(found, entry)
    waiting.wait_cooperatively(lambda: events.complete(event), None)


def wait_for_queue(queue: cl.CommandQueue) -> None:
    """Sleep until everything enqueued on *queue* so far is over."""
    found = state(queue)
    queue.flush()
    for entry in list(found.pending):
        _wait_for_pending(found, entry)
    found.pending.clear()
    marker = cl.enqueue_marker(queue)
    queue.flush()
    waiting.wait_cooperatively(lambda: events.complete(marker), None)


def expected_left(found: QueueState) -> float:
    """Seconds until the known commands on a queue are over; 0 where nothing is known."""
    left = 0.0
    now = time.monotonic()
    for entry in list(found.pending):
        if not events.complete(entry.event):
            expected = history.launches.expect(entry.key) or 0.0
            left += max(0.0, expected - (now - entry.begin if entry.begin is not None else 0.0))
    return left


def _wait_for_pending(found: QueueState, entry: Pending) -> None:
    begin = entry.begin if entry.begin is not None else time.monotonic()
    seen = waiting.wait_cooperatively(
        lambda: events.complete(entry.event),
        history.launches.expect(entry.key) if entry.key is not None else None,
        time.monotonic() - begin,
    )
    end = time.monotonic()
    if entry.key is not None and events.status(entry.event) == 0:
        _learn(found, entry, bool(seen), end)
    if seen:
        follower = _follower(found, entry)
        if follower is not None and follower.begin is None:
            # In order: it began when this one ended, unless it came later.
            follower.begin = max(end, follower.enqueued)
    while found.pending and events.complete(found.pending[0].event):
        try:
            found.pending.popleft()
        except IndexError:  # another thread was faster
            break


def _follower(found: QueueState, entry: Pending) -> Pending | None:
    entries = list(found.pending)
    for at, candidate in enumerate(entries[:-1]):
        if candidate is entry:
            return entries[at + 1]
    return None


def _learn(found: QueueState, entry: Pending, seen: bool, end: float) -> None:
    """Learn how long a completed command took, from the device's clock or from having seen it."""
    for event, work_items in entry.samples:
        took = events.seconds(event)
        if took is not None:
            history.measured(entry.kernel, work_items, took)
    sliced = entry.kernel is not None
    seconds = events.seconds(entry.event) if found.profiled or sliced else None
    if seconds is not None:
        history.launches.learn(entry.key, seconds)
        return
    if seen and entry.begin is not None:
        history.launches.learn(entry.key, end - entry.begin)
    elif not seen and entry.begin is not None:
        # It was over when first looked at, perhaps because the expectation was too long.
        expected = history.launches.expect(entry.key)
        if expected is not None and end - entry.begin < expected:
            history.launches.learn(entry.key, end - entry.begin)
