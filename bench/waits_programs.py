"""What waits cost in whole programs: python -m bench.waits_programs [--json] [--only NAME ...]

Each program as it is, with CUDA's own blocking flag (OpenCL has none) and under `gpusplit run`, in
turn, several rounds in one run.  Of each figure the median over the rounds; the slow-down is that
of the rounds' pairs, with the least and the largest of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.programs_probe import PROGRAMS
from gpusplit.running import LIBRARY

PROBE = "bench.programs_probe"
OURS = ("-m", "gpusplit", "run", "--policy", "unsplit", sys.executable)
PATIENCE = 300

Figures = dict[str, dict[str, float]]


def ways(name: str) -> tuple[str, ...]:
    """OpenCL has no such flag."""
    cuda = name in ("torch", "resnet", "llm", "lengths", "beside")
    return ("driver", "flag", "gpusplit") if cuda else ("driver", "gpusplit")


def run(name: str, way: str, report: Path) -> Figures:
    """What a program's steps take under one way of waiting. RuntimeError if it fails."""
    environ = {key: text for key, text in os.environ.items() if not key.startswith("GPUSPLIT_")}
    words = [sys.executable, *(OURS if way == "gpusplit" else ()), "-m", PROBE, name]
    if way == "gpusplit":
        environ["GPUSPLIT_REPORT"] = str(report)
    words += ["flag"] if way == "flag" else []
    done = subprocess.run(
        words, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or done.stdout).splitlines()[-1])
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def inside(report: Path) -> float | None:
    """The part of a core that threads took while they waited; of all waits of a program."""
    if not report.exists():
        return None
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    waited = sum(line["waited_s"] for line in lines)
    return sum(line["waited_cpu_s"] for line in lines) / waited if waited else None


def compared(rounds: list[dict[str, Figures]]) -> dict[str, Any]:
    """Medians by row and way, and how much slower gpusplit was than each other way.

    >>> one = {"driver": {"a": {"us": 10.0}}, "gpusplit": {"a": {"us": 11.0}}}
    >>> compared([one])["a"]["over driver"]
    [0.1, 0.1, 0.1]
    """
    rows: dict[str, Any] = {}
    for name in rounds[0]["driver"]:
        seen = {way: [each[way][name] for each in rounds] for way in rounds[0]}
        row = rows[name] = {
            way: {key: statistics.median(each[key] for each in figures) for key in figures[0]}
            for way, figures in seen.items()
        }
        for way in set(seen) - {"gpusplit"}:
            pairs = zip(seen["gpusplit"], seen[way], strict=True)
            slower = sorted(round(ours["us"] / other["us"] - 1, 5) for ours, other in pairs)
            row[f"over {way}"] = [statistics.median(slower), slower[0], slower[-1]]
    return rows


def measure(name: str, count: int) -> dict[str, Any]:
    """All rows of a program. RuntimeError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        rounds = []
        for number in range(count):
            found = {}
            for way in ways(name):
                print(f"{name}: round {number + 1} of {count}, {way}", file=sys.stderr)
                found[way] = run(name, way, report)
            rounds.append(found)
        return {"rows": compared(rounds), "cpu inside waits": inside(report)}


def table(found: dict[str, Any]) -> str:
    """Everything for people to read."""
    lines = []
    for name, program in found.items():
        if "error" in program:
            lines.append(f"{name}: not measured: {program['error']}")
            continue
        for row, figures in program["rows"].items():
            cells = [
                f"{way} {each['us'] / 1000:.3f} ms {each['cpu']:.1%}"
                + (f", neighbour {each['neighbour']:.1%}" if "neighbour" in each else "")
                for way, each in figures.items()
                if not way.startswith("over")
            ]
            for other in ("over driver", "over flag"):
                if other in figures:
                    middle, least, most = figures[other]
                    cells.append(f"{other} {middle:+.2%} ({least:+.2%} to {most:+.2%})")
            lines.append(f"{row}: {', '.join(cells)}")
        if program["cpu inside waits"] is not None:
            lines.append(f"{name}: {program['cpu inside waits']:.1%} of a core inside waits")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table or JSON. What cannot be measured here is said, with its reason."""
    parser = argparse.ArgumentParser(prog="python -m bench.waits_programs", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each (3)")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    options = parser.parse_args()
    if not Path(LIBRARY).exists():
        raise SystemExit("gpusplit's native library is not built: install gpusplit again")
    found: dict[str, Any] = {}
    for name in options.only:
        try:
            found[name] = measure(name, options.rounds)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            found[name] = {"error": str(error)}
        if not options.json:
            print(table({name: found[name]}), flush=True)
    if options.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
