"""The CPU job as it runs in the guests: a static binary that talks in lines."""

from __future__ import annotations

import json
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ToolMissing
from harness.workloads import build
from harness.workloads.build import build_cpu_matmul

Talk = subprocess.Popen[str]


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_cpu_matmul(tmp_path_factory.mktemp("build"))


@pytest.fixture
def start(binary: Path) -> Iterator[Callable[..., Talk]]:
    jobs: list[Talk] = []

    def start(*arguments: str) -> Talk:
        job = subprocess.Popen(
            [binary, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
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


class TestTheJob:
    def test_from_ready_to_report_again_and_again(self, start: Callable[..., Talk]) -> None:
        job = start("64", "1", "5")
        assert ask(job) == {"event": "ready", "size": 64, "parts": 1}
        for _ in range(2):
            before = ask(job, "time")["time"]
            assert ask(job, "go") == {"event": "warm"}
            report = ask(job, "stop")
            assert report["event"] == "report"
            assert len(report["steps"]) >= 5
            assert min(report["steps"]) >= 0
            assert before - 1e-3 <= report["start"]
            assert report["start"] + sum(report["steps"]) / 1e6 <= time.time() + 1e-3

    def test_a_large_multiplication_is_recorded_in_parts(self, start: Callable[..., Talk]) -> None:
        """Of a few rows, and of a part of a row: a whole product and more, checked at the end."""
        for parts, warm_up in (("9", "12"), ("100", "150")):
            job = start("64", parts, warm_up)
            assert ask(job) == {"event": "ready", "size": 64, "parts": int(parts)}
            ask(job, "go")
            assert len(ask(job, "stop")["steps"]) >= int(warm_up)

    def test_tells_the_time_while_it_computes(self, start: Callable[..., Talk]) -> None:
        job = start("64", "1", "1")
        ask(job)
        ask(job, "go")
        assert ask(job, "time")["time"] == pytest.approx(time.time(), abs=1.0)

    def test_many_multiplications_are_all_reported(self, start: Callable[..., Talk]) -> None:
        job = start("2", "1", "50000")
        ask(job)
        ask(job, "go")
        assert len(ask(job, "stop")["steps"]) >= 50000

    @pytest.mark.parametrize("running", [False, True])
    def test_a_lost_connection_ends_it(self, start: Callable[..., Talk], running: bool) -> None:
        job = start("64", "1", "1")
        ask(job)
        if running:
            ask(job, "go")
        assert job.stdin
        job.stdin.close()
        assert job.wait(5) == 0

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("1", "1", "1"),
            ("many", "1", "1"),
            ("5000", "1", "1"),
            ("64", "5000", "1"),
            ("64", "0", "1"),
        ],
    )
    def test_nonsense_is_refused(
        self, start: Callable[..., Talk], arguments: tuple[str, ...]
    ) -> None:
        job = start(*arguments)
        _, errors = job.communicate(timeout=5)
        assert job.returncode == 1
        assert "cpu_matmul:" in errors


class TestBuilding:
    def test_is_done_once(self, binary: Path) -> None:
        before = binary.stat().st_mtime_ns
        assert build_cpu_matmul(binary.parent.parent) == binary
        assert binary.stat().st_mtime_ns == before

    def test_needs_nothing_of_a_guest(self, binary: Path) -> None:
        elf = binary.read_bytes()
        (headers,) = struct.unpack_from("<Q", elf, 32)
        size, count = struct.unpack_from("<HH", elf, 54)
        kinds = {struct.unpack_from("<I", elf, headers + k * size)[0] for k in range(count)}
        program_interpreter = 3  # PT_INTERP: names the loader of a dynamic program
        assert program_interpreter not in kinds

    def test_a_missing_compiler_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ToolMissing, match="apt-get install gcc"):
            build_cpu_matmul(tmp_path)

    def test_a_failing_compiler_is_quoted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = tmp_path / "cpu_matmul.c"
        source.write_text("int main(void) { return nothing; }")
        monkeypatch.setattr(build, "SOURCE", source)
        with pytest.raises(ToolMissing, match="nothing"):
            build_cpu_matmul(tmp_path)
