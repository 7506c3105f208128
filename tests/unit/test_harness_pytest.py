"""`pytest harness/` as its user sees it: in a model lab, run by pytest's own pytester."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

# Loaded here, because pytester unloads what its runs have loaded, and numpy cannot be loaded twice.
import harness.conftest  # noqa: F401
from harness.measure import jobs

pytest_plugins = ["pytester"]

CONFTEST = """
import sys
sys.path.insert(0, {here!r})
import pytest
from harness_fakes import World
from harness.conftest import *

WORLD = World({world})

@pytest.fixture(scope="session")
def labs(tmp_path_factory):
    return [WORLD.lab(tmp_path_factory.mktemp("lab"))]
"""

TESTS = """
from harness.test_claims import test_claim
"""


Measure = Callable[..., pytest.RunResult]


@pytest.fixture
def measure(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Measure:
    monkeypatch.setattr(jobs, "RECOVERY", 0.0)

    def measure(world: str = "", *options: str) -> pytest.RunResult:
        here = str(Path(__file__).parent)
        pytester.makeconftest(CONFTEST.format(here=here, world=world))
        pytester.makepyfile(test_it=TESTS)
        results = pytester.path / "results"
        return pytester.runpytest_inprocess(
            "--profile=smoke", f"--results={results}", "-p", "no:cacheprovider", *options
        )

    return measure


class TestOutcomes:
    def test_all_claims_hold(self, measure: Measure, pytester: pytest.Pytester) -> None:
        result = measure()
        assert result.ret == 0
        result.assert_outcomes(passed=14)
        result.stdout.fnmatch_lines(
            [
                "19 parts, expected to take *",
                "*n0-unsplit (* elapsed, about * to go)*",
                "*CPU VM while the GPU job runs*",
                "*cpu-gain-n1*pass*",
                "Report: *report.html",
                "Picture: *throughput.png",
                "All results: *",
            ]
        )
        assert (pytester.path / "results" / "latest" / "summary.json").exists()
        assert (pytester.path / "results" / "latest" / "logs" / "xen1" / "xl-dmesg.txt").exists()

    def test_a_claim_that_does_not_hold_fails(self, measure: Measure) -> None:
        result = measure("split_cpu_share=0.2")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(["*CPU VMs compute faster*must be at least 0.9*"])
        result.assert_outcomes(passed=11, failed=3)

    def test_a_verdict_that_a_second_sample_could_turn_is_neither_green_nor_a_failure(
        self, measure: Measure, pytester: pytest.Pytester
    ) -> None:
        """The GPU VM keeps a twentieth of the CPU: as much as it may, or a little more."""
        result = measure("split_cpu_share=0.0499", "-v")
        assert result.ret == pytest.ExitCode.OK
        result.stdout.fnmatch_lines(
            [
                "*cpu-gain-n1* INCONCLUSIVE*",
                "*cpu-gain-n1*inconclusive*(95 %: 0.89*",
                "Inconclusive, for the limit lies within *: cpu-gain-n1, *--repetitions N*",
                "*11 passed, 2 not reproduced, 3 inconclusive*",
            ]
        )
        results = pytester.path / "results" / "latest"
        summary = json.loads((results / "summary.json").read_text())
        outcomes = {claim["id"]: claim["outcome"] for claim in summary["claims"]}
        assert outcomes["cpu-gain-n1"] == outcomes["waiting-gain-n1"] == "inconclusive"
        assert 'type="inconclusive"' in (results / "junit.xml").read_text()
        assert "≈ inconclusive" in (results / "report.html").read_text()

    def test_an_invalid_verdict_is_neither_green_nor_a_failure(self, measure: Measure) -> None:
        result = measure("slow_clock={'cpu2': 0.2}", "-v")
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.stdout.fnmatch_lines(
            [
                "*cpu-gain-n2* INVALID*",
                "*cpu-gain-n2*invalid*the clock of cpu2*",
                "*11 passed, 5 invalid*",
            ]
        )
        result.stdout.no_fnmatch_line("*FAILED*")

    def test_nothing_that_was_measured_is_lost_by_a_later_failure(
        self, measure: Measure, pytester: pytest.Pytester
    ) -> None:
        measure()
        latest = (pytester.path / "results" / "latest").resolve()
        measure("unreachable={'cpu1'}")
        assert (pytester.path / "results" / "latest").resolve() == latest
        assert len(list((pytester.path / "results").glob("2*"))) == 2


class TestErrors:
    def test_one_clear_message(self, measure: Measure, pytester: pytest.Pytester) -> None:
        result = measure("unreachable={'cpu1'}")
        assert result.ret == 3
        result.stdout.fnmatch_lines(
            [
                "Logs, and what was measured: *",
                "ERROR: cpu1 cannot be reached over SSH.",
                "What to do: plug it in",
            ]
        )
        result.stdout.no_fnmatch_line("*Traceback*")
        (run,) = (pytester.path / "results").glob("2*")
        assert (run / "logs" / "xen1" / "xl-dmesg.txt").exists()
        assert not (pytester.path / "results" / "latest").exists()

    def test_no_lab(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest("from harness.conftest import *")
        pytester.makepyfile(test_it="from harness.test_claims import *")
        result = pytester.runpytest_inprocess("--lab-folder=nowhere", "-p", "no:cacheprovider")
        assert result.ret == 3
        result.stdout.fnmatch_lines(["ERROR: No lab is up*", "What to do: build the lab*"])

    def test_an_unknown_profile(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROFILE", "huge")
        pytester.makeconftest("from harness.conftest import *")
        result = pytester.runpytest_inprocess()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*PROFILE=huge: choose one of demo, full, quick, smoke*"])

    def test_an_unknown_experiment(self, measure: Measure, pytester: pytest.Pytester) -> None:
        result = measure("", "--experiment=fig7")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(
            [
                "*no experiment 'fig7'*",
                "What to do: choose of: fig2, fig6, ablation, adaptive, checks",
            ]
        )
        assert not (pytester.path / "results").exists()


class TestOneExperiment:
    def test_only_its_claims_are_judged_and_latest_stays(
        self, measure: Measure, pytester: pytest.Pytester
    ) -> None:
        result = measure("", "--experiment=ablation", "-v", "-rs")
        assert result.ret == 0
        result.stdout.fnmatch_lines(
            ["*waiting-gain-n1* PASSED*", "SKIPPED*a claim of fig6: --experiment ablation was *"]
        )
        result.stdout.no_fnmatch_line("*cpu-gain-n1* PASSED*")
        result.assert_outcomes(passed=1, skipped=15)
        assert not (pytester.path / "results" / "latest").exists()


class TestResume:
    def test_a_run_goes_on_with_the_profile_that_it_began_with(
        self, measure: Measure, pytester: pytest.Pytester
    ) -> None:
        assert measure("", "--point=n0-unsplit").ret == 0
        results = pytester.path / "results"
        (run,) = results.glob("*/run.json")
        options = (f"--resume={run.parent.name}", "--repetitions=2")
        result = pytester.runpytest_inprocess(
            f"--results={results}", "-p", "no:cacheprovider", *options
        )
        assert result.ret == 0
        assert json.loads(run.read_text())["profile"] == "smoke"
        assert len(list(run.parent.glob("raw/n0-unsplit.*"))) == 2


class TestList:
    def test_measures_nothing_and_needs_no_lab(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest("from harness.conftest import *")
        pytester.makepyfile(test_it="from harness.test_claims import *")
        options = ("--profile=smoke", "--list", "--experiment=fig2", "--lab-folder=nowhere")
        result = pytester.runpytest_inprocess(*options, "-p", "no:cacheprovider")
        assert result.ret == 0
        result.stdout.fnmatch_lines(
            ["fig2: n CPU VMs *(4 parts, *)", "  2 x n1-unsplit *", "In all, *: 5 parts, *"]
        )
        result.stdout.no_fnmatch_line("*ablation*")
        result.stdout.no_fnmatch_line("*test session*")

    def test_ones_own_programs_are_all_that_is_measured(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest("from harness.conftest import *")
        pytester.makepyfile(test_it="from harness.test_claims import *")
        options = ("--profile=smoke", "--list", "--gpu-job=python train.py", "--lab=local")
        result = pytester.runpytest_inprocess(*options, "-p", "no:cacheprovider")
        assert result.ret == 0
        result.stdout.fnmatch_lines(["programs: A GPU program *", "  3 x n1-gpusplit-alpha2 *"])
        result.stdout.no_fnmatch_line("*fig6*")

    def test_a_command_that_makes_no_sense(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest("from harness.conftest import *")
        result = pytester.runpytest_inprocess("--list", "--gpu-job=python 'train.py")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*--gpu-job, --cpu-job: No closing quotation*"])

    def test_does_not_say_what_a_run_lacks(self, pytester: pytest.Pytester) -> None:
        pytester.makeconftest("from harness.conftest import *")
        result = pytester.runpytest_inprocess("--list", "--resume")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*what an interrupted run lacks*"])
