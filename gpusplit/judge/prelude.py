"""The prelude behind which a program shows every slice the IDs and sizes of the whole launch.

A slice is launched with a global offset, so get_global_id is right in it and what depends on the
whole NDRange is not.  The variant of a program is its own text behind this prelude, which names
those functions anew for all of it: whichever function, macro or paste asks, it is ours that
answers.  What they answer from are macros that whoever builds the variant puts before it (all
unsigned 32-bit expressions, d is 0, 1 or 2):

GPUSPLIT_WORK_DIM       the dimensions of the launch
GPUSPLIT_SIZE_d         its global size in dimension d; 1 beyond the last dimension
GPUSPLIT_OFFSET_d       its global offset in dimension d; 0 beyond the last dimension
GPUSPLIT_ID_d           a work-item's global ID in dimension d; 0 beyond the last dimension

The functions are defined before their names are taken, so they can ask the device.  They ask it
with constants only: PoCL 3.1 miscompiles some functions of a dimension that it does not know.  A
work-group's ID is worked out from its work-items' global IDs, since devices differ in whether
get_group_id counts from the offset.  Beyond the third dimension the device answers (the
specification says 1 or 0, and not every device keeps to it).
"""

from __future__ import annotations

import re

#: What stands in for the functions that a program asks, by their names.
PREFIX = "gpusplit_"

#: Right in a slice only through the variant.
RANGE_FUNCTIONS = (
    "get_group_id",
    "get_num_groups",
    "get_global_size",
    "get_global_offset",
    "get_global_linear_id",
)
#: Renamed along with them: a variant's slice may have more dimensions than the launch.
ID_FUNCTIONS = ("get_global_id", "get_work_dim", "get_local_id", "get_local_size")
RENAMED = frozenset(RANGE_FUNCTIONS + ID_FUNCTIONS)


def _chosen(result: str, otherwise: str) -> str:
    """The body that gives *result* for a constant dimension, and *otherwise* beyond the third."""
    cases = " : ".join(f"{PREFIX}d == {d} ? {result.replace('#', str(d))}" for d in range(3))
    return f"return {cases} : {otherwise};"


def _function(name: str, body: str, parameter: str = f"uint {PREFIX}d", result: str = "") -> str:
    head = f"{result or 'size_t'} {PREFIX}{name}({parameter})"
    return f"{head};\n{head} {{ {body} }}"


_GROUPS = "GPUSPLIT_SIZE_# / (uint)get_local_size(#)"
_GROUP = "(GPUSPLIT_ID_# - (uint)get_local_id(#) - GPUSPLIT_OFFSET_#) / (uint)get_local_size(#)"
_FROM_0, _FROM_1, _FROM_2 = (f"(GPUSPLIT_ID_{d} - GPUSPLIT_OFFSET_{d})" for d in range(3))
_LINEAR = f"({_FROM_2} * GPUSPLIT_SIZE_1 + {_FROM_1}) * GPUSPLIT_SIZE_0 + {_FROM_0}"

_FUNCTIONS = "\n".join((
    _function("get_work_dim", "return GPUSPLIT_WORK_DIM;", "void", "uint"),
    _function("get_global_id", _chosen("GPUSPLIT_ID_#", "get_global_id(3)")),
    _function("get_local_id", _chosen("get_local_id(#)", "get_local_id(3)")),
    _function("get_local_size", _chosen("get_local_size(#)", "get_local_size(3)")),
    _function("get_global_size", _chosen("GPUSPLIT_SIZE_#", "get_global_size(3)")),
    _function("get_global_offset", _chosen("GPUSPLIT_OFFSET_#", "get_global_offset(3)")),
    _function("get_num_groups", _chosen(_GROUPS, "get_num_groups(3)")),
    _function("get_group_id", _chosen(_GROUP, "get_group_id(3)")),
    # Before OpenCL 2.0 the name is the program's.
    "#if __OPENCL_C_VERSION__ >= 200",
    _function("get_global_linear_id", f"return {_LINEAR};", "void"),
    f"#define get_global_linear_id {PREFIX}get_global_linear_id",
    "#endif",
))  # fmt: skip
_NAMES = "\n".join(
    f"#define {name} {PREFIX}{name}" for name in sorted(RENAMED - {"get_global_linear_id"})
)

#: The prelude itself.  Line numbers in messages (and __LINE__) stay those of the program.
PRELUDE = f"{_FUNCTIONS}\n{_NAMES}\n#line 1\n"

#: What the judge reads in place of PREFIX: longer than any text that C99 promises to take (4095
#: characters, ISO/IEC 9899:1999, 5.2.4.1), so that the front end says where a name becomes text.
READ_AS = f"{PREFIX}{4096 * 'x'}_"

#: What the judge reads a variant with: any values will do.
NEUTRAL = "#define GPUSPLIT_WORK_DIM 3u\n" + "".join((
    *(
        f"#define GPUSPLIT_SIZE_{d} 64u\n#define GPUSPLIT_OFFSET_{d} 0u\n"
        f"#define GPUSPLIT_ID_{d} (uint)get_global_id({d})\n"
        for d in range(3)
    ),
    *(f"#define {PREFIX}{name} {READ_AS}{name}\n" for name in sorted(RENAMED)),
))  # fmt: skip

#: What nobody may define before it.
WORDS = frozenset(re.findall(r"[A-Za-z_]\w*", PRELUDE + NEUTRAL))


def variant(source: str) -> str:
    """*source* as the text of a variant, to be put behind the macros of a launch."""
    return PRELUDE + source
