"""What is split by its verdict, by its arguments, by its headers, and when."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import FIVE, buffer, context, kernel, read, split

import gpusplit
from gpusplit import device_macros, explain

pytestmark = pytest.mark.opencl

GROUPS = "kernel void k(global int *a) { a[get_global_id(0)] = get_group_id(0); }"
EXPECTED = np.arange(80, dtype=np.int32) // 4
BACKGROUND = gpusplit.Config(policy="fixed", groups=5, cores=1)


def run(k: cl.Kernel, config: gpusplit.Config = FIVE) -> gpusplit.Launch:
    queue = cl.CommandQueue(context())
    a = buffer(np.full(80, -1, np.int32))
    with split(config) as launches:
        k(queue, (80,), (4,), a)
        assert (read(queue, a, EXPECTED) == EXPECTED).all()
    return launches[0]


def test_a_launch_stays_whole_until_its_verdict_and_variant_are_there() -> None:
    k = kernel(f"{GROUPS} // {time.time_ns()}")  # which nobody has judged before
    assert run(k, BACKGROUND).groups == 1
    reasons = set()
    end = time.monotonic() + 60
    while (told := run(k, BACKGROUND)).groups == 1 and time.monotonic() < end:
        reasons.add(told.reason)
        time.sleep(0.02)
    assert told.groups == 5
    assert reasons <= {"its verdict is being looked for", "its variant is being built"}


@pytest.mark.parametrize(
    "include", ["#include TEXT(FOLDER/ids.h)", "#define IDS TEXT(FOLDER/ids.h)\n#include IDS"]
)
def test_a_header_that_a_macro_names_is_that_of_the_build(tmp_path: Path, include: str) -> None:
    header = tmp_path / "ids.h"
    header.write_text("#define ID get_group_id(0)\n")
    source = f"""
        #define TEXT_OF(x) #x
        #define TEXT(x) TEXT_OF(x)
        {include}
        kernel void k(global int *a) {{ a[get_global_id(0)] = ID; }}
    """
    options = ["-I", str(tmp_path), f"-DFOLDER={tmp_path}"]
    assert run(kernel(source, options=options)).groups == 5
    # The judge is asked of a program that it has not seen, and whose header is no longer there.
    other = kernel(source + "\n", options=options)
    header.write_text("#define ID 1\n")
    assert "changed" in run(other).reason
    header.unlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "ids.h").write_text("#define ID get_group_id(0)\n")
    options[-1] += "/elsewhere"
    assert run(kernel(source, options=options)).groups == 5
    header.write_text("#define ID 1\n")
    assert "different headers" in run(kernel(source + "\n\n", options=options)).reason


def test_a_header_that_is_gone_again_is_no_hindrance_to_what_needs_no_variant(
    tmp_path: Path,
) -> None:
    header = tmp_path / "ids.h"
    header.write_text("#define ID (get_global_id(0) / 4)\n")
    source = '#include "ids.h"\nkernel void k(global int *a) { a[get_global_id(0)] = ID; }'
    k = kernel(source, options=[f"-I{tmp_path}"])
    header.unlink()
    assert run(k).groups == 5


def test_the_device_says_what_its_macros_are() -> None:
    device = context().devices[0]
    options = "-DMINE=7 -DNONE= -DTEXT=x+"
    told = device_macros.ask(
        explain.compiler(device, options), explain.called(device), options,
        ("MINE", "NOBODYS", "__OPENCL_VERSION__"), ("MINE", "NONE", "TEXT", "NOBODYS_EITHER"),
    )  # fmt: skip
    assert told["MINE"] == 7
    assert told["NOBODYS"] is None
    assert told["NOBODYS_EITHER"] is None
    assert told["NONE"] == ""
    assert told["TEXT"] == ""
    assert told["__OPENCL_VERSION__"] == ""  # defined, and nobody asked as what


def test_floats_added_by_compare_and_swap_are_all_there_when_split() -> None:
    k = kernel("""
        void add(volatile global float *p, float x) {
            union { uint u; float f; } old, now, next;
            now.f = *p;
            do {
                old.f = now.f;
                next.f = old.f + x;
                now.u = atomic_cmpxchg((volatile global uint *)p, old.u, next.u);
            } while (now.u != old.u);
        }
        kernel void k(global float *sums, int n) {
            int stride = get_global_size(0);
            for (int i = get_global_id(0); i < n; i += stride)
                add(sums + i % 3, (float)i);
            barrier(CLK_GLOBAL_MEM_FENCE);
        }
    """)
    queue = cl.CommandQueue(context())
    sums = buffer(np.zeros(3, np.float32))
    with split() as launches:
        k(queue, (80,), (4,), sums, np.int32(1000))
        found = read(queue, sums, np.zeros(3, np.float32))
    assert launches[0].groups == 5
    assert found.tolist() == [sum(range(start, 1000, 3)) for start in range(3)]


@pytest.mark.parametrize("size", [(1009,), (97, 101), (103, 7, 11)])
def test_where_no_local_size_divides_the_driver_chooses_for_each_slice(
    size: tuple[int, ...],
) -> None:
    k = kernel("""
        kernel void k(global int *a) {
            size_t row = get_global_id(2) * get_global_size(1) + get_global_id(1);
            a[row * get_global_size(0) + get_global_id(0)] += row * 3 + get_global_id(0);
        }
    """)
    queue = cl.CommandQueue(context())
    a = buffer(np.zeros(size[::-1], np.int32))
    with split() as launches:
        k(queue, size, None, a)
        found = read(queue, a, np.zeros(size[::-1], np.int32)).reshape(-1, size[0])
    assert launches[0].groups >= 5
    rows, columns = np.indices(found.shape)
    assert (found == rows * 3 + columns).all()


@pytest.mark.parametrize("standard", ["CL1.1", "CL1.2"])
def test_every_version_of_the_language_that_the_device_compiles_is_split(standard: str) -> None:
    assert run(kernel(GROUPS, options=[f"-cl-std={standard}"])).groups == 5


def test_text_of_a_name_is_as_long_split_as_whole() -> None:
    """In the variant the name is another, 22 characters long, so such a kernel stays whole."""
    k = kernel("""
        #define TEXT_(x) #x
        #define TEXT(x) TEXT_(x)
        struct padded { int x; } __attribute__((aligned(sizeof(TEXT(get_group_id)) > 16 ? 32 : 8)));
        kernel void k(global int *a) {
            a[get_global_id(0)] = get_group_id(0) + (sizeof(struct padded) - 8);
        }
    """)
    launch = run(k)
    assert launch.groups == 1
    assert "makes text" in launch.reason


def test_bodies_are_chosen_as_the_device_chooses_them() -> None:
    source = """
        #if __OPENCL_C_VERSION__ >= 120 && !defined(__NO_SUCH_DEVICE__)
        #define ID get_group_id(0)
        #else
        #define ID printf("")
        #endif
        kernel void k(global int *a) { a[get_global_id(0)] = ID; }
    """
    assert run(kernel(source)).groups == 5


#: IDs, as the device reads it, and none, as it looks.
HIDDEN = """
    {}
    #define ID get_group_id(0)
    #else
    #define ID 1
    {}
    kernel void k(global int *a) {{ a[get_global_id(0)] = ID; }}
"""


@pytest.mark.parametrize(
    "source",
    [
        HIDDEN.format("#\\\f\nifndef __SPIR__", "#endif"),
        HIDDEN.format("#i\\\nfndef __SPIR__", "#endi\\\nf"),
        HIDDEN.format("#warning see /*\n#ifndef __SPIR__", "#endif\n#warning */"),
        "#define PASTE(x, y) x##y\n#define CALL(x, y) PASTE(x, y)\n#define ID_18 1\n"
        + "".join(f"#define ID_{at} get_group_id(0)\n" for at in range(10, 18))
        + GROUPS.replace("get_group_id(0)", "CALL(ID_, __clang_major__)"),
        "#pragma redefine_extname other _Z14get_local_sizej\n"
        "size_t other(uint d) { return get_group_id(d); }\n"
        + GROUPS.replace("get_group_id", "get_local_size"),
        "size_t _Z14get_local_sizej(uint d) { return get_group_id(d); }\n"
        + GROUPS.replace("get_group_id", "get_local_size"),
    ],
    ids=["space", "splice", "comment", "version", "pragma", "name"],
)  # fmt: skip
def test_what_the_device_reads_otherwise_than_it_looks_is_as_if_not_split(source: str) -> None:
    run(kernel(source))


def test_a_header_of_the_programs_is_none_of_the_judges(tmp_path: Path) -> None:
    (tmp_path / "device.h").write_text("#define ID get_group_id(0)\n")
    source = f"""
        #include "device.h"
        #ifndef ID
        #define ID 1
        #endif
        {GROUPS.replace("get_group_id(0)", "ID")}
    """
    assert run(kernel(source, options=["-I", str(tmp_path)])).groups == 5


def test_quotes_that_the_device_leaves_in_an_option_are_not_taken_away() -> None:
    source = HIDDEN.format("#if N == 49", "#endif")
    run(kernel(source, options=["-DN='1'"]))


def test_a_new_kernel_object_each_launch_finds_its_programs_verdict_and_variant() -> None:
    program = cl.Program(context(), GROUPS).build()
    assert run(cl.Kernel(program, "k")).groups == 5
    for _ in range(3):
        assert run(cl.Kernel(program, "k"), BACKGROUND).groups == 5  # nothing is waited for
