"""The functions of OpenCL C by what they mean for a split launch.

Source: The OpenCL C Specification 3.0, chapter 6 (earlier versions and the Khronos extensions for
sub-groups included).  A function that is in none of these lists is unknown to the judge.
"""

from __future__ import annotations

import re

from gpusplit.judge.prelude import ID_FUNCTIONS, RANGE_FUNCTIONS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Right in every slice that has the local size of the whole launch.
_LOCAL_FUNCTIONS = _words("""
    get_local_id get_local_size get_local_linear_id get_enqueued_local_size
    get_sub_group_size get_max_sub_group_size get_num_sub_groups get_enqueued_num_sub_groups
    get_sub_group_id get_sub_group_local_id get_sub_group_eq_mask get_sub_group_ge_mask
    get_sub_group_gt_mask get_sub_group_le_mask get_sub_group_lt_mask
    async_work_group_copy async_work_group_strided_copy wait_group_events
    """)
_LOCAL_PATTERN = re.compile(
    r"(work|sub)_group_(non_uniform_)?((all|any|broadcast|elect|ballot|inverse_ballot|shuffle|rotate"
    r"|clustered)(_\w+)?|(reduce|scan_(in|ex)clusive)_\w+|all_equal|broadcast_first)"
)
#: Their first argument says which memory they order.
FENCES = _words("""barrier work_group_barrier sub_group_barrier
    mem_fence read_mem_fence write_mem_fence atomic_work_item_fence""")
#: With one argument these are for one work-group, or a part of it.
BARRIERS = frozenset({"barrier", "work_group_barrier", "sub_group_barrier"})
#: What they read of global memory they read anew each time.
COPIES = _words("async_work_group_copy async_work_group_strided_copy wait_group_events")
ATOMIC_PATTERN = re.compile(r"atom(ic)?_[a-z0-9_]+")

#: What nobody may split: order of output, device-side launches.
_REFUSED = {
    "printf": "prints, and the order of lines would change",
    **dict.fromkeys(
        _words("""enqueue_kernel enqueue_marker get_default_queue create_user_event
        set_user_event_status retain_event release_event is_valid_event ndrange_1D ndrange_2D
        ndrange_3D capture_event_profiling_info get_kernel_work_group_size
        get_kernel_preferred_work_group_size_multiple"""),
        "enqueues kernels itself",
    ),
}
_PIPES = re.compile(r"(work_group_|sub_group_)?(reserve_|commit_)?(read|write)_pipe|get_pipe_\w+"
                    r"|is_valid_reserve_id")  # fmt: skip
#: Only what is beneath the base header's casts and constants is known of the compiler's own.
_COMPILER_FUNCTIONS = _words(
    "__builtin_astype __builtin_huge_valf __builtin_huge_val __builtin_inff __builtin_nanf"
)

#: The same wherever and whenever a work-item asks; a loop that they bound has a fixed end.
STEADY = (
    _words("min max abs clamp mul24 mad24 convert_int convert_uint")
    | {*_LOCAL_FUNCTIONS, *ID_FUNCTIONS, *RANGE_FUNCTIONS} - COPIES
)

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
_KNOWN = _MATH | _LOCAL_FUNCTIONS | FENCES | _COMPILER_FUNCTIONS
_KNOWN |= {*RANGE_FUNCTIONS, *ID_FUNCTIONS}
_KNOWN_PATTERNS = re.compile(
    r"(half|native)_\w+"
    r"|v(load|store)a?(_half)?(2|3|4|8|16)?(_rt[ezpn])?"
    r"|(convert|as)_[a-z]+[0-9]*(_sat)?(_rt[ezpn])?"
    r"|(read|write)_image(f|i|ui|h)"
    r"|get_image_[a-z_]+"
    r"|dot_(4x8packed|acc_sat).*"
)


_COMPUTES = re.compile(r"(half|native)_\w+|(convert|as)_\w+|get_image_\w+|__builtin_astype")


def computes(name: str) -> bool:
    """Whether built-in *name*, where it is given no pointer, does nothing but give a value."""
    return name in _MATH or name in STEADY or _COMPUTES.fullmatch(name) is not None


def shows_work_group(name: str) -> bool:
    """Whether a kernel that calls built-in *name* can see how work-items are grouped."""
    return (
        name in _LOCAL_FUNCTIONS
        or name in BARRIERS
        or name in ("get_group_id", "get_num_groups")
        or _LOCAL_PATTERN.fullmatch(name) is not None
    )


def refusal(name: str) -> str | None:
    """Why a kernel that calls built-in *name* is never split; None if it may be.

    >>> refusal("printf")
    'prints, and the order of lines would change (printf)'
    >>> refusal("sqrt"), refusal("atomic_add")
    (None, None)
    >>> refusal("__builtin_trap")
    'calls __builtin_trap, which is unknown here'
    """
    if name in _REFUSED:
        return f"{_REFUSED[name]} ({name})"
    if _PIPES.fullmatch(name):
        return f"uses a pipe ({name})"
    if (
        name in _KNOWN
        or _KNOWN_PATTERNS.fullmatch(name)
        or _LOCAL_PATTERN.fullmatch(name)
        or ATOMIC_PATTERN.fullmatch(name)
    ):
        return None
    return f"calls {name}, which is unknown here"
