"""Launches cut below the API: programs that know nothing of it print what they always print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import split_programs
from conftest import PRELUDE, EmuGpu
from native_layer import FORCED, GROUPS, LAUNCHES, ROOT, Layer, Ran, install
from native_layer import layer as layer

pytestmark = pytest.mark.opencl


@pytest.fixture(params=["PoCL", "emulated"])
def device(request: pytest.FixtureRequest, emugpu: EmuGpu) -> EmuGpu | None:
    """What is below the layer: the emulated GPU, or None."""
    return emugpu if request.param == "emulated" else None


PROGRAMS = {
    "ids": (split_programs.IDS, "asks", 18),
    "events": (split_programs.EVENTS, "k", 20),
    "arguments": (split_programs.ARGUMENTS, "k", 100),
    "threads": (split_programs.THREADS, "k1", 80),
    "contexts": (split_programs.CONTEXTS, "k", 6),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_same_however_its_launches_are_cut(
    layer: Layer, device: EmuGpu | None, name: str
) -> None:
    program, kernel, launches = PROGRAMS[name]
    plain = layer.run(program, device).facts
    # Where fewer slices may be in flight than a launch has, the rest is sent when the call is back.
    numbers = [("2", "0"), ("3", "1"), ("7", "3")]
    # The emulated GPU runs its kernels on PoCL as well: what it adds is seen with one number.
    for groups, in_flight in numbers if device is None else numbers[2:]:
        ours = layer.run(program, device, **FORCED, groups=groups, in_flight=in_flight)
        assert ours.facts == plain, groups
        made, split, slices = ours.split(kernel)
        assert made >= launches
        assert split > launches / 3, ours.errors
        assert slices >= made + split


#: PoCL and LLVM are not built with a sanitizer, and what only they do is not ours to judge.
THREADS = "".join(
    f"{kind}:{name}\n" for kind in ("race", "mutex") for name in ("libpocl", "libLLVM", "libclang")
) + "".join(f"called_from_lib:{name}.so\n" for name in ("libpocl", "libpocl-devices-pthread"))


@pytest.mark.parametrize(
    ("sanitize", "judge"),
    [("", "wait"), ("", "background"), ("thread", "wait"), ("address,undefined", "wait")],
)
def test_a_native_program_prints_the_same_however_its_launches_are_cut(
    tmp_path: Path, sanitize: str, judge: str
) -> None:
    layer = install(tmp_path, sanitize)
    (tmp_path / "threads").write_text(THREADS)
    sanitizers = {
        # PoCL starts processes and threads in its own way.
        "TSAN_OPTIONS": f"die_after_fork=0 exitcode=0 suppressions={tmp_path / 'threads'}",
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1",
    }

    def run(**options: str) -> Ran:
        done = subprocess.run(
            [layer.library.parent / "split_calls"],
            env=layer.environment(None, **options) | sanitizers, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        if sanitize and "FATAL" in done.stderr:
            pytest.skip("this sanitizer does not work on this kernel")
        assert done.returncode == 0, done.stderr
        # Where the first of two accesses is: a sanitizer sees LLVM's own as well.
        assert not re.findall(r"SUMMARY: .*gpusplit/native/.*", done.stderr), done.stderr
        return Ran(done.stdout, done.stderr)

    plain = run()
    for groups, in_flight in (("2", "0"), ("3", "1"), ("7", "3")):
        ours = run(**FORCED | {"judge": judge}, groups=groups, in_flight=in_flight)
        assert ours.facts == plain.facts
        assert ours.split("k1")[0] == 52
        if judge == "wait":
            assert ours.split("k1")[1] > 20


def test_gpusplit_run_splits_a_native_program(layer: Layer) -> None:
    program = layer.library.parent / "split_calls"
    words = ["--policy", "vms", "--vms", "static:2", "--cores", "1", "--judge", "wait", "--summary"]
    environ = {k: v for k, v in os.environ.items() if k not in ("OPENCL_LAYERS", "LD_PRELOAD")}
    done = subprocess.run(
        [sys.executable, "-m", "gpusplit", "run", *words, program], capture_output=True, text=True,
        env=environ | {"XDG_CACHE_HOME": str(layer.folder / "cache"), "PYTHONPATH": str(ROOT)},
        check=True, timeout=300,
    )  # fmt: skip
    ran = Ran(done.stdout, done.stderr)
    assert ran.split("k1")[0] == 52
    assert ran.split("k1")[1] > 20, done.stderr


@pytest.mark.parametrize("way", ["by-name", "by-address"])
def test_the_papers_function_is_there_under_its_own_name(layer: Layer, way: str) -> None:
    out = layer.library.parent
    subprocess.run(
        ["make", "-s", "-C", ROOT / "tests" / "native", f"OUT={out}", out / "paper_calls"],
        check=True,
    )

    def run(**environ: str) -> Ran:
        done = subprocess.run(
            [out / "paper_calls", way], env=os.environ | environ, capture_output=True, text=True,
            check=True, timeout=300,
        )  # fmt: skip
        return Ran(done.stdout.splitlines()[-1], done.stdout + done.stderr)

    for options in ({}, {**FORCED, "groups": "4"}):
        environ = layer.environment(None, **options)
        # It is linked with the library, which needs no layer.
        for layers in (environ["OPENCL_LAYERS"], ""):
            ran = run(**environ | {"OPENCL_LAYERS": layers})
            assert ran.facts == "-53 0 1 3968"
            assert ran.split() == ((1, 1, 4) if options else (0, 0, 0))


def test_nothing_is_split_where_nobody_asked(layer: Layer) -> None:
    ran = layer.run(LAUNCHES + "go(); say(out=out.tolist())", None, summary="1")
    assert ran.errors == ""


def test_the_summary_counts_launches_of_every_reason(layer: Layer) -> None:
    few = "kernel(queue, (8,), (8,), a); "
    ran = layer.run(LAUNCHES + "go(); " + few * 3 + "kernel(queue, (1,), None, a); say()", None,
                    **FORCED | {"cores": "2"})  # fmt: skip
    assert ran.split() == (5, 1, 12)
    assert ran.why_whole() == "fewer work-items than the device has cores"
    assert "gpusplit: k: 3 of these whole: one slice fills the device\n" in ran.errors


def test_an_option_that_makes_no_sense_is_told_once(layer: Layer) -> None:
    ran = layer.run(LAUNCHES + "go(); go(); say()", None, **FORCED | {"groups": "many"})
    assert ran.errors.count("GPUSPLIT_GROUPS=many") == 1
    assert ran.split() == (0, 0, 0)


def test_a_count_of_vms_that_is_given_counts(layer: Layer) -> None:
    told = FORCED | {"policy": "vms", "vms": "static:2", "alpha": "2"}
    assert layer.run(LAUNCHES + "go(); say()", None, **told).split() == (1, 1, 4)
    alone = layer.run(LAUNCHES + "go(); say()", None, **told | {"vms": "static:1"})
    assert alone.split() == (1, 0, 1)


# The judge.


def test_a_launch_is_whole_until_the_verdict_and_the_variant_are_there(layer: Layer) -> None:
    # A busy machine may judge and build for long: launches come slowly until one is cut.
    program = (
        LAUNCHES
        + f"""
import ctypes, glob, os
known = {len(layer.verdicts)}
library = ctypes.CDLL({str(layer.library)!r})
library.gpusplit_record(True)
launched = ctypes.create_string_buffer(1024)
def cut():
    while library.gpusplit_recorded(launched):
        if int.from_bytes(launched[28:32], "little") > 1:
            return True
    return "GPUSPLIT_POLICY" not in os.environ
go()
patience = 0 if cut() else 100
while patience > 0 and len(glob.glob({str(layer.verdicts_folder / "[!.]*")!r})) <= known:
    time.sleep(0.1)
    patience -= 0.1
for n in range(120):
    if patience > 0:
        # Short at first, as an idle machine takes it; then a minute and a half for a busy one.
        time.sleep(0.05 if n < 60 else 1.5)
        patience = 0 if cut() else patience
    go()
say(out=out.tolist())
"""
    )
    program = program.replace("+ 1", "+ 33")  # which nobody has judged before
    ran = layer.run(program, None, **FORCED | {"judge": "background", "groups": "4"})
    made, split, slices = ran.split()
    assert made == 121
    assert 0 < split < made
    assert slices == made + 3 * split
    assert ran.facts == layer.run(program, None).facts
    assert ran.why_whole() in ("its verdict is being looked for", "its variant is being built")


@pytest.mark.parametrize(
    "script",
    ["", "exit 1", "printf 'K\\001\\000\\000\\000x'", "head -c 100000 /dev/urandom"],
    ids=["silent", "dead", "half", "noise"],
)
def test_without_a_judge_launches_stay_whole_with_one_warning(
    layer: Layer, tmp_path: Path, script: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    program = LAUNCHES + LAUNCHES + "go(); go(); go(); say(out=out.tolist())"
    ran = layer.run(program, None, **FORCED | {"python": str(python)})
    assert ran.errors.count("launches stay whole") == 1
    assert "the judge" in ran.why_whole()
    assert ran.split() == (3, 0, 3)
    assert ran.facts == layer.run(program, None).facts


def test_where_there_is_no_python_launches_stay_whole_with_one_warning(layer: Layer) -> None:
    program = LAUNCHES + "go(); go(); say()"
    ran = layer.run(program, None, **FORCED | {"python": "/nowhere/python"})
    assert ran.errors.count("launches stay whole") == 1
    assert ran.split() == (2, 0, 2)


def test_a_program_that_ends_does_not_wait_for_a_slow_judge(layer: Layer, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 100\n")
    python.chmod(0o755)
    program = LAUNCHES + "go(); began = time.time(); say(began=began)"
    options = FORCED | {"judge": "background", "python": str(python)}
    process = subprocess.run(
        ["timeout", "60", sys.executable, "-W", "ignore", "-c", PRELUDE + program],
        env=layer.environment(None, **options), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr


def test_the_program_cannot_tell_that_the_judge_runs(layer: Layer, emugpu: EmuGpu) -> None:
    # PoCL has children of its own when it makes code; the emulated GPU makes none.
    program = (
        LAUNCHES.replace("+ 1", "+ 55")
        + """
import os, signal
died = []
signal.signal(signal.SIGCHLD, lambda *_: died.append(1))
before = sorted(os.listdir("/proc/self/fd"))
go()
try:
    os.waitpid(-1, 0)
    child = True
except ChildProcessError:
    child = False
say(died=died, child=child, files=before == sorted(os.listdir("/proc/self/fd")))
"""
    )
    ran = layer.run(program, emugpu, computes="none", **FORCED)
    assert ran.split()[1] == 1
    assert ran.facts == '{"died": [], "child": false, "files": true}'


# One split only, and nothing that is not seen.


def test_named_twice_it_is_a_layer_once(layer: Layer) -> None:
    program = LAUNCHES + "go(); say(out=out.tolist())"
    environ = layer.environment(None, **FORCED, groups="3")
    environ["OPENCL_LAYERS"] = f"{layer.library}:{layer.library}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + program], env=environ,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    ran = Ran(done.stdout.strip(), done.stderr)
    assert ran.facts == layer.run(program, None).facts
    assert ran.split()[0] == 1


@pytest.mark.parametrize(
    ("source", "launch", "why"),
    [
        (
            'kernel void k(global int *a) { if (a[0] < 0) printf("x"); }',
            "kernel(queue, (64,), (8,), a)",
            "printf",
        ),
        (GROUPS, "kernel(queue, (4,), (4,), a)", "one slice fills the device"),
    ],
    ids=["refused", "small"],
)
def test_what_is_whole_says_why(layer: Layer, source: str, launch: str, why: str) -> None:
    program = f"""
program = cl.Program(context, {source!r}).build()
kernel = cl.Kernel(program, "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(64, np.int32))
{launch}
queue.finish()
say()
"""
    ran = layer.run(program, None, **FORCED)
    assert ran.split() == (1, 0, 1)
    assert why in ran.why_whole()


def test_a_loop_whose_end_is_read_is_split_only_while_nothing_else_is_that_memory(
    layer: Layer, device: EmuGpu | None
) -> None:
    source = """
    kernel void k(global const int *n, global int *hits) {
        for (int i = 0; i < n[0]; i++) atomic_inc(hits + 20 + get_global_id(0));
    }
    """
    made = "cl.Buffer(context, flags, hostbuf=np.full(4096, 3, np.int32))"
    program = f"""
kernel = cl.Kernel(cl.Program(context, {source!r}).build(), "k")
memory, other = {made}, {made}
hosts = [np.full(4096, 3, np.int32) for _ in range(2)]
there = [cl.Buffer(context, cl.mem_flags.USE_HOST_PTR, hostbuf=host) for host in hosts]
out = np.empty(4096, np.int32)
for n, hits in PAIRS:
    kernel(queue, (64,), (8,), n, hits)
cl.enqueue_copy(queue, out, other)
say(sum=int(out.sum()))
"""
    apart = "[(memory, other), (memory[:4096], other), (there[0], other)]"
    shared = "[(memory, memory), (memory[:4096], memory[4096:8192]), (there[0], there[1])]"
    for pairs, split in ((apart, 3), (shared, 0)):
        text = program.replace("PAIRS", pairs)
        ran = layer.run(text, device, **FORCED, groups="3")
        assert ran.facts == layer.run(text, device).facts
        assert ran.split()[:2] == (3, split), ran.errors
    assert "the end of a loop" in ran.why_whole()


# What programs are made from.

HEADER = "#include <sub/there.h>\nkernel void k(global int *a) { a[get_global_id(0)] += HERE; }"


@pytest.mark.parametrize("folder", ["absolute", "relative"])
def test_a_program_with_headers_is_split_by_what_they_were_at_its_build(
    layer: Layer, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "there.h").write_text('#include "more.h"\n#define HERE (PLUS + 1)\n')
    (tmp_path / "sub" / "more.h").write_text("#define PLUS (int)get_group_id(0)\n")
    where = str(tmp_path) if folder == "absolute" else "."
    program = f"""
import os
os.chdir({str(tmp_path)!r})
program = cl.Program(context, {HEADER!r}).build(options=["-I", {where!r}])
{LAUNCHES.replace("kernel = ", "kernel = cl.Kernel(program, 'k') #")}
go(); go()
say(out=out.tolist())
"""
    ran = layer.run(program, None, **FORCED, groups="4")
    assert ran.split() == (2, 2, 8), ran.why_whole()
    assert ran.facts == layer.run(program, None).facts


def test_headers_that_are_others_since_the_build_leave_launches_whole(
    layer: Layer, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "there.h").write_text("#define HERE (int)get_group_id(0)\n")
    program = f"""
program = cl.Program(context, {HEADER!r}).build(options=["-I", {str(tmp_path)!r}])
open({str(tmp_path / "sub" / "there.h")!r}, "w").write("#define HERE 1000\\n")
{LAUNCHES.replace("kernel = ", "kernel = cl.Kernel(program, 'k') #")}
go()
say(largest=int(out.max()))
"""
    ran = layer.run(program, None, **FORCED)
    assert ran.facts == '{"largest": 7}'
    assert ran.split() == (1, 0, 1)
    assert ran.why_whole() == "a header has changed since the program was built"


def test_a_program_from_a_binary_is_split_if_it_was_once_given_away(
    layer: Layer, tmp_path: Path
) -> None:
    kept = tmp_path / "binary"
    source = GROUPS.replace("+ 1", "+ PLUS")
    gives = f"""
program = cl.Program(context, {source!r}).build(options=["-DPLUS=5"])
open({str(kept)!r}, "wb").write(program.get_info(cl.program_info.BINARIES)[0])
say()
"""
    takes = f"""
binary = open({str(kept)!r}, "rb").read()
program = cl.Program(context, [device], [binary]).build()
{LAUNCHES.replace("kernel = ", "kernel = cl.Kernel(program, 'k') #")}
go(); go()
say(out=out.tolist())
"""
    layer.run(gives, None)  # with nobody to see it
    ran = layer.run(takes, None, **FORCED, groups="4")
    assert ran.split() == (2, 0, 2)
    assert ran.why_whole() == "it was made from a binary whose source is not known"
    origins = layer.verdicts_folder.parent / "programs"
    layer.run(gives, None, **FORCED)
    patience = time.monotonic() + 100
    while not list(origins.glob("[!.]*")) and time.monotonic() < patience:
        time.sleep(0.1)
    again = layer.run(takes, None, **FORCED, groups="4")
    assert again.split() == (2, 2, 8), again.why_whole()
    assert again.facts == ran.facts == layer.run(takes, None).facts


#: SPIR-V, as far as the judge looks: a kernel k, and the built-in that it uses (its specification,
#: section 3.21: 28 GlobalInvocationId, 26 WorkgroupId).
MODULE = """
import struct
def module(builtin):
    words = [0x07230203, 0x10000, 0, 100, 0, 4 << 16 | 15, 6, 1, ord("k")]
    words += [4 << 16 | 71, 7, 11, builtin]
    return struct.pack("<%dI" % len(words), *words)
"""


@pytest.mark.parametrize(("builtin", "slices"), [(28, 8), (26, 2)])
def test_a_program_of_spirv_alone_is_split_as_it_is_or_not_at_all(
    layer: Layer, builtin: int, slices: int
) -> None:
    """No driver here takes SPIR-V, so the layer below compiles something in its place."""
    plain = {"WATCH_IL": GROUPS.replace("get_group_id(0)", "1")}
    made = f"kernel = cl.Kernel(cl.Program(context, module({builtin})).build(), 'k') #"
    program = f"""
{MODULE}
{LAUNCHES.replace("kernel = ", made)}
go(); go()
say(out=out.tolist())
"""
    ran = layer.run(program, layer.watcher, settings=plain, **FORCED, groups="4")
    assert ran.facts == layer.run(program, layer.watcher, settings=plain).facts
    assert ran.split() == (2, 2 * (slices > 2), slices), ran.why_whole()
    assert slices > 2 or ran.why_whole() == "its SPIR-V uses WorkgroupId, and it has no source"


LINKED = """
source = "kernel void k(global int *a) { a[get_global_id(0)] += get_group_id(0) + PLUS; }"
other = cl.Program(context, "int nothing(void) { return 0; }").compile()
parts = cl.Program(context, source).compile(options=["-DPLUS=5"])
program = cl.link_program(context, [parts] + OTHERS)
parts.compile(options=["-DPLUS=6"])
kernel = cl.Kernel(program, "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(64, np.int32))
out = np.empty(64, np.int32)
kernel(queue, (64,), (8,), a)
kernel(queue, (64,), (8,), a)
cl.enqueue_copy(queue, out, a)
say(out=out.tolist())
"""


def test_a_program_that_is_compiled_and_then_linked_alone_is_split(layer: Layer) -> None:
    program = LINKED.replace("OTHERS", "[]")
    ran = layer.run(program, None, **FORCED, groups="4")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (2, 2, 8), ran.why_whole()


def test_a_program_that_is_linked_of_several_stays_whole(layer: Layer) -> None:
    program = LINKED.replace("OTHERS", "[other]")
    ran = layer.run(program, None, **FORCED, groups="4")
    assert ran.facts == layer.run(program, None).facts
    assert ran.split() == (2, 0, 2)
    assert ran.why_whole() == "its program was not built from one source"


def test_arguments_set_through_a_loader_that_knows_no_layer_are_not_missed(layer: Layer) -> None:
    program = """
import ctypes
kernel = cl.Kernel(cl.Program(context, "kernel void k(global int *a, int v)"
                              "{ a[get_global_id(0)] += v + get_num_groups(0); }").build(), "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(64, np.int32))
kernel.set_args(a, np.int32(2))
ctypes.CDLL("libOpenCL.so.1").clSetKernelArg(
    ctypes.c_void_p(kernel.int_ptr), 1, ctypes.c_size_t(4), ctypes.byref(ctypes.c_int(7)))
cl.enqueue_nd_range_kernel(queue, kernel, (64,), (8,))
out = np.empty(64, np.int32)
cl.enqueue_copy(queue, out, a)
say(out=sorted(set(out.tolist())))
"""
    plain = layer.run(program, None).facts
    assert plain == '{"out": [15]}'
    assert layer.run(program, None, **FORCED).facts == plain


def test_a_clone_is_split_with_its_own_arguments(layer: Layer) -> None:
    program = """
import ctypes
kernel = cl.Kernel(cl.Program(context, "kernel void k(global int *a, local int *s, int v)"
                              "{ a[get_global_id(0)] += v + get_num_groups(0); }").build(), "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(64, np.int32))
kernel.set_args(a, cl.LocalMemory(16), np.int32(2))
clone = kernel.clone()
kernel.set_arg(2, np.int32(50))
cl.enqueue_nd_range_kernel(queue, clone, (64,), (8,))
cl.enqueue_nd_range_kernel(queue, kernel, (64,), (8,))
del kernel
clone.set_arg(2, np.int32(100))
cl.enqueue_nd_range_kernel(queue, clone, (64,), (8,))
unset = cl.Kernel(clone.program, "k").clone()
try:
    cl.enqueue_nd_range_kernel(queue, unset, (64,), (8,))
    refused = 0
except cl.Error as error:
    refused = error.code
out = np.empty(64, np.int32)
cl.enqueue_copy(queue, out, a)
say(out=sorted(set(out.tolist())), refused=refused)
"""
    plain = layer.run(program, None).facts
    assert plain == '{"out": [176], "refused": -52}'
    ran = layer.run(program, None, **FORCED)
    assert ran.facts == plain
    assert ran.split()[:2] == (3, 3), ran.why_whole()


def test_a_child_that_is_forked_splits_nothing_and_lives(layer: Layer) -> None:
    program = LAUNCHES + (
        "import os\ngo()\npid = os.fork()\nif not pid:\n    os._exit(3)\n"
        "say(status=os.waitpid(pid, 0)[1] >> 8)"
    )
    assert layer.run(program, None, **FORCED | {"judge": "background"}).facts == '{"status": 3}'


def test_a_child_that_is_forked_does_not_say_its_parents_summary(layer: Layer) -> None:
    program = LAUNCHES + (
        "import os, sys\ngo()\npid = os.fork()\nif not pid:\n    sys.exit(3)\n"
        "say(status=os.waitpid(pid, 0)[1] >> 8)"
    )
    ran = layer.run(program, None, **FORCED, groups="4")
    assert ran.facts == '{"status": 3}'
    assert ran.errors.count("gpusplit: k: 1 launches, 1 split") == 1
