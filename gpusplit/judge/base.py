"""What OpenCL C declares by itself and a compiler takes from a header: types, constants, casts.

clang declares the built-in functions itself but leaves these to its opencl-c-base.h, which its
packages on PyPI do not have.  Source: The OpenCL C Specification 3.0, sections 6.3 (types),
6.15.2.1 (floating-point constants), 6.15.8 (synchronization), 6.15.15 (images).  Only what a
verdict needs is exact: values of fences.
"""

from __future__ import annotations

#: The name under which clang looks for the header.
NAME = "opencl-c-base.h"

_UNSIGNED = {"uchar": "char", "ushort": "short", "uint": "int", "ulong": "long"}
_SCALARS = (
    "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "float", "double", "half",
)  # fmt: skip
_WIDTHS = (2, 3, 4, 8, 16)

_TYPES = """
typedef __typeof__(sizeof 1) size_t;
typedef __typeof__((constant char *)0 - (constant char *)0) ptrdiff_t;
typedef ptrdiff_t intptr_t;
typedef size_t uintptr_t;
typedef uint cl_mem_fence_flags;
typedef enum memory_scope { memory_scope_work_item, memory_scope_work_group, memory_scope_device,
    memory_scope_all_svm_devices, memory_scope_sub_group,
    memory_scope_all_devices = memory_scope_all_svm_devices } memory_scope;
typedef enum memory_order { memory_order_relaxed, memory_order_acquire = 2, memory_order_release,
    memory_order_acq_rel, memory_order_seq_cst } memory_order;
typedef int kernel_enqueue_flags_t;
typedef int clk_profiling_info;
typedef struct { unsigned int workDimension; size_t globalWorkOffset[3]; size_t globalWorkSize[3];
    size_t localWorkSize[3]; } ndrange_t;
#if __OPENCL_C_VERSION__ >= 120
int printf(__constant const char *gpusplit_format, ...) __attribute__((format(printf, 1, 2)));
#endif
"""

#: clang looks at these before it declares some of the functions.
_FEATURES = """
#define __opencl_c_int64 1
#if __OPENCL_C_VERSION__ < 200
#define __opencl_c_named_address_space_builtins 1
#endif
"""
_EXTENSIONS = """3d_image_writes depth_images fp16 fp64 gl_msaa_sharing global_int32_base_atomics
    global_int32_extended_atomics local_int32_base_atomics local_int32_extended_atomics
    int64_base_atomics int64_extended_atomics"""
_LATER_EXTENSIONS = "mipmap_image mipmap_image_writes subgroups"
_LATER = """pipes generic_address_space work_group_collective_functions atomic_order_acq_rel
    atomic_order_seq_cst atomic_scope_device atomic_scope_all_devices device_enqueue
    read_write_images program_scope_global_variables images 3d_image_writes subgroups fp64 int64"""

_FLOATS = {
    "FLT": "DIG 6,MANT_DIG 24,MAX_10_EXP +38,MAX_EXP +128,MIN_10_EXP -37,MIN_EXP -125,RADIX 2,"
    "MAX 0x1.fffffep127f,MIN 0x1.0p-126f,EPSILON 0x1.0p-23f",
    "DBL": "DIG 15,MANT_DIG 53,MAX_10_EXP +308,MAX_EXP +1024,MIN_10_EXP -307,MIN_EXP -1021,RADIX 2,"
    "MAX 0x1.fffffffffffffp1023,MIN 0x1.0p-1022,EPSILON 0x1.0p-52",
    "HALF": "DIG 3,MANT_DIG 11,MAX_10_EXP +4,MAX_EXP +16,MIN_10_EXP -4,MIN_EXP -13,RADIX 2,"
    "MAX 0x1.ffcp15h,MIN 0x1.0p-14h,EPSILON 0x1.0p-10h",
}
_MATH = {
    "E": "2.718281828459045", "LOG2E": "1.4426950408889634", "LOG10E": "0.4342944819032518",
    "LN2": "0.6931471805599453", "LN10": "2.302585092994046", "PI": "3.141592653589793",
    "PI_2": "1.5707963267948966", "PI_4": "0.7853981633974483", "1_PI": "0.3183098861837907",
    "2_PI": "0.6366197723675814", "2_SQRTPI": "1.1283791670955126", "SQRT2": "1.4142135623730951",
    "SQRT1_2": "0.7071067811865476",
}  # fmt: skip
_CONSTANTS = {
    "__half": "half", "NULL": "((void *)0)", "MAXFLOAT": "0x1.fffffep127f",
    "HUGE_VALF": "(__builtin_huge_valf())", "HUGE_VAL": "(__builtin_huge_val())",
    "INFINITY": "(__builtin_inff())", "NAN": "(__builtin_nanf(\"\"))",
    "FP_ILOGB0": "INT_MIN", "FP_ILOGBNAN": "INT_MAX",
    "CHAR_BIT": "8", "SCHAR_MAX": "127", "SCHAR_MIN": "(-128)", "UCHAR_MAX": "255",
    "CHAR_MAX": "127", "CHAR_MIN": "(-128)", "USHRT_MAX": "65535", "SHRT_MAX": "32767",
    "SHRT_MIN": "(-32768)", "UINT_MAX": "0xffffffff", "INT_MAX": "2147483647",
    "INT_MIN": "(-2147483647 - 1)", "ULONG_MAX": "0xffffffffffffffffUL",
    "LONG_MAX": "0x7fffffffffffffffL", "LONG_MIN": "(-0x7fffffffffffffffL - 1)",
    "CLK_LOCAL_MEM_FENCE": "1", "CLK_GLOBAL_MEM_FENCE": "2", "CLK_IMAGE_MEM_FENCE": "4",
    "ATOMIC_VAR_INIT(x)": "(x)", "ATOMIC_FLAG_INIT": "0",
    "CLK_ADDRESS_NONE": "0", "CLK_ADDRESS_CLAMP_TO_EDGE": "2", "CLK_ADDRESS_CLAMP": "4",
    "CLK_ADDRESS_REPEAT": "6", "CLK_ADDRESS_MIRRORED_REPEAT": "8",
    "CLK_NORMALIZED_COORDS_FALSE": "0", "CLK_NORMALIZED_COORDS_TRUE": "1",
    "CLK_FILTER_NEAREST": "0x10", "CLK_FILTER_LINEAR": "0x20",
}  # fmt: skip
#: Numbers of image channels: order from 0x10B0 and type from 0x10D0 on.
_ORDERS = "R A RG RA RGB RGBA BGRA ARGB INTENSITY LUMINANCE Rx RGx RGBx DEPTH DEPTH_STENCIL " \
    "sRGB sRGBx sRGBA sBGRA ABGR"  # fmt: skip
_CHANNELS = "SNORM_INT8 SNORM_INT16 UNORM_INT8 UNORM_INT16 UNORM_SHORT_565 UNORM_SHORT_555 " \
    "UNORM_INT_101010 SIGNED_INT8 SIGNED_INT16 SIGNED_INT32 UNSIGNED_INT8 UNSIGNED_INT16 " \
    "UNSIGNED_INT32 HALF_FLOAT FLOAT UNORM_INT24"  # fmt: skip


def _constants() -> dict[str, str]:
    found = dict(_CONSTANTS)
    for kind, values in _FLOATS.items():
        for entry in values.split(","):
            name, _, value = entry.partition(" ")
            found[f"{kind}_{name}"] = value
    for name, value in _MATH.items():
        found |= {f"M_{name}": value, f"M_{name}_F": f"{value}f", f"M_{name}_H": f"{value}h"}
    found |= {f"CLK_{name}": str(0x10B0 + at) for at, name in enumerate(_ORDERS.split())}
    return found | {f"CLK_{name}": str(0x10D0 + at) for at, name in enumerate(_CHANNELS.split())}


#: libclang has no names for these.  The cast around another shows it (pointers.py), and who tells a
#: file's name or a function's is seen by the text (frontend.py).
_IN_PLACE_OF = {
    "__builtin_astype(x, type)": "((type)__builtin_astype(x, type))",
    "__builtin_FILE()": "__FILE__", "__builtin_FILE_NAME()": "__FILE__",
    "__builtin_FUNCTION()": "__func__", "__builtin_FUNCSIG()": "__func__",
    "__FILE_NAME__": "__FILE__",
}  # fmt: skip
#: What no program may define anew.
REDEFINED = tuple(name.partition("(")[0] for name in _IN_PLACE_OF)


def _text() -> str:
    lines = [f"typedef unsigned {signed} {name};" for name, signed in _UNSIGNED.items()]
    for scalar in _SCALARS:
        names = [scalar, *(f"{scalar}{width}" for width in _WIDTHS)]
        lines += [
            f"typedef {scalar} {scalar}{width} __attribute__((ext_vector_type({width})));"
            for width in _WIDTHS
        ]
        lines += [f"#define as_{name}(x) __builtin_astype((x), {name})" for name in names]
    lines += [_TYPES, _FEATURES]
    lines += [f"#define cl_khr_{name} 1" for name in _EXTENSIONS.split()]
    lines += ["#if __OPENCL_C_VERSION__ >= 200", "#define __opencl_subgroup_builtins 1"]
    lines += [f"#define __opencl_c_{name} 1" for name in _LATER.split()]
    lines += [f"#define cl_khr_{name} 1" for name in _LATER_EXTENSIONS.split()]
    lines.append("#endif")
    lines += [f"#define {name} {value}" for name, value in _constants().items()]
    lines += [f"#define {name} {meaning}" for name, meaning in _IN_PLACE_OF.items()]
    return "\n".join(lines) + "\n"


#: The header's text.
TEXT = _text()
