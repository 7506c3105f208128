"""What keeps PoCL before version 6 alive.

PoCL keeps a compiled kernel for each local size, and apart for launches whose global offset is
zero and for others.  It counts who uses one, but finds the one to count down by kernel and local
size alone (lib/CL/devices/common.c, pocl_release_dlhandle_cache: the one used last), and counts
each launch up twice, with a gap between.  Of two launches with different offsets that run at the
same time, one so can take the other's count below zero, and an assertion ends the program.
Slices differ just so.  Seen in 1 of 12 first launches of a kernel on a busy machine with two
lanes; 6.0 counts right.

Hence there: the slices of a launch run one after another; a kernel that another queue runs just
now is not split; and a launch of a kernel whose slices run on another queue waits for them, unless
they in turn may wait for something that the program is yet to do.
"""

from __future__ import annotations

import re
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyopencl as cl

from gpusplit import events

if TYPE_CHECKING:
    from gpusplit.queues import QueueState

_COUNTS_RIGHT = 6

#: So many kernels are remembered before those that nobody runs are forgotten.
_MOST = 512


def counts_wrong(platform: str, driver: str) -> bool:
    """Whether a device of *platform* with *driver* version runs its kernels by such a PoCL.

    >>> counts_wrong("Portable Computing Language", "3.1+debian")
    True
    >>> counts_wrong("Portable Computing Language", "6.0")
    False

    The emulated GPU tells the version of what computes its kernels, if they are computed:

    >>> counts_wrong("Portable Computing Language", "emugpu 1.0 exec=full wait=spin on 3.1+debian")
    True
    """
    version = re.search(r"(?:^| on )(\d+)\.", driver)
    return (
        platform == "Portable Computing Language"
        and version is not None
        and int(version[1]) < _COUNTS_RIGHT
    )


@dataclass(slots=True)
class _Launch:
    """A launch, as long as it is not over; nothing in it keeps a queue or a kernel."""

    queue: weakref.ref[QueueState]
    event: cl.Event
    #: What its slices wait for; None for a launch that was not split.
    after: tuple[cl.Event, ...] | None


class Use:
    """Who runs one kernel; hold its lock from asking to adding."""

    def __init__(self) -> None:
        """Nobody."""
        self.lock = threading.RLock()
        self._launches: list[_Launch] = []

    def running(self) -> list[_Launch]:
        """The launches that are not over."""
        self._launches = [each for each in self._launches if not events.complete(each.event)]
        return self._launches

    def elsewhere(self, state: QueueState) -> list[_Launch]:
        """What runs beside a launch on the queue of *state*."""
        return [each for each in self.running() if state.out_of_order or each.queue() is not state]

    def slices(self, state: QueueState) -> list[cl.Event]:
        """What a launch on the queue of *state* that is not split is to wait for."""
        return [
            each.event
            for each in self.elsewhere(state)
            if each.after is not None and all(map(events.complete, each.after))
        ]

    def add(
        self, state: QueueState, event: cl.Event, after: tuple[cl.Event, ...] | None = None
    ) -> None:
        """Note a launch; after: see _Launch."""
        self._launches.append(_Launch(weakref.ref(state), event, after))


_uses: dict[int, Use] = {}


def use(source: str, kernel: str) -> Use:
    """The one of *kernel* in all programs of *source*."""
    if len(_uses) > _MOST:
        for key in [key for key, found in list(_uses.items()) if not found.running()]:
            del _uses[key]
    return _uses.setdefault(hash((source, kernel)), Use())
