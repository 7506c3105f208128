"""The queues that the slices of one launch travel on, and the events that hold them together.

In-order queue, two lanes: a marker on the caller's queue says when everything before is over; the
companion's first slice waits for it.  Slices then go to the two queues in turn, each queue running
one at a time.  A barrier on the caller's queue waits for both, so that what the caller enqueues
next comes after all slices, and is the event of the launch.

Out-of-order queue: all slices go to it; each waits for the last but one, so that two run at a time.
Nothing else is ordered, since the caller's command would not be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyopencl as cl

from gpusplit import events
from gpusplit.ndrange import NDRange

if TYPE_CHECKING:
    from pyopencl.typing import WaitList

# The real one, whatever is patched later; positional, since nanobind is slow with keywords.
enqueue: Callable[..., cl.Event] = cl._cl.enqueue_nd_range_kernel


class Lanes:
    """Where the slices of one launch go."""

    def __init__(
        self,
        queue: cl.CommandQueue,
        companion: cl.CommandQueue | None,
        out_of_order: bool,
        kernel: cl.Kernel,
        wait_for: WaitList,
    ) -> None:
        """companion: the second queue, None to use the caller's alone."""
        self._kernel = kernel
        self._wait_for = wait_for
        self._out_of_order = out_of_order
        self._queues = [queue] if companion is None else [queue, companion]
        self._used = [False] * len(self._queues)
        self._first: list[cl.Event] = []
        self._last: dict[int, cl.Event] = {}
        self.sent: list[cl.Event] = []
        self._begin = None if companion is None else cl.enqueue_marker(queue)

    def __len__(self) -> int:
        """How many queues take slices."""
        return len(self._queues)

    def send(self, part: NDRange, lane: int | None = None) -> tuple[cl.Event, int]:
        """Enqueue *part* on *lane*, or on the next in turn; its event and lane."""
        if lane is None:
            lane = len(self.sent) % len(self._queues)
        event = enqueue(
            self._queues[lane], self._kernel, part.global_size, part.local_size, part.offset,
            self._after(lane),
        )  # fmt: skip
        if not self._used[lane] or (self._out_of_order and len(self._first) < 2):
            self._used[lane] = True
            self._first.append(event)
        self.sent.append(event)
        self._last[len(self.sent) % 2 if self._out_of_order else lane] = event
        return event, lane

    def _after(self, lane: int) -> WaitList:
        if self._out_of_order:
            return [self.sent[-2]] if len(self.sent) >= 2 else self._wait_for
        if self._used[lane]:
            return None
        if lane == 0 or self._begin is None:
            return self._wait_for
        return [self._begin, *(self._wait_for or ())]

    def flush(self) -> None:
        """Let the device have what was sent; queues that wait for each other need it."""
        for queue in self._queues:
            queue.flush()

    def join(self) -> cl.Event:
        """The event that stands for everything sent."""
        last = list(self._last.values())
        if len(self.sent) == 1 and len(self._queues) == 1:
            return self.sent[0]
        if self._out_of_order:
            event = cl.enqueue_marker(self._queues[0], last)
        elif len(self._queues) == 1:
            event = self.sent[-1]
        else:
            self._queues[1].flush()
            event = cl.enqueue_barrier(self._queues[0], last)
            # The companion's slices wait for the marker, and nobody else will flush for them.
            self._queues[0].flush()
        events.stand_for(event, tuple(self._first), tuple(last))
        return event
