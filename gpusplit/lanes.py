"""The queues that the slices of one launch travel on, and the events that hold them together.

In-order queue: a marker on the caller's queue says when everything before is over; the first slice
on each companion waits for it.  Slices go to the queues in turn, each queue running one at a time.
A barrier on the caller's queue waits for all, so that what the caller enqueues next comes after
all slices, and is the event of the launch.

Out-of-order queue: all slices go to it; each waits for the last but one, so that two run at a time.
Nothing else is ordered, since the caller's command would not be.

One at a time, where a device needs that (see pocl.py): each slice waits for the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pyopencl as cl

from gpusplit import events
from gpusplit.ndrange import NDRange

if TYPE_CHECKING:
    from pyopencl.typing import WaitList

# The real ones, whatever is patched later; positional, since nanobind is slow with keywords.
# pyopencl.enqueue_marker and enqueue_barrier ask for the version by a regular expression each time;
# devices of before OpenCL 1.2 would need that, and they are split on one queue (see QueueState).
enqueue: Callable[..., cl.Event] = cl._cl.enqueue_nd_range_kernel
marker: Callable[..., cl.Event] = cl._cl._enqueue_marker_with_wait_list
_barrier: Callable[..., cl.Event] = cl._cl._enqueue_barrier_with_wait_list


#: The first slices go out at once; later ones may travel in small batches, which costs less.
_FLUSH_FIRST = 4
_FLUSH_EVERY = 4


class Lanes:
    """Where the slices of one launch go."""

    def __init__(
        self,
        queue: cl.CommandQueue,
        companions: Sequence[cl.CommandQueue],
        out_of_order: bool,
        kernel: cl.Kernel,
        wait_for: WaitList,
        shape: Callable[[NDRange], NDRange] | None = None,
        prober: cl.CommandQueue | None = None,
        keep_off: bool = False,
        one_at_a_time: bool = False,
    ) -> None:
        """companions: further queues for slices; none to use the caller's alone.

        shape: as what a slice is launched; None for as it is.
        prober: a profiled queue for a first slice whose time is wanted.
        keep_off: send slices to the companions alone, since they are profiled.
        one_at_a_time: let no two slices run side by side.
        """
        self._kernel = kernel
        self._shape = shape
        self._wait_for = wait_for
        self._out_of_order = out_of_order
        self._one_at_a_time = one_at_a_time
        self._queues = [queue, *companions]
        self._skip = 1 if keep_off and companions else 0
        self._turns = len(self._queues) - self._skip
        self._probe_lane = 0
        if prober is not None:
            self._probe_lane = len(self._queues)
            self._queues.append(prober)
        self._used = [False] * len(self._queues)
        self._first: list[cl.Event] = []
        self._last: dict[int, cl.Event] = {}
        self.sent: list[cl.Event] = []
        self._begin = marker(queue, None)

    def send(self, part: NDRange, probing: bool = False) -> tuple[cl.Event, int]:
        """Enqueue *part* on the next lane, or as the probe; its event and lane."""
        lane = self._probe_lane if probing else self._skip + len(self.sent) % self._turns
        if self._shape is not None:
            part = self._shape(part)
        event = enqueue(
            self._queues[lane], self._kernel, part.global_size, part.local_size, part.offset,
            self._after(lane),
        )  # fmt: skip
        if not self._used[lane] or (self._out_of_order and len(self._first) < 2):
            self._used[lane] = True
            self._first.append(event)
        self.sent.append(event)
        # The device is to begin now, not when all slices are enqueued.
        if len(self.sent) <= _FLUSH_FIRST or len(self.sent) % _FLUSH_EVERY == 0:
            self._queues[lane].flush()
        self._last[len(self.sent) % 2 if self._out_of_order else lane] = event
        return event, lane

    def _after(self, lane: int) -> WaitList:
        if self._one_at_a_time and self.sent:
            return [self.sent[-1]]
        if self._out_of_order:
            return [self.sent[-2]] if len(self.sent) >= 2 else self._wait_for
        if self._used[lane]:
            return None
        if lane == 0:
            return self._wait_for
        return list(self.after())

    def after(self) -> tuple[cl.Event, ...]:
        """Everything that the launch waits for."""
        return (self._begin, *(self._wait_for or ()))

    def begun(self) -> bool:
        """Whether everything is over that the launch waits for."""
        return all(map(events.complete, self.after()))

    def flush(self) -> None:
        """Let the device have what was sent; queues that wait for each other need it."""
        for queue in self._queues:
            queue.flush()

    def join(self, keep_all: bool = False) -> cl.Event:
        """The event that stands for everything sent.

        keep_all: no event of the launch is to be released before it is over.
        """
        last = list(self._last.values())
        if not last:
            return self._begin
        if len(self.sent) == 1 and len(self._queues) == 1:
            return self.sent[0]
        if self._out_of_order:
            event = marker(self._queues[0], last)
        elif len(self._queues) == 1:
            event = self.sent[-1]
        else:
            for queue in self._queues[1:]:
                queue.flush()
            event = _barrier(self._queues[0], last)
            # The companions' slices wait for the marker, and nobody else will flush for them.
            self._queues[0].flush()
        kept = (self._begin, *self.sent) if keep_all else ()
        events.stand_for(event, tuple(self._first), tuple(last), kept)
        return event
