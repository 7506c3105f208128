"""The native library decides as the policy adaptive does in Python, whatever it lives through."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HISTORIES = 1000
LAUNCHES = 300

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


class Life:
    """A GPU program beside others, told to Python's policy and written down for the library's."""

    def __init__(self, seed: int) -> None:
        adaptive = pytest.importorskip("gpusplit.adaptive")
        self.draw = draw = random.Random(seed)
        self.clock = draw.uniform(0, 1e5)
        self.used = draw.uniform(0, 100)
        self.stolen: float | None = draw.choice((None, 0.0, draw.uniform(1, 100)))
        budget = draw.choice((0.01, 0.05, 0.2))
        self.policy = adaptive.Adaptive(
            budget, lambda: self.clock, lambda: self.used, lambda: self.stolen
        )
        self.lines = [f"begin {budget!r}"]
        self.expected: list[str] = []
        self.phases: Counter[str] = Counter()

    def live(self) -> None:
        draw = self.draw
        count = draw.choice((2, 3, 5, 8))
        # What others want of the CPU, what a wait uses of it, and what cutting changes of that.
        wanted, use = draw.choice((0.0, 0.01, 0.5)), draw.choice((0.01, 0.3, 1.0))
        freed, cost = draw.choice((0.0, 0.3, 0.9)), draw.choice((0.0, 1e-4, 0.004, 0.03))
        kernels = [
            (at + 1, draw.choice((64, 4096)), draw.choice((0.004, 0.05, 0.3))) for at in range(3)
        ]
        for _ in range(LAUNCHES):
            if draw.random() < 0.004:
                count = draw.choice((0, 1, 2, 3, 5, 8))
            if draw.random() < 0.004:
                wanted = draw.choice((0.0, 0.01, 0.5))
            name, items, seconds = draw.choice(kernels)
            groups = self.decide(count, name, items)
            took = seconds * (1 + cost * (groups - 1)) * draw.uniform(0.98, 1.02)
            idle = draw.choice((0.0, 0.0, took * 5)) if draw.random() < 0.1 else 0.0
            self.clock += took + idle
            part = use * (1 - freed * min(1.0, (groups - 1) / 6))
            self.used += took * part
            if self.stolen is not None:
                self.stolen += took * min(part, wanted)
            if draw.random() < 0.97:
                self.observe(name, items, groups, took)

    def decide(self, count: int, name: int, items: int) -> int:
        from gpusplit.policy import Situation

        stolen = -1.0 if self.stolen is None else self.stolen
        self.lines.append(f"decide {count} {name} {items} {self.clock!r} {self.used!r} {stolen!r}")
        decision = self.policy.decide(Situation(items, count or None, kernel=name))
        self.expected.append(f"{decision.groups} {decision.reason if decision.groups == 1 else ''}")
        self.phases[self.policy.control.phase.name] += 1
        groups: int = decision.groups
        return groups

    def observe(self, name: int, items: int, groups: int, seconds: float) -> None:
        self.lines.append(f"observe {name} {items} {groups} {seconds!r}")
        self.policy.observe(name, items, groups, seconds)


@pytest.mark.parametrize("sanitize", ["", "address,undefined"])
def test_decisions_are_those_of_python(tmp_path: Path, sanitize: str) -> None:
    made = subprocess.run(
        ["make", "-s", "-C", HERE, f"OUT={tmp_path}", f"SANITIZE={sanitize}",
         tmp_path / "adaptive_try"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if sanitize and "cannot find" in made.stderr:
        pytest.skip("this sanitizer's runtime is not installed")
    assert made.returncode == 0, made.stderr
    lives = [Life(seed) for seed in range(HISTORIES // 10 if sanitize else HISTORIES)]
    for life in lives:
        life.live()
    said = subprocess.run(
        [tmp_path / "adaptive_try"], input="\n".join(line for life in lives for line in life.lines),
        capture_output=True, text=True, check=True, timeout=600,
    ).stdout.splitlines()  # fmt: skip
    at = 0
    for seed, life in enumerate(lives):
        assert said[at : at + LAUNCHES] == life.expected, f"seed {seed}"
        at += LAUNCHES
    assert at == len(said)
    # Each part of the law was lived through.
    phases = sum((life.phases for life in lives), Counter[str]())
    assert min(phases.values()) > LAUNCHES / 10
    assert len(phases) == 5
