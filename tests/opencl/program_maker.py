"""Whole OpenCL C programs, made from a number: several kernels, helpers, macros, headers, options.

What they compute is of no use, but every work-item writes down what OpenCL says of its place, by
all the odd ways of program_spellings.py and program_wrappings.py; only integers, each to a slot of
its own or by atomics in any order, so that every right way to run a launch gives the same bytes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from program_draft import Draft
from program_spellings import Ways, expression

#: Counters that a kernel's atomics share.
COUNTERS = 16
#: Entries of the tables that kernels read.
ENTRIES = 8

_PARAMETERS = {
    "out": "ulong *{q}out",
    "size": "{c}uint4 size",
    "offset": "{c}uint4 offset",
    "k": "{c}uint k",
    "total": "{c}ulong total",
    "counts": "uint *{q}counts",
    "pair": "{c}pair_t pair",
    "cells": "cell_t *{q}cells",
    "table": "uint *{q}table",
    "scratch": "ulong *{q}scratch",
}
_SPACES = {
    "out": ("global", "__global"),
    "counts": ("global", "__global", "volatile global", "global volatile"),
    "cells": ("const global", "__global const", "global const struct cell const"),
    "table": ("constant", "__constant", "constant const"),
    "scratch": ("local", "__local"),
}
_TYPES = """
typedef struct pair { ulong first; uint2 second; } pair_t;
struct cell { uint weight; uint height; };
typedef struct cell cell_t;
"""
_LOCAL_SIZES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((2,), (4,), (3,)),
    2: ((2, 2), (4, 1), (1, 3)),
    3: ((2, 1, 2), (1, 2, 2), (2, 2, 2)),
}


@dataclass(frozen=True)
class Kernel:
    """A kernel of a program.

    arguments: what each one is, by the names of _PARAMETERS; width: ulongs per work-item in out.
    features: the odd ways of each of these.
    local_sizes: those it may be launched with; few, since PoCL compiles a kernel for each.
    """

    name: str
    dims: int
    width: int
    arguments: tuple[str, ...]
    local_sizes: tuple[tuple[int, ...] | None, ...]
    features: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Program:
    """headers: text by path below the folder that -I names; options: without that -I."""

    source: str
    headers: dict[str, str]
    options: tuple[str, ...]
    kernels: tuple[Kernel, ...]


def make(seed: int) -> Program:
    """The program number *seed*."""
    draft = Draft(seed)
    ways = Ways.of(draft)
    draft.parts.append(_TYPES)
    kernels: list[Kernel] = []
    for number in range(draft.rng.choice((1, 2, 2, 3))):
        kernels.append(_kernel(draft, ways, number, kernels))
    source = "\n".join((*draft.parts, *draft.tail)) + draft.rng.choice(("\n", "", "\n\n// the end"))
    headers = draft.headers
    if draft.chance(0.1):
        source = source.replace("\n", "\r\n")
        headers = {name: text.replace("\n", "\r\n") for name, text in headers.items()}
    return Program(source, headers, tuple(draft.options), tuple(kernels))


def _kernel(draft: Draft, ways: Ways, number: int, before: list[Kernel]) -> Kernel:
    rng = draft.rng
    dims = rng.choice((1, 1, 2, 3))
    caller = next((k for k in before if "scratch" not in k.arguments), None)
    style = rng.choice(("plain", "plain", "plain", "calls", "local", "stride", "atomics"))
    if style == "calls" and caller is None:
        style = "plain"
    arguments = ["out", "size", "offset", "k", "total"]
    if style == "local":
        arguments.append("scratch")
    if style == "atomics":
        arguments.append("counts")
    if style == "calls" and caller is not None:
        arguments, dims = list(caller.arguments), caller.dims
    else:
        arguments += [a for a in ("pair", "cells", "table") if draft.chance(0.2)]
        rng.shuffle(arguments)

    width = rng.randint(2, 4)
    columns, features = [], []
    for _ in range(width):
        draft.used.clear()
        columns.append(expression(draft, ways))
        features.append(tuple(draft.used))
        draft.expressions.append(columns[-1])
    body = _slot(dims)
    if style == "calls" and caller is not None:
        width = caller.width
        features = features[:1] * width
        body += f"    {caller.name}({', '.join(caller.arguments)});\n"
        body += "".join(f"    out[at * {width}] += {column};\n" for column in columns)
    else:
        for i, column in enumerate(columns):
            body += f"    {_store(draft, f'out[at * {width} + {i}]', column)}\n"
    body += _more(draft, ways, style, arguments, width)
    if draft.chance(0.05):
        # Nobody may split it, and nothing differs.
        body += '    if (k == 12345) printf("%u", k);\n'
    size = rng.choice(_LOCAL_SIZES[dims])
    name = f"run_{number}"
    draft.parts.append(_definition(draft, name, arguments, body, size))
    sizes: tuple[tuple[int, ...] | None, ...] = (size,)
    fixed = "reqd_work_group_size" in draft.parts[-1]
    if style != "local" and not fixed and draft.chance(0.15):
        sizes = (size, None)
    return Kernel(name, dims, width, tuple(arguments), sizes, tuple(features))


def _slot(dims: int) -> str:
    """Where the work-item writes; never outside, whatever it is told."""
    text = ""
    for d, letter in enumerate("xyz"):
        index = f"get_global_id({d})"
        value = f"(uint)({index}) - offset.{letter}" if d < dims else "0"
        text += f"    const size_t {letter} = {value};\n"
    return text + "    const size_t at = ((z * size.y + y) * size.x + x) % total;\n"


def _store(draft: Draft, target: str, value: str) -> str:
    kind = draft.rng.choice(("plain", "plain", "cast", "macro", "block", "either"))
    if kind == "plain":
        return f"{target} = {value};"
    if kind == "cast":
        return f"{target} = (ulong)({value});"
    if kind == "block":
        return f"{{ global ulong *p = &{target}; *p = {value}; }}"
    if kind == "macro":
        name = draft.name("STORE")
        draft.declare(f"#define {name}(a, v) do {{ (a) = (v); }} while (0)")
        return f"{name}({target}, ({value}));"
    draft.used.append("#if in kernel")
    return draft.either(f"    {target} = {value};", f"    {target} = get_num_groups(0) * 3;")


def _more(draft: Draft, ways: Ways, style: str, arguments: list[str], width: int) -> str:
    """What else the kernel does with its arguments."""
    text = ""
    if style == "stride":
        step = expression(draft, ways, "get_global_size", depth=1)
        pragma = draft.rng.choice(("", "#pragma unroll 2\n", "#pragma nounroll\n"))
        text += (
            f"{pragma}    for (ulong i = get_global_id(0); i < 100;"
            f" i += max((ulong)({step}), 1ul))\n"
            f"        out[at * {width}] = out[at * {width}] * 31 + i;\n"
        )
    if "scratch" in arguments and style == "local":
        shared = expression(draft, ways, depth=1)
        fence = draft.rng.choice(("CLK_LOCAL_MEM_FENCE", "CLK_LOCAL_MEM_FENCE | 0"))
        text += (
            "    const uint n = get_local_size(0) * get_local_size(1) * get_local_size(2);\n"
            "    const uint own = (get_local_id(2) * get_local_size(1) + get_local_id(1))"
            " * get_local_size(0) + get_local_id(0);\n"
            f"    scratch[own] = {shared} + own;\n    barrier({fence});\n"
            f"    out[at * {width}] += scratch[(own + 1) % n];\n"
        )
    if style == "atomics":
        where = expression(draft, ways, depth=1)
        call = draft.rng.choice(("atomic_add", "atom_add"))
        if draft.chance(0.3):
            name, op = draft.name("ATOMIC"), call.removeprefix("ato")
            draft.declare(f"#define {name}(op, ...) ato##op(__VA_ARGS__)")
            text += f"    {name}({op}, &counts[({where}) % {COUNTERS}u], k + 1);\n"
        else:
            text += f"    {call}(counts + ({where}) % {COUNTERS}u, k + 1);\n"
        if draft.chance(0.3):
            text += (
                "    for (uint i = 0; i < 3; i++)\n"
                f"        atomic_inc(&counts[(i + get_group_id(0)) % {COUNTERS}u]);\n"
            )
    if "pair" in arguments:
        text += f"    out[at * {width}] += pair.first + pair.second.y * get_num_groups(0);\n"
    if "cells" in arguments:
        text += f"    out[at * {width}] ^= cells[at % {ENTRIES}].height;\n"
    if "table" in arguments:
        text += f"    out[at * {width}] += table[get_group_id(0) % {ENTRIES}];\n"
    return text


def _parameters(rng: random.Random, arguments: list[str]) -> str:
    made = []
    for argument in arguments:
        restrict = rng.choice(("", "", "restrict ", "const restrict ", "__restrict "))
        text = _PARAMETERS[argument].format(q=restrict, c=rng.choice(("", "", "const ")))
        space = rng.choice(_SPACES.get(argument, ("",)))
        if "struct cell" in space:
            text = text.removeprefix("cell_t ")
        made.append(f"    {space} {text}")
    return ",\n".join(made)


def _definition(
    draft: Draft, name: str, arguments: list[str], body: str, size: tuple[int, ...]
) -> str:
    """The kernel's text: its attributes, and parameters that an #if may choose."""
    rng = draft.rng
    keyword = rng.choice(("kernel", "__kernel"))
    padded = ", ".join(map(str, (*size, 1, 1)[:3]))
    attribute = rng.choice(
        (
            "",
            "",
            "",
            f"__attribute__((reqd_work_group_size({padded}))) ",
            f"__attribute__((work_group_size_hint({padded}))) ",
            "__attribute__((vec_type_hint(int4))) ",
        )
    )
    parameters = _parameters(rng, arguments)
    if draft.chance(0.15) and "\n#" not in body:
        # The whole kernel, of a macro's making.
        draft.used.append("made kernel")
        macro, start = draft.name("KERNEL"), name[:2]
        text = f"{keyword} {attribute}void {start}##rest(\n{parameters})\n{{\n{body}}}"
        if '"' not in text and "//" not in text and "#" not in text.replace("##rest", ""):
            lines = text.replace("\\\n", "").replace("\n", " \\\n")
            return f"#define {macro}(rest) \\\n{lines}\n{macro}({name[2:]})"
    if draft.chance(0.2):
        parameters = draft.either(parameters, _parameters(rng, arguments))
    before = draft.rng.choice(("", "", f"{keyword} {attribute}void {name}(\n{parameters});\n"))
    head = rng.choice((f"{keyword} {attribute}void", f"{keyword} void {attribute}"))
    return f"{before}{head} {name}(\n{parameters})\n{{\n{body}}}"
