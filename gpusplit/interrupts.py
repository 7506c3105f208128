"""Ctrl-C between two slices of a launch waits until the last of them is enqueued.

A launch that is not split is one call of OpenCL: Python raises KeyboardInterrupt before it or after
it, and a program that goes on (a notebook) finds a buffer as it was or as it is to be.  Split, it
must not find a part of the slices in it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Deferred:
    """While it is entered SIGINT's handler is called at the end; only Python's main thread has any.

    Attributes
    ----------
    arrived: whether there is something to call it for.
    raises: whether it is called at once instead, by those who are ready to catch what it raises;
        the next time it is deferred again.
    """

    def __init__(self) -> None:
        """Nothing is deferred yet."""
        self.raises = False
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._call: tuple[int, FrameType | None] | None = None

    @property
    def arrived(self) -> bool:
        return self._call is not None

    def __enter__(self) -> Deferred:
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is None:
            return
        found = signal.signal(signal.SIGINT, self._handler)
        if found != self._on_signal:
            # The program's handler, called meanwhile, has put another into its place.
            signal.signal(signal.SIGINT, found)
        if self._call is not None:
            self._handler(*self._call)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.raises and self._handler is not None:
            self.raises = False
            self._handler(number, frame)
        else:
            self._call = (number, frame)
