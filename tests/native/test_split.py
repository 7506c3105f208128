"""The native library cuts launches, and tells their variants of it, exactly as Python did."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from compiled import PROGRAMS, made
from split_reference import cut, cut_without_local_size, form, least_groups

from gpusplit.ndrange import NDRange

LAUNCHES = 4000

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


@dataclass(frozen=True)
class Case:
    """One launch, and what is wanted of it."""

    whole: NDRange
    groups: int
    cores: int
    units: int
    asks: bool
    bits: int

    def line(self) -> str:
        def three(values: tuple[int, ...], otherwise: int) -> list[int]:
            return [*values, *[otherwise] * (3 - len(values))]

        w = self.whole
        local = [0, 0, 0] if w.local_size is None else three(w.local_size, 1)
        numbers = [
            len(w.global_size), *three(w.offset, 0), *three(w.global_size, 1), *local,
            self.groups, self.cores, self.units, int(self.asks), self.bits,
        ]  # fmt: skip
        return " ".join(map(str, numbers))


def cases(seed: int) -> Iterator[Case]:
    """Launches of all kinds: small and large, divisible and not, with offsets and without."""
    draw = random.Random(seed)
    for _ in range(LAUNCHES):
        dimensions = draw.randint(1, 3)
        local = tuple(draw.choice((1, 2, 3, 4, 8, 16)) for _ in range(dimensions))
        most = draw.choice((4, 40, 700))
        size = tuple(n * draw.randint(1, most) for n in local)
        offset = tuple(draw.choice((0, 0, 5, 40_000)) for _ in range(dimensions))
        yield Case(
            NDRange(size, draw.choice((local, local, None)), offset),
            draw.choice((1, 2, 3, 7, 20, 64, 200)), draw.choice((1, 1, 480, 16_896)),
            draw.choice((1, 1, 6, 132)), draw.random() < 0.7, draw.choice((16, 32)),
        )  # fmt: skip


def side_by_side(slice_: NDRange, units: int) -> int:
    """From 2 to 8 slices hold twice the 2,048 work-items that each compute unit has room for."""
    return min(max(2, math.ceil(2 * 2048 * units / math.prod(slice_.global_size))), 8)


def pythons(case: Case) -> list[str]:
    """What split_try is to say."""
    if case.whole.local_size is None:
        parts = cut_without_local_size(case.whole, case.groups, case.cores, case.units)
    else:
        least = least_groups(case.whole, case.cores, case.units)
        parts = cut(case.whole, case.groups, least)
    asks = frozenset({"get_global_size"} if case.asks else {"get_group_id"})
    shown = form(case.whole, parts, asks, case.bits)

    def say(name: str, values: tuple[int, ...]) -> str:
        return " ".join((name, *map(str, values)))

    lines = []
    for part in map(shown.shape, parts):
        ones = (1,) * len(part.global_size)
        local = say("any", ones) if part.local_size is None else say("in", part.local_size)
        lines.append(f"{say('part', part.offset)} {say('of', part.global_size)} {local}")
    lines.append(f"beside {side_by_side(parts[0], case.units)}")
    return [*lines, f"constant {int(shown.constant)}", *shown.macros.splitlines()]


@pytest.mark.parametrize("sanitize", ["", "address,undefined"])
def test_slices_and_macros_are_those_of_python(sanitize: str) -> None:
    program = made(PROGRAMS, "split_try", sanitize=sanitize) / "split_try"
    given = list(cases(seed=16))
    said = subprocess.run(
        [program], input="\n".join(case.line() for case in given),
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    answers = said.stdout.split("end\n")
    assert len(answers) == len(given) + 1
    several = 0
    for case, answer in zip(given, answers, strict=False):
        expected = pythons(case)
        assert answer.splitlines() == expected, case
        several += len(expected) > 12
    assert several > LAUNCHES / 3
