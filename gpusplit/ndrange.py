"""An NDRange and its slices: arithmetic only, no OpenCL.

Words as in the OpenCL specification (section 3.2.1 of version 1.2, "Execution Model: Mapping
work-items onto an NDRange"): an NDRange of one to three dimensions has a global size, a local
size and a global offset, all counted in work-items; dimension 0 varies fastest.  A *slice* is an
NDRange that covers a box of whole work-groups of another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import SupportsIndex


class NotAnNDRange(ValueError):
    """The arguments are not an NDRange that gpusplit understands; OpenCL is to judge them."""


@dataclass(frozen=True, slots=True)
class NDRange:
    """What one launch covers.

    Attributes
    ----------
    global_size: work-items in each of 1 to 3 dimensions.
    local_size: work-items of a work-group in each dimension, or None where the driver chooses.
    offset: the first global ID in each dimension.
    """

    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    offset: tuple[int, ...]

    @classmethod
    def from_call(
        cls,
        global_size: Sequence[SupportsIndex] | None,
        local_size: Sequence[SupportsIndex] | None,
        offset: Sequence[SupportsIndex] | None = None,
        g_times_l: bool = False,
    ) -> NDRange:
        """Read the sizes as pyopencl.enqueue_nd_range_kernel takes them.

        With *g_times_l* the global size and the offset are counted in work-groups.
        Raises NotAnNDRange for what OpenCL would refuse or what cannot be read as sizes.
        """
        if global_size is None:
            raise NotAnNDRange("no global size")
        try:
            size = tuple(n.__index__() for n in global_size)
            local = None if local_size is None else tuple(n.__index__() for n in local_size)
            start = (0,) * len(size) if offset is None else tuple(n.__index__() for n in offset)
        except (TypeError, AttributeError) as error:
            raise NotAnNDRange(f"sizes are not integers: {error}") from error
        if g_times_l and local is not None:
            # pyopencl lets the shorter of the two go on with ones; an offset must be as long.
            dimensions = max(len(size), len(local))
            size += (1,) * (dimensions - len(size))
            local += (1,) * (dimensions - len(local))
            if offset is None:
                start = (0,) * dimensions
            if len(start) != dimensions:
                raise NotAnNDRange("global size, local size and offset differ in dimensions")
            size = tuple(g * n for g, n in zip(size, local, strict=True))
            start = tuple(o * n for o, n in zip(start, local, strict=True))
        if not 1 <= len(size) <= 3:
            raise NotAnNDRange(f"{len(size)} dimensions")
        if len(start) != len(size) or (local is not None and len(local) != len(size)):
            raise NotAnNDRange("global size, local size and offset differ in dimensions")
        if min(size) < 0 or min(start) < 0 or (local is not None and min(local) < 1):
            raise NotAnNDRange("negative or zero sizes")
        return cls(size, local, start)

    @property
    def work_items(self) -> int:
        """How many work-items (the paper: threads) run."""
        return math.prod(self.global_size)

    @property
    def end(self) -> tuple[int, ...]:
        """One past the last global ID, per dimension."""
        return tuple(o + n for o, n in zip(self.offset, self.global_size, strict=True))

    @property
    def work_groups(self) -> tuple[int, ...]:
        """Work-groups per dimension; the last may be smaller (OpenCL 2.0, non-uniform groups)."""
        if self.local_size is None:
            raise ValueError("the local size is not fixed yet")
        return tuple(-(-g // n) for g, n in zip(self.global_size, self.local_size, strict=True))


def nearest_step(units: int, wanted: float) -> int:
    """The step that cuts *units* into the number of equal pieces nearest to *wanted* (by ratio).

    >>> nearest_step(320, 20), nearest_step(10, 3), nearest_step(640, 500)
    (16, 4, 1)
    """
    wanted = max(1.0, min(float(units), wanted))
    # The larger step first: of two equally good it makes fewer pieces.
    candidates = (math.ceil(units / wanted), max(1, math.floor(units / wanted)))
    return min(candidates, key=lambda step: abs(math.log(-(-units // step) / wanted)))


#: A number of slices this near to the wanted one (as a logarithm of the ratio) is near enough.
_NEAR = 0.15


def steps(units: tuple[int, ...], wanted: int, least: int = 1) -> tuple[int, ...]:
    """Choose the size of a slice, in work-groups per dimension.

    units: work-groups of the whole NDRange per dimension.
    wanted: the number of slices to come near to.
    least: work-groups that a slice must have (the remainder may have fewer).

    One dimension is cut, the outermost that serves, so that a slice is a contiguous run of
    work-groups and only the last one is smaller.  Where no dimension has enough work-groups for
    *wanted*, several are cut.
    """
    total = math.prod(units)
    wanted = max(1, min(wanted, total // max(1, least)))
    if wanted == 1:
        return units

    def pieces(step: tuple[int, ...]) -> int:
        return math.prod(-(-u // s) for u, s in zip(units, step, strict=True))

    def miss(step: tuple[int, ...]) -> float:
        return abs(math.log(pieces(step) / wanted))

    best = units
    for dim in reversed(range(len(units))):
        other = total // units[dim]
        step = max(nearest_step(units[dim], wanted), -(-least // other))
        cut = (*units[:dim], min(step, units[dim]), *units[dim + 1 :])
        # An inner dimension has to be clearly better: the outermost keeps slices contiguous.
        if miss(cut) < miss(best) - 0.1:
            best = cut
    if miss(best) <= _NEAR or len(units) == 1:
        return best

    def badness(step: tuple[int, ...]) -> float:
        # How much smaller remainders are than the other slices counts as well.
        return miss(step) + pieces(step) * math.prod(step) / total - 1

    return min((best, *_boxes(units, wanted, least)), key=badness)


def _boxes(units: tuple[int, ...], wanted: int, least: int) -> Iterator[tuple[int, ...]]:
    """Steps that cut more than one dimension, those with the longest contiguous runs first."""
    total = math.prod(units)
    outer = len(units) - 1
    seen: set[int] = set()
    for pieces in range(min(units[outer], wanted), 1, -1):
        step = -(-units[outer] // pieces)
        if step in seen:
            continue
        seen.add(step)
        left = wanted / -(-units[outer] // step)
        box = list(units)
        box[outer] = step
        for dim in reversed(range(outer)):
            rest = math.prod(box) // box[dim]
            box[dim] = min(box[dim], max(nearest_step(box[dim], left), -(-least // rest)))
            left = max(1.0, left / -(-units[dim] // box[dim]))
        if math.prod(box) >= min(least, total):
            yield tuple(box)


def slices(whole: NDRange, step: tuple[int, ...]) -> Iterator[NDRange]:
    """Cut *whole* into boxes of *step* work-groups; every work-item is in exactly one.

    The slices come in the order of their offsets, dimension 0 fastest, the remainder of each
    dimension last.  The local size of *whole* must be fixed.
    """
    local = whole.local_size
    if local is None:
        raise ValueError("the local size is not fixed yet")
    starts = [
        range(0, size, count * width)
        for size, count, width in zip(whole.global_size, step, local, strict=True)
    ]
    for start in product(*reversed(starts)):
        begin = tuple(reversed(start))
        size = tuple(
            min(count * width, total - first)
            for count, width, total, first in zip(
                step, local, whole.global_size, begin, strict=True
            )
        )
        offset = tuple(o + first for o, first in zip(whole.offset, begin, strict=True))
        yield NDRange(size, local, offset)
