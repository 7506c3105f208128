"""What happened to each launch, for programs, tests and people."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyopencl as cl

    from gpusplit.ndrange import NDRange


@dataclass(frozen=True, slots=True)
class Launch:
    """One call of enqueue_nd_range_kernel and what became of it.

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


_lock = threading.Lock()
_listeners: list[list[Launch]] = []


def listening() -> bool:
    """Whether anybody records launches; reading a kernel's name costs, so ask first."""
    return bool(_listeners)


def record(launch: Launch) -> None:
    """Hand *launch* to everybody who records."""
    with _lock:
        for listener in _listeners:
            listener.append(launch)


def sliced(event: cl.Event, part: NDRange, lane: int) -> None:
    """A slice was enqueued on *lane* (0: the caller's queue, 1: its companion)."""


@contextmanager
def recording() -> Iterator[list[Launch]]:
    """Collect a Launch for every launch, of any thread, inside the with block.

    >>> with recording() as launches:
    ...     pass
    >>> launches
    []
    """
    launches: list[Launch] = []
    with _lock:
        _listeners.append(launches)
    try:
        yield launches
    finally:
        with _lock:
            # By identity: two empty recordings are equal.
            _listeners[:] = [entry for entry in _listeners if entry is not launches]
