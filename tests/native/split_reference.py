"""What the slices of a launch are to be, and how they are told of the whole: split.c's arithmetic.

It was Python's own before the library had it, and is what the library is held to (test_split.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpusplit.ndrange import NDRange, slices, steps

#: Fewer work-items in a work-group leave most lanes of a GPU's vectors idle.
_SMALLEST_LOCAL = 32

#: What makes a kernel need the size of the whole launch in a dimension that is cut.
_ASKS_SIZE = frozenset({"get_global_size", "get_num_groups", "get_global_linear_id"})


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
    """As cut() of a launch whose local size is the driver's choice: of each slice, too."""
    # In units that leave the driver a choice.
    unit = replace(whole, local_size=(_SMALLEST_LOCAL, 1, 1)[: len(whole.global_size)])
    parts = cut(unit, groups, least_groups(unit, cores, units))
    return [replace(part, local_size=None) for part in parts]


@dataclass(frozen=True, slots=True)
class Form:
    """How slices are told what the whole launch is.

    macros: the text before the variant's.  carried: what the global offset is to be in each
    dimension that carries something, empty if none does.  constant: whether sizes of this very
    launch are compiled in.
    """

    macros: str
    carried: tuple[tuple[int, int], ...]
    constant: bool

    def shape(self, part: NDRange) -> NDRange:
        """*part* as it is launched: with what the dimensions carry."""
        if not self.carried:
            return part
        dimensions = max(len(part.offset), *(d + 1 for d, _ in self.carried))
        more = (1,) * (dimensions - len(part.offset))
        offset = [*part.offset, *(0 for _ in more)]
        for d, value in self.carried:
            offset[d] = value
        local = None if part.local_size is None else part.local_size + more
        return NDRange(part.global_size + more, local, tuple(offset))


def form(whole: NDRange, parts: Sequence[NDRange], asks: frozenset[str], bits: int) -> Form:
    """How slices of *whole* are told of it, for a kernel that asks *asks*.

    parts: the slices.  bits: of an offset that the device keeps.
    """
    dimensions = len(whole.global_size)
    known = {"WORK_DIM": f"{dimensions}u"}
    wanted: list[tuple[str, int]] = []
    # Dimensions whose offset may be anything, since nobody needs it for an ID.
    free = list(range(dimensions, 3))
    for d in range(3):
        known |= {f"SIZE_{d}": "1u", f"OFFSET_{d}": "0u", f"ID_{d}": "0u"}
        if d >= dimensions:
            continue
        known[f"ID_{d}"] = f"(uint)get_global_id({d})"
        if all(p.global_size[d] == whole.global_size[d] for p in parts):
            known[f"SIZE_{d}"] = f"(uint)get_global_size({d})"
            if whole.offset[d]:
                known[f"OFFSET_{d}"] = f"(uint)get_global_offset({d})"
            else:
                free.append(d)
            continue
        if asks & _ASKS_SIZE:
            wanted.append((f"SIZE_{d}", whole.global_size[d]))
        if whole.offset[d]:
            wanted.append((f"OFFSET_{d}", whole.offset[d]))
    slots = _slots([value for _, value in wanted], free, bits)
    carried: dict[int, int] = {}
    for at, (name, value) in enumerate(wanted):
        known[name] = f"{value}u"
        if slots is not None:
            d, shift, width = slots[at]
            carried[d] = carried.get(d, 0) | value << shift
            known[name] = f"(uint)((get_global_offset({d}) >> {shift}) & {(1 << width) - 1:#x}u)"
            if d < dimensions:
                known[f"ID_{d}"] = f"(uint)(get_global_id({d}) - get_global_offset({d}))"
    text = "".join(f"#define GPUSPLIT_{name} {value}\n" for name, value in sorted(known.items()))
    return Form(text, tuple(sorted(carried.items())), bool(wanted) and slots is None)


def _slots(
    values: Sequence[int], free: Sequence[int], bits: int
) -> list[tuple[int, int, int]] | None:
    """(dimension, lowest bit, bits) where each of *values* travels; None if there is no room.

    The highest bit of an offset stays clear: a global ID is the sum of more than the offset.
    """
    for width in (bits - 1, 15):
        slots = [(d, shift, width) for d in free for shift in range(0, bits - width, width + 1)]
        if len(values) <= len(slots) and all(value < 1 << width for value in values):
            return slots[: len(values)]
    return None
