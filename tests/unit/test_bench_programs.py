"""bench.programs: what of foreign programs is compared, and how their runs are kept going."""

from __future__ import annotations

import doctest
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.programs import (
    catalogue,
    environments,
    log,
    native,
    reasons,
    running,
    shipped,
    table,
)
from bench.programs.catalogue import Program
from bench.programs.compare import Kind, compare, kind

INSIDE = Path(environments.HERE) / "inside"


@pytest.mark.parametrize(
    "name", ["debian", "environments", "layer", "native", "reasons", "shipped", "table"]
)
def test_examples_in_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"bench.programs.{name}")
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_the_catalogues_can_be_read_and_name_files_that_exist() -> None:
    for program in catalogue.read():
        for driver in program.drivers:
            assert (environments.HERE / "drivers" / driver).is_file()
    for entry in shipped.read():
        assert not entry.driver or (environments.HERE / "drivers" / entry.driver).is_file()
    for each in native.read():
        for case in each.cases.values():
            for word in native.spelled(each, case, Path("python")):
                assert not word.startswith(str(environments.HERE)) or Path(word).is_file()


def ended(how: str, output: bytes) -> dict[str, native.Ended]:
    return {"a": native.Ended(how, output)}


@pytest.mark.parametrize(
    ("split", "means"),
    [
        (ended("status 0", b"1"), Kind.SAME),
        (ended("status 0", b"2"), Kind.BROKEN),
        (ended("status 1", b"1"), Kind.BROKEN),
        (ended("timed out", b"1"), Kind.BROKEN),
        ({}, Kind.LEFT),
    ],
)
def test_a_native_program_must_end_and_print_as_it_does_plain(
    split: dict[str, native.Ended], means: Kind
) -> None:
    plain = ended("status 0", b"1")
    found = compare(native.plain_outcomes(plain), native.outcomes(plain, split))
    assert found.tests == {means: ["a"]}


@pytest.mark.parametrize("how", ["status 1", "timed out", "status 0"])
def test_a_native_program_that_fails_or_prints_nothing_plain_shows_nothing(how: str) -> None:
    plain = ended(how, b"" if how == "status 0" else b"1")
    found = compare(native.plain_outcomes(plain), native.outcomes(plain, plain))
    assert found.tests == {Kind.ALSO_PLAIN: ["a"]}


def test_figures_alone_may_differ_where_a_program_measures() -> None:
    program = native.Native("a", "", (), {}, figures=True)
    first, second, other = b"float : 1.29\n", b"float :   12.9e+3\n", b"half : 1.29\n"
    assert native.results(program, first) == native.results(program, second)
    assert native.results(program, first) != native.results(program, other)


def test_an_unknown_word_in_the_catalogue_is_an_error_that_names_the_program(
    tmp_path: Path,
) -> None:
    path = tmp_path / "programs.toml"
    path.write_text('[[program]]\nname = "x"\nrequires = []\ntests = []\nwhat = ""\nnope = 1\n')
    with pytest.raises(ValueError, match=r"'x'.*nope"):
        catalogue.read(path)


def test_an_unknown_program_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="pyopencl"):
        catalogue.choose(catalogue.read(), ["no such program"])


@pytest.mark.parametrize(
    ("plain", "split", "means"),
    [
        ("passed", "passed", Kind.SAME),
        ("xfailed", "xfailed", Kind.SAME),
        ("skipped", "skipped", Kind.SAME),
        ("passed", "failed", Kind.BROKEN),
        ("passed", "crashed", Kind.BROKEN),
        ("passed", "timed out", Kind.BROKEN),
        ("passed", "skipped", Kind.BROKEN),
        ("xfailed", "failed", Kind.BROKEN),
        ("failed", "failed", Kind.ALSO_PLAIN),
        ("failed", "crashed", Kind.ALSO_PLAIN),
        ("crashed", "passed", Kind.MENDED),
        ("passed", None, Kind.LEFT),
        (None, "failed", Kind.LEFT),
    ],
)
def test_what_two_outcomes_of_a_test_mean(
    plain: str | None, split: str | None, means: Kind
) -> None:
    assert kind(plain, split) is means


def test_a_registry_that_cannot_be_reached_is_told_from_a_package_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program("x", (), (), "", beside=("no-such-package==1",))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(environments.Unreachable):
        environments.borrow(program, tmp_path, tmp_path / "home")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(environments.NotInstalled) as raised:
        environments.borrow(program, tmp_path, tmp_path / "home")
    assert not isinstance(raised.value, environments.Unreachable)


def test_a_log_that_was_cut_off_keeps_all_but_its_last_line() -> None:
    lines = [
        {"begin": "a"},
        {"test": "a", "outcome": "passed"},
        {"begin": "b"},
    ]
    found = log.parse([*map(json.dumps, lines), '{"test": "b", "outc'])
    assert found.outcomes == {"a": "passed"}
    assert found.running == "b"
    assert not found.ended


def test_a_launch_too_small_to_be_split_is_told_from_one_that_may_not() -> None:
    launches = {
        ("k", False, "1 work-items for 4 cores"): 5,
        ("k", False, "one slice fills the device"): 2,
        ("k", False, "it works on shared virtual memory"): 3,
        ("k", True, "policy fixed: 3 groups"): 7,
    }
    found = log.Log()
    found.launches.update(launches)
    assert table.counts(found) == (17, 10, 7)
    assert reasons.kernels_whole(launches) == {"it works on shared virtual memory": ["k"]}


def test_own_requirements_give_way_to_the_programs() -> None:
    program = Program("p", ("Some_Thing==1", "numpy<2"), (), "", loosen=("pyopencl",))
    found = environments.requirements(program, ["numpy==2.4.6", "pyopencl==2026.1.4"])
    assert found == ["Some_Thing==1", "numpy<2", "pyopencl"]


SUITE = """
import os, time

def test_first(): pass
def test_aborts(): os.abort()
def test_fails(): assert 1 == 2
def test_hangs(): time.sleep(600)
def test_last(): pass
"""


def run_suite(
    tmp_path: Path, left_out: dict[str, tuple[str, ...]] | None = None, *, text: str = SUITE,
    seconds: int = 600, test_seconds: int = 3, **more: Any,
) -> log.Log:  # fmt: skip
    tests = tmp_path / "suite"
    tests.mkdir()
    (tests / "test_suite.py").write_text(text)
    program = Program(
        "p", (), ("test_suite.py",), "", leave_out=left_out or {}, seconds=seconds,
        test_seconds=test_seconds,
    )  # fmt: skip
    place = environments.Place(Path(sys.executable), tests, tmp_path / "home")
    variables = environments.variables(place, tmp_path, None)
    return running.run(program, place, variables, tmp_path / "logs", **more)


def test_a_test_that_aborts_or_hangs_costs_itself_only(tmp_path: Path) -> None:
    found = run_suite(tmp_path)
    assert {name.partition("::")[2]: outcome for name, outcome in found.outcomes.items()} == {
        "test_first": "passed",
        "test_aborts": "crashed",
        "test_fails": "failed",
        "test_hangs": "timed out",
        "test_last": "passed",
    }
    assert "assert 1 == 2" in found.messages["test_suite.py::test_fails"]


def test_what_tests_import_is_no_tests_time(tmp_path: Path) -> None:
    slow = "import time\ntime.sleep(2)\ndef test_quick(): pass\n"
    found = run_suite(tmp_path, text=slow, test_seconds=1)
    assert found.outcomes == {"test_suite.py::test_quick": "passed"}


def test_a_repetition_runs_the_tests_named_and_no_other(tmp_path: Path) -> None:
    found = run_suite(tmp_path, only=["test_suite.py::test_last"])
    assert found.outcomes == {"test_suite.py::test_last": "passed"}


def test_when_the_time_is_over_the_test_that_runs_ends_and_no_other_begins(tmp_path: Path) -> None:
    found = run_suite(tmp_path, seconds=0, test_seconds=60)
    assert found.outcomes == {"test_suite.py::test_first": "passed"}
    assert found.ended


def test_tests_are_left_out_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    left_out = {"because": ("test_suite.py::test_a", "test_suite.py::test_h")}
    found = run_suite(tmp_path, left_out)
    assert {name.partition("::")[2] for name in found.outcomes} == {
        "test_first", "test_fails", "test_last",
    }  # fmt: skip


def test_the_table_has_a_row_for_each_number_of_groups_and_says_what_is_missing() -> None:
    plain = log.Log(outcomes={"a": "passed", "b": "failed"})
    split = log.Log(outcomes={"a": "failed", "b": "failed"})
    split.launches["k", False, "prints | writes"] = 1
    finding = table.Finding(3, split, compare(plain.outcomes, split.outcomes))
    reports = [
        table.Report("one", "its suite", plain, findings=[finding]),
        table.Report("two", "its suite", error="does not install"),
    ]
    text = table.markdown(reports)
    assert "| one: its suite | 3 | 2 | 1 | 1 | 1 | 1 | 0 (0 %) | 1 x prints \\| writes |" in text
    assert "does not install" in text
    assert not reports[0].well
    assert table.as_json(reports)[0]["split"][0]["broken"] == ["a"]


def test_what_is_captured_counts_once_with_the_same_options(tmp_path: Path) -> None:
    for name, text, options in (("1-0", "a", "-D X"), ("1-1", "a", "-D X"), ("1-2", "a", "")):
        (tmp_path / f"{name}.cl").write_text(text)
        (tmp_path / f"{name}.options").write_text(options)
    found = [(source.text, source.options) for source in shipped.captured(tmp_path)]
    assert found == [("a", "-D X"), ("a", "")]
