"""What became of each launch, as the native library records it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import overload

from gpusplit import library


@dataclass(frozen=True, slots=True)
class Launch:
    """One call of clEnqueueNDRangeKernel and what became of it.

    Attributes
    ----------
    kernel: the kernel's function name.
    global_size: work-items per dimension; empty where the arguments were not understood.
    groups: slices that were enqueued; 1 means that the launch stayed whole.
    wanted: groups that the policy asked for.
    vm_count: running VMs at that moment; None where unknown or not asked for.
    reason: why this many, in words.
    """

    kernel: str
    global_size: tuple[int, ...]
    groups: int
    wanted: int
    vm_count: int | None
    reason: str


class Recorders:
    """Who records in this process."""

    def __init__(self) -> None:
        """Nobody."""
        self.lock = threading.RLock()
        self.open: list[list[Launch]] = []


_recorders = Recorders()


class Launches(Sequence[Launch]):
    """The launches of a with block so far, in their order; up to date whenever looked at."""

    def __init__(self, found: list[Launch]) -> None:
        """found: where they are put."""
        self._found = found

    @overload
    def __getitem__(self, at: int) -> Launch: ...

    @overload
    def __getitem__(self, at: slice) -> list[Launch]: ...

    def __getitem__(self, at: int | slice) -> Launch | list[Launch]:
        """One of them, or some."""
        _take()
        return self._found[at]

    def __len__(self) -> int:
        """How many there are."""
        _take()
        return len(self._found)

    def __repr__(self) -> str:
        """As a list's."""
        _take()
        return repr(self._found)


@contextmanager
def recording() -> Iterator[Launches]:
    """Collect a Launch for every launch, of any thread, inside the with block.

    Launches of a program that OpenCL's layer is not below are not seen (install()).  NotInstalled
    where the native library was not built.

    >>> with recording() as launches:
    ...     pass
    >>> launches
    []
    """
    native = library.load()
    found: list[Launch] = []
    with _recorders.lock:
        _take()  # what came before is of those who record already, or of nobody
        _recorders.open.append(found)
        native.record(True)
    try:
        yield Launches(found)
    finally:
        with _recorders.lock:
            native.record(False)
            _take()
            # By identity: two empty lists are equal.
            _recorders.open[:] = [one for one in _recorders.open if one is not found]


def _take() -> None:
    """Hand what the library has recorded to everybody who records."""
    with _recorders.lock:
        while (told := library.load().recorded()) is not None:
            launch = Launch(
                told.kernel.decode("utf-8", "ignore"),
                tuple(told.size[: told.dimensions]),
                told.groups,
                told.wanted,
                None if told.vm_count < 0 else told.vm_count,
                told.reason.decode("utf-8", "ignore"),
            )
            for found in _recorders.open:
                found.append(launch)


# A child records nothing yet, and a thread that it has not may have held the lock.
os.register_at_fork(after_in_child=lambda: Recorders.__init__(_recorders))
