"""The preloaded library against a stand-in for CUDA's driver: no GPU, but a C compiler."""

from __future__ import annotations

import difflib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from compiled import NATIVE, PROGRAMS, made

from gpusplit import reaching, running

SANITIZERS = {"address": "address,undefined", "thread": "thread"}

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


class Build:
    """The library, the stand-in and the programs in one folder, all built alike."""

    def __init__(self, folder: Path, sanitize: str = "") -> None:
        self.folder = folder
        self.lacks = ""
        try:
            for source in (NATIVE, PROGRAMS):
                shutil.copytree(made(source, sanitize=sanitize), folder, dirs_exist_ok=True)
        except pytest.skip.Exception as lacks:
            self.lacks = str(lacks)
            return
        started = self.run("conformance", "--host")
        if sanitize and "FATAL" in started.stderr:  # a kernel that it cannot cope with
            self.lacks = started.stderr
            return
        assert started.returncode == 0, started.stderr

    def run(
        self, *command: str, preload: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the folder, on the stand-in."""
        program = self.folder / command[0]
        variables = {k: v for k, v in os.environ.items() if not k.startswith("GPUSPLIT_")}
        variables |= {"LD_LIBRARY_PATH": str(self.folder)} | environment
        if preload:
            # A sanitizer's runtime wants to be first.
            runtime = re.findall(r"/\S*/lib[at]san\.so\S*", self._libraries(program))
            variables["LD_PRELOAD"] = " ".join([*runtime, str(self.folder / "libgpusplit.so")])
        return subprocess.run(
            [str(program), *command[1:]],
            env=variables,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def need(self) -> None:
        """Skip a test that cannot be here."""
        if self.lacks:
            pytest.skip(f"this sanitizer does not work here: {self.lacks[:200]}")

    def facts(self, preload: bool, **environment: str) -> str:
        """What the conformance program prints."""
        ran = self.run("conformance", preload=preload, **environment)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout[-500:] + ran.stderr
        return ran.stdout

    def _libraries(self, program: Path) -> str:
        command = ["ldd", str(program)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Build]:
    folder = tmp_path_factory.mktemp("native")
    with ThreadPoolExecutor() as pool:
        made = {
            name: pool.submit(Build, folder / name, sanitize)
            for name, sanitize in {"plain": "", **SANITIZERS}.items()
        }
    return {name: build.result() for name, build in made.items()}


@pytest.fixture(scope="module")
def plain(builds: dict[str, Build]) -> Build:
    return builds["plain"]


@pytest.fixture(scope="module")
def facts(builds: dict[str, Build]) -> dict[str, str]:
    """What the conformance programs print; they mostly sleep, so that they run together."""
    runs: dict[str, tuple[Build, bool, dict[str, str]]] = {
        "as it is": (builds["plain"], False, {}),
        "preloaded": (builds["plain"], True, {}),
        "driver's waits": (builds["plain"], True, {"GPUSPLIT_WAIT": "driver"}),
        **{
            name: (build, True, {"GPUSPLIT_REPORT": str(build.folder / "report")})
            for name, build in builds.items()
            if name in SANITIZERS and not build.lacks
        },
    }
    with ThreadPoolExecutor() as pool:
        made = {
            name: pool.submit(build.facts, preload, **environment)
            for name, (build, preload, environment) in runs.items()
        }
    return {name: run.result() for name, run in made.items()}


def differences(facts: dict[str, str], run: str) -> list[str]:
    lines = difflib.ndiff(facts["as it is"].splitlines(), facts[run].splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_program_sees_the_same_of_the_driver(facts: dict[str, str]) -> None:
    assert facts["as it is"].count("\n") > 90
    assert differences(facts, "preloaded") == []


@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizers_have_nothing_to_report(
    builds: dict[str, Build], facts: dict[str, str], sanitizer: str
) -> None:
    builds[sanitizer].need()
    # The run itself says that nothing was on standard error.
    assert differences(facts, sanitizer) == []


def test_the_drivers_waits_change_nothing(facts: dict[str, str]) -> None:
    assert differences(facts, "driver's waits") == []


def test_the_stand_in_keeps_to_the_rules(facts: dict[str, str]) -> None:
    """What a real driver does: on another stand-in, to see the same would mean little."""
    for fact in (
        "event: later work still runs: 1",
        "streams: default's wait, non-blocking still runs: 1",
        "streams: default's wait, blocking still runs: 0",
        "copies: back at once from pinned memory: 1",
        "copies: over when back from pageable memory: 1",
        "asking in a capture: stream's query, mode 2: 900, its end 901",
        "asking in a capture: default stream's wait, mode 0: 906, its end 901",
        "errors: stream: 700",
        "fork after use: the child's cuInit: 3",
    ):
        assert f"{fact}\n" in facts["as it is"]


def cost(build: Build, **options: bool | str) -> dict[str, dict[str, float]]:
    ran = build.run("conformance", "--cost", "5", "20", **options)  # type: ignore[arg-type]
    assert ran.returncode == 0, ran.stderr
    waits: dict[str, dict[str, float]] = json.loads(ran.stdout)
    return waits


@pytest.mark.alone
def test_waits_sleep_and_wake_seldom(plain: Build) -> None:
    """Beside what the work takes: of a driver that spins others' programs take part of the CPU."""
    before, ours = cost(plain), cost(plain, preload=True)
    for kind in ("stream", "event", "context", "free", "copy"):
        assert before[kind]["mean_wakes"] < 1, (kind, before)
        assert ours[kind]["cpu_ms"] < 5 / 3, (kind, ours)
        assert ours[kind]["most_wakes"] <= 8, (kind, ours)


@pytest.mark.alone
def test_waits_for_work_never_seen_do_not_spin(plain: Build) -> None:
    """Not for events either, which are made as the program wants them: without CUDA's flag."""
    ran = plain.run("conformance", "--new", "20", "10", preload=True)
    assert ran.returncode == 0, ran.stderr
    waits = json.loads(ran.stdout)
    assert all(kind["cpu_ms"] < 5 for kind in waits.values()), waits


@pytest.mark.alone
def test_frees_and_copies_are_slept_for_as_waits_are(plain: Build, tmp_path: Path) -> None:
    """Once the driver's own calls have shown that they wait."""
    timeline = tmp_path / "timeline.json"
    plain.run("conformance", "--cost", "5", "20", preload=True, GPUSPLIT_TIMELINE=str(timeline))
    naps = [wait["args"]["naps"] for wait in waits_of(timeline) if wait["dur"] > 4000]
    assert len(naps) >= 5 * 20
    assert sum(n > 0 for n in naps) > 4.5 * 20, naps


def test_waits_of_the_driver_spin_if_one_wants_them(plain: Build) -> None:
    waits = cost(plain, preload=True, GPUSPLIT_WAIT="driver")
    assert all(kind["mean_wakes"] < 1 for kind in waits.values()), waits


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("GPUSPLIT_WAIT", "sometimes", "cooperative or driver"),
        ("GPUSPLIT_SPIN_US", "50us", "a number of microseconds up to 1000"),
    ],
)
def test_a_setting_that_makes_no_sense_changes_nothing(
    plain: Build, name: str, value: str, wanted: str
) -> None:
    ran = plain.run("conformance", "--cost", "2", "10", preload=True, **{name: value})
    told = f"gpusplit: {name}={value}: must be {wanted}; the program runs as if without gpusplit\n"
    assert (ran.returncode, ran.stderr) == (0, told)
    assert all(kind["mean_wakes"] < 1 for kind in json.loads(ran.stdout).values()), ran.stdout


def test_a_process_without_a_gpu_is_as_it_was(plain: Build, tmp_path: Path) -> None:
    ran = plain.run(
        "conformance", "--host", preload=True, GPUSPLIT_WAIT="nonsense",
        GPUSPLIT_REPORT=str(tmp_path / "report"), GPUSPLIT_TIMELINE=str(tmp_path / "timeline"),
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == (plain.run("conformance", "--host").stdout, "")
    assert ran.stdout.startswith("threads: 1\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.alone
def test_the_report_is_one_line(plain: Build, tmp_path: Path) -> None:
    report = tmp_path / "report"
    plain.run("conformance", "--cost", "2", "10", preload=True, GPUSPLIT_REPORT=str(report))
    (line,) = report.read_text().splitlines()
    told = json.loads(line)
    assert told["waits"] >= 3 * 10
    assert told["waited_s"] >= 3 * 10 * 0.0019
    assert 0 < told["waited_cpu_s"] <= told["cpu_s"]
    assert told["naps"] >= 10


def waits_of(timeline: Path) -> list[dict[str, Any]]:
    """The waits of a timeline, whose list nobody closes."""
    found: list[dict[str, Any]] = json.loads(timeline.read_text().rstrip().rstrip(",") + "]")
    return found


@pytest.mark.parametrize("observed", [False, True])
def test_the_timeline_has_every_wait(plain: Build, tmp_path: Path, observed: bool) -> None:
    timeline = tmp_path / "timeline.json"
    plain.run(
        "conformance", "--cost", "2", "10", preload=True,
        GPUSPLIT_TIMELINE=str(timeline), GPUSPLIT_OBSERVE=str(int(observed)),
    )  # fmt: skip
    waits = waits_of(timeline)
    assert len(waits) >= 3 * 10
    assert len({wait["pid"] for wait in waits}) == len({wait["tid"] for wait in waits}) == 1
    assert sum(wait["dur"] for wait in waits) >= 3 * 10 * 1900  # us
    assert all(a["ts"] + a["dur"] <= b["ts"] for a, b in pairwise(waits))
    assert any(wait["args"]["naps"] for wait in waits) is not observed


@pytest.mark.usefixtures("facts")
def test_forked_processes_report_for_themselves(builds: dict[str, Build]) -> None:
    """The conformance program forks before it uses CUDA, and afterwards."""
    builds["address"].need()
    report = builds["address"].folder / "report"
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert len({line["pid"] for line in lines}) == len(lines) == 2
    assert min(line["waits"] for line in lines) < 10 < max(line["waits"] for line in lines)


@pytest.mark.alone
@pytest.mark.parametrize("order", [[], ["-r"]])
def test_the_engine_sleeps_through_what_it_knows(plain: Build, order: list[str]) -> None:
    ran = plain.run("engine_try", *order, "30", "10000000")
    told = json.loads(ran.stdout)
    assert told["most_naps"] <= 8
    assert told["cpu"] < 0.5


@pytest.mark.alone
@pytest.mark.parametrize("launches", ["--in-turn", "--as-said"])
def test_an_argument_tells_long_launches_from_short_ones(
    plain: Build, tmp_path: Path, launches: str
) -> None:
    """Nobody has to look whether it is a short one; short ones are asked for until they are over.
    The argument may be a number in a structure, between others that are never the same.
    """
    timeline = tmp_path / "timeline.json"
    plain.run(
        "conformance", launches, "10", "40",
        preload=True, GPUSPLIT_TIMELINE=str(timeline),
    )  # fmt: skip
    naps = [wait["args"]["naps"] for wait in waits_of(timeline)]
    assert len(naps) >= 80
    assert median(naps[-40::2]) == 1
    assert median(naps[-39::2]) == 0


@pytest.mark.parametrize("build", ["plain", *SANITIZERS])
def test_streams_and_events_are_known(builds: dict[str, Build], build: str) -> None:
    builds[build].need()
    ran = builds[build].run("work_try")
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.alone
@pytest.mark.parametrize("build", ["plain", *SANITIZERS])
def test_a_driver_of_opencls_is_reached_in_a_table_that_is_read_only(
    builds: dict[str, Build], build: str
) -> None:
    """Calls come through with all that they were called with, and waits sleep."""
    builds[build].need()
    ran = [builds[build].run("opencl_try", "10000", preload=preload) for preload in (False, True)]
    assert [(one.returncode, one.stderr) for one in ran] == [(0, "")] * 2
    before, ours = (json.loads(one.stdout) for one in ran)
    for name in ("queue_cpu_ms", "event_cpu_ms"):
        # Of 10 ms, all of which the driver alone spins through if nobody else wants the CPU.
        assert ours.pop(name) < (10 / 3 if build == "plain" else 10)
        assert before.pop(name) > 0
    assert before == ours == {"arguments": 1, "errno": 1}


def test_programs_that_are_linked_with_the_driver(plain: Build) -> None:
    for preload in (False, True):
        ran = plain.run("linked_driver", preload=preload)
        assert (ran.returncode, ran.stdout) == (0, "0 1\n")


@pytest.mark.parametrize("preload", [False, True])
def test_a_library_that_uses_the_driver_may_be_closed_and_opened_again(
    plain: Build, preload: bool
) -> None:
    """As an extension module of Python's that is linked with libcuda, alone."""
    ran = plain.run("own_driver", preload=preload)
    assert (ran.returncode, ran.stdout) == (0, "0 1\n" * 2)


@pytest.mark.alone
def test_the_driver_may_be_closed_and_opened_again(plain: Build) -> None:
    """And its waits then sleep as before."""
    waits = []
    for preload in (False, True):
        ran = plain.run("conformance", "--unload", "5", preload=preload)
        assert ran.returncode == 0, ran.stderr
        waits.append(json.loads(ran.stdout)["stream"])
    assert waits[0]["mean_wakes"] < 1
    assert waits[1]["cpu_ms"] < 5 / 3


def test_the_library_itself_may_be_closed(plain: Build) -> None:
    """As a loader of OpenCL layers may; a fork and the process's end run no code that is gone."""
    program = """if True:
        import ctypes, _ctypes, os, sys
        _ctypes.dlclose(ctypes.CDLL(sys.argv[1])._handle)
        assert "libgpusplit" not in open("/proc/self/maps").read()
        child = os.fork() or os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    command = [sys.executable, "-c", program, str(plain.folder / "libgpusplit.so")]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("build", ["as it is", "plain", *SANITIZERS])
def test_contexts_may_end_while_others_wait(builds: dict[str, Build], build: str) -> None:
    """A wait in that context comes to an end, and no stream that is gone is asked; one beside it
    waits for all of its own work.
    """
    made = builds["plain" if build == "as it is" else build]
    made.need()
    ran = made.run("conformance", "--contexts", "5", preload=build != "as it is")
    told = (ran.returncode, ran.stdout, ran.stderr)
    assert told == (0, "contexts that end: waits that came to theirs 10\n", "")


def test_children_do_not_hang(plain: Build) -> None:
    for preload in (False, True):
        ran = plain.run("conformance", "--forks", "100", preload=preload)
        assert ran.stdout == "forks: children that were told 100\n"


def doctor(monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[int, str]:
    """What `gpusplit doctor` says of CUDA, and how many devices there are."""
    from gpusplit import doctor as module  # which needs pyopencl

    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    out = io.StringIO()
    return module._examine_cuda(out), out.getvalue()


@pytest.mark.alone
def test_the_doctor_says_how_cuda_waits(plain: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIBRARY", str(plain.folder / "libgpusplit.so"))
    found, said = doctor(monkeypatch, plain.folder)
    assert found == 1
    assert "device Stand-in\n    waits: the driver spins" in said
    slept = re.search(r"under gpusplit: (\d+) %", said)
    assert slept is not None
    assert int(slept[1]) < 30, said


def test_the_doctor_finds_no_cuda_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    assert doctor(monkeypatch, tmp_path) == (0, "no CUDA: there is no libcuda.so.1 here\n")


def test_ways_to_programs_are_tried(plain: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    library = plain.folder / "libgpusplit.so"
    monkeypatch.setattr(running, "LIBRARY", str(library))
    assert [way.trouble for way in reaching.ways()][:2] == ["", ""]
    broken = plain.folder / "broken.so"
    broken.write_text("no library")
    monkeypatch.setattr(running, "LIBRARY", str(broken))
    assert all("broken.so" in way.trouble for way in reaching.ways()[:2])
    monkeypatch.setattr(running, "LIBRARY", str(plain.folder / "missing.so"))
    assert [way.trouble for way in reaching.ways()] == [
        "is not installed: install a C compiler, then gpusplit again"
    ]
