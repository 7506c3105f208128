"""What the judge takes: python -m bench.judge --json

Programs are made that a kernel reaches whole, and are judged as launches have them judged, each in
a process of its own.  Measured is the CPU time of that process, the smallest of a few: on a busy
machine the others wait for memory that other work uses.  Needs no OpenCL device.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from gpusplit import asking
from gpusplit.judge.verdict import Request

#: Seconds of CPU that a program may take.
BARS = {"100 lines": 0.3, "1 MB": 2.0, "1,600 helpers in a chain": 2.0}
MACROS = {"__OPENCL_C_VERSION__": 120}


@dataclass(frozen=True)
class Cost:
    """Seconds that judging takes, of the CPU (least, median) and by the clock (median)."""

    program: str
    size: int
    bar: float
    least: float
    median: float
    elapsed: float


def helper(at: int, calls: str) -> str:
    """A function of a few lines, as people write them: a loop, a condition, arithmetic, calls."""
    return f"""
float helper{at}(global const float *a, float x, int n)
{{
    float sum = {at % 7}.0f;
    for (int i = 0; i < n; i++) {{
        const float y = a[i + {at}] * x;
        if (y > 1.5f) sum += sqrt(y) * 0.5f;
        else sum -= y / (x + {at}.25f);
    }}
    return sum + {calls};
}}
"""


def kernel(calls: str) -> str:
    """The kernel that calls the helpers."""
    return f"""
kernel void k(global float *a, int n)
{{
    const size_t at = get_global_id(0) + get_group_id(0) * 3;
    a[at] = {calls};
}}
"""


def lines(count: int) -> str:
    """A program of so many lines."""
    return wide(count * len(helper(0, "x")) // helper(0, "x").count("\n"))


def wide(size: int) -> str:
    """A program of about so many bytes, all of whose functions the kernel calls."""
    parts: list[str] = []
    length = 0
    while length < size:
        parts.append(helper(len(parts), "x"))
        length += len(parts[-1]) + len(f"    sum += helper{len(parts)}(a, 1.0f, n);\n")
    calls = "".join(f"    sum += helper{at}(a, 1.0f, n);\n" for at in range(len(parts)))
    everything = f"float everything(global const float *a, int n)\n{{\n    float sum = 0;\n{calls}"
    return "".join((*parts, everything, "    return sum;\n}\n", kernel("everything(a, n)")))


def chain(length: int) -> str:
    """A program whose helpers call each other one by one."""
    parts = [helper(0, "x")]
    parts += [helper(at, f"helper{at - 1}(a, x, n)") for at in range(1, length)]
    return "".join((*parts, kernel(f"helper{length - 1}(a, 1.0f, n)")))


def programs() -> Iterator[tuple[str, str]]:
    """What is judged."""
    sources = lines(100), wide(1 << 20), chain(1600)
    yield from zip(BARS, sources, strict=True)


def measure(name: str, source: str, rounds: int) -> Cost:
    """Judge *source* so many times."""
    used, elapsed = [], []
    for _ in range(rounds):
        before, began = _children(), time.monotonic()
        verdict = asking.ask_judge(Request(source, macros=MACROS)).verdict("k")
        used.append(_children() - before)
        elapsed.append(time.monotonic() - began)
        if verdict.refusal is not None:
            raise RuntimeError(f"{name}: whole, {verdict.refusal}")
    used.sort()
    elapsed.sort()
    middle = rounds // 2
    return Cost(name, len(source), BARS[name], used[0], used[middle], elapsed[middle])


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(arguments: list[str] | None = None) -> int:
    """Print what was measured; 1 if something took longer than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=5, help="of each program (default: 5)")
    options = parser.parse_args(arguments)
    costs = [measure(name, source, options.rounds) for name, source in programs()]
    if options.json:
        print(json.dumps([asdict(cost) for cost in costs], indent=1))
    else:
        for cost in costs:
            print(
                f"{cost.program:26} {cost.size:9,} bytes   CPU {cost.least:5.2f} s "
                f"(median {cost.median:.2f})   clock {cost.elapsed:5.2f} s   bar {cost.bar} s"
            )
    return int(any(cost.least > cost.bar for cost in costs))


if __name__ == "__main__":
    sys.exit(main())
