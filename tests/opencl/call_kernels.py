"""The kernels of sequences of calls: each is split in another way, or not at all."""

from __future__ import annotations

#: Numbers of 32 bits in each buffer.
ITEMS = 512
#: Where a part of a buffer may begin, and how many numbers it has.
SUB_AT, SUB_ITEMS = 128, 256

#: Kernels by name: what they are given (A: the buffer that they write, B: one that they read, v: a
#: number, s: local memory, p: a structure), and the sizes, with local sizes, to launch them in.
#: Few, since PoCL compiles a kernel for each local size.
LINE = [((64,), (8,)), ((96,), (8,)), ((8,), (8,)), ((200,), (8,))]
KERNELS: dict[str, tuple[str, list[tuple[tuple[int, ...], tuple[int, ...] | None]]]] = {
    "add": ("Av", [*LINE, ((61,), None), ((128,), None)]),
    "asks": ("Av", LINE),
    "grid": ("Av", [((8, 6), (4, 2)), ((4, 8), (4, 2)), ((8, 2), (4, 2))]),
    "cube": ("Av", [((4, 4, 6), (2, 2, 1)), ((2, 2, 3), (2, 2, 1))]),
    "two": ("BAv", LINE),
    "sums": ("As", LINE),
    "strides": ("Av", LINE[:2]),
    "pair": ("Apv", LINE[:2]),
    "count": ("Av", LINE),
    "speaks": ("Av", LINE[:1]),
    "nothing": ("", LINE[:2]),
}
#: Offsets by number of dimensions, for the twin of each kernel that has one: on PoCL before
#: version 6 a kernel that runs with and without one at a time can end the program (uses.h).
OFFSETS = {1: [(5,), (40,)], 2: [(3, 1), (0, 7)], 3: [(0, 0, 2)]}

BODIES = """
kernel void add_X(global uint *a, uint v)
{ size_t i = get_global_id(0); a[i] = a[i] * 3 + v + i; }
kernel void asks_X(global uint *a, uint v)
{
    size_t i = get_global_id(0);
    a[i] = a[i] * 3 + v + get_group_id(0) * 7 + get_num_groups(0) * 11 + get_global_size(0) * 13
        + get_global_offset(0) * 17 + get_local_id(0) + get_work_dim();
}
kernel void grid_X(global uint *a, uint v)
{
    size_t i = get_global_id(0) + 16 * get_global_id(1);
    a[i] = a[i] * 5 + v + get_group_id(0) + get_group_id(1) * 3 + get_num_groups(0) * 7
        + get_num_groups(1) * 11 + get_global_offset(1);
}
kernel void cube_X(global uint *a, uint v)
{
    size_t i = get_global_id(0) + 4 * get_global_id(1) + 16 * get_global_id(2);
    a[i] = a[i] * 7 + v + get_group_id(2) * 3 + get_global_size(2) + get_local_id(1);
}
kernel void two_X(global const uint *b, global uint *a, uint v)
{ size_t i = get_global_id(0); a[i] = a[i] * 5 + b[i * 7 % ENTRIES] + v; }
kernel void sums_X(global uint *a, local uint *s)
{
    s[get_local_id(0)] = a[get_global_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE);
    a[get_global_id(0)] = s[get_local_size(0) - 1 - get_local_id(0)] * 3 + s[get_local_id(0)];
}
kernel void strides_X(global uint *a, uint v)
{
    for (uint i = get_global_id(0) - get_global_offset(0); i < ENTRIES; i += get_global_size(0))
        a[i] = a[i] * 3 + v + get_global_size(0);
}
kernel void pair_X(global uint *a, struct pair p, uint v)
{ size_t i = get_global_id(0); a[i] = a[i] * p.x + p.y + v; }
kernel void count_X(global uint *a, uint v) { atomic_add(&a[v % 8], (uint)get_global_id(0)); }
kernel void speaks_X(global uint *a, uint v)
{
    size_t i = get_global_id(0);
    a[i] += v;
    if (v == 0xffffffff)
        printf("never");
}
kernel void nothing_X(void) { }
"""


def source(number: int = 0) -> str:
    """The program; another number, another program that does nearly the same."""
    head = f"#define ENTRIES {SUB_ITEMS}\nstruct pair {{ uint x, y; }};\n"
    text = "".join(BODIES.replace("_X", f"_{twin}") for twin in ("zero", "moved"))
    return head + text.replace("* 3 + v", f"* 3 + {number} + v")
