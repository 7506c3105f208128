"""`pytest harness/ --lab local --gpu-job ... --cpu-job ...`: an operator's own programs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.opencl, pytest.mark.alone]

ROOT = Path(__file__).parents[2]

GPU_PROGRAM = """
import pyopencl as cl
context = cl.Context([cl.get_platforms()[0].get_devices()[0]])
queue = cl.CommandQueue(context)
twice = cl.Kernel(cl.Program(context, '''
    __kernel void twice(__global float *a)
    { a[get_global_id(1) * 1536 + get_global_id(0)] *= 2; }
''').build(), "twice")
twice.set_args(cl.Buffer(context, cl.mem_flags.READ_WRITE, 4 * 1536 * 1536))
for step in range(3):
    cl.enqueue_nd_range_kernel(queue, twice, (1536, 1536), (16, 16))
    queue.finish()
    print("step", step)
"""

POINTS = ("n0-unsplit", "n1-no_gpu", "n1-unsplit", "n1-unsplit_cooperative", "n1-gpusplit-alpha2")

SOLVE = "#!/bin/sh\ni=0\nwhile [ $i -lt 3000 ]; do i=$((i + 1)); done\n"


def measure(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "harness/", "--lab", "local", "--profile", "demo"]
    return subprocess.run(
        [*command, "--results", str(folder / "results"), "--job-files", str(folder), *options],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    (made / "train.py").write_text(GPU_PROGRAM)
    (made / "solve").write_text(SOLVE)
    (made / "solve").chmod(0o755)
    return made


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """The folder of a run of five points.

    The status is 1 where a claim does not hold: on a busy machine, by one repetition, it may not.
    """
    points = [word for label in POINTS for word in ("--point", label)]
    train = f"{shlex.quote(sys.executable)} train.py"
    done = measure(folder, "--repetitions=1", f"--gpu-job={train}", "--cpu-job=./solve", *points)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    (found,) = (folder / "results").glob("2*")
    return found


@pytest.fixture(scope="module")
def points(run: Path) -> dict[str, dict[str, Any]]:
    summary = json.loads((run / "summary.json").read_text())
    return {point["label"]: point for point in summary["points"]}


def test_every_point_is_measured(points: dict[str, dict[str, Any]]) -> None:
    assert points.keys() == set(POINTS)
    assert not [point["problems"] for point in points.values() if point["problems"]]
    assert all(points[label]["cpu_throughput"] > 0 for label in POINTS[1:])


def test_the_gpu_program_leaves_its_neighbour_the_cpu_only_under_gpusplit(
    points: dict[str, dict[str, Any]],
) -> None:
    """Of its CPU time: where the waits sleep, only Python's start is left."""
    plain, sleeping = (points[label]["gpu_vm_cpu_seconds"] for label in POINTS[2:4])
    assert sleeping < 0.8 * plain


def test_the_report_answers_for_these_programs(run: Path) -> None:
    report = (run / "report.md").read_text()
    assert "train.py (on the emulated GPU)" in report
    assert "eside the plain GPU program a CPU program is" in report
    assert "runs/s" in report


def test_a_program_that_fails_is_one_clear_error(folder: Path) -> None:
    done = measure(folder, "--gpu-job", "sh -c 'echo no such device >&2; exit 3'")
    assert done.returncode == 3
    assert "sh ended with status 3; its last words: no such device" in done.stdout
    assert "What to do:" in done.stdout
    assert "Traceback" not in done.stdout
