"""Launch made programs whole and split, and compare; in a process of its own.

A driver or a mistake in a slice may kill the process, so that `python program_runner.py FOLDER
FIRST LAST CASES` says as JSON, a line at a time, what it is about to do, and what came of it.
Headers lie in FOLDER before it starts: what is written later, nobody may trust.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl
from program_maker import COUNTERS, ENTRIES, Kernel, Program, make

import gpusplit

MF = cl.mem_flags
#: Splits; the last one is more than there are work-groups.
GROUPS = (2, 3, 5, 7, 1000)


@dataclass(frozen=True)
class Case:
    """One launch of a kernel, and one way to split it."""

    kernel: int
    size: tuple[int, ...]
    local: tuple[int, ...] | None
    offset: tuple[int, ...] | None
    k: int
    groups: int


#: A variant may be compiled for each NDRange, as an original is for each local size: few a kernel.
NDRANGES = 2


def cases(seed: int, program: Program, count: int) -> list[Case]:
    """*count* cases, of each kernel as many: few NDRanges, in several groups each."""
    rng = random.Random(f"cases {seed}")
    shapes = [[_ndrange(rng, kernel) for _ in range(NDRANGES)] for kernel in program.kernels]
    found = []
    for number in range(count):
        which = number % len(program.kernels)
        size, local, offset = rng.choice(shapes[which])
        found.append(Case(which, size, local, offset, rng.randrange(5), rng.choice(GROUPS)))
    return found


def _ndrange(rng: random.Random, kernel: Kernel) -> tuple[Any, Any, Any]:
    """A global size, local size and global offset."""
    local = rng.choice(kernel.local_sizes)
    most = (12, 6, 4)[kernel.dims - 1]
    # PoCL chooses and compiles a local size for each global size: one is enough.
    shape = tuple(rng.randint(1, most) if local else 4 for _ in range(kernel.dims))
    if max(shape) == 1:
        shape = (5, *shape[1:])
    width = local or (1,) * kernel.dims
    offset = None
    if rng.random() < 0.4:
        offset = tuple(rng.choice((0, 1, 5)) for _ in range(kernel.dims))
    return tuple(n * w for n, w in zip(shape, width, strict=True)), local, offset


@functools.cache
def context() -> cl.Context:
    return cl.create_some_context(interactive=False)


@functools.cache
def queue() -> cl.CommandQueue:
    return cl.CommandQueue(context())


@functools.cache
def tables() -> dict[str, cl.Buffer]:
    """What kernels only read."""
    numbers = np.arange(1, 2 * ENTRIES + 1, dtype=np.uint32)
    return {
        name: cl.Buffer(context(), MF.READ_ONLY | MF.COPY_HOST_PTR, hostbuf=numbers * factor)
        for name, factor in (("cells", np.uint32(3)), ("table", np.uint32(5)))
    }


def four(values: tuple[int, ...], fill: int) -> np.ndarray[Any, Any]:
    return np.array((*values, *(fill,) * 4)[:4], np.uint32)


def launch(program: cl.Program, kernel: Kernel, case: Case) -> bytes:
    """What the kernel leaves in its buffers."""
    total = int(np.prod(case.size))
    out = np.full(total * kernel.width, 0xABCDEF, np.uint64)
    counts = np.zeros(COUNTERS, np.uint32)
    written = {
        name: cl.Buffer(context(), MF.READ_WRITE | MF.COPY_HOST_PTR, hostbuf=array)
        for name, array in (("out", out), ("counts", counts))
    }
    pair = np.zeros((), [("first", "u8"), ("second", "u4", 2)])
    pair["first"], pair["second"] = 1000, (5, 7)
    values = {
        **written,
        **tables(),
        "size": four(case.size, 1),
        "offset": four(case.offset or (), 0),
        "k": np.uint32(case.k),
        "total": np.uint64(total),
        "pair": pair[()],
        "scratch": cl.LocalMemory(8 * int(np.prod(case.local or (1,)))),
    }
    ready = cl.Kernel(program, kernel.name)
    ready.set_args(*(values[argument] for argument in kernel.arguments))
    cl.enqueue_nd_range_kernel(queue(), ready, case.size, case.local, case.offset)
    for name, array in (("out", out), ("counts", counts)):
        cl.enqueue_copy(queue(), array, written[name])
    return out.tobytes() + counts.tobytes()


def differing(kernel: Kernel, expected: bytes, found: bytes) -> dict[str, Any]:
    """Which columns of out differ, and by what odd ways they were asked for."""
    end = len(expected) - 4 * COUNTERS
    both = [np.frombuffer(data[:end], np.uint64).reshape(-1, kernel.width)
            for data in (expected, found)]  # fmt: skip
    columns = np.flatnonzero((both[0] != both[1]).any(axis=0)).tolist()
    at = np.flatnonzero((both[0] != both[1]).any(axis=1))[:1].tolist()
    return {
        "columns": columns,
        "features": [kernel.features[column] for column in columns],
        "first row": [[array[row].tolist() for array in both] for row in at],
        "counters": expected[end:] != found[end:],
    }


def run(seed: int, folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """What came of each case, and before it what is to be done."""
    made = make(seed)
    yield {"seed": seed, "phase": "plain", "doing": "build"}
    options = [*made.options, "-I", str(folder / str(seed))]
    try:
        program = cl.Program(context(), made.source).build(options=options)
    except cl.RuntimeError as error:  # not every compiler knows all that is correct
        yield {"seed": seed, "phase": "plain", "refused": str(error)}
        return
    wanted = cases(seed, made, count)
    expected: dict[Case, bytes] = {}
    for case in wanted:
        whole = dataclasses.replace(case, groups=1)
        if whole in expected:
            continue
        yield {"seed": seed, "phase": "plain", "doing": repr(case)}
        expected[whole] = launch(program, made.kernels[case.kernel], case)
    for case in wanted:
        yield {"seed": seed, "phase": "split", "doing": repr(case)}
        kernel = made.kernels[case.kernel]
        with (
            gpusplit.active(policy="fixed", groups=case.groups, cores=1, judge="wait"),
            gpusplit.recording() as launches,
        ):
            found = launch(program, kernel, case)
        (told,) = launches
        result: dict[str, Any] = {
            "seed": seed,
            "case": repr(case),
            "could": int(np.prod(case.size)) > int(np.prod(case.local or (1,))),
            "groups": told.groups,
            "reason": told.reason,
        }
        right = expected[dataclasses.replace(case, groups=1)]
        if found != right:
            # A kernel whose plain results vary shows nothing.
            again = launch(program, kernel, case)
            result["wrong" if again == right else "varies"] = differing(kernel, right, found)
        yield result


def write_headers(seeds: range, folder: Path) -> None:
    """The headers of the programs, each program's in a folder of its own."""
    for seed in seeds:
        (folder / str(seed)).mkdir(parents=True)
        for name, text in make(seed).headers.items():
            path = folder / str(seed) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, newline="")


def main(folder: str, first: str, last: str, count: str) -> None:
    warnings.simplefilter("ignore")  # compilers talk
    # The library has to be below OpenCL from its start.
    gpusplit.install(gpusplit.Config(policy="unsplit"))
    for seed in range(int(first), int(last)):
        for line in run(seed, Path(folder), int(count)):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
