"""What programs.toml says: which programs there are, how each is had, and what of it is run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CATALOGUE = Path(__file__).with_name("programs.toml")


@dataclass(frozen=True, slots=True)
class Program:
    """A program that nobody here wrote.

    Attributes
    ----------
    name: what it is called here and in the table.
    requires: requirements for pip, the program's own among them.
    tests: what pytest is given, relative to the folder that it starts in.
    what: what that is, for the table.
    sdist: a requirement whose source archive has the tests (wheels often lack them).
    folder: where in the archive pytest starts; without an archive, in an empty folder.
    drivers: files below bench/programs/drivers that are put into that folder.
    examples: scripts of the archive that test_examples.py runs, by their paths in it.
    loosen: dependencies of gpusplit whose pinned version the program cannot have.
    leave_out: what the names of tests that are not run begin with, by the reason.
    options: further arguments of pytest.
    environment: further environment variables.
    seconds: for one run of all of it, so that none goes on for ever; no test begins later.
    test_seconds: for one test.
    quick: tests that alone are run with --quick and by `make test`; none: left out there.
    beside: what those need beside what gpusplit's tests need, dependencies not included.
    """

    name: str
    requires: tuple[str, ...]
    tests: tuple[str, ...]
    what: str
    sdist: str | None = None
    folder: str = "."
    drivers: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    loosen: tuple[str, ...] = ()
    leave_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    seconds: int = 7200
    test_seconds: int = 180
    quick: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the names of all tests that are not run begin with."""
        return tuple(name for names in self.leave_out.values() for name in names)


def read(path: Path = CATALOGUE) -> list[Program]:
    """The programs of a catalogue, in its order; ValueError where it says something unknown."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["program"]
    programs = [_program(entry) for entry in entries]
    names = [program.name for program in programs]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: two programs of one name")
    return programs


def choose(programs: list[Program], names: list[str]) -> list[Program]:
    """Those that are called so; all where no name is given; ValueError for an unknown name."""
    known = {program.name for program in programs}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no program {name!r} (there are {', '.join(sorted(known))})")
    return [program for program in programs if not names or program.name in names]


def _program(entry: dict[str, Any]) -> Program:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
    }
    values["leave_out"] = {why: tuple(names) for why, names in entry.get("leave_out", {}).items()}
    try:
        return Program(**values)
    except TypeError as error:
        raise ValueError(f"program {entry.get('name', '?')!r}: {error}") from None
