"""What the library has to say comes to Python: in the log, as warnings, in the timeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gpusplit_processes import python

pytestmark = pytest.mark.opencl

#: What is said of launches that stay whole, on standard error by Python's own means.
SAID = """
import logging, warnings, numpy as np
logging.basicConfig(level=logging.INFO)
warnings.simplefilter("always")
import gpusplit, pyopencl as cl, time
gpusplit.install(gpusplit.Config(cores=1, judge="wait", OPTIONS))
context = cl.create_some_context(interactive=False)
queue = cl.CommandQueue(context)
k = cl.Kernel(cl.Program(context, 'kernel void k(global int *a) { BODY }').build(), "k")
a = cl.Buffer(context, cl.mem_flags.READ_WRITE, 256)
with gpusplit.recording() as launches:
    for _ in range(3):
        k(queue, (64,), (4,), a).wait()
print([launch.groups for launch in launches])
"""


def test_a_count_source_without_an_answer_warns_once_and_launches_whole() -> None:
    text = SAID.replace("BODY", "a[get_global_id(0)] = 1;")
    done = python("-c", text.replace("OPTIONS", "policy='vms', vms='xenstore'"))
    assert done.stdout == "[1, 1, 1]\n", done.stderr
    assert done.stderr.count("TenancyWarning: gpusplit: ") == 1
    # Where nobody would tell, nothing is amiss.
    done = python("-c", text.replace("OPTIONS", "policy='vms'"))
    assert done.stdout == "[1, 1, 1]\n", done.stderr
    assert "Warning" not in done.stderr


def test_warnings_that_are_errors_do_not_end_the_listening() -> None:
    text = SAID.replace("BODY", 'printf("");').replace('"always"', '"error"')
    text = (
        text.replace("OPTIONS", "policy='vms', vms='xenstore'")
        + """
with gpusplit.active(policy="fixed", groups=5, cores=1, judge="wait"):
    k(queue, (64,), (4,), a).wait()
"""
    )
    done = python("-c", text)
    assert done.returncode == 0, done.stderr
    assert "WARNING:gpusplit:gpusplit: how many VMs run is unknown" in done.stderr
    assert "INFO:gpusplit:kernel k stays whole: prints" in done.stderr


def test_a_timeline_is_added_to_where_it_is_named_again(tmp_path: Path) -> None:
    text = SAID.replace("BODY", "a[get_global_id(0)] = 1;").replace("OPTIONS", "policy='unsplit'")
    text += """
for groups in 2, 3:
    with gpusplit.active(policy="fixed", groups=groups, cores=1, judge="wait", timeline="t.json"):
        k(queue, (64,), (4,), a).wait()
"""
    (tmp_path / "t.json").write_text("of another run")
    done = python("-c", text, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    events = json.loads((tmp_path / "t.json").read_text().rstrip().rstrip(",") + "]")
    launches = [event["args"]["groups"] for event in events if event["cat"] == "launch"]
    assert launches == [2, 3]


def test_without_a_judge_there_is_one_warning() -> None:
    text = SAID.replace("BODY", "a[get_global_id(0)] = 1;")
    done = python(
        "-c", text.replace("OPTIONS", "policy='fixed', groups=5"), GPUSPLIT_PYTHON="/nowhere/python"
    )
    assert done.stdout == "[1, 1, 1]\n", done.stderr
    assert done.stderr.count("JudgeWarning: gpusplit: launches stay whole: ") == 1


def test_a_refusal_is_logged_once() -> None:
    text = SAID.replace("BODY", 'printf("");').replace("OPTIONS", "policy='fixed', groups=5")
    done = python("-c", text)
    assert done.stdout == "[1, 1, 1]\n", done.stderr
    assert done.stderr.count("INFO:gpusplit:kernel k stays whole: prints") == 1


def test_what_many_kernels_say_is_said_once_of_each() -> None:
    text = SAID.replace("OPTIONS", "policy='fixed', groups=5").replace("BODY", "")
    text += """
source = "".join('kernel void k%d(void) { printf(""); }' % at**2 for at in range(100))
kernels = cl.Program(context, source).build().all_kernels()
for _ in range(2):
    for kernel in kernels:
        cl.enqueue_nd_range_kernel(queue, kernel, (64,), (4,))
queue.finish()
"""
    done = python("-c", text)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("stays whole: prints") == 100
