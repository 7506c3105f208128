"""Sequences of calls on one machine, with the layer and without: whether they end the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence as Several
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from call_draw import Sequence, draw, left
from call_maker import Plan
from conftest import EmuGpu
from native_layer import FORCED, Layer

Way = dict[str, str]
#: By phase and thread.
Calls = list[list[list[list[Any]]]]
#: Of one process, which they add little to.
BATCH = 1000
#: Shorter sequences that are tried of one that fails, a few seconds each.
TRIES = 60
RUNNER = Path(__file__).with_name("call_runner.py")


@dataclass(frozen=True)
class Machine:
    """A device, with the layer above it and without; further layers are its driver's habits."""

    layer: Layer
    emugpu: EmuGpu | None
    driver: tuple[Path, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, way: Way | None) -> dict[str, str]:
        below = [self.emugpu.library] if self.emugpu is not None else []
        above = [self.layer.library] if way is not None else []
        options = {} if way is None else FORCED | way
        layers = ":".join(map(str, [*below, *self.driver, *above]))
        return (
            self.layer.environment(self.emugpu, **options)
            | self.settings
            | {"OPENCL_LAYERS": layers}
        )

    def run(self, sequences: list[Sequence], way: Way | None) -> tuple[list[Any], str]:
        """The answers, up to the one that ended the process, and what was said."""
        return self.call([(sequence.own, Plan(sequence).phases) for sequence in sequences], way)

    def call(self, plans: list[tuple[int, Calls]], way: Way | None) -> tuple[list[Any], str]:
        """The same of plans."""
        lines = [
            json.dumps({"own": own, "phases": calls, "left": left(calls)}) for own, calls in plans
        ]
        done = subprocess.run(
            [sys.executable, RUNNER], input="\n".join(lines), env=self.environment(way),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def differs(self, sequence: Sequence, way: Way) -> bool:
        plain, _ = self.run([sequence], None)
        ours, _ = self.run([sequence], way)
        return plain != ours

    def shortened(self, sequence: Sequence, way: Way) -> Sequence:
        """As few of its intents as still differ, of what TRIES find."""
        tries, step = TRIES, len(sequence.intents)
        while step and tries:
            at = 0
            while at < len(sequence.intents) and tries:
                tries -= 1
                kept = sequence.intents[:at] + sequence.intents[at + step :]
                shorter = replace(sequence, intents=kept)
                if self.differs(shorter, way):
                    sequence = shorter
                else:
                    at += step
            step //= 2
        return sequence

    def describe(self, sequence: Sequence, way: Way) -> str:
        """What is to be known of one that differs."""
        short = self.shortened(sequence, way)
        ours, errors = self.run([short], way)
        plan = Plan(short).phases
        calls = "\n".join(
            f"{phase} {thread} {call}"
            for phase, threads in enumerate(plan)
            for thread, calls in enumerate(threads)
            for call in calls
        )
        plain, _ = self.run([short], None)
        return (
            f"sequence {sequence.seed} with {way}, made short (phase, thread, call):\n"
            f"{calls}\nplain: {plain}\nsplit: {ours}\n{errors[-3000:]}"
        )

    def compare(self, seeds: Several[int], ways: Several[Way]) -> None:
        """Sequences, each cut in one of these ways, end as without."""
        launches = split = 0
        for first in range(0, len(seeds), BATCH):
            batch = [draw(seed) for seed in seeds[first : first + BATCH]]
            parts = [batch[at :: len(ways)] for at in range(len(ways))]
            with ThreadPoolExecutor(2) as both:  # two processes at a time
                plains = both.map(lambda part: self.run(part, None), parts)
                ours = both.map(self.run, parts, ways)
            for part, way, (plain, why), (found, said) in zip(
                parts, ways, plains, ours, strict=True
            ):
                assert len(plain) == len(part), (
                    f"the driver alone ends at {part[len(plain)]}:\n{why}"
                )
                for at, sequence in enumerate(part):
                    if at >= len(found) or found[at] != plain[at]:
                        pytest.fail(self.describe(sequence, way))
                told = re.findall(r"gpusplit: (\w+): (\d+) launches, (\d+) split", said)
                launches += sum(int(n) for name, n, _ in told if not name.startswith("speaks"))
                split += sum(int(n) for *_, n in told)
        assert split > launches / 3, "it shows nothing about launches that stay whole"
