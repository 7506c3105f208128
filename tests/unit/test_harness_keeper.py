"""What keeps an operator's program: a static binary that starts it, counts its work, ends it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.workloads.build import build_keeper

Talk = subprocess.Popen[str]
Start = Callable[..., Talk]


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_keeper(tmp_path_factory.mktemp("build"))


@pytest.fixture
def start(binary: Path, tmp_path: Path) -> Iterator[Start]:
    keepers: list[Talk] = []

    def start(way: str, *program: str) -> Talk:
        keeper = subprocess.Popen(
            [binary, way, tmp_path, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        keepers.append(keeper)
        assert ask(keeper) == {"event": "ready"}
        return keeper

    yield start
    for keeper in keepers:
        with keeper:  # which closes its pipes
            keeper.kill()


def ask(keeper: Talk, command: str | None = None) -> dict[str, Any]:
    assert keeper.stdin
    assert keeper.stdout
    if command:
        keeper.stdin.write(f"{command}\n")
    event: dict[str, Any] = json.loads(keeper.stdout.readline())
    return event


def last_words(keeper: Talk) -> str:
    """Return why a keeper ended; it has to have failed."""
    assert keeper.stderr
    said = keeper.stderr.read()
    assert keeper.wait(20) == 1
    return said


def gone(pid_file: Path) -> bool:
    """Whether a process is gone, or only waits to be buried."""
    try:
        status = Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestOnce:
    def test_the_time_until_it_ends_is_told(self, start: Start) -> None:
        keeper = start("once", "sleep", "0.3")
        assert ask(keeper, "go") == {"event": "warm"}
        report = ask(keeper)
        (taken,) = report["steps"]
        assert taken >= 0.3e6
        assert report["start"] == pytest.approx(time.time(), abs=20)

    def test_again_at_every_go(self, start: Start, tmp_path: Path) -> None:
        keeper = start("once", "sh", "-c", "echo x >>runs")
        for _ in range(2):
            ask(keeper, "go")
            assert ask(keeper)["event"] == "report"
        assert (tmp_path / "runs").read_text() == "x\nx\n"

    def test_one_that_fails_is_told_with_its_last_words(self, start: Start) -> None:
        keeper = start("once", "sh", "-c", "echo no such device >&2; exit 3")
        ask(keeper, "go")
        assert "sh ended with status 3; its last words: no such device" in last_words(keeper)

    def test_one_that_crashes_names_the_signal(self, start: Start) -> None:
        keeper = start("once", "sh", "-c", "kill -SEGV $$")
        ask(keeper, "go")
        assert "was ended by signal 11" in last_words(keeper)

    def test_one_that_is_not_there(self, start: Start) -> None:
        keeper = start("once", "./solve")
        ask(keeper, "go")
        assert "./solve ended with status 127" in (said := last_words(keeper))
        assert "No such file" in said

    def test_much_output_does_not_hold_it_up(self, start: Start) -> None:
        keeper = start("once", "sh", "-c", "seq 100000; seq 100000 >&2")
        ask(keeper, "go")
        assert len(ask(keeper)["steps"]) == 1


class TestAgain:
    def test_every_end_of_a_run_is_told(self, start: Start) -> None:
        keeper = start("again", "sleep", "0.1")
        assert ask(keeper, "go") == {"event": "warm"}
        time.sleep(0.5)
        steps = ask(keeper, "stop")["steps"]
        assert 1 <= len(steps) <= 6
        assert all(step >= 0.1e6 for step in steps), "the last run, too, was let end"

    def test_a_run_that_fails_ends_all(self, start: Start, tmp_path: Path) -> None:
        keeper = start("again", "sh", "-c", "[ ! -e was ] || exit 4; echo >was")
        ask(keeper, "go")
        assert "ended with status 4" in last_words(keeper)


class TestLines:
    def test_every_line_is_told_at_its_time(self, start: Start) -> None:
        program = "while :; do echo a line; sleep 0.1; done"
        keeper = start("lines", "sh", "-c", program)
        assert ask(keeper, "go") == {"event": "warm"}
        time.sleep(0.5)
        before = ask(keeper, "time")["time"]
        report = ask(keeper, "stop")
        ends = report["start"] + sum(report["steps"]) / 1e6
        assert ends >= before, "a line after the end of what is counted"
        assert len(report["steps"]) >= 2

    def test_a_program_that_keeps_lines_for_a_pipe_back_does_not_here(self, start: Start) -> None:
        keeper = start("lines", "python3", "-c", "import time\nprint(1)\ntime.sleep(60)")
        assert ask(keeper, "go") == {"event": "warm"}

    def test_it_is_ended_with_what_it_started(self, start: Start, tmp_path: Path) -> None:
        program = "sleep 60 & echo $! >child; while :; do echo; sleep 0.05; done"
        keeper = start("lines", "sh", "-c", program)
        ask(keeper, "go")
        ask(keeper, "stop")
        until(lambda: gone(tmp_path / "child"))

    @pytest.mark.parametrize("program", ["true", "echo one; echo two"])
    def test_one_that_ends_while_it_is_counted(self, start: Start, program: str) -> None:
        keeper = start("lines", "sh", "-c", program)
        assert keeper.stdin
        keeper.stdin.write("go\n")
        assert "ended with status 0, while its lines were counted" in last_words(keeper)


class TestNothingIsLeftBehind:
    PROGRAM = "echo $$ >pid; while :; do echo; sleep 0.05; done"

    @pytest.mark.parametrize("way", ["once", "again", "lines"])
    def test_by_a_lost_connection(self, start: Start, tmp_path: Path, way: str) -> None:
        keeper = start(way, "sh", "-c", self.PROGRAM)
        ask(keeper, "go")
        until(lambda: bool((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        assert keeper.stdin
        keeper.stdin.close()
        assert keeper.wait(20) == 0
        until(lambda: gone(tmp_path / "pid"))

    def test_by_a_keeper_that_is_killed(self, start: Start, tmp_path: Path) -> None:
        keeper = start("lines", "sh", "-c", self.PROGRAM)
        ask(keeper, "go")
        os.kill(keeper.pid, 9)
        until(lambda: gone(tmp_path / "pid"))


@pytest.mark.parametrize("arguments", [(), ("once",), ("once", "/"), ("twice", "/", "true")])
def test_nonsense_is_refused(binary: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage" in done.stderr
