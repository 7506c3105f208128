"""Using gpusplit: from a command, from inside a program, from the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from conftest import EmuGpu
from gpusplit_device import FIVE, SLOW, buffer, context, kernel, read, slow_rounds, split
from gpusplit_processes import python

import gpusplit
from gpusplit import running

pytestmark = pytest.mark.opencl

PROGRAM = '''
import sys
import numpy as np
import pyopencl as cl
ctx = cl.create_some_context(interactive=False)
queue = cl.CommandQueue(ctx)
program = cl.Program(ctx, """
kernel void where_am_i(global int *a) { a[get_global_id(0)] = get_group_id(0); }
kernel void talks(global int *a) { if (a[get_global_id(0)] < 0) printf("no"); }
""").build()
host = np.zeros(1000, np.int32)
buf = cl.Buffer(ctx, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=host)
cl.Kernel(program, "where_am_i")(queue, (1000,), (10,), buf)
cl.Kernel(program, "talks")(queue, (1000,), (10,), buf)
cl.enqueue_copy(queue, host, buf)
assert (host == np.arange(1000) // 10).all()
print("argv", sys.argv[1:], "main", __name__)
'''

PLUS_ONE = "kernel void k(global int *a) { a[get_global_id(0)] += 1; }"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


OPTIONS = ("--policy", "fixed", "--groups", "7", "--cores", "1", "--judge", "wait")


def test_run_splits_an_unmodified_program(program: Path, tmp_path: Path) -> None:
    timeline = tmp_path / "timeline.json"
    done = python(
        "-m", "gpusplit", "run", *OPTIONS, "--summary", "--timeline", timeline, program, "a", "--b"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "argv ['a', '--b'] main __main__\n"
    assert "where_am_i: 1 launches, 1 split, 7 slices" in done.stderr
    assert "talks: 1 launches, 0 split, 1 slices; whole: prints" in done.stderr
    # Nobody closes the list, as the format allows.
    events = json.loads(timeline.read_text().rstrip().rstrip(",") + "]")
    launches = [event for event in events if event["cat"] == "launch"]
    assert [(one["name"], one["args"]["groups"]) for one in launches] == [
        ("where_am_i", 7), ("talks", 1)
    ]  # fmt: skip
    assert any(event["cat"] == "wait" and event["dur"] >= 0 for event in events)


def test_run_runs_a_module(program: Path) -> None:
    done = python(
        "-c",
        f"""
import os, sys
os.chdir({str(program.parent)!r})
from gpusplit.cli import main
sys.exit(main(["run", *{OPTIONS!r}, "--summary", "-m", "program", "x"]))
""",
    )
    assert done.returncode == 0, done.stderr
    assert "argv ['x'] main __main__" in done.stdout
    assert "where_am_i: 1 launches, 1 split" in done.stderr


def test_a_programs_exit_status_and_exceptions_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "fails.py"
    path.write_text("import sys; sys.exit(7)")
    assert python("-m", "gpusplit", "run", path).returncode == 7
    path.write_text("raise KeyError('mine')")
    assert "KeyError: 'mine'" in python("-m", "gpusplit", "run", path).stderr


def test_the_environment_alone_is_enough(program: Path) -> None:
    environ = {"POLICY": "fixed", "GROUPS": "7", "CORES": "1", "JUDGE": "wait", "SUMMARY": "1"}
    done = python(
        "-c",
        f"import gpusplit.auto, runpy; runpy.run_path({str(program)!r})",
        **{f"GPUSPLIT_{name}": value for name, value in environ.items()},
    )
    assert done.returncode == 0, done.stderr
    assert "where_am_i: 1 launches, 1 split" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "--policy", "sometimes", "x.py"), "policy must be one of"),
        (("run", "--groups", "none", "x.py"), "groups: must be a whole number"),
        (("run",), "name a program"),
        (("run", "--config", "/nowhere.toml", "x.py"), "/nowhere.toml"),
        (("dance",), "invalid choice"),
    ],
)
def test_bad_options_are_one_clear_line(words: tuple[str, ...], message: str) -> None:
    done = python("-m", "gpusplit", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", sorted(set(gpusplit.__all__) - {"Config", "ConfigError"}))
def test_every_name_is_there_and_brings_nothing_in(name: str) -> None:
    """To look at one, or to import all, neither starts OpenCL nor loads the library."""
    result = python(
        "-c",
        f"import gpusplit, sys; assert gpusplit.{name}; assert 'pyopencl' not in sys.modules; "
        "assert 'libgpusplit' not in open('/proc/self/maps').read()",
    )
    assert result.returncode == 0, result.stderr


def test_explain_lists_kernels_and_verdicts(program: Path, tmp_path: Path) -> None:
    done = python("-m", "gpusplit", "explain", program)
    assert done.returncode == 0, done.stderr
    assert "where_am_i: split as a variant with the whole launch's get_group_id" in done.stdout
    assert "talks: whole: prints" in done.stdout
    source = tmp_path / "some.cl"
    source.write_text("kernel void k(global int *a) { a[get_global_id(0)] = 1; }")
    done = python("-m", "gpusplit", "explain", source)
    assert done.stdout == "k: split as it is\n"


def test_doctor_says_what_is_here() -> None:
    done = python("-m", "gpusplit", "doctor", GPUSPLIT_VMS="static:3", GPUSPLIT_ALPHA="4")
    assert done.returncode == 0, done.stderr
    assert context().devices[0].name.strip() in done.stdout
    assert "OpenCL, by OPENCL_LAYERS: yes" in done.stdout
    assert "running VMs: 3" in done.stdout
    assert "12 groups" in done.stdout


def attributes() -> dict[str, Any]:
    """Everything of pyopencl that somebody may want to change."""
    raw = cl._cl
    found: dict[str, Any] = {name: getattr(raw, name) for name in dir(raw) if "enqueue" in name}
    found |= {f"cl.{name}": getattr(cl, name) for name in dir(cl) if "enqueue" in name}
    found |= {"wait": raw.Event.wait, "finish": raw.CommandQueue.finish}
    return found | {"wait_for_events": cl.wait_for_events}


def test_installing_changes_nothing_of_pyopencls_and_can_be_undone() -> None:
    before = attributes()
    k, a, queue = kernel(PLUS_ONE), buffer(np.zeros(64, np.int32)), cl.CommandQueue(context())
    k.set_args(a)
    told = []
    with gpusplit.recording() as launches:
        for config in (FIVE, gpusplit.Config(policy="fixed", groups=3, cores=1, judge="wait")):
            gpusplit.install(config)
            assert gpusplit.installed() == config
            assert attributes() == before
            cl.enqueue_nd_range_kernel(queue, k, (64,), (4,))
            told.append(launches[-1].groups)  # up to date whenever looked at
        gpusplit.uninstall()
        gpusplit.uninstall()
        assert gpusplit.installed() is None
        cl.enqueue_nd_range_kernel(queue, k, (64,), (4,))
        queue.finish()
    assert told == [6, 3]  # 16 work-groups by threes, and by sixes
    assert [launch.groups for launch in launches] == [*told, 1]
    assert len(launches) == 3


def test_records_are_those_of_their_with_block() -> None:
    k, queue = kernel(PLUS_ONE), cl.CommandQueue(context())
    a = buffer(np.zeros(64, np.int32))
    with gpusplit.active(FIVE):
        k(queue, (64,), (4,), a)
        with gpusplit.recording() as outer:
            k(queue, (64,), (4,), a)
            with gpusplit.recording() as inner:
                k(queue, (32,), (4,), a)
            k(queue, (16,), (4,), a)
        k(queue, (64,), (4,), a)
        queue.finish()
    assert [launch.global_size for launch in outer] == [(64,), (32,), (16,)]
    assert [launch.global_size for launch in inner] == [(32,)]
    assert list(inner) == [outer[1]]
    assert (inner[0].kernel, inner[0].wanted, inner[0].vm_count) == ("k", 5, None)


def test_where_opencl_was_started_before_it_says_what_to_do() -> None:
    done = python(
        "-c",
        """
import gpusplit, os, pyopencl
pyopencl.get_platforms()
before = dict(os.environ)
try:
    gpusplit.install()
except gpusplit.NotInstalled as error:
    print(error)
assert gpusplit.installed() is None
assert dict(os.environ) == before
with gpusplit.recording() as launches:
    pass
""",
    )
    assert done.returncode == 0, done.stderr
    assert "OpenCL was started before" in done.stdout
    assert "gpusplit run" in done.stdout
    assert "restarting the kernel" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_program_above_the_library_may_be_split_from_any_time_on() -> None:
    """As where all programs of a VM have it for their waits: what it makes from then on."""
    done = python(
        "-c",
        """
import gpusplit, numpy as np, pyopencl as cl
context = cl.create_some_context(interactive=False)
source = "kernel void k(global int *a) { a[get_global_id(0)] += get_group_id(0); }"
a = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR,
              hostbuf=np.zeros(100, np.int32))
def launch():
    queue = cl.CommandQueue(context)
    cl.Kernel(cl.Program(context, source).build(), "k")(queue, (100,), (10,), a)
    queue.finish()
print(gpusplit.installed().policy, gpusplit.installed().wait)
launch()
with gpusplit.active(policy="fixed", groups=5, cores=1, judge="wait"):
    with gpusplit.recording() as launches:
        launch()
print(launches[0].groups, gpusplit.installed().policy)
out = np.empty(100, np.int32)
cl.enqueue_copy(cl.CommandQueue(context), out, a)
assert (out == np.arange(100) // 10 * 2).all()
""",
        OPENCL_LAYERS=running.LIBRARY,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["unsplit cooperative", "5 unsplit"]


def test_without_the_native_library_it_says_what_to_do() -> None:
    done = python(
        "-c",
        """
from gpusplit import running
running.LIBRARY = "/nowhere/libgpusplit.so"
import gpusplit
for use in gpusplit.install, gpusplit.active().__enter__, gpusplit.recording().__enter__:
    try:
        use()
    except gpusplit.NotInstalled as error:
        print(error)
""",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("install a C compiler, then gpusplit again") == 3


def test_what_it_was_run_with_holds_again_after_active(program: Path) -> None:
    program.write_text(
        PROGRAM
        + """
import gpusplit
print(gpusplit.installed().groups)
with gpusplit.active(groups=2, policy="fixed", cores=1, judge="wait"), gpusplit.recording() as l:
    cl.Kernel(program, "where_am_i")(queue, (1000,), (10,), buf)
with gpusplit.recording() as more:
    cl.Kernel(program, "where_am_i")(queue, (1000,), (10,), buf)
print(l[0].groups, more[0].groups, gpusplit.installed().groups)
"""
    )
    done = python("-m", "gpusplit", "run", *OPTIONS, program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["7", "2 7 7"]


def test_active_nests_and_ends_with_an_exception() -> None:
    def fail() -> None:
        with gpusplit.active(FIVE):
            with gpusplit.active(FIVE, groups=3) as config:
                assert config.groups == 3
                assert gpusplit.installed() == config
            assert gpusplit.installed() == FIVE
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert gpusplit.installed() is None


def test_every_way_to_launch_is_reached() -> None:
    queue = cl.CommandQueue(context())
    k, a = kernel(PLUS_ONE), np.zeros(64, np.int32)
    buf = buffer(a)
    with split() as launches:
        k(queue, (64,), (4,), buf)
        k.set_args(buf)
        cl.enqueue_nd_range_kernel(queue, k, (64,), (4,))
        cl._cl.enqueue_nd_range_kernel(queue, k, (64,), (4,))
        assert (read(queue, buf, a) == 3).all()
    assert len(launches) == 3
    assert all(entry.groups > 1 for entry in launches)


#: The emulated driver spins; a launch takes 65 ms.
SPINS = {"EMUGPU_EXEC": "none", "EMUGPU_WAIT": "spin", "EMUGPU_SCALE": "0.1"}


@pytest.mark.alone
def test_waits_sleep_while_it_is_installed_and_are_the_drivers_before_and_after(
    emugpu: EmuGpu,
) -> None:
    said = emugpu.run(
        """
def used():
    for _ in range(3):
        launch().wait()
    began, before = time.monotonic(), time.thread_time()
    for _ in range(4):
        launch().wait()
        launch()
        queue.finish()
        launch()
        cl.enqueue_copy(queue, host, buffer)
    return time.thread_time() - before

before = used()
with gpusplit.active(policy="unsplit"):
    asleep = used()
say(before=before, asleep=asleep, after=used())
""",
        """
import gpusplit
gpusplit.install(gpusplit.Config(policy="unsplit"))
gpusplit.uninstall()
""",
        **SPINS,
    )
    assert said["asleep"] < said["before"] / 3
    assert said["asleep"] < said["after"] / 3


def test_bounded_group_time_is_measured_and_kept() -> None:
    """A launch whose time is not known is whole, and then groups are sized by what it took."""
    queue = cl.CommandQueue(context())
    k = kernel(SLOW)
    host = np.zeros(1 << 16, np.int32)
    a = buffer(host)
    with (
        gpusplit.active(policy="time", group_ms=2, cores=64, judge="wait"),
        gpusplit.recording() as launches,
    ):
        for _ in range(4):
            k(queue, host.shape, (64,), a, slow_rounds()).wait()
        expected = read(queue, a, host)
    assert launches[0].groups == 1
    assert "not measured yet" in launches[0].reason
    assert launches[3].groups > 1
    assert "2 ms" in launches[3].reason
    assert (expected == expected[0]).all()
