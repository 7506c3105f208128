"""Programs that nobody here wrote, plain against forced splits: python -m bench.programs

Every program of programs.toml is installed in an environment of its own, its tests run as they
are and then with every launch split that may be, and each test's outcome compared.  1 where a
test breaks when split.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from bench.programs import environments, running, table
from bench.programs.catalogue import Program, choose, read
from bench.programs.compare import Kind, compare
from bench.programs.log import Log

#: How often a test that breaks is repeated, plain and split, before it counts as broken.
REPEATS = 2


class Bench:
    """Runs programs, and tells how far it is."""

    def __init__(self, cache: Path, groups: list[int], quick: bool, console: Console) -> None:
        """cache: where environments and logs are kept; quick: only the tests so marked."""
        self.cache = cache
        self.groups = groups
        self.quick = quick
        self.console = console
        self.library = environments.lay_library(cache)

    def program(self, program: Program) -> table.Report:
        """Everything of one program."""
        report = table.Report(program.name, program.what)
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(f"{program.name}: installing", total=None)
            try:
                place = environments.install(program, self.cache)
            except environments.NotInstalled as error:
                report.error = f"does not install: {error}"
                return report
            report.plain, report.plain_seconds = self._run(program, place, None, progress, task)
            tests = len(report.plain.outcomes)
            for groups in self.groups:
                progress.reset(task, total=tests)
                found, seconds = self._run(program, place, groups, progress, task)
                compared = compare(report.plain.outcomes, found.outcomes)
                finding = table.Finding(groups, found, compared, seconds=seconds)
                broken = compared.tests.get(Kind.BROKEN, [])
                if broken:
                    finding.unsteady = self._unsteady(
                        program, place, groups, broken, progress, task
                    )
                report.findings.append(finding)
        return report

    def _run(
        self, program: Program, place: environments.Place, groups: int | None, progress: Progress,
        task: TaskID, only: list[str] | None = None,
    ) -> tuple[Log, float]:  # fmt: skip
        how = "plain" if groups is None else f"{groups} groups"
        again = "" if only is None else " again"
        progress.update(task, description=f"{program.name}: {how}{again}", completed=0)
        began = time.monotonic()
        found = running.run(
            program, place, environments.variables(place, self.library, groups),
            place.home.parent / "logs" / (how + again).replace(" ", "-"), only=only,
            tests=program.quick if self.quick else None,
            told=lambda done: progress.update(task, completed=done),
        )  # fmt: skip
        return found, time.monotonic() - began

    def _unsteady(
        self, program: Program, place: environments.Place, groups: int, broken: list[str],
        progress: Progress, task: TaskID,
    ) -> list[str]:  # fmt: skip
        """Those of *broken* that, repeated, pass split or fail plain."""
        unsteady: set[str] = set()
        for how in (None, groups) * REPEATS:
            left = [name for name in broken if name not in unsteady]
            if not left:
                break
            found, _ = self._run(program, place, how, progress, task, only=left)
            for name in left:
                passed = found.outcomes.get(name) == "passed"
                if passed is (how is not None):
                    unsteady.add(name)
        return sorted(unsteady)


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.programs", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this program")
    parser.add_argument("--groups", default="2,3,7", help="forced splits (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="the few tests that are marked so")
    parser.add_argument(
        "--seconds", type=int, metavar="N", help="so long at most for one run of a program's tests"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument(
        "--cache", type=Path, default=Path("build/programs"), metavar="FOLDER",
        help="where programs are installed and logs left (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    # Also where a shell has what it runs in the background ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        programs = choose(read(), options.only)
        groups = [int(word) for word in options.groups.split(",")]
    except ValueError as error:
        parser.error(str(error))
    if options.seconds is not None:
        programs = [
            replace(program, seconds=min(program.seconds, options.seconds)) for program in programs
        ]
    if options.quick:
        programs = [program for program in programs if program.quick]
    console = Console(stderr=True)
    bench = Bench(options.cache.resolve(), groups, options.quick, console)
    reports = []
    try:
        for program in programs:
            report = bench.program(program)
            reports.append(report)
            console.print(_line(report), markup=False, highlight=False)
            # Hours of work are not lost with the last program.
            _write(options, reports)
    except KeyboardInterrupt:
        console.print("stopped; what was measured so far:")
    print(table.markdown(reports), end="")
    return 0 if all(report.well for report in reports) else 1


def _line(report: table.Report) -> str:
    if report.error is not None:
        return f"{report.name}: {report.error}"
    broken = sum(len(finding.broken) for finding in report.findings)
    seconds = report.plain_seconds + sum(finding.seconds for finding in report.findings)
    return f"{report.name}: {broken} tests break when split ({seconds:.0f} s)"


def _write(options: argparse.Namespace, reports: list[table.Report]) -> None:
    if options.json is not None:
        options.json.write_text(json.dumps(table.as_json(reports), indent=1) + "\n")
    if options.markdown is not None:
        options.markdown.write_text(table.markdown(reports))


if __name__ == "__main__":
    sys.exit(main())
