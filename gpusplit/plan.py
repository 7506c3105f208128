"""The plan of one launch: which slices, or why none.  Arithmetic and limits, nothing enqueued."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpusplit.ndrange import NDRange, slices, steps
from gpusplit.policy import Decision

if TYPE_CHECKING:
    from gpusplit.judge.verdict import Verdict

#: A local size that gpusplit chooses has at most so many work-items, as most drivers' choice.
_LARGEST_LOCAL = 256
#: Fewer work-items in a work-group leave most lanes of a GPU's vectors idle.
_SMALLEST_LOCAL = 32


class Whole(Exception):
    """The launch stays whole, and why.

    refused: the policy wanted groups, but the kernel or the launch does not allow it.
    """

    def __init__(
        self,
        decision: Decision,
        size: tuple[int, ...] = (),
        vm_count: int | None = None,
        refused: bool = False,
    ) -> None:
        """size: work-items per dimension, empty where the arguments were not understood."""
        super().__init__(decision.reason)
        self.decision = decision
        self.size = size
        self.vm_count = vm_count
        self.refused = refused


@dataclass(slots=True)
class Plan:
    """The slices of one launch.

    Attributes
    ----------
    whole: the caller's NDRange, its local size fixed.
    parts: the slices in the order in which they are enqueued.
    least: work-groups that a slice must have, but for remainders.
    decision, vm_count: what the policy said, and from which count.
    verdict: what the analysis found.
    groups: slices that were enqueued in the end.
    """

    whole: NDRange
    parts: Sequence[NDRange]
    least: int
    decision: Decision
    vm_count: int | None
    verdict: Verdict
    groups: int = 1


def least_groups(whole: NDRange, cores: int, compute_units: int) -> int:
    """Work-groups that fill a device of so many *cores* in so many *compute_units*.

    Every core gets a work-item and every compute unit a work-group.
    """
    items = math.prod(whole.local_size or (1,))
    return max(1, compute_units, -(-cores // items))


def cut(whole: NDRange, groups: int, least: int) -> list[NDRange]:
    """About *groups* equal slices of at least *least* work-groups, the remainder last."""
    return list(slices(whole, steps(whole.work_groups, groups, least)))


def cut_without_local_size(whole: NDRange, groups: int, cores: int, units: int) -> list[NDRange]:
    """As cut() of a launch whose local size is the driver's choice: of each slice, too.

    >>> whole = NDRange((1009,), None, (0,))
    >>> [part.global_size for part in cut_without_local_size(whole, 3, 1, 1)]
    [(352,), (352,), (305,)]
    """
    # In units that leave the driver a choice.
    unit = replace(whole, local_size=(_SMALLEST_LOCAL, 1, 1)[: len(whole.global_size)])
    parts = cut(unit, groups, least_groups(unit, cores, units))
    return [replace(part, local_size=None) for part in parts]


def probe(whole: NDRange, least: int) -> tuple[NDRange, NDRange | None]:
    """A small first slice of at least *least* work-groups, and what is left (None: nothing)."""
    units = whole.work_groups
    local = whole.local_size
    assert local is not None
    dim = max((d for d in range(len(units)) if units[d] > 1), default=0)
    other = math.prod(units) // units[dim]
    count = min(units[dim], -(-least // other))
    width = min(count * local[dim], whole.global_size[dim])
    left = whole.global_size[dim] - width

    def put(values: tuple[int, ...], value: int) -> tuple[int, ...]:
        return (*values[:dim], value, *values[dim + 1 :])

    first = replace(whole, global_size=put(whole.global_size, width))
    if not left:
        return first, None
    rest = replace(
        whole,
        global_size=put(whole.global_size, left),
        offset=put(whole.offset, whole.offset[dim] + width),
    )
    return first, rest


def fix_local_size(whole: NDRange, limit: int, largest: tuple[int, ...]) -> NDRange | None:
    """*whole* with a local size that divides it, for kernels that cannot tell.

    None if none of the divisors makes a good one.
    limit: work-items that a work-group of this kernel may have; largest: per dimension.
    """
    left = min(limit, _LARGEST_LOCAL)
    local = []
    for size, most in zip(whole.global_size, largest, strict=False):
        width = max(d for d in range(1, min(left, most, size) + 1) if size % d == 0)
        local.append(width)
        left //= width
    if math.prod(local) < min(_SMALLEST_LOCAL, whole.work_items):
        return None
    return replace(whole, local_size=tuple(local))


def beyond_limits(whole: NDRange, address_bits: int, nvidia: bool) -> str | None:
    """Why *whole* cannot be launched in slices on the device; None if it can.

    NVIDIA keeps IDs in 32 bits, whatever CL_DEVICE_ADDRESS_BITS says.
    """
    if whole.local_size is not None and any(
        size % width for size, width in zip(whole.global_size, whole.local_size, strict=True)
    ):
        # OpenCL 1.2 refuses such a launch, but would refuse only the last slice.
        return "its local size does not divide its global size"
    bits = min(32, address_bits) if nvidia else address_bits
    if max(whole.end) >= 2**bits:
        return f"IDs beyond {bits} bits"
    return None
