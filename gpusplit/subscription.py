"""A channel listened to in the background, so that a launch only looks at what is known.

The thread sleeps until the channel has news, and never reads it more than ten times a second.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import Protocol

from gpusplit.count import (
    Message,
    TenancyError,
    TenancyWarning,
    View,
    expired,
    failed,
    heard,
)

#: The channel is read at most this often, in seconds.
SHORTEST_PERIOD = 0.1
#: Without news the view is looked at again after so many seconds: it may have become stale.
LONGEST_PERIOD = 5.0
#: After a failure the channel is tried again so many seconds later.
RETRY_AFTER = 1.0
#: The first launch waits so many seconds for the first word, later ones never.
FIRST_WORD = 1.0


class Channel(Protocol):
    """A way on which a publisher's messages come."""

    @property
    def source(self) -> str:
        """One line for people: what it is and where it reads."""
        ...

    def listen(self, seconds: float) -> Message | None:
        """Sleep until there is news, *seconds* at most; TenancyError or OSError on failure."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


class Subscription:
    """The VM count from a channel; a Tenancy."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, never backwards.  Nothing is opened and no thread runs yet."""
        self._channel = channel
        self._clock = clock
        self._view: View | None = None
        self._warned = False
        self._thread: threading.Thread | None = None
        self._renew()
        _all.add(self)

    def vm_count(self) -> int | None:
        """The count that is known; None, with one warning in a process' life, where none is."""
        view = self._view
        if view is None:
            view = self._first_view()
        if view.count is None and not self._warned:
            self._warned = True
            warnings.warn(
                f"gpusplit: the VM count from {self.describe()} cannot be used "
                f"({view.trouble}); kernels are not split until it can",
                TenancyWarning,
                stacklevel=2,
            )
        return view.count

    def start(self) -> None:
        """Listen from now on."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen, name="gpusplit VM count", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Listen no longer, and give the channel back."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join()
        self._channel.close()
        self._renew()

    def view(self, seconds: float = 0.0) -> View:
        """What is known, after waiting up to *seconds* for it to change; starts listening."""
        self.start()
        with self._changed:
            before = self._view
            self._changed.wait_for(lambda: self._view is not before, seconds)
            return self._view or View(None, "no word yet")

    def describe(self) -> str:
        """One line for people."""
        return self._channel.source

    def _renew(self) -> None:
        """No thread runs: at the start, after stop(), and in a forked child."""
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = None

    def _forked(self) -> None:
        self._renew()
        # What the parent knew may be old by the time that the child asks.
        self._view = None

    def _first_view(self) -> View:
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._view is not None, FIRST_WORD)
            if self._view is None:
                self._view = View(None, f"no word within {FIRST_WORD:g} s")
            return self._view

    def _listen(self) -> None:
        stop = self._stop
        while not stop.is_set():
            began = self._clock()
            quiet = SHORTEST_PERIOD
            try:
                message = self._channel.listen(LONGEST_PERIOD)
            except (TenancyError, OSError) as error:
                self._show(failed(self._view, str(error)))
                quiet = RETRY_AFTER
            else:
                now = self._clock()
                if message is not None:
                    self._show(heard(self._view, message, now))
                elif self._view is not None:
                    self._show(expired(self._view, now))
                if message is None and now - began < LONGEST_PERIOD / 2:
                    # It returned early with nothing: the other end is not there.
                    quiet = RETRY_AFTER
            stop.wait(quiet)

    def _show(self, view: View) -> None:
        if view != self._view:
            with self._changed:
                self._view = view
                self._changed.notify_all()


_all: weakref.WeakSet[Subscription] = weakref.WeakSet()


def _after_fork() -> None:
    for subscription in tuple(_all):
        subscription._forked()


os.register_at_fork(after_in_child=_after_fork)
