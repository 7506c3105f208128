"""Verdicts that launches do not wait for, that outlive processes, and that follow binaries."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import FIVE, buffer, context, kernel, read, split

import gpusplit
from gpusplit import asking, device_macros, judging, programs

pytestmark = [pytest.mark.opencl, pytest.mark.alone]

GROUPS = "kernel void k(global int *a) { a[get_global_id(0)] = get_group_id(0); }"
EXPECTED = np.arange(80, dtype=np.int32) // 4
BACKGROUND = gpusplit.Config(policy="fixed", groups=5, cores=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def run(k: cl.Kernel, config: gpusplit.Config = FIVE) -> gpusplit.Launch:
    queue = cl.CommandQueue(context())
    a = buffer(np.full(80, -1, np.int32))
    with split(config) as launches:
        k(queue, (80,), (4,), a)
        assert (read(queue, a, EXPECTED) == EXPECTED).all()
    return launches[0]


def test_a_launch_stays_whole_until_its_verdict_and_variant_are_there() -> None:
    k = kernel(GROUPS)
    assert run(k, BACKGROUND).groups == 1
    reasons = set()
    end = time.monotonic() + 60
    while (told := run(k, BACKGROUND)).groups == 1 and time.monotonic() < end:
        reasons.add(told.reason)
        time.sleep(0.02)
    assert told.groups == 5
    assert reasons <= {"its verdict is being looked for", "its variant is being built"}


def test_a_verdict_on_disk_needs_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(kernel(GROUPS)).groups == 5

    def nobody(*_: Any) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(asking, "ask_judge", nobody)
    assert run(kernel(GROUPS)).groups == 5
    monkeypatch.setattr(asking, "ask_judge", nobody)
    other = run(kernel(GROUPS + "\n"))
    assert "asked again" in other.reason


@pytest.mark.parametrize("text", ["", "{}", "\0", '{"version": 1}'])
def test_a_spoilt_verdict_on_disk_is_found_again(text: str, tmp_path: Path) -> None:
    assert run(kernel(GROUPS)).groups == 5
    (path,) = (tmp_path / "gpusplit" / "verdicts").iterdir()
    path.write_text(text)
    assert run(kernel(GROUPS)).groups == 5


def test_without_a_judge_launches_stay_whole_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dead(*_: Any) -> None:
        raise asking.Failed("the judge is dead")

    monkeypatch.setattr(asking, "ask_judge", dead)
    monkeypatch.setattr(judging, "_told", set())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            assert run(kernel(GROUPS)).groups == 1
    assert [one.category for one in told] == [judging.JudgeWarning]


def test_a_program_that_comes_back_as_a_binary_is_known_by_it() -> None:
    first = cl.Program(context(), GROUPS).build()
    binaries = first._prg.get_info(cl.program_info.BINARIES)
    del first
    again = cl.Program(context(), context().devices, binaries).build()
    assert run(cl.Kernel(again, "k")).groups == 5


def test_a_binary_that_nobody_gave_away_stays_whole(tmp_path: Path) -> None:
    first = cl.Program(context(), GROUPS).build()
    binaries = first._prg.get_info(cl.program_info.BINARIES)
    for path in (tmp_path / "gpusplit" / "programs").iterdir():
        path.unlink()
    again = cl.Program(context(), context().devices, binaries).build()
    assert "no source" in run(cl.Kernel(again, "k")).reason


def test_headers_are_those_of_the_build(tmp_path: Path) -> None:
    header = tmp_path / "ids.h"
    header.write_text("#define ID get_group_id(0)\n")
    source = '#include "ids.h"\nkernel void k(global int *a) { a[get_global_id(0)] = ID; }'
    k = kernel(source, options=[f"-I{tmp_path}"])
    assert run(k).groups == 5
    later = kernel(source + "\n", options=[f"-I{tmp_path}"])
    header.write_text("#define ID get_global_id(0)\n")
    told = run(later)
    assert told.groups == 1
    assert "header has changed" in told.reason


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
    header.write_text("#define ID 1\n")
    options[-1] += "/elsewhere"
    assert "may have changed" in run(kernel(source, options=options)).reason


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
        judging.compiler(context(), device, options), programs.device_key(device), options,
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


def test_a_loop_whose_end_is_read_is_split_only_while_nothing_else_is_that_memory() -> None:
    k = kernel("""
        kernel void k(global const int *n, global int *hits) {
            for (int i = 0; i < n[0]; i++) atomic_inc(hits + 20 + get_global_id(0));
        }
    """)
    queue = cl.CommandQueue(context())
    memory = buffer(np.full(4096, 3, np.int32))
    other = buffer(np.full(4096, 3, np.int32))
    hosts = [
        cl.Buffer(context(), cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR, hostbuf=host)
        for host in (np.full(4096, 3, np.int32), np.zeros(4096, np.int32))
    ]
    pairs = [
        (memory, other, True), (memory, memory, False), (other, memory, True),
        (memory[:4096], memory[4096:8192], False), (memory[:4096], other, True),
        (*hosts, False), (hosts[0], other, True),
    ]  # fmt: skip
    with split() as launches:
        for n, hits, _ in pairs:
            k(queue, (80,), (4,), n, hits)
    assert [launch.groups == 5 for launch in launches] == [may for *_, may in pairs]
    assert "the end of a loop" in launches[1].reason
    queue.finish()


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


def test_a_new_kernel_object_each_launch_finds_its_programs_verdict_and_variant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = cl.Program(context(), GROUPS).build()
    assert run(cl.Kernel(program, "k")).groups == 5
    monkeypatch.setattr(judging.Question, "__init__", None)
    monkeypatch.setattr(gpusplit.variant, "_build", None)
    for _ in range(3):
        assert run(cl.Kernel(program, "k")).groups == 5


def test_a_program_that_ends_does_not_wait_for_the_judge(tmp_path: Path) -> None:
    path = tmp_path / "short.py"
    path.write_text(f"""
import numpy as np, pyopencl as cl, gpusplit
context = cl.create_some_context(interactive=False)
queue = cl.CommandQueue(context)
k = cl.Kernel(cl.Program(context, {GROUPS!r}).build(), "k")
a = cl.Buffer(context, cl.mem_flags.READ_WRITE, 320)
with gpusplit.active(policy="fixed", groups=5, cores=1):
    k(queue, (80,), (4,), a).wait()
print("done")
""")
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stdout == "done\n"
    assert not done.stderr
