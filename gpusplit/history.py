"""What launches took before: for waits, and for the policy that bounds a group's time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gpusplit.waiting import MOST_KEYS, Predictor

#: How long launches took, by (kernel, global size, groups).
launches = Predictor()

#: Seconds per work-item of the last launches of each kernel, and whether that is a guess from a
#: small probe, which the first whole launch replaces.
_rates: dict[Hashable, deque[float]] = {}
_rough: set[Hashable] = set()
#: So many launches are remembered; the slowest of them counts.
_REMEMBERED = 4


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
