"""The native library as an OpenCL layer: waits sleep, and everything else is as without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compiled import NATIVE, made
from conftest import EmuGpu

pytestmark = pytest.mark.opencl

#: A launch takes 65 ms, and the emulated driver spins.
SLOW = {"EMUGPU_EXEC": "none", "EMUGPU_WAIT": "spin", "EMUGPU_SCALE": "0.1"}

WAITS = """
def read():
    launch()
    cl.enqueue_copy(queue, host, buffer)

def finish():
    launch()
    queue.finish()

def map():
    launch()
    cl.enqueue_map_buffer(queue, buffer, cl.map_flags.READ, 0, (4,), np.float32)[0].base.release()

def marker():
    launch()
    cl.enqueue_marker(queue).wait()

def copied():
    launch()
    cl.enqueue_copy(queue, host, buffer, is_blocking=False).wait()

def user():
    event = cl.UserEvent(context)
    threading.Timer(0.05, lambda: event.set_status(COMPLETE)).start()
    event.wait()

ways = dict(event=lambda: launch().wait(), finish=finish, read=read, map=map,
            marker=marker, copied=copied, user=user)
used = {}
for name, wait in ways.items():
    for _ in range(3):
        wait()
    before, switches = time.thread_time(), []
    for _ in range(4):
        switches.append(-resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw)
        wait()
        switches[-1] += resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    used[name] = [(time.thread_time() - before) / 4, min(switches)]
say(**used)
"""


@pytest.fixture(scope="module")
def library() -> Path:
    return made(NATIVE) / "libgpusplit.so"


@pytest.fixture
def above(emugpu: EmuGpu, library: Path) -> dict[str, str]:
    """What puts our layer above the emulated GPU."""
    return {"OPENCL_LAYERS": f"{emugpu.library}:{library}"}


@pytest.mark.alone
def test_every_blocking_call_sleeps(emugpu: EmuGpu, above: dict[str, str]) -> None:
    plain = emugpu.run(WAITS, **SLOW)
    ours = emugpu.run(WAITS, **SLOW | above)
    for name, (cpu, switches) in ours.items():
        assert cpu < plain[name][0] / 3, name
        # Of the wait that others' use of the CPU changed least; the program's timer knows no time.
        assert switches <= 12 or name == "user", name


@pytest.mark.alone
def test_waits_are_the_drivers_when_one_says_so(emugpu: EmuGpu, above: dict[str, str]) -> None:
    def spun(**settings: str) -> int:
        """Waits in which the emulated driver spun: all but those that others' use of the CPU
        made begin too late.
        """
        done = emugpu.process(WAITS, EMUGPU_REPORT="1", **SLOW | settings)
        found = re.search(r"emugpu: (\d+) waits spun", done.stderr)
        assert found is not None, done.stderr
        return int(found[1])

    every = spun()
    assert every > 7 * 7 / 2
    assert spun(**above, GPUSPLIT_WAIT="driver") > every / 2
    assert spun(**above) < every / 4


@pytest.mark.alone
def test_observing_an_opencl_program_says_what_its_waits_cost(
    emugpu: EmuGpu, above: dict[str, str], tmp_path: Path
) -> None:
    told = {}
    for name, observe in (("ours", "0"), ("observed", "1")):
        report = tmp_path / name
        emugpu.run(WAITS, **SLOW | above, GPUSPLIT_OBSERVE=observe, GPUSPLIT_REPORT=str(report))
        told[name] = json.loads(report.read_text())
    assert told["ours"]["waits"] == told["observed"]["waits"] >= 7 * 7
    assert told["observed"]["waited_cpu_s"] > 3 * told["ours"]["waited_cpu_s"]
    assert told["observed"]["naps"] == 0 < told["ours"]["naps"]


SAME = """
facts = {}
def fact(name, act):
    try:
        facts[name] = repr(act())
    except cl.Error as error:
        facts[name] = f"{type(error).__name__} {error.code}"

user = cl.UserEvent(context)
other = cl.CommandQueue(context, properties=OUT_OF_ORDER)
waiting = launch(other, wait_for=[user])
threading.Timer(0.05, lambda: user.set_status(-5)).start()
fact("a wait for what fails", waiting.wait)
fact("the queue after it", other.finish)
user = cl.UserEvent(context)
later = launch(other, wait_for=[user])
free = launch(other)
fact("what need not wait for the user", free.wait)
fact("is over before what must", lambda: later.command_execution_status > COMPLETE)
user.set_status(COMPLETE)
fact("and the rest", other.finish)
user = cl.UserEvent(context)
threading.Timer(0.05, lambda: user.set_status(COMPLETE)).start()
fact("a user event", user.wait)
for _ in range(4):
    launch()
    queue.finish()
cl.enqueue_copy(queue, host, buffer)
fact("the numbers", lambda: float(host.sum()))
user = cl.UserEvent(context)
profiled = cl.CommandQueue(context, properties=PROFILING)
waiting, over = launch(profiled, wait_for=[user]), launch()
over.wait()
for name in ("queued", "submit", "start", "end"):
    fact(f"{name} before it has run", lambda: getattr(waiting.profile, name) > 0)
    fact(name, lambda: getattr(over.profile, name) > 0)
user.set_status(COMPLETE)
several = [launch(q) for q in (queue, cl.CommandQueue(context), queue)]
fact("several at once", lambda: cl.wait_for_events(several))
fact("all over", lambda: [event.command_execution_status for event in several])
say(**facts)
"""


@pytest.mark.parametrize("device", ["emulated", "PoCL"])
def test_a_program_sees_no_difference(
    emugpu: EmuGpu, library: Path, above: dict[str, str], device: str
) -> None:
    settings = {"EMUGPU_EXEC": "full", "EMUGPU_SCALE": "0.01"}
    if device == "emulated":
        plain, ours = emugpu.run(SAME, **settings), emugpu.run(SAME, **settings | above)
    else:
        plain = emugpu.run(SAME, OPENCL_LAYERS="")
        ours = emugpu.run(SAME, OPENCL_LAYERS=str(library))
    assert ours == plain


def test_functions_stand_where_the_loaders_table_has_them(tmp_path: Path) -> None:
    """The library is built without OpenCL's headers: what it knows of the table is held to them."""
    places = dict(re.findall(r"X\((cl\w+), (\d+),", (NATIVE / "opencl_functions.h").read_text()))
    wrapped = dict(re.findall(r"X\((cl\w+), (\d+)\)", (NATIVE / "layer.c").read_text()))
    assert len(places) >= 60
    assert len(wrapped) >= 30
    assert wrapped.items() <= places.items()
    lines = [
        f"_Static_assert(offsetof(cl_icd_dispatch, {name}) == {place} * sizeof(void *), #{name!r});"
        .replace("#'", '"').replace("'", '"')
        for name, place in places.items()
    ]  # fmt: skip
    check = tmp_path / "places.c"
    check.write_text(
        "#define CL_TARGET_OPENCL_VERSION 300\n#define CL_USE_DEPRECATED_OPENCL_1_1_APIS\n"
        "#include <stddef.h>\n#include <CL/cl.h>\n#include <CL/cl_icd.h>\n" + "\n".join(lines)
    )
    done: Any = subprocess.run(
        [os.environ.get("CC", "cc"), "-fsyntax-only", check],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
