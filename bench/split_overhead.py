"""What splitting and waiting cost: python -m bench.split_overhead [--json]

The naive 16x16-tile matrix product under the driver's own call and wait, and under gpusplit's
layer, by turns in one process; and what single calls cost beyond the driver's.  On a CPU device,
where kernels and waits share the cores, the figures mean nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpusplit.running import LIBRARY

PROBE = Path(__file__).with_name("split_probe.py")
GROUPS = (20, 500)
#: Slices of a launch where the cost of one is measured.
CALLS = 100
NEIGHBOURS = 4
#: What keeps a CPU busy.
BURN = "while True: pass"


def environment(groups: int, **more: str) -> dict[str, str]:
    """The environment of a probe whose launches the layer cuts into so many groups."""
    options = {
        "policy": "fixed",
        "groups": str(groups),
        "judge": "wait",
        "python": sys.executable,
    } | more
    return (
        os.environ
        | {"OPENCL_LAYERS": LIBRARY}
        | {f"GPUSPLIT_{name.upper()}": value for name, value in options.items()}
    )


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many busy processes on one CPU, which children begun meanwhile have to share."""
    cpus = os.sched_getaffinity(0)
    if count:
        os.sched_setaffinity(0, {max(cpus)})
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
        for burner in burners:
            burner.kill()
            burner.wait()


def probe(environ: dict[str, str], *words: str) -> dict[str, Any]:
    """What one probe measures."""
    done = subprocess.run(
        [sys.executable, str(PROBE), *words], env=environ, capture_output=True, text=True,
        timeout=900, check=False,
    )  # fmt: skip
    if done.returncode or " 0 split" in done.stderr:
        raise SystemExit(f"the probe failed: {done.stderr.strip() or done.stdout}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def slow_down(figures: dict[str, Any]) -> dict[str, float]:
    """The relative slow-down of the layer's blocks over the driver's, each beside its own.

    >>> slow_down({"driver": {"seconds": [1, 1, 1]}, "layer": {"seconds": [1.01, 1.02, 1.03]}})
    {'median': 0.02, 'low': 0.01, 'high': 0.03, 'blocks': 3}
    """
    pairs = zip(figures["layer"]["seconds"], figures["driver"]["seconds"], strict=True)
    ratios = sorted(math.log(ours / plain) for ours, plain in pairs)
    low, high = _interval(len(ratios))
    found = {"median": statistics.median(ratios), "low": ratios[low], "high": ratios[high]}
    return {name: round(math.expm1(each), 6) for name, each in found.items()} | {
        "blocks": len(ratios)
    }


def _interval(n: int) -> tuple[int, int]:
    """The places of a median's interval of at least 95 % among n sorted values (by binomial
    probabilities; all of them where n is below 6).

    >>> _interval(10)
    (1, 8)
    """
    low = 0
    while 2 * sum(math.comb(n, k) for k in range(low + 2)) <= 0.05 * 2**n:
        low += 1
    return low, n - 1 - low


def measure(large: int, small: int, blocks: int) -> dict[str, Any]:
    """All figures, with matrices of *large* and *small*."""
    sizes = [str(large), str(small)]
    result: dict[str, Any] = {}
    for groups in GROUPS:
        print(f"{groups} groups", file=sys.stderr)
        found = probe(environment(groups, summary="1"), *sizes, "--blocks", str(blocks))
        result |= {key: found[key] for key in ("device", "driver", "is_gpu")}
        for n in sizes:
            result[f"N = {n}, {groups} groups"] = slow_down(found[n]) | {
                "seconds": statistics.median(found[n]["driver"]["seconds"]),
                "driver_cpu": found[n]["driver"]["cpu"],
                "cpu": found[n]["layer"]["cpu"],
            }
    print(f"beside {NEIGHBOURS} busy processes", file=sys.stderr)
    words = (str(small), "--blocks", str(4 * blocks))
    with neighbours(NEIGHBOURS):
        found = probe(environment(GROUPS[-1], summary="1"), *words)
    name = f"N = {small}, {GROUPS[-1]} groups, beside {NEIGHBOURS} on one CPU"
    result[name] = slow_down(found[str(small)])
    print("calls", file=sys.stderr)
    # So that a launch of one work-item is not worth a split, and one of 6,400 is.
    found = probe(environment(CALLS, cores="64"), "--calls", "--blocks", str(blocks))
    result |= {key: found[key] for key in found if key.endswith("_us")}
    result["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 unless something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.split_overhead", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--large", type=int, default=10240, help="side of the large matrices")
    parser.add_argument("--small", type=int, default=5120, help="side of the small matrices")
    parser.add_argument("--blocks", type=int, default=5, metavar="N", help="turns of each (5)")
    options = parser.parse_args(arguments)
    if not Path(LIBRARY).exists():
        raise SystemExit("gpusplit's native library is not built: install gpusplit again")
    result = measure(options.large, options.small, options.blocks)
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    for name, found in result.items():
        print(f"{name}: {json.dumps(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
