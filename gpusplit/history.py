"""What launches took before: for waits, and for the policy that bounds a group's time."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gpusplit.waiting import Predictor

#: How long launches took, by (kernel, global size, groups).
launches = Predictor()

#: Seconds per work-item of the last groups of each kernel.
_rates: dict[Hashable, deque[float]] = {}
#: So many groups are remembered; after that many better ones, a first bad guess is forgotten.
_REMEMBERED = 4


def measured(kernel: Hashable, work_items: int, seconds: float) -> None:
    """A group of *kernel* with so many *work_items* took so many *seconds*."""
    if work_items > 0 and seconds > 0:
        _rates.setdefault(kernel, deque(maxlen=_REMEMBERED)).append(seconds / work_items)


def seconds_per_item(kernel: Hashable) -> float | None:
    """The longest that a remembered group of *kernel* took per work-item; None if never seen."""
    rates = _rates.get(kernel)
    return max(rates) if rates else None
