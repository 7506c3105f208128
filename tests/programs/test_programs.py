"""Programs that nobody here wrote give the same results when every launch that may be split is.

All of it takes hours and is `pytest -m programs tests/programs` or `python -m bench.programs`;
`-k selection` runs a few of pyopencl's own tests alone, in minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.programs import catalogue, environments, running, table
from bench.programs.__main__ import Bench
from bench.programs.catalogue import Program
from bench.programs.compare import Kind, compare

CACHE = Path(__file__).parents[2] / "build" / "programs"
PROGRAMS = catalogue.read()


@pytest.mark.programs
@pytest.mark.opencl
def test_a_selection_of_pyopencls_own_tests_passes_split(tmp_path: Path) -> None:
    (program,) = catalogue.choose(PROGRAMS, ["pyopencl"])
    assert program.sdist is not None
    environments.fetch_sdist([sys.executable, "-m", "pip"], program.sdist, tmp_path / "source")
    place = environments.Place(Path(sys.executable), tmp_path / "source", tmp_path / "home")
    library = environments.lay_library(tmp_path)
    plain, split = (
        running.run(
            program, place, environments.variables(place, library, groups),
            tmp_path / f"logs-{groups}", tests=program.quick,
        )
        for groups in (None, 3)
    )  # fmt: skip
    found = compare(plain.outcomes, split.outcomes)
    broken = {name: split.messages.get(name) for name in found.tests.get(Kind.BROKEN, [])}
    assert not broken
    assert found.count(Kind.SAME) > 15
    _, large, launches_split = table.counts(split)
    assert launches_split > 50
    assert launches_split / large > 0.8


@pytest.mark.programs
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_no_test_of_the_program_breaks_when_its_launches_are_split(program: Program) -> None:
    report = Bench(CACHE, [2, 3, 7], False, Console(stderr=True)).program(program)
    assert report.error is None
    assert report.findings
    assert {finding.groups: finding.broken for finding in report.findings} == {2: [], 3: [], 7: []}
