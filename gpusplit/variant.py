"""The variant of a program that shows every slice the IDs and sizes of the whole launch.

The judge gives its text (judge/prelude.py); what the whole launch is comes in macros before it.
What a slice does not change it can be asked for.  What it does change, the global size and the
offset of the dimensions that are cut, travels in the global offset of other dimensions: those that
the launch does not have, or does not cut and has no offset in.  So one variant serves all sizes;
where there is no room it is compiled in.  A variant is built when a launch is to be split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyopencl as cl

from gpusplit import headers, judging
from gpusplit.arguments import KernelState
from gpusplit.judge import options as build_options
from gpusplit.judge.verdict import Answer
from gpusplit.ndrange import NDRange
from gpusplit.programs import Program

#: Variants of a program beyond which none with constants compiled in is made: no endless compiling.
MOST_CONSTANT = 16
#: The IDs are worked out in 32 bits (NVIDIA keeps them so, and a 64-bit division is slow).
LARGEST = 2**32 - 1

#: Bits of an offset that a device keeps: NVIDIA 32; PoCL 3.1 only 16 where the launch is small.
OFFSET_BITS, POCLS_BITS = 32, 16

#: What makes a kernel need the size of the whole launch in a dimension that is cut.
_ASKS_SIZE = frozenset({"get_global_size", "get_num_groups", "get_global_linear_id"})


class NoVariant(Exception):
    """No variant of this kernel can be had now; the message says why."""


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


def form(
    whole: NDRange, parts: Sequence[NDRange] | None, asks: frozenset[str], bits: int = OFFSET_BITS
) -> Form:
    """How slices of *whole* are told of it, for a kernel that asks *asks*.

    parts: the slices; None if they are not known yet.  bits: of an offset that the device keeps.

    >>> whole = NDRange((64, 32), (8, 8), (0, 0))
    >>> form(whole, None, frozenset({"get_group_id"})).carried
    ()
    >>> rows = [NDRange((64, 16), (8, 8), (0, 0)), NDRange((64, 16), (8, 8), (0, 16))]
    >>> form(whole, rows, frozenset({"get_num_groups"})).carried
    ((2, 32),)
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
        if parts is not None and all(p.global_size[d] == whole.global_size[d] for p in parts):
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


def find(
    kernel: cl.Kernel, known: KernelState, program: Program, answer: Answer, form: Form,
    device: cl.Device, wait: bool,
) -> cl.Kernel:  # fmt: skip
    """The kernel to launch in place of *kernel*; NoVariant says why there is none.

    wait: have it built now if it is not.  Call it with the kernel's lock held: the variant's
    arguments are set before each launch.
    """
    place = (form.macros, device.int_ptr)
    made = known.variants.get(place)
    if made is not None:
        return made
    variants = program.variants()
    known.held = variants
    built = variants.built.get(place)
    if built is None:
        if form.constant and len(variants.built) >= MOST_CONSTANT:
            raise NoVariant(f"more than {MOST_CONSTANT} different NDRanges, each to be compiled")
        context = kernel.context

        def build() -> None:
            variants.built[place] = _build(context, device, program, form.macros + answer.variant)

        if wait:
            build()
        else:
            judging.background((id(variants), place), build)
        built = variants.built.get(place)
        if built is None:
            raise NoVariant("its variant is being built")
    if isinstance(built, str):
        raise NoVariant(built)
    try:
        made = cl.Kernel(built, kernel.function_name)
        if made.num_args != kernel.num_args:
            raise NoVariant("the variant's kernel takes other arguments")
    except cl.Error as error:
        raise NoVariant(f"the variant cannot be used: {error}") from error
    known.variants[place] = made
    return made


def _build(context: cl.Context, device: cl.Device, program: Program, text: str) -> Any:
    """The built program of *text*, or why there is none."""
    origin = program.origin
    folders = build_options.read(origin.options).folders
    raw: Any = cl._cl._Program(context, text)
    try:
        # Not through pyopencl.Program: that would warn about a log that is none of the user's.
        raw._build(options=origin.options.encode("utf-8", "surrogateescape"), devices=[device])
    except cl.Error as error:
        reason = str(error).strip().splitlines()
        return f"the compiler refused the variant: {reason[0] if reason else ''}"
    if headers.take(origin.source, folders) != (origin.headers, ""):
        return "a header has changed since the program was built"
    return raw
