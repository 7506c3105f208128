"""What launches took before: for waits, and for the policies that go by it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Hashable

from gpusplit.policy import Observer
from gpusplit.waiting import MOST_KEYS, Predictor

#: (kernel, global size, groups) of a launch.
Key = tuple[Hashable, tuple[int, ...], int]

#: How long launches took, by Key, and by (kernel, global size) whatever the groups.
launches = Predictor()

#: Who else is told.
_observers: list[weakref.ref[Observer]] = []

#: Seconds per work-item of the last launches of each kernel, and whether that is a guess from a
#: small probe, which the first whole launch replaces.
_rates: dict[Hashable, deque[float]] = {}
_rough: set[Hashable] = set()
#: So many launches are remembered; the slowest of them counts.
_REMEMBERED = 4


def tell(observer: Observer) -> None:
    """Let *observer* know of all launches from now on, as long as it lives."""
    alive = [known for known in _observers if known() is not None]
    _observers[:] = [*alive, weakref.ref(observer)]


def expect(key: Key) -> float | None:
    """How long such a launch takes in seconds; None if none like it was seen.

    The number of groups changes little, so that one in another number tells much.
    """
    expected = launches.expect(key)
    return launches.expect(key[:2]) if expected is None else expected


def learn(key: Key, work_items: int, seconds: float) -> None:
    """A launch of so many *work_items* took so many *seconds*."""
    launches.learn(key, seconds)
    launches.learn(key[:2], seconds)
    measured(key[0], work_items, seconds)
    for observer in tuple(_observers):  # another thread may add one
        if (found := observer()) is not None:
            found.observe(key[0], work_items, key[2], seconds)


def forget_launches() -> None:
    """What launches took is found out anew, by everybody who goes by it."""
    launches.forget()
    for observer in tuple(_observers):
        if (found := observer()) is not None:
            found.forget()


def measured(kernel: Hashable, work_items: int, seconds: float, rough: bool = False) -> None:
    """So many *work_items* of *kernel* took so many *seconds* of the device."""
    if work_items <= 0 or seconds <= 0:
        return
    if kernel not in _rates and len(_rates) >= MOST_KEYS:
        oldest = next(iter(_rates))
        del _rates[oldest]
        _rough.discard(oldest)
    rates = _rates.setdefault(kernel, deque(maxlen=_REMEMBERED))
    if kernel in _rough:
        _rough.discard(kernel)
        rates.clear()
    if rough:
        _rough.add(kernel)
    rates.append(seconds / work_items)


def seconds_per_item(kernel: Hashable) -> float | None:
    """The most that *kernel* lately took per work-item; None if never seen."""
    rates = _rates.get(kernel)
    return max(rates) if rates else None
