"""What waits cost in CUDA programs: python -m bench.waits [--json] [--rounds N]

The driver as it is, CUDA's own blocking flag and gpusplit in turn, several rounds in one run; of
each figure the median over the rounds.  Then what single calls of the driver cost, without and with
that flag: from these follows what a wait can reach on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpusplit.running import LIBRARY

PROBE = "bench.waits_probe"
CALLS = "bench.waits_calls"
WAYS = ("driver", "flag", "gpusplit")

Figures = dict[str, dict[str, float]]


def run(way: str, module: str = PROBE) -> Any:
    """What a module prints under one way of waiting."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("GPUSPLIT_")}
    if way == "gpusplit":
        environ["LD_PRELOAD"] = LIBRARY
    words = [sys.executable, "-m", module, *(["flag"] if way == "flag" else [])]
    done = subprocess.run(
        words, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise SystemExit(f"{module} failed under {way}: {done.stderr.strip() or done.stdout}")
    return json.loads(done.stdout.splitlines()[-1])


def middle(runs: list[Figures]) -> Figures:
    """The medians of several runs.

    >>> middle([{"a": {"us": 1.0}}, {"a": {"us": 9.0}}, {"a": {"us": 2.0}}])
    {'a': {'us': 2.0}}
    """
    return {
        name: {key: statistics.median(each[name][key] for each in runs) for key in figures}
        for name, figures in runs[0].items()
    }


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.waits", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each (3)")
    options = parser.parse_args()
    if not Path(LIBRARY).exists():
        raise SystemExit("gpusplit's native library is not built: install gpusplit again")
    runs: dict[str, list[Figures]] = {way: [] for way in WAYS}
    for number in range(options.rounds):
        for way in WAYS:
            print(f"round {number + 1} of {options.rounds}: {way}", file=sys.stderr)
            runs[way].append(run(way))
    found = {way: middle(each) for way, each in runs.items()}
    calls = {way: run(way, CALLS) for way in ("driver", "flag")}
    if options.json:
        print(json.dumps(found | {"calls": calls}, indent=1))
        return
    print(f"{'':16}{'driver':>18}{'flag':>18}{'gpusplit':>18}   gpusplit over the driver")
    for name, plain in found["driver"].items():
        cells = "".join(
            f"{figures[name]['us']:10.1f} us {figures[name]['cpu']:4.0%}"
            for figures in found.values()
        )
        ours = found["gpusplit"][name]
        wakes = f"{ours['wakes']:.1f} wake-ups a wait"
        print(f"{name:16}{cells}   {ours['us'] / plain['us'] - 1:+.2%}, {wakes}")
    print("single calls, us: the driver's, and with its flag")
    for name, us in calls["driver"].items():
        print(f"  {name:38}{us:9.2f}{calls['flag'].get(name, float('nan')):9.2f}")


if __name__ == "__main__":
    main()
