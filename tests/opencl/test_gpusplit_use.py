"""Using gpusplit: from a command, from inside a program, from the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
import pytest
from gpusplit_device import FIVE, SLOW, buffer, context, kernel, read, slow_rounds, split

import gpusplit
from gpusplit import history, patch, programs, queues, waiting

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


def python(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPUSPLIT_")} | environ
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, timeout=300, check=False, env=env,
        cwd=Path(words[-1]).parent if Path(words[-1]).exists() else None,
    )  # fmt: skip


OPTIONS = ("--policy", "fixed", "--groups", "7", "--cores", "1", "--judge", "wait")


def test_run_splits_an_unmodified_program(program: Path, tmp_path: Path) -> None:
    timeline = tmp_path / "timeline.json"
    done = python(
        "-m", "gpusplit", "run", *OPTIONS, "--summary", "--timeline", timeline, program, "a", "--b"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "argv ['a', '--b'] main __main__\n"
    assert "2 launches, 1 of them split" in done.stderr
    assert "talks: whole (prints" in done.stderr
    events = json.loads(timeline.read_text())["traceEvents"]
    slices = [event for event in events if event.get("cat") == "slice"]
    assert len(slices) == 7
    assert {event["name"] for event in slices} == {"where_am_i"}
    assert all(event["dur"] >= 0 for event in slices)
    assert sum(event["args"]["global size"][0] for event in slices) == 1000


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
    assert "1 of them split" in done.stderr


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
    assert "where_am_i: split" in done.stderr


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
def test_every_name_is_there_before_pyopencl_is(name: str) -> None:
    """Each of them may be what brings pyopencl in."""
    result = python("-c", f"import gpusplit; assert gpusplit.{name}")
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
    """Everything of pyopencl that install() may touch."""
    raw = cl._cl
    found: dict[str, Any] = {name: getattr(raw, name) for name in dir(raw) if "enqueue" in name}
    found |= {f"cl.{name}": getattr(cl, name) for name in dir(cl) if "enqueue" in name}
    found |= {"wait": raw.Event.wait, "finish": raw.CommandQueue.finish}
    return found | {"wait_for_events": cl.wait_for_events}


def test_uninstall_leaves_pyopencl_as_it_was() -> None:
    before = attributes()
    gpusplit.install(FIVE)
    assert gpusplit.installed() == FIVE
    assert attributes() != before
    gpusplit.install(gpusplit.Config(policy="fixed", groups=3, judge="wait"))
    gpusplit.uninstall()
    gpusplit.uninstall()
    assert attributes() == before
    assert gpusplit.installed() is None


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
    assert [entry.groups for entry in launches] == [5, 5, 5] or all(
        entry.groups > 1 for entry in launches
    )


def test_every_wait_is_cooperative(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own waits are entered only when there is nothing left to wait for."""
    queue = cl.CommandQueue(context())
    k = kernel(SLOW)
    host = np.zeros(1 << 16, np.int32)
    a, b = buffer(host), buffer(host)
    sleeps: list[bool] = []
    real = waiting.wait_cooperatively

    def watched(complete: Any, *args: Any, **kwargs: Any) -> bool | None:
        ended = real(complete, *args, **kwargs)
        sleeps.append(bool(ended))
        return ended

    monkeypatch.setattr(waiting, "wait_cooperatively", watched)

    def launch() -> cl.Event:
        return k(queue, host.shape, (64,), a, slow_rounds())

    ways: dict[str, Callable[[], object]] = {
        "event.wait": lambda: launch().wait(),
        "wait_for_events": lambda: cl.wait_for_events([launch()]),
        "finish": lambda: launch_and_finish(launch, queue),
        "read": lambda: (launch(), cl.enqueue_copy(queue, host, a)),
        "write": lambda: (launch(), cl.enqueue_copy(queue, b, host)),
        "map": lambda: (
            launch(),
            cl.enqueue_map_buffer(queue, a, cl.map_flags.READ, 0, host.shape, host.dtype)[0]
            .base.release(queue),
        ),
        "with queue": lambda: launch_in_own_queue(k, host, a),
    }  # fmt: skip
    with gpusplit.active(gpusplit.Config(policy="unsplit")):
        for name, way in ways.items():
            sleeps.clear()
            way()
            assert any(sleeps), name
    queue.finish()


def launch_and_finish(launch: Callable[[], cl.Event], queue: cl.CommandQueue) -> None:
    launch()
    queue.finish()


def launch_in_own_queue(k: cl.Kernel, host: Any, a: cl.Buffer) -> None:
    with cl.CommandQueue(context()) as queue:
        k(queue, host.shape, (64,), a, slow_rounds())


def test_waits_learn_how_long_a_kernel_takes() -> None:
    queue = cl.CommandQueue(context())
    k, host = kernel(SLOW), np.zeros(1 << 16, np.int32)
    a = buffer(host)
    with gpusplit.active(FIVE):
        for _ in range(3):
            k(queue, host.shape, (64,), a, slow_rounds()).wait()
        queues.state(queue).tidy()
    known = k._gpusplit  # type: ignore[attr-defined]
    assert history.seconds_per_item(known.key)


def test_bounded_group_time_is_measured_and_kept() -> None:
    """A probe, then groups sized by what it took."""
    queue = cl.CommandQueue(context())
    k = kernel(SLOW)
    host = np.zeros(1 << 16, np.int32)
    a = buffer(host)
    with (
        gpusplit.active(policy="time", group_ms=2, cores=64, judge="wait"),
        gpusplit.recording() as launches,
    ):
        for _ in range(3):
            k(queue, host.shape, (64,), a, slow_rounds()).wait()
        expected = read(queue, a, host)
    assert all(entry.groups > 1 for entry in launches)
    assert all("2 ms" in entry.reason for entry in launches)
    assert (expected == expected[0]).all()


def test_a_count_source_without_an_answer_warns_once_and_launches_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = cl.CommandQueue(context())
    k, host = (
        kernel(PLUS_ONE),
        np.zeros(64, np.int32),
    )
    a = buffer(host)
    with (
        gpusplit.active(policy="vms", vms="xenstore", cores=2, alpha=7.25, judge="wait"),
        gpusplit.recording() as launches,
    ):
        with pytest.warns(gpusplit.TenancyWarning):
            k(queue, (64,), (4,), a)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            k(queue, (64,), (4,), a)
        assert (read(queue, a, host) == 2).all()
    assert [entry.groups for entry in launches] == [1, 1]


def test_a_mistake_in_gpusplit_is_not_the_programs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(programs, "of_kernel", fail)
    queue = cl.CommandQueue(context())
    k, host = (
        kernel(PLUS_ONE),
        np.zeros(64, np.int32),
    )
    a = buffer(host)
    with split() as launches:
        k(queue, (64,), (4,), a)
        assert (read(queue, a, host) == 1).all()
    assert launches[0].groups == 1
    assert "a bug" in launches[0].reason
    assert "stays whole" in caplog.text


def test_a_refusal_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    queue = cl.CommandQueue(context())
    k, host = kernel('kernel void k(global int *a) { printf(""); }'), np.zeros(64, np.int32)
    a = buffer(host)
    with caplog.at_level("INFO", logger="gpusplit"), split():
        for _ in range(3):
            k(queue, (64,), (4,), a)
        queue.finish()
    assert caplog.text.count("stays whole: prints") == 1


def test_installing_twice_does_not_wrap_twice() -> None:
    gpusplit.install(FIVE)
    gpusplit.install(FIVE)
    try:
        assert len([entry for entry in patch._replaced if entry[1] == "finish"]) == 1
    finally:
        gpusplit.uninstall()
