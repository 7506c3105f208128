"""How many groups launches are cut into below the API: by the agent's count, or by time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PRELUDE
from native_layer import FORCED, GROUPS, LAUNCHES, ROOT, Layer
from native_layer import layer as layer

from gpusplit.page import Page

pytestmark = pytest.mark.opencl

#: Long enough that no group is too short to be worth sending.
LONG = LAUNCHES.replace(
    repr(GROUPS),
    repr(
        "kernel void k(global int *a) { int x = get_group_id(0); "
        "for (int i = 0; i < 2000000; i++) x = x * 3 + a[0]; a[get_global_id(0)] += x; }"
    ),
)
ONE = LAUNCHES + "go(); say(out=out.tolist())"


@pytest.fixture
def count_file(tmp_path: Path) -> Path:
    return tmp_path / "count"


def vms(count_file: Path) -> dict[str, str]:
    return FORCED | {"policy": "vms", "count_file": str(count_file)}


@pytest.fixture
def agent(count_file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gpusplit", "agent", "--vms", "static:3", "--file", count_file],
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stderr is not None
    with process.stderr as told:
        assert "3 VMs run" in told.readline()
        yield process
        process.kill()
        process.wait()


def test_the_agents_count_counts(
    layer: Layer, count_file: Path, agent: subprocess.Popen[str]
) -> None:
    ran = layer.run(ONE, None, **vms(count_file))
    assert ran.split()[:2] == (1, 1)
    assert "unknown" not in ran.errors


def test_without_an_agent_launches_stay_whole_with_one_warning(
    layer: Layer, count_file: Path
) -> None:
    ran = layer.run(LAUNCHES + "go(); go(); say()", None, **vms(count_file))
    assert ran.errors.count("how many VMs run is unknown") == 1
    assert ran.split() == (2, 0, 2)
    assert ran.why_whole() == "the number of VMs is unknown"


def test_a_count_that_changes_is_seen_by_programs_that_run(layer: Layer, count_file: Path) -> None:
    """And the agent may begin, end, and go on in a new file."""
    program = (
        LONG
        + """
print("ready", flush=True)
for line in sys.stdin:
    go()
    print("done", flush=True)
say()
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", "import sys\n" + PRELUDE + program],
        env=layer.environment(None, **vms(count_file)), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def go() -> None:
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    go()  # nobody says how many
    page = Page(str(count_file))
    for count in (2, 1, 3, None):
        page.say(count)
        time.sleep(1.1)  # without a count the file is looked for once a second
        page.say(count)
        go()
    count_file.unlink()
    Page(str(count_file)).say(2)
    time.sleep(1.1)
    go()
    errors = process.communicate(timeout=60)[1]
    # Whole: unknown, alone, unknown.  Split: 2, 3 and again 2 VMs, times 2.
    assert "k: 6 launches, 3 split" in errors
    assert errors.count("how many VMs run is unknown") == 1


#: Ten launches, none of a millisecond, then one long one, waited for together; five times.
MANY = """
source = "kernel void k(global int *a, int n) { int x = get_num_groups(0); \\
    for (int i = 0; i < n; i++) x = x * 3 + a[0]; a[get_global_id(0)] += x; } \\
    kernel void long_one(global int *a, int n) { int x = get_num_groups(0); \\
    for (int i = 0; i < n; i++) x = x * 3 + a[0]; a[get_global_id(0)] += x; }"
program = cl.Program(context, source).build()
k, long_one = cl.Kernel(program, "k"), cl.Kernel(program, "long_one")
a = cl.Buffer(context, flags, hostbuf=np.zeros(65536, np.int32))
for _ in range(5):
    for _ in range(10):
        k(queue, (64,), (8,), a, np.int32(100))
    long_one(queue, (ITEMS,), (8,), a, np.int32(LENGTH))
    queue.finish()
say()
"""


@pytest.mark.alone
def test_by_count_what_is_short_stays_whole_once_that_is_known(layer: Layer) -> None:
    """Sending a group takes a driver 10 us: OpenMM's short kernels took 3.6 times as long."""
    program = MANY.replace("ITEMS", "65536").replace("LENGTH", "1")
    for wait in ("cooperative", "driver"):
        ran = layer.run(
            program, None, **FORCED | {"policy": "vms", "vms": "static:3", "wait": wait}
        )
        launches, split, _ = ran.split()
        # Of the first nothing is known, and what is known then has building of variants in it.
        assert (launches, split in (10, 20)) == (50, True)
        assert ran.why_whole() == "policy vms: it is short"


@pytest.mark.alone
def test_by_count_a_queue_that_nobody_waits_for_is_taken_to_be_like_others(layer: Layer) -> None:
    """OpenMM's Fourier transforms have a queue of their own, which others wait for by events."""
    program = MANY.replace("ITEMS", "65536").replace("LENGTH", "1")
    program = program.replace("    k(queue,", "    last = k(other,").replace(
        "    long_one(queue, ", "    cl.enqueue_barrier(queue, [last]); long_one(queue, "
    )
    # What was waited for first says nothing of the rest.
    program = program.replace(
        "for _ in range(5):", "k(queue, (8,), (8,), a, np.int32(10)).wait()\nfor _ in range(20):"
    )
    program = "other = cl.CommandQueue(context)\n" + program
    ran = layer.run(program, None, **FORCED | {"policy": "vms", "vms": "static:3"})
    launches, split, _ = ran.split()
    assert (launches, split < 100) == (201, True)


@pytest.mark.alone
def test_by_count_the_long_one_of_many_is_split(layer: Layer) -> None:
    """What was waited for together is shared out by work-items."""
    program = MANY.replace("ITEMS", "4096").replace("LENGTH", "100000")
    ran = layer.run(program, None, **FORCED | {"policy": "vms", "vms": "static:3"})
    assert ran.split("long_one") == (5, 5, 30)


def test_by_time_a_launch_is_cut_once_its_kernel_is_measured(layer: Layer) -> None:
    program = """
source = "kernel void k(global int *a, int n) { int x = get_num_groups(0); \\
    for (int i = 0; i < n; i++) x = x * 3 + 1; a[get_global_id(0)] += x; }"
kernel = cl.Kernel(cl.Program(context, source).build(), "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(4096, np.int32))
for _ in range(4):
    kernel(queue, (4096,), (8,), a, np.int32(30000)).wait()
say()
"""
    ran = layer.run(program, None, **FORCED | {"policy": "time", "group_ms": "0.1"})
    assert ran.split()[:2] == (4, 3)
    assert ran.why_whole() == "policy time: kernel not measured yet"
    long = layer.run(program, None, **FORCED | {"policy": "time", "group_ms": "1000000"})
    assert long.split() == (4, 0, 4)


def test_adaptively_a_launch_is_whole_until_it_is_measured(layer: Layer) -> None:
    ran = layer.run(ONE, None, **FORCED | {"policy": "adaptive", "vms": "static:3"})
    assert ran.split() == (1, 0, 1)
    assert ran.why_whole() == "policy adaptive: not measured yet"
