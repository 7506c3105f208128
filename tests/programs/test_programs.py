"""Programs that nobody here wrote give the same results when every launch that may be split is.

A short selection of their own tests runs with all other tests; a registry of Python packages must
be there for it.  All of them take hours: `pytest -m programs tests/programs` or
`python -m bench.programs`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.programs import catalogue, environments, native, running, table
from bench.programs.__main__ import Bench
from bench.programs.catalogue import Program
from bench.programs.compare import Kind, compare
from bench.programs.native import Native

CACHE = Path(__file__).parents[2] / "build" / "programs"
PROGRAMS = catalogue.read()
SELECTION = [program for program in PROGRAMS if program.quick]
NATIVE = native.read()


@pytest.mark.opencl
@pytest.mark.parametrize("program", SELECTION, ids=lambda program: program.name)
def test_a_selection_of_the_programs_own_tests_ends_the_same_when_split(
    program: Program, tmp_path: Path
) -> None:
    try:
        place = environments.borrow(program, CACHE, tmp_path / "home")
    except environments.Unreachable as error:
        pytest.skip(f"no registry of Python packages can be reached: {error}")
    library = environments.lay_library(tmp_path)
    plain, split = (
        running.run(
            program, place, environments.variables(place, library, groups),
            tmp_path / f"logs-{groups}", tests=program.quick,
        )
        for groups in (None, 3)
    )  # fmt: skip
    found = compare(plain.outcomes, split.outcomes)
    differing = {kind: names for kind, names in found.tests.items() if kind is not Kind.SAME}
    assert not differing, split.messages
    # No test was left out for want of its name, and each shows something about launches.
    assert set(plain.outcomes.values()) == {"passed"}
    assert found.count(Kind.SAME) >= len(program.quick)
    _, large, launches_split = table.counts(split)
    assert launches_split >= len(program.quick)
    assert launches_split / large >= 0.9


@pytest.mark.opencl
@pytest.mark.parametrize(
    "program", [entry for entry in NATIVE if entry.quick], ids=lambda entry: entry.name
)
def test_a_selection_of_native_programs_prints_the_same_when_split(
    program: Native, tmp_path: Path
) -> None:
    found = native.report(program, tmp_path, [3], list(program.quick), lambda text: None)
    if found.error is not None:
        pytest.skip(found.error)
    assert found.plain is not None
    assert set(found.plain.outcomes.values()) == {"passed"}
    (split,) = found.findings
    assert split.log.outcomes == found.plain.outcomes
    _, large, launches_split = table.counts(split.log)
    assert launches_split >= len(program.quick)
    assert launches_split / large >= 0.9


@pytest.mark.programs
@pytest.mark.parametrize("program", NATIVE, ids=lambda entry: entry.name)
def test_no_native_program_prints_other_things_when_its_launches_are_split(program: Native) -> None:
    found = native.report(program, CACHE, [2, 3, 7], list(program.cases), lambda text: None)
    assert found.error is None
    assert {finding.groups: finding.broken for finding in found.findings} == {2: [], 3: [], 7: []}


@pytest.mark.programs
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_test_of_the_program_breaks_when_its_launches_are_split(program: Program) -> None:
    report = Bench(CACHE, [2, 3, 7], False, Console(stderr=True)).program(program)
    assert report.error is None
    assert report.findings
    assert {finding.groups: finding.broken for finding in report.findings} == {2: [], 3: [], 7: []}
