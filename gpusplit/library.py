"""The native library in this process: its functions for Python (native/control.h), by ctypes.

The same file may be here as an OpenCL layer, or preloaded: to load it again gives what is there.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence

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

    def record(self, on: bool) -> None:
        """Record launches until this is said with False; nests."""
        self._record(on)

    def recorded(self) -> Launched | None:
        """The oldest record that was not taken yet."""
        launch = Launched()
        return launch if self._recorded(ctypes.byref(launch)) else None

    def heard(self, wait: bool) -> tuple[str, str] | None:
        """What it has to say next: the kind, a letter, and the text; None where it says nothing.

        wait: until it says something.  What it says is not written to standard error any more.
        """
        kind = ctypes.c_char()
        text = ctypes.create_string_buffer(_LONGEST_MESSAGE)
        if not self._heard(ctypes.byref(kind), text, len(text), wait):
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
