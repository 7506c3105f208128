"""Sending the slices of one launch, with a bounded number of them on the device at a time.

That bound is what lets other VMs' work in between.  It is kept only while waiting is safe: a slice
that does not begin may hang on an event that this very thread is to set after the call, so that
after a while the rest is enqueued at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyopencl as cl

from gpusplit import events, queues, telemetry, waiting

if TYPE_CHECKING:
    from gpusplit.arguments import KernelState
    from gpusplit.interrupts import Deferred
    from gpusplit.lanes import Lanes
    from gpusplit.ndrange import NDRange
    from gpusplit.queues import QueueState

#: Seconds beyond the expected to wait for a slice to begin before the rest is enqueued unbounded.
START_GRACE = 0.2


class Sending:
    """The slices of one launch on their way to the device."""

    def __init__(
        self,
        lanes: Lanes,
        state: QueueState,
        known: KernelState,
        most_in_flight: int | None,
        cooperative: bool,
        deferred: Deferred,
    ) -> None:
        """most_in_flight: slices enqueued and not complete; None if this thread may not wait.

        cooperative: whether to sleep while waiting, rather than wait as the driver does.
        deferred: what keeps Ctrl-C from coming between two slices.
        """
        self.lanes = lanes
        #: What a signal's handler raised while slices were held back.
        self.interruption: BaseException | None = None
        self._state = state
        self._kernel = known.key[1] if known.key is not None else ""
        self._most_in_flight = most_in_flight
        self._cooperative = cooperative
        self._deferred = deferred

    def send(self, parts: Iterable[NDRange]) -> None:
        """Enqueue *parts*."""
        running: deque[cl.Event] = deque()
        tracing = telemetry.tracing()
        most = self._most_in_flight
        pace: float | None = None
        for part in parts:
            if most is not None and len(running) >= most:
                # Half of them at once: waking for every slice would cost the CPU that this saves.
                for _ in range((most + 1) // 2):
                    oldest = running.popleft()
                self.lanes.flush()
                began = time.monotonic()
                if not self.hold(oldest, pace):
                    most = None
                pace = time.monotonic() - began
            event, lane = self.lanes.send(part)
            if tracing:
                telemetry.sliced(self._kernel, event, part, lane)
            running.append(event)

    def hold(self, event: cl.Event, expected: float | None) -> bool:
        """Wait for a slice; False if the launch does not begin in reasonable time.

        What a signal's handler raises meanwhile (Ctrl-C) is kept for the end: a launch that is not
        split is enqueued in one piece before Python raises it.
        """
        try:
            return not self._deferred.arrived and self._hold(event, expected)
        except BaseException as error:
            self.interruption = error
            self._deferred.raises = False
            return False

    def _hold(self, event: cl.Event, expected: float | None) -> bool:
        self._deferred.raises = True
        try:
            begun = self.lanes.begun()
            if not begun:
                patience = START_GRACE + 2 * queues.expected_left(self._state)
                seen = waiting.wait_cooperatively(self.lanes.begun, None, limit=patience)
                begun = seen is not None
            if begun and self._cooperative:
                waiting.wait_cooperatively(lambda: events.complete(event), expected)
            elif begun:
                events.driver_wait(event)
        except cl.Error:
            # The slice failed, which is for those to hear who wait for the launch.
            begun = False
        self._deferred.raises = False
        return begun
