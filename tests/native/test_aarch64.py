"""The library for AArch64: compiled without a warning, and run by an emulated processor."""

from __future__ import annotations

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from compiled import NATIVE, PROGRAMS, made

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"

pytestmark = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
    reason="needs Debian's gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    return made(PROGRAMS, compiler=COMPILER)


def run(folder: Path, *words: str, preload: bool = False) -> str:
    """What a program of the folder prints, on the stand-ins."""
    variables = ["-E", f"LD_LIBRARY_PATH={folder}"]
    if preload:
        library = made(NATIVE, compiler=COMPILER) / "libgpusplit.so"
        variables += ["-E", f"LD_PRELOAD={library}"]
    done = subprocess.run(
        [EMULATOR, "-L", "/usr/aarch64-linux-gnu", *variables, folder / words[0], *words[1:]],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_cuda_program_sees_the_same_of_the_driver(folder: Path) -> None:
    with ThreadPoolExecutor() as pool:  # they mostly sleep
        ours = pool.submit(run, folder, "conformance", preload=True)
        plain = run(folder, "conformance")
    assert plain.count("\n") > 90
    assert ours.result() == plain


@pytest.mark.parametrize("program", ["linked_driver", "own_driver"])
def test_the_driver_is_reached_by_its_names(folder: Path, program: str) -> None:
    assert run(folder, program, preload=True) == run(folder, program)


@pytest.mark.parametrize("program", ["work_try", "split_try"])
def test_the_arithmetic_holds(folder: Path, program: str) -> None:
    run(folder, program)


def test_waits_for_cuda_sleep(folder: Path) -> None:
    waits = json.loads(run(folder, "conformance", "--cost", "10", "10", preload=True))
    assert all(kind["cpu_ms"] < 10 / 2 for kind in waits.values()), waits


def test_calls_of_opencl_come_through_whole_and_waits_sleep(folder: Path) -> None:
    before = json.loads(run(folder, "opencl_try", "20000"))
    ours = json.loads(run(folder, "opencl_try", "20000", preload=True))
    for name in ("queue_cpu_ms", "event_cpu_ms"):
        assert ours.pop(name) < 20 / 2  # which the driver alone spins through
        assert before.pop(name) > 0
    assert before == ours == {"arguments": 1, "errno": 1}
