"""Random kernels that write down what the ID functions tell them, one record per work-item."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Functions of a dimension, and those without one.
_OF_DIMENSION = (
    "get_global_id",
    "get_local_id",
    "get_local_size",
    "get_group_id",
    "get_num_groups",
    "get_global_size",
    "get_global_offset",
)

_MAY_BE_UNKNOWN = ("get_group_id", "get_num_groups", "get_global_offset")

_HEAD = """
ulong slot(uint dims, uint4 size, uint4 offset);
ulong slot(uint dims, uint4 size, uint4 offset) {
    ulong x = get_global_id(0) - offset.x;
    ulong y = dims > 1 ? get_global_id(1) - offset.y : 0;
    ulong z = dims > 2 ? get_global_id(2) - offset.z : 0;
    return (z * size.y + y) * size.x + x;
}
"""


@dataclass(frozen=True)
class IdKernel:
    """A program with one kernel, `record`, that writes *width* ulongs per work-item.

    local_sizes: those it is launched with; few, since PoCL compiles a kernel for each.
    shapes: work-groups per dimension it may be launched with; None for any.
    """

    source: str
    dims: int
    width: int
    local_sizes: tuple[tuple[int, ...] | None, ...]
    shapes: tuple[tuple[int, ...], ...] | None = None


def _expression(rng: random.Random, functions: tuple[str, ...]) -> str:
    def call() -> str:
        # 3 is beyond every NDRange; k is not known to the compiler.  PoCL 3.1 aborts on some
        # kernels, split or not, that use an unknown dimension of what depends on the local size.
        function = rng.choice(functions)
        unknown = ("k",) if function in _MAY_BE_UNKNOWN else ()
        return f"{function}({rng.choice(('0', '1', '2', '3', *unknown))})"

    return rng.choice(
        (
            call(),
            f"{call()} * 1000 + {call()}",
            f"({call()} ^ ({call()} << 3))",
            f"({call()} > {call()} ? {call()} : {call()})",
        )
    )


def id_kernel(seed: int) -> IdKernel:
    """The random kernel number *seed*: plain calls, macros, helper functions, or loops."""
    rng = random.Random(seed)
    dims = seed % 3 + 1
    style = ("plain", "macro", "loop", "global", "helper")[seed // 3 % 5]
    functions: tuple[str, ...] = _OF_DIMENSION
    if style == "global":
        functions = ("get_global_id", "get_global_size", "get_global_offset")
    width = rng.randint(3, 6)
    expressions = [_expression(rng, functions) for _ in range(width)]
    head, body = _HEAD, ""
    if style == "macro":
        head += "".join(f"#define E{i} ({e})\n" for i, e in enumerate(expressions))
        expressions = [f"E{i}" for i in range(width)]
    elif style == "helper":
        for i, e in enumerate(expressions):
            head += f"ulong e{i}(uint k);\nulong e{i}(uint k) {{ return {e}; }}\n"
        expressions = [f"e{i}(k)" for i in range(width)]
    for i, e in enumerate(expressions):
        body += f"    p[{i}] = {e};\n"
    if style == "loop":
        # A loop over the whole range from every work-item, as grid-stride loops do.
        body += (
            "    for (ulong i = get_global_id(0); i < 100; i += get_global_size(0))\n"
            "        p[0] = p[0] * 31 + i + get_group_id(k);\n"
        )
    source = (
        f"{head}kernel void record(\n"
        "    global ulong *out, uint dims, uint4 size, uint4 offset, uint k)\n"
        f"{{\n    global ulong *p = out + slot(dims, size, offset) * {width};\n{body}}}\n"
    )
    locals_: list[tuple[int, ...] | None] = [
        tuple(rng.choice((1, 2, 3)) for _ in range(dims)) for _ in range(2)
    ]
    if style == "global":
        locals_ = [None, locals_[0]]
    shapes = None
    if style == "helper":
        shapes = tuple(tuple(rng.randint(1, 4) for _ in range(dims)) for _ in range(3))
    return IdKernel(source, dims, width, tuple(locals_), shapes)
