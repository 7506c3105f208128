"""The variant of a kernel that shows every slice the IDs and sizes of the whole launch.

A slice is launched with a global offset, so get_global_id is right in it and what depends on the
whole NDRange is not.  The variant is the same source behind a prelude that redefines those
functions.  What they need to know reaches the kernel as four hidden arguments behind its own (the
way clvk and OpenCLOn12 hand them to a kernel inside a driver); where functions other than kernels
ask for them, it is compiled in instead, once for each NDRange.  A variant is only built when a
launch is about to be split.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyopencl as cl

from gpusplit import clsource, programs, safety
from gpusplit.arguments import KernelState
from gpusplit.ndrange import NDRange
from gpusplit.safety import Verdict

#: The hidden arguments, each a uint4 of which x, y, z stand for the dimensions.
HIDDEN = ("gpusplit_size", "gpusplit_offset", "gpusplit_local", "gpusplit_groups")

#: The redefined functions: result of the one that stands in, its parameters, and its body.  It is
#: defined before the redefinition, so it can ask the device itself: beyond the third dimension the
#: device answers (the specification says 1 or 0, and not every device keeps to it).  It asks with
#: constants only: PoCL 3.1 miscompiles some functions of a dimension that it does not know.  A
#: work-group's ID is worked out from its work-items' global IDs, since devices differ in whether
#: get_group_id counts from the offset.
_FUNCTIONS = {
    "get_global_size": (
        "d, gpusplit_size", "return d > 2 ? get_global_size(3) : gpusplit_pick(d, v);"
    ),
    "get_global_offset": (
        "d, gpusplit_offset", "return d > 2 ? get_global_offset(3) : gpusplit_pick(d, v);"
    ),
    "get_num_groups": (
        "d, gpusplit_groups", "return d > 2 ? get_num_groups(3) : gpusplit_pick(d, v);"
    ),
    "get_group_id": (
        "d, gpusplit_offset, gpusplit_local",
        "uint first = d == 0 ? get_global_id(0) - get_local_id(0)"
        " : d == 1 ? get_global_id(1) - get_local_id(1) : get_global_id(2) - get_local_id(2);"
        " return d > 2 ? get_group_id(3) : (first - gpusplit_pick(d, v)) / gpusplit_pick(d, w);",
    ),
    "get_global_linear_id": (
        "gpusplit_offset, gpusplit_size",
        "return ((get_global_id(2) - v.z) * w.y + get_global_id(1) - v.y) * w.x"
        " + get_global_id(0) - v.x;",
    ),
}  # fmt: skip
_PICK = """\
uint gpusplit_pick(uint d, uint4 v);
uint gpusplit_pick(uint d, uint4 v) { return d == 0 ? v.x : d == 1 ? v.y : v.z; }"""

#: NDRanges with constants compiled in, per kernel; more would compile without end.
MOST_SHAPES = 16
#: The IDs are worked out in 32 bits (NVIDIA keeps them so, and a 64-bit division is slow).
LARGEST = 2**32 - 1

_programs: OrderedDict[Hashable, Any] = OrderedDict()
_MOST_PROGRAMS = 256
_lock = threading.Lock()


class NoVariant(Exception):
    """No variant of this kernel can be built; the message says why."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A kernel to launch instead; first_hidden is the index of its first hidden argument or None.

    Arguments before that one are the original's.
    """

    kernel: cl.Kernel
    first_hidden: int | None


def hidden_values(whole: NDRange) -> tuple[tuple[int, int, int, int], ...]:
    """The values of HIDDEN for a launch of *whole*, in work-items and work-groups."""
    local = whole.local_size
    if local is None:
        raise ValueError("the local size is not fixed yet")

    def pad(values: tuple[int, ...], other: int) -> tuple[int, int, int, int]:
        x, y, z = (*values, other, other)[:3]
        return (x, y, z, other)

    return (
        pad(whole.global_size, 1),
        pad(whole.offset, 0),
        pad(local, 1),
        pad(whole.work_groups, 1),
    )


def variant_source(
    source: str,
    needs: frozenset[str],
    kernels: list[str],
    constants: tuple[tuple[int, int, int, int], ...] | None,
) -> str:
    """*source* behind its prelude.

    needs: the functions to redefine.  kernels: names of all kernels of the program, which get the
    hidden parameters; or, with *constants*, the values are compiled in and nothing is added.
    """
    lines = [_PICK]
    if constants is not None:
        for name, value in zip(HIDDEN, constants, strict=True):
            lines.append(f"#define {name} ((uint4)({', '.join(f'{v}u' for v in value)}))")
    macros = []
    for function in sorted(needs):
        arguments, body = _FUNCTIONS[function]
        takes_dimension = arguments.startswith("d,")
        types = ["uint d"] if takes_dimension else []
        types += ["uint4 v", "uint4 w"][: arguments.count("gpusplit_")]
        stand_in = f"gpusplit_{function}"
        head = f"size_t {stand_in}({', '.join(types)})"
        lines.append(f"{head};\n{head} {{ {body} }}")
        parameter = "d" if takes_dimension else ""
        passed = arguments.replace("d,", "(d),", 1) if takes_dimension else arguments
        macros.append(f"#undef {function}\n#define {function}({parameter}) {stand_in}({passed})")
    lines += macros
    # Line numbers in messages (and __LINE__) stay those of the program.
    lines.append("#line 1\n")
    text = source if constants is not None else _with_parameters(source, kernels)
    return "\n".join(lines) + text


def _with_parameters(source: str, kernels: list[str]) -> str:
    parsed = clsource.parse(source)
    parameters = ", ".join(f"const uint4 {name}" for name in HIDDEN)
    places: list[tuple[int, bool]] = []
    for name in kernels:
        for function in (*parsed.functions.get(name, ()), *parsed.prototypes.get(name, ())):
            places.append((function.parameters_end, function.has_parameters))
    for position, has_parameters in sorted(set(places), reverse=True):
        if has_parameters:
            source = f"{source[:position]}, {parameters}{source[position:]}"
        else:
            # "()" or "(void)": the new list replaces it.
            opening = source.rindex("(", 0, position)
            source = f"{source[: opening + 1]}{parameters}{source[position:]}"
    return source


def find(
    kernel: cl.Kernel, known: KernelState, verdict: Verdict, whole: NDRange, device: cl.Device
) -> Variant:
    """The variant of *kernel* for slices of *whole*; NoVariant says why there is none.

    Call it with the kernel's lock held.
    """
    if max(*whole.end, whole.work_items) > LARGEST:
        raise NoVariant("IDs beyond 32 bits")
    constants = hidden_values(whole) if verdict.helpers else None
    shape: Hashable = (device.int_ptr, constants)
    found = known.variants.get(shape)
    if found is None:
        if len(known.variants) >= MOST_SHAPES:
            raise NoVariant(f"more than {MOST_SHAPES} different NDRanges, each to be compiled")
        try:
            found = _build(kernel, verdict, constants, device)
        except NoVariant as error:
            # Once is enough for a compiler to say no.
            found = str(error)
        known.variants[shape] = found
    if isinstance(found, str):
        raise NoVariant(found)
    return found


def set_hidden(variant: Variant, whole: NDRange) -> None:
    """Tell *variant*'s slices what the whole launch is; its own arguments are not touched."""
    if variant.first_hidden is not None:
        for index, value in enumerate(hidden_values(whole), start=variant.first_hidden):
            variant.kernel.set_arg(index, np.array(value, np.uint32))


def _build(
    kernel: cl.Kernel,
    verdict: Verdict,
    constants: tuple[tuple[int, int, int, int], ...] | None,
    device: cl.Device,
) -> Variant:
    origin = programs.origin(kernel, device)
    if origin.kind != "source":
        raise NoVariant("there is no source to build a variant from")
    if programs.examine(kernel, device) != verdict:
        raise NoVariant("a header has changed since the kernel was examined")
    prelude, _ = clsource.tokenize(variant_source("", verdict.needs_prelude, [], constants))
    used = {token.text for token in prelude}
    macros = clsource.parse(safety.read_options(origin.options).macros).macros
    clash = used.intersection(macros)
    if clash:
        raise NoVariant(f"a build option defines {min(clash)}, which the prelude uses")
    name = kernel.function_name
    program: Any = kernel.get_info(cl.kernel_info.PROGRAM)
    names = [k for k in program.get_info(cl.program_info.KERNEL_NAMES).split(";") if k]
    text = variant_source(origin.text, verdict.needs_prelude, names, constants)
    built = _program(kernel.context, device, text, origin.options)
    try:
        result = cl.Kernel(built, name)
        count = kernel.num_args
        expected = count + (0 if constants is not None else len(HIDDEN))
        if result.num_args != expected:
            raise NoVariant("the kernel's parameters are not where they were looked for")
    except cl.Error as error:
        raise NoVariant(f"the variant cannot be used: {error}") from error
    return Variant(result, None if constants is not None else count)


def _program(context: cl.Context, device: cl.Device, text: str, options: str) -> Any:
    """The built program of *text*; the same text is built once."""
    key = (context.int_ptr, device.int_ptr, text, options)
    with _lock:
        if key in _programs:
            _programs.move_to_end(key)
            return _programs[key]
    raw = cl._cl._Program(context, text)
    try:
        # Not through pyopencl.Program: that would warn about a log that is none of the user's.
        raw._build(options=options.encode(), devices=[device])
    except cl.Error as error:
        reason = str(error).strip().splitlines()
        raise NoVariant(
            f"the compiler refused the prelude: {reason[0] if reason else ''}"
        ) from None
    with _lock:
        # A program keeps its context, so the addresses in the key name no other ones.
        _programs[key] = raw
        while len(_programs) > _MOST_PROGRAMS:
            _programs.popitem(last=False)
    return raw
