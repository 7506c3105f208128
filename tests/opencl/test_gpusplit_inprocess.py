"""Python tells the library below its own process what to do: at any time, from any thread, once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import EmuGpu
from gpusplit_processes import python

pytestmark = pytest.mark.opencl

BEGIN = """
import json, os, sys, threading, time
import numpy as np
import gpusplit
import pyopencl as cl
from gpusplit import Config

def setup(rounds=1000):
    context = cl.create_some_context(interactive=False)
    queue = cl.CommandQueue(context)
    source = '''kernel void k(global int *a, int n) {
        int x = get_group_id(0);
        for (int i = 0; i < n; i++) x = x * 3 + 1;
        a[get_global_id(0)] += x; }'''
    kernel = cl.Kernel(cl.Program(context, source).build(), "k")
    buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR,
                       hostbuf=np.zeros(4096, np.int32))
    kernel.set_args(buffer, np.int32(rounds))
    return context, queue, kernel, buffer

def launch(queue, kernel):
    return cl.enqueue_nd_range_kernel(queue, kernel, (4096,), (64,))
"""


def said(program: str, **environ: str) -> Any:
    done = python("-c", BEGIN + program, **environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_options_may_change_while_another_thread_launches() -> None:
    program = """
some = Config(policy="fixed", groups=40, cores=1, judge="wait", in_flight=2)
others = [Config(policy="unsplit"), some, Config(policy="unsplit", wait="driver"),
          Config(policy="fixed", groups=9, cores=1, judge="wait", wait="driver")]
gpusplit.install(some)
context, queue, kernel, buffer = setup(20)
launch(queue, kernel).wait()
over = threading.Event()
def change():
    while not over.is_set():
        for config in others:
            gpusplit.install(config)
thread = threading.Thread(target=change)
thread.start()
until, n = time.monotonic() + 3, 1
while time.monotonic() < until or n < 30:
    for _ in range(3):
        event = launch(queue, kernel)
    event.wait()
    n += 3
over.set()
thread.join()
split = np.empty(4096, np.int32)
cl.enqueue_copy(queue, split, buffer)
gpusplit.uninstall()
context, queue, kernel, buffer = setup(20)
for _ in range(n):
    launch(queue, kernel)
whole = np.empty(4096, np.int32)
cl.enqueue_copy(queue, whole, buffer)
print(json.dumps(bool((split == whole).all())))
"""
    assert said(program) is True


def test_a_child_that_is_forked_of_it_cannot_be_split_and_says_so() -> None:
    program = """
gpusplit.install(Config(policy="fixed", groups=4, cores=1))
read, write = os.pipe()
if os.fork() == 0:
    try:
        gpusplit.install(Config(policy="fixed", groups=4, cores=1))
    except gpusplit.NotInstalled as error:
        os.write(write, json.dumps(str(error)).encode())
    os._exit(0)
os.close(write)
os.wait()
print(os.read(read, 1000).decode())
"""
    assert "forked" in said(program)


def test_a_fork_while_another_thread_looks_at_records_hangs_no_child() -> None:
    program = """
gpusplit.install(Config(policy="fixed", groups=4, cores=1, judge="wait"))
context, queue, kernel, buffer = setup(1)
over = threading.Event()
def look(launches):
    while not over.is_set():
        len(launches)
with gpusplit.recording() as launches:
    thread = threading.Thread(target=look, args=(launches,))
    thread.start()
    for _ in range(30):
        child = os.fork()
        if child == 0:
            with gpusplit.recording() as own:
                os._exit(len(own))
        assert os.waitpid(child, 0)[1] == 0
    over.set()
    thread.join()
print(json.dumps(True))
"""
    assert said(program) is True


def test_a_recording_holds_its_own_launches_alone() -> None:
    program = """
gpusplit.install(Config(policy="unsplit", wait="driver"))
context, queue, kernel, buffer = setup(1)
over = threading.Event()
def launch_on():
    own = cl.CommandQueue(context)
    other = cl.Kernel(kernel.program, "k")
    other.set_args(buffer, np.int32(1))
    while not over.is_set():
        cl.enqueue_nd_range_kernel(own, other, (64,), (64,)).wait()
thread = threading.Thread(target=launch_on)
thread.start()
for _ in range(200):
    with gpusplit.recording() as launches:
        pass
over.set()
thread.join()
with gpusplit.recording() as launches:
    launch(queue, kernel)
print(json.dumps([one.global_size for one in launches]))
""".replace("kernel.program", "kernel.get_info(cl.kernel_info.PROGRAM)")
    assert said(program) == [[4096]]


def test_who_only_observes_goes_on_doing_so(tmp_path: Any) -> None:
    from gpusplit.running import LIBRARY

    program = """
context, queue, kernel, buffer = setup(100000)
gpusplit.install(Config(policy="fixed", groups=4, cores=1, judge="wait"))
launch(queue, kernel).wait()
print(json.dumps(True))
"""
    report = tmp_path / "report"
    said(program, OPENCL_LAYERS=LIBRARY, GPUSPLIT_OBSERVE="1", GPUSPLIT_REPORT=str(report))
    assert json.loads(report.read_text())["naps"] == 0


def test_while_the_papers_function_waits_other_threads_go_on(emugpu: EmuGpu) -> None:
    program = """
import threading
launch().wait()
longest = [0.0]
over = threading.Event()
def tick():
    before = time.monotonic()
    while not over.wait(0.01):
        now = time.monotonic()
        longest[0] = max(longest[0], now - before)
        before = now
thread = threading.Thread(target=tick)
thread.start()
begin = time.monotonic()
event = gpusplit.enqueue_nd_range_kernel_n(queue, twice, (SIDE, SIDE), (16, 16))
enqueued = time.monotonic() - begin
event.wait()
over.set()
thread.join()
say(enqueued=enqueued, stood=longest[0])
"""
    first = """
import gpusplit
gpusplit.install(gpusplit.Config(policy="fixed", groups=4, cores=1, judge="wait", wait="driver"))
"""
    told = emugpu.run(
        program, first, EMUGPU_EXEC="none", EMUGPU_SCALE="12", EMUGPU_WAIT="interrupt"
    )
    assert told["enqueued"] > 1, "three of four groups are over when the call is back"
    assert told["stood"] < told["enqueued"] / 2


def test_with_the_drivers_waits_a_refused_call_is_no_measure_and_each_event_is_one() -> None:
    program = """
gpusplit.install(Config(policy="time", group_ms=20, cores=1, judge="wait", wait="driver"))
context, queue, kernel, buffer = setup(30000)
tiny = cl.Kernel(kernel.get_info(cl.kernel_info.PROGRAM), "k")
tiny.set_args(buffer, np.int32(1))
out = np.empty(4096, np.int32)
with gpusplit.recording() as launches:
    launch(queue, kernel)
    try:
        cl.enqueue_copy(queue, out, buffer, src_offset=16)  # beyond its end
    except cl.Error:
        pass
    queue.finish()
    launch(queue, kernel).wait()
    for _ in range(2):
        cl.wait_for_events([launch(queue, kernel), cl.enqueue_marker(queue)])
print(json.dumps([one.groups for one in launches]))
"""
    groups = said(program)
    assert groups[0] == 1
    assert min(groups[1:]) > 1
