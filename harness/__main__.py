"""`harness`: runs reported, judged and compared. To measure: `pytest harness/`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from harness.errors import HarnessError, UnreadableResults
from harness.keep.environment import ROOT
from harness.keep.results import FINISHED, RunFolder
from harness.keep.summary import Summary, read_summary
from harness.report.compare import compare
from harness.report.comparison import print_comparison
from harness.report.history import histories, print_history
from harness.report.table import print_tables
from harness.report.write import write_report
from harness.whole_run import judge_measured

DIFFERENT, FAILED, BAD_INPUT = 1, 1, 2
"""Exit statuses beside 0: runs differ; one of our claims does not hold; no run was given."""


RESULTS = ROOT / "results"
"""Where runs are, unless `pytest harness/ --results` said otherwise."""

PIPE_WIDTH = 130
"""Columns of a table that goes into a file or a pipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.do(options)
    except HarnessError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return BAD_INPUT
    return status


def report(options: argparse.Namespace) -> int:
    """Make a run's report again from its summary.json."""
    folder = _folder(options.run)
    print(write_report(read_summary(folder), folder))
    return 0


def judge(options: argparse.Namespace) -> int:
    """Judge what a run measured, and end as it would have."""
    finished = judge_measured(RunFolder(options.run))
    print_tables(_console(), finished.summary)
    print(finished.report)
    return FAILED if finished.failed else 0


def compare_runs(options: argparse.Namespace) -> int:
    """Print what changed between two runs."""
    runs = [_folder(run) for run in (options.run_a, options.run_b)]
    found = compare(read_summary(runs[0]), read_summary(runs[1]), options.tolerance)
    if options.json:
        print(json.dumps(found.to_json(), indent=2, allow_nan=False))
    else:
        names = (runs[0].resolve().name, runs[1].resolve().name)
        print_comparison(_console(), found, names, everything=options.all)
    return 0 if found.alike else DIFFERENT


def history(options: argparse.Namespace) -> int:
    """Print how the figures of the claims moved over runs."""
    found = histories(_given(options.runs) if options.runs else _ended(RESULTS))
    if options.json:
        print(json.dumps([asdict(one) for one in found], indent=2, allow_nan=False))
    else:
        for one in found:
            print_history(_console(), one)
    return 0


def _given(runs: Sequence[Path]) -> list[tuple[str, Summary]]:
    """Return the runs in folders, by name. UnreadableResults if one cannot be read."""
    return [(_folder(run).resolve().name, read_summary(_folder(run))) for run in runs]


def _ended(root: Path) -> list[tuple[str, Summary]]:
    """Return every run below a folder that has ended and can be read; say which cannot."""
    found = list(_readable(sorted(root.glob(f"2*/{FINISHED}"))))
    if not found:
        raise UnreadableResults(f"There is no run that has ended in {root}.", "name runs")
    return found


def _readable(summaries: Sequence[Path]) -> Iterator[tuple[str, Summary]]:
    for path in summaries:
        try:
            yield path.parent.name, read_summary(path)
        except UnreadableResults as error:  # of another version: the others can be told
            print(f"left out: {error.what}", file=sys.stderr)


def share(text: str) -> float:
    """Read a share such as `0.5%` or `0.005`."""
    number = text.strip()
    value = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    if not 0 <= value < 1:  # also refuses what is not a number
        raise ValueError(text)
    return value


def _console() -> Console:
    """Return a console that is wide enough for the table where its width is not the reader's."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def _folder(run: Path) -> Path:
    """Return the folder of a run, which may be given by its summary.json."""
    return run.parent if run.name == "summary.json" else run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harness", description="Report and compare runs. To measure: pytest harness/ --help"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    again = commands.add_parser(
        "report",
        help="make a run's report again",
        description="Write report.html, report.md, summary.csv, junit.xml and throughput.png of a "
        "run again, from its summary.json alone.",
    )
    again.add_argument("run", type=Path, metavar="RUN", help="the run's folder, in results/")
    again.set_defaults(do=report)

    interrupted = commands.add_parser(
        "judge",
        help="judge what a run measured, by the claims of now",
        description="Judge what a run measured and write its summary and report, without its lab. "
        "One that has ended is judged again, by the claims of this checkout; of one that was "
        "interrupted, claims about what was not measured are invalid (`pytest harness/ --resume` "
        "measures the rest instead).",
        epilog="Exit status: 1 if one of our claims fails or is invalid, as of `pytest harness/`.",
    )
    interrupted.add_argument("run", type=Path, metavar="RUN", help="the run's folder, in results/")
    interrupted.set_defaults(do=judge)

    two = commands.add_parser(
        "compare",
        help="say what changed between two runs",
        description="Print which numbers and verdicts differ between two runs, and whether that is "
        "outside the noise: where both runs repeated a point, if the change is larger than half of "
        "both 95 % intervals together; otherwise if it is larger than what the runs allow and saw "
        "of a repeated point.",
        epilog="Exit status: 0 if nothing changed beyond the noise and no verdict changed (an "
        "inconclusive one contradicts none); 1 if something did; 2 if a run cannot be read. With "
        "--tolerance: 0 if both runs have the same points and every CPU throughput and GPU job's "
        "time agrees, 1 if not.",
    )
    two.add_argument("run_a", type=Path, metavar="RUN_A", help="the run compared with")
    two.add_argument("run_b", type=Path, metavar="RUN_B", help="the run of which is told")
    two.add_argument("--json", action="store_true", help="print everything as JSON")
    two.add_argument("--all", action="store_true", help="print what did not change, too")
    two.add_argument(
        "--tolerance",
        type=share,
        metavar="SHARE",
        help="check that all points agree within this, such as 0.5%% or 0.005",
    )
    two.set_defaults(do=compare_runs)

    moved = commands.add_parser(
        "history",
        help="show how the figures moved over runs and commits",
        description="Print a table of the claims, a row each, with value and verdict in every run, "
        "a column each, by time. Runs of another lab, profile or GPU have a table of their own. A "
        "limit is given with a verdict where it is not the latest run's.",
    )
    moved.add_argument(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN",
        help="the folder of a run that has ended (default: all in results/)",
    )
    moved.add_argument("--json", action="store_true", help="print everything as JSON")
    moved.set_defaults(do=history)
    return parser


if __name__ == "__main__":
    sys.exit(main())
