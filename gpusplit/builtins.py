"""The functions of OpenCL C by what they mean for a split launch.

Source: The OpenCL C Specification 3.0, chapter 6 (earlier versions and the Khronos extensions for
sub-groups included).  A function that is in none of these lists is unknown to the analysis.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What these return depends on the whole NDRange, so a slice shows other values.
RANGE_FUNCTIONS = _words(
    "get_group_id get_num_groups get_global_size get_global_offset get_global_linear_id"
)

#: Right in every slice: a slice has the global offset that its work-items' IDs need.
ID_FUNCTIONS = _words("get_work_dim get_global_id")

#: With a dimension that the compiler does not know, PoCL 3.1 aborts on some kernels that use these
#: ("undefined symbol: _local_size_x"), and on more of them behind a prelude.
POCL_PITFALLS = _words("get_global_id get_local_id get_local_size")

#: Right in every slice that has the local size of the whole launch.
LOCAL_FUNCTIONS = _words("""
    get_local_id get_local_size get_local_linear_id get_enqueued_local_size
    get_sub_group_size get_max_sub_group_size get_num_sub_groups get_enqueued_num_sub_groups
    get_sub_group_id get_sub_group_local_id get_sub_group_eq_mask get_sub_group_ge_mask
    get_sub_group_gt_mask get_sub_group_le_mask get_sub_group_lt_mask
    barrier work_group_barrier sub_group_barrier
    async_work_group_copy async_work_group_strided_copy wait_group_events
    """)
LOCAL_PATTERN = re.compile(
    r"(work|sub)_group_(non_uniform_)?((all|any|broadcast|elect|ballot|inverse_ballot|shuffle|rotate"
    r"|clustered)(_\w+)?|(reduce|scan_(in|ex)clusive)_\w+|all_equal|broadcast_first)"
)
#: Words other than functions that make the work-group visible.
LOCAL_WORDS = _words("local __local reqd_work_group_size work_group_size_hint")

FENCES = _words("mem_fence read_mem_fence write_mem_fence atomic_work_item_fence")
GLOBAL_FENCE_FLAG = "CLK_GLOBAL_MEM_FENCE"
ATOMIC_PATTERN = re.compile(r"atom(ic)?_[a-z0-9_]+|ATOMIC_\w+")
LOOPS = _words("for while do goto")

#: What nobody may split: order of output, device-side launches, the machine below the language.
REFUSED = {
    "printf": "prints, and the order of lines would change",
    "enqueue_kernel": "enqueues kernels itself",
    "enqueue_marker": "enqueues kernels itself",
    "get_default_queue": "enqueues kernels itself",
    "queue_t": "enqueues kernels itself",
    "ndrange_t": "enqueues kernels itself",
    "clk_event_t": "enqueues kernels itself",
    "pipe": "uses a pipe",
    "__pipe": "uses a pipe",
    "reserve_id_t": "uses a pipe",
    "asm": "holds assembly",
    "__asm": "holds assembly",
    "__asm__": "holds assembly",
    "_Pragma": "uses _Pragma",
    "extern": "uses what is defined elsewhere",
}
REFUSED_PREFIXES = {
    "__builtin_": "calls the compiler's own functions",
    "__spirv": "calls SPIR-V's own functions",
    "__nv": "calls the compiler's own functions",
    "__amd": "calls the compiler's own functions",
    "__ockl": "calls the compiler's own functions",
    "_Z": "calls mangled functions",
}

_MATH = _words("""
acos acosh acospi asin asinh asinpi atan atan2 atanh atanpi atan2pi cbrt ceil copysign cos cosh
cospi erfc erf exp exp2 exp10 expm1 fabs fdim floor fma fmax fmin fmod fract frexp hypot ilogb
ldexp lgamma lgamma_r log log2 log10 log1p logb mad maxmag minmag modf nan nextafter pow pown powr
remainder remquo rint rootn round rsqrt sin sincos sinh sinpi sqrt tan tanh tanpi tgamma trunc
abs abs_diff add_sat hadd rhadd clamp clz ctz mad_hi mad_sat max min mul_hi rotate sub_sat upsample
popcount mad24 mul24 degrees mix radians step smoothstep sign cross dot distance length normalize
fast_distance fast_length fast_normalize isequal isnotequal isgreater isgreaterequal isless
islessequal islessgreater isfinite isinf isnan isnormal isordered isunordered signbit any all
bitselect select shuffle shuffle2 vec_step prefetch to_global to_local to_private get_fence
bitfield_insert bitfield_extract_signed bitfield_extract_unsigned bit_reverse
""")
_LANGUAGE = _words("""
if while for switch return sizeof do else case goto defined typeof __typeof__ alignof __attribute__
__attribute aligned packed vec_type_hint work_group_size_hint reqd_work_group_size
intel_reqd_sub_group_size opencl_unroll_hint always_inline noinline unused endian nosvm
void bool char uchar short ushort int uint long ulong float double half size_t ptrdiff_t intptr_t
uintptr_t signed unsigned const volatile restrict __const global local constant private __global
__local __constant __private kernel __kernel
""")
_KNOWN = _MATH | _LANGUAGE | RANGE_FUNCTIONS | ID_FUNCTIONS
_KNOWN |= LOCAL_FUNCTIONS | FENCES
_KNOWN_PATTERNS = re.compile(
    r"(half|native)_\w+"
    r"|v(load|store)a?(_half)?(2|3|4|8|16)?(_rt[ezpn])?"
    r"|(convert|as)_[a-z]+[0-9]*(_sat)?(_rt[ezpn])?"
    r"|(read|write)_image(f|i|ui|h)"
    r"|get_image_[a-z_]+"
    r"|dot_(4x8packed|acc_sat).*"
    r"|(u?(char|short|int|long)|float|double|half)(2|3|4|8|16)"
)


def known(name: str) -> bool:
    """Whether *name*, called like a function, is one of the language's own.

    >>> known("sqrt"), known("vload4"), known("my_function")
    (True, True, False)
    """
    return (
        name in _KNOWN
        or _KNOWN_PATTERNS.fullmatch(name) is not None
        or LOCAL_PATTERN.fullmatch(name) is not None
        or ATOMIC_PATTERN.fullmatch(name) is not None
    )


def shows_work_group(word: str) -> bool:
    """Whether a kernel that mentions *word* can see how work-items are grouped."""
    return (
        word in LOCAL_FUNCTIONS
        or word in LOCAL_WORDS
        or word in ("get_group_id", "get_num_groups")
        or LOCAL_PATTERN.fullmatch(word) is not None
    )


def refusal(word: str) -> str | None:
    """Why a kernel that mentions *word* is never split; None if it may be."""
    if word in REFUSED:
        return REFUSED[word]
    return next((why for prefix, why in REFUSED_PREFIXES.items() if word.startswith(prefix)), None)


def matters(pattern: re.Pattern[str]) -> bool:
    """Whether tokens pasted to *pattern* can make a name that the analysis must see."""
    names = (
        *RANGE_FUNCTIONS, *LOCAL_FUNCTIONS, *FENCES, *LOOPS, *REFUSED, *REFUSED_PREFIXES,
        "atomic_inc", "atom_inc", "atomic_cmpxchg", "atom_cmpxchg", "atomic_xchg", "atom_xchg",
        "atomic_load", "atomic_fetch_add", "atomic_add", "atom_add", "volatile", "__local",
    )  # fmt: skip
    return any(pattern.fullmatch(name) for name in names)
