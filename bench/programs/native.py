"""Programs that call OpenCL themselves, plain and split: python -m bench.programs.native

Each case of native.toml is run as it is and then by `gpusplit run`, with every launch split that
may be; how it ends and what it prints must be the same.  1 where it is not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench.programs import environments, layer, table
from bench.programs.catalogue import Program
from bench.programs.compare import compare
from bench.programs.environments import HERE, NotInstalled, Place
from bench.programs.log import Log

CATALOGUE = HERE / "native.toml"
#: A figure in a line of text, and the space that it is set with.
_FIGURE = re.compile(rb" *\b\d+(\.\d+)?(e[+-]?\d+)?\b")


@dataclass(frozen=True, slots=True)
class Native:
    """A program and what of it is run.

    Attributes
    ----------
    name, what: for the table.
    command: what is run; {case} stands for the words of a case, {python} for the interpreter of
        the environment that *requires* is installed in, {drivers} for the folder of that name.
    cases: the words, by the case's name.
    packages: Debian's that have it.
    requires: what pip installs for it.
    figures: whether the numbers that it prints are measurements, and not compared.
    fresh: folders below its home that are emptied before each run.
    environment: further environment variables.
    seconds: for one case.
    quick: cases that `make test` runs.
    """

    name: str
    what: str
    command: tuple[str, ...]
    cases: dict[str, tuple[str, ...]]
    packages: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    figures: bool = False
    fresh: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    seconds: int = 300
    quick: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a case ended: a word or a status, and what it printed of results."""

    how: str
    output: bytes


def read(path: Path = CATALOGUE) -> list[Native]:
    """The entries of native.toml."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["native"]
    return [_native(entry) for entry in entries]


def _native(entry: dict[str, Any]) -> Native:
    cases = {name: tuple(words) for name, words in entry.pop("cases").items()}
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
    }
    native = Native(cases=cases, **values)
    if unknown := set(native.quick) - set(cases):
        raise ValueError(f"{native.name}: no case {', '.join(sorted(unknown))}")
    return native


def install(native: Native, cache: Path) -> Place:
    """Where it is to run; NotInstalled says what is missing."""
    folder = cache / f"native-{native.name}"
    (folder / "run").mkdir(parents=True, exist_ok=True)
    if native.requires:
        program = Program(f"native {native.name}", native.requires, (), native.what)
        return environments.install(program, cache)
    for words in native.cases.values():
        if shutil.which(spelled(native, words, Path())[0]) is None:
            raise NotInstalled(f"needs Debian's {' '.join(native.packages)}")
    return Place(Path(sys.executable), folder / "run", folder / "home")


def spelled(native: Native, case: Iterable[str], python: Path) -> list[str]:
    """The command of a case.

    >>> native = Native("a", "", ("{python}", "{case}", "-"), {})
    >>> spelled(native, ["-x", "{drivers}"], Path("py"))[:2]
    ['py', '-x']
    """
    words = [word for part in native.command for word in (case if part == "{case}" else (part,))]
    known = {"{python}": str(python), "{drivers}": str(HERE / "drivers")}
    for name, value in known.items():
        words = [word.replace(name, value) for word in words]
    return words


def results(native: Native, output: bytes) -> bytes:
    """What is compared of an output."""
    return _FIGURE.sub(b" N", output) if native.figures else output


def run(
    native: Native, place: Place, library: Path, groups: int | None, cases: Iterable[str],
    folder: Path, told: Callable[[str], None],
) -> tuple[dict[str, Ended], Log]:  # fmt: skip
    """How the cases end, plain or in so many groups, and what became of their launches.

    What they print is left in *folder*.  told: is told what is run.
    """
    ended: dict[str, Ended] = {}
    log = Log()
    variables = environments.variables(place, library, None) | native.environment
    for name in cases:
        told(f"{native.name}, {_how(groups)}: {name}")
        # Kernels that a case before left compiled would be taken unseen; the first case finds none.
        for kept in native.fresh:
            shutil.rmtree(place.home / kept, ignore_errors=True)
        for kept in ("cache", "config", "pocl"):
            (place.home / kept).mkdir(parents=True, exist_ok=True)
        words = spelled(native, native.cases[name], place.python)
        beside = folder / re.sub(r"\W+", "-", name)
        folder.mkdir(parents=True, exist_ok=True)
        how = _once(layer.command(words, groups), place.tests, variables, beside, native.seconds)
        ended[name] = Ended(how, results(native, beside.with_suffix(".out").read_bytes()))
        log.launches += layer.launches(beside.with_suffix(".err").read_text(errors="replace"))
    return ended, log


def _once(
    words: list[str], folder: Path, variables: dict[str, str], beside: Path, seconds: int
) -> str:
    """Run one process; how it ended."""
    with beside.with_suffix(".out").open("wb") as out, beside.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            words, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        try:
            return f"status {process.wait(seconds)}"
        except subprocess.TimeoutExpired:
            return "timed out"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def outcomes(plain: dict[str, Ended], split: dict[str, Ended]) -> dict[str, str]:
    """How the split cases ended: as plain where they print the same, too, else what differs."""
    as_plain = plain_outcomes(plain)
    return {
        name: as_plain[name] if ended == plain[name] else
        f"{ended.how}, not {plain[name].how}" if ended.how != plain[name].how else "prints other"
        for name, ended in split.items()
    }  # fmt: skip


def plain_outcomes(plain: dict[str, Ended]) -> dict[str, str]:
    """How the plain cases ended: "passed", or what was wrong."""
    return {
        name: ended.how if ended.how != "status 0" else "passed" if ended.output else "no output"
        for name, ended in plain.items()
    }


def _how(groups: int | None) -> str:
    return "plain" if groups is None else f"{groups} groups"


def report(
    native: Native, cache: Path, groups: list[int], cases: list[str], told: Callable[[str], None]
) -> table.Report:
    """Everything of one program."""
    found = table.Report(native.name, native.what)
    try:
        place = install(native, cache)
    except NotInstalled as error:
        found.error = str(error)
        return found
    library = environments.lay_library(cache)
    plain: dict[str, Ended] = {}
    for parts in (None, *groups):
        folder = cache / f"native-{native.name}" / "logs" / _how(parts)
        began = time.monotonic()
        ended, log = run(native, place, library, parts, cases, folder, told)
        seconds = time.monotonic() - began
        if parts is None:
            plain, found.plain, found.plain_seconds = ended, log, seconds
            log.outcomes = plain_outcomes(plain)
        else:
            log.outcomes = outcomes(plain, ended)
            compared = compare(plain_outcomes(plain), log.outcomes)
            found.findings.append(table.Finding(parts, log, compared, seconds=seconds))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.programs.native", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this program")
    parser.add_argument("--case", action="append", default=[], metavar="NAME", help="this case")
    parser.add_argument("--groups", default="2,3,7", help="forced splits (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="the few cases that are marked so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument(
        "--cache", type=Path, default=Path("build/programs"), metavar="FOLDER",
        help="where programs are installed and logs left (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    # What runs is ended, too, and also where a shell has its background ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    reports: list[table.Report] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        for native in read():
            cases = [
                name for name in (native.quick if options.quick else native.cases)
                if not options.case or name in options.case
            ]  # fmt: skip
            if not cases or (options.only and native.name not in options.only):
                continue
            groups = [int(word) for word in options.groups.split(",")]
            reports.append(
                report(native, options.cache.resolve(), groups, cases,
                       lambda text: progress.update(task, description=text))
            )  # fmt: skip
            # Hours of work are not lost with the last program.
            if options.json is not None:
                options.json.write_text(json.dumps(table.as_json(reports), indent=1) + "\n")
    print(table.markdown(reports), end="")
    return 0 if all(report.well and report.error is None for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
