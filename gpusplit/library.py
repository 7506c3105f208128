"""The native library in this process: its functions for Python (native/control.h), by ctypes.

The same file may be here as an OpenCL layer, or preloaded: to load it again gives what is there.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from gpusplit.running import LIBRARY

#: Bytes of what the library says at once.
_LONGEST_MESSAGE = 1024
#: Bytes of a name or a reason in a record.
_TEXT = 256


class NotInstalled(RuntimeError):
    """The native library cannot be put below this process; the message says what to do."""


class Launched(ctypes.Structure):
    """struct gpusplit_launched."""

    _fields_ = (
        ("size", ctypes.c_uint64 * 3),
        ("dimensions", ctypes.c_uint32),
        ("groups", ctypes.c_uint32),
        ("wanted", ctypes.c_uint32),
        ("vm_count", ctypes.c_int32),
        ("kernel", ctypes.c_char * _TEXT),
        ("reason", ctypes.c_char * _TEXT),
    )


class Library:
    """Its functions."""

    def __init__(self, path: str) -> None:
        """Load it; OSError where it cannot be."""
        loaded = ctypes.CDLL(path)
        self._set = loaded.gpusplit_set
        self._set.argtypes = [ctypes.POINTER(ctypes.c_char_p)]
        self._set.restype = None
        self._below = loaded.gpusplit_below
        self._below.restype = ctypes.c_bool
        pointer = ctypes.c_void_p
        self._enqueue = loaded.clEnqueueNDRangeKernel_N
        self._enqueue.argtypes = [
            pointer, pointer, ctypes.c_uint, pointer, pointer, pointer, ctypes.c_uint, pointer,
            pointer,
        ]  # fmt: skip
        self._enqueue.restype = ctypes.c_int
        self._ended = loaded.gpusplit_ended
        self._ended.restype = ctypes.c_char_p
        self._record = loaded.gpusplit_record
        self._record.argtypes = [ctypes.c_bool]
        self._record.restype = None
        self._recorded = loaded.gpusplit_recorded
        self._recorded.argtypes = [ctypes.POINTER(Launched)]
        self._recorded.restype = ctypes.c_bool
        self._heard = loaded.gpusplit_heard
        self._heard.argtypes = [
            ctypes.POINTER(ctypes.c_char), ctypes.c_char_p, ctypes.c_size_t, ctypes.c_bool
        ]  # fmt: skip
        self._heard.restype = ctypes.c_bool

    def set(self, options: Sequence[str]) -> None:
        """Have *options*, each "GPUSPLIT_NAME=value", hold from now on, and defaults otherwise."""
        texts = [os.fsencode(option) for option in options]
        self._set((ctypes.c_char_p * (len(texts) + 1))(*texts, None))

    def below(self) -> bool:
        """Whether OpenCL's calls come through it in this process, with all that it needs."""
        return bool(self._below())

    def enqueue(
        self,
        queue: int,
        kernel: int,
        global_size: Any,
        local_size: Any,
        offset: Any,
        wait_for: Iterable[Any],
    ) -> int | None:
        """The event of a launch by the paper's function, as a handle.

        queue, kernel: handles; wait_for: events of pyopencl's.  None where OpenCL refuses it, or
        sizes are no sequences of as many numbers.
        """
        try:
            events = [event.int_ptr for event in wait_for]
            sizes = [
                None if size is None else [*map(index, size)]
                for size in (global_size, local_size, offset)
            ]
        except (AttributeError, TypeError):
            return None
        dimensions = len(sizes[0] or ())
        if any(size is not None and len(size) != dimensions for size in sizes):
            return None
        if any(number < 0 for size in sizes for number in size or ()):
            return None
        told = [None if size is None else (ctypes.c_size_t * dimensions)(*size) for size in sizes]
        event = ctypes.c_void_p()
        status = self._enqueue(
            queue, kernel, dimensions, told[2], told[0], told[1], len(events),
            (ctypes.c_void_p * len(events))(*events) if events else None, ctypes.byref(event),
        )  # fmt: skip
        return event.value if status == 0 else None

    def ended(self) -> str | None:
        """Why no launch of this process is split any more, whatever is set; None: they may be."""
        reason: bytes | None = self._ended()
        return None if reason is None else _text(reason)

    def record(self, on: bool) -> None:
        """Record launches until this is said with False; nests."""
        self._record(on)

    def recorded(self) -> Launched | None:
        """The oldest record that was not taken yet."""
        launch = Launched()
        return launch if self._recorded(ctypes.byref(launch)) else None

    def heard(self, wait: bool) -> tuple[str, str] | None:
        """What it has to say next: the kind, a letter, and the text; None where it says nothing.

        wait: come back when it has something to say, with None.  What it says is not written to
        standard error any more.
        """
        kind = ctypes.c_char()
        text = ctypes.create_string_buffer(_LONGEST_MESSAGE)
        if not self._heard(ctypes.byref(kind), text, len(text), wait) or wait:
            return None
        return _text(kind.value), _text(text.value)


def _text(raw: bytes) -> str:
    # It may be cut short in the middle of a letter.
    return raw.decode("utf-8", "ignore")


@functools.cache
def load() -> Library:
    """The library; NotInstalled where it was not built."""
    try:
        return Library(LIBRARY)
    except (OSError, AttributeError) as error:
        raise NotInstalled(
            f"gpusplit's native library cannot be loaded ({error}): install a C compiler, then "
            "gpusplit again"
        ) from None
