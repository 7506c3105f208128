"""The GPU job as it runs in the guest: a program, through gpusplit, on the emulated GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compiled import EMUGPU, made

from harness.lab.samples import Launch
from harness.lab.xen_lab import GPU_PROGRAM, OUR_GPUSPLIT
from harness.plan.experiments import Mode, Point, driver_environment, gpusplit_options
from harness.plan.profiles import PROFILES
from harness.workloads.build import build_gpusplit
from harness.workloads.gpu_matmul import package_digest

TINY_SCALE = 0.001

pytestmark = pytest.mark.opencl


@pytest.fixture(scope="module")
def layer() -> Path:
    build_gpusplit()
    return made(EMUGPU, "libemugpu.so") / "libemugpu.so"


Talk = subprocess.Popen[str]


@pytest.fixture
def start(layer: Path) -> Iterator[Callable[..., Talk]]:
    jobs: list[Talk] = []

    def start(environment: dict[str, str], *arguments: str) -> Talk:
        job = subprocess.Popen(
            [sys.executable, GPU_PROGRAM, *arguments],
            env=os.environ | {"OPENCL_LAYERS": str(layer)} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        jobs.append(job)
        return job

    yield start
    for job in jobs:
        with job:  # which closes its pipes
            job.kill()


def ask(job: Talk, command: str | None = None) -> dict[str, Any]:
    assert job.stdin
    assert job.stdout
    if command:
        job.stdin.write(f"{command}\n")
    event: dict[str, Any] = json.loads(job.stdout.readline())
    return event


ENVIRONMENT = driver_environment(Point(0, Mode.UNSPLIT), PROFILES["smoke"]) | {
    "EMUGPU_SCALE": str(TINY_SCALE)
}


def set_to(job: Talk, mode: Mode, groups: int | None = None) -> None:
    options = gpusplit_options(Point(0, mode, groups))
    assert ask(job, f"set {json.dumps(options)}") == {"event": "set"}


def test_split_launches_take_the_modelled_time(start: Callable[..., Talk]) -> None:
    job = start(ENVIRONMENT)
    ready = ask(job)
    assert ready["event"] == "ready"
    assert "emulated" in ready["device"]
    assert ready["gpusplit_digest"] == package_digest(OUR_GPUSPLIT)
    set_to(job, Mode.GPUSPLIT, 6)
    before = ask(job, "time")["time"]
    report = ask(job, "go 3")
    launches = [Launch(**launch) for launch in report["launches"]]
    assert [(launch.groups, launch.wanted) for launch in launches] == [(6, 6)] * 3
    assert before <= report["start"] == launches[0].start
    assert report["end"] == launches[-1].end
    # Never shorter than the model; how much longer depends on the machine.
    assert report["end"] - report["start"] >= 3 * 65 / 4 * TINY_SCALE


def test_one_job_does_point_after_point(start: Callable[..., Talk]) -> None:
    job = start(ENVIRONMENT)
    ask(job)
    for mode, groups in [(Mode.GPUSPLIT, 6), (Mode.UNSPLIT, None), (Mode.PAPER, 3)]:
        set_to(job, mode, groups)
        assert [launch["groups"] for launch in ask(job, "go 2")["launches"]] == [groups or 1] * 2
    assert job.stdin
    job.stdin.close()
    job.wait(10)


def verified(start: Callable[..., Talk], environment: dict[str, str]) -> dict[str, Any]:
    job = start(environment, "--size", "144")
    ask(job)
    set_to(job, Mode.GPUSPLIT, 4)
    return ask(job, "verify")


def test_the_numbers_are_numpys_although_split(start: Callable[..., Talk]) -> None:
    said = verified(start, ENVIRONMENT | {"EMUGPU_EXEC": "full"})
    assert said["event"] == "verified"
    assert said["groups"] > 1
    assert said["max_relative_error"] < 1e-5


def test_numbers_never_computed_are_not_taken_for_right(start: Callable[..., Talk]) -> None:
    """Without execution the product stays what it was: the check must see that."""
    assert verified(start, ENVIRONMENT)["max_relative_error"] is None


def test_a_lost_connection_ends_a_running_job(start: Callable[..., Talk]) -> None:
    job = start(ENVIRONMENT | {"EMUGPU_SCALE": "10"})
    ask(job)
    assert job.stdin
    job.stdin.write("go 4\n")
    job.stdin.close()
    assert job.wait(10) != 0
