"""The count of running VMs, where every program of a GPU VM may read it and only the agent write.

A small file, which programs map (also native/count.c): a launch looks at the count without asking
anybody, and needs no privilege for it.  It is MAGIC and one word of 64 bits in the machine's byte
order: the lower 16 bits are the count (0: unknown), the others when the agent last said so, in
milliseconds of CLOCK_MONOTONIC.  One word is written at once: whoever reads has a count and its
age together.  An agent that is alive writes every BEAT seconds; a word older than STALE_AFTER is
no word.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
import warnings

from gpusplit.config import PAGE
from gpusplit.count import STALE_AFTER, Message, TenancyWarning, View

MAGIC = b"gpuspl01"
SIZE = len(MAGIC) + 8
#: Seconds between two signs of life: five fit into STALE_AFTER.
BEAT = STALE_AFTER / 5
#: Seconds after which somebody who watches looks again.
LOOK = 0.1
_COUNT_BITS = 16


def word(count: int | None, now: float) -> int:
    """What the file says when *count* VMs were known to run at *now* (seconds, monotonic).

    >>> word(3, 2.0) == (2000 << 16) + 3
    True
    """
    return int(now * 1000) << _COUNT_BITS | (count or 0)


def count(word: int, now: float) -> int | None:
    """What *word* says at *now*: None where the agent does not know, or is dead.

    >>> count(word(3, 2.0), 3.0), count(word(3, 2.0), 12.5), count(word(None, 2.0), 3.0)
    (3, None, None)
    """
    age = now - (word >> _COUNT_BITS) * 1e-3
    # A little ahead: milliseconds are cut off, and another CPU's clock may be late.
    return (word & (1 << _COUNT_BITS) - 1) or None if -1 < age < STALE_AFTER else None


class Page:
    """The file, as its one writer has it."""

    def __init__(self, path: str = PAGE) -> None:
        """Open *path*, or make it; OSError where this user may not."""
        # Programs that run already have mapped it: it is never replaced, nor made shorter.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o644)
        try:
            os.fchmod(descriptor, 0o644)  # whatever the umask
            if os.fstat(descriptor).st_size < SIZE:
                os.ftruncate(descriptor, SIZE)
            self._map = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)
        # One store, of which nobody sees the half.
        self._word = ctypes.c_uint64.from_buffer(self._map, len(MAGIC))
        self._word.value = 0
        self._map[: len(MAGIC)] = MAGIC

    def say(self, count: int | None) -> None:
        """So many VMs run, as of now; None: that is unknown."""
        self._word.value = word(count, time.monotonic())

    def leave(self) -> None:
        """Nobody says anything any more."""
        self._word.value = 0


class FromAgent:
    """What the agent says; a Tenancy."""

    def __init__(self, path: str = PAGE) -> None:
        """path: of the agent's file."""
        self._path = path
        self._warned = False

    def vm_count(self) -> int | None:
        """The count; None, with one warning in a process' life, where the agent says none."""
        found = count(self._word(), time.monotonic())
        if found is None and not self._warned:
            self._warned = True
            warnings.warn(
                f"gpusplit: the agent of this VM ({self._path}) does not say how many VMs run; "
                "kernels are not split until it does",
                TenancyWarning,
                stacklevel=2,
            )
        return found

    def view(self, seconds: float = 0.0) -> View:
        """What the agent says, after *seconds* or a little less."""
        time.sleep(min(seconds, LOOK))
        said = self._word()
        found = count(said, time.monotonic())
        if found is None:
            return View(None, "the agent does not say how many, or is dead")
        return View(found, None, Message(found), (said >> _COUNT_BITS) * 1e-3)

    def describe(self) -> str:
        """One line for people."""
        return f"agent: {self._path}"

    def _word(self) -> int:
        """The agent's last word; 0 where there is none."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                said = file.read(SIZE)
        except OSError:
            return 0
        if len(said) < SIZE or not said.startswith(MAGIC):
            return 0
        return int.from_bytes(said[len(MAGIC) :], sys.byteorder)
