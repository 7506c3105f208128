"""Sequences of calls end the same with launches cut as without: results, errors, events, times.

SEQUENCES of call_maker.py by default, half of them on the emulated GPU; LONG_TESTS=50 in the
environment runs 50,000.  A sequence that differs, or kills or hangs its process, is named by its
number and made as short as it can be.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from call_draw import Sequence, draw, left
from call_errors import ERRORS
from call_maker import Plan
from conftest import EmuGpu
from native_layer import FORCED, Layer, install

pytestmark = pytest.mark.opencl

SEQUENCES = 1000 * int(os.environ.get("LONG_TESTS", "1"))
#: How launches are cut, and how many of their slices are on the device at a time.
WAYS = (
    {"groups": "2"},
    {"groups": "3", "in_flight": "1"},
    {"groups": "7", "in_flight": "3"},
    {"groups": "4", "wait": "driver"},
)
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
    """A device, with the layer above it and without."""

    layer: Layer
    emugpu: EmuGpu | None

    def environment(self, way: Way | None) -> dict[str, str]:
        if way is not None:
            return self.layer.environment(self.emugpu, **FORCED | way)
        plain = self.layer.environment(self.emugpu)
        plain["OPENCL_LAYERS"] = str(self.emugpu.library) if self.emugpu is not None else ""
        return plain

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


@pytest.mark.parametrize("device", ["PoCL", "emulated"])
def test_sequences_of_calls_end_the_same(
    tmp_path_factory: pytest.TempPathFactory, emugpu: EmuGpu, device: str
) -> None:
    emulated = device == "emulated"
    machine = Machine(install(tmp_path_factory.mktemp("calls")), emugpu if emulated else None)
    seeds = range(SEQUENCES)[int(emulated) :: 2]
    launches = split = 0
    for first in range(0, len(seeds), BATCH):
        batch = [draw(seed) for seed in seeds[first : first + BATCH]]
        parts = [batch[at :: len(WAYS)] for at in range(len(WAYS))]
        with ThreadPoolExecutor(2) as both:  # two processes at a time
            plains = both.map(lambda part: machine.run(part, None), parts)
            ours = both.map(machine.run, parts, WAYS)
        for part, way, (plain, why), (found, said) in zip(parts, WAYS, plains, ours, strict=True):
            assert len(plain) == len(part), f"the driver alone ends at {part[len(plain)]}:\n{why}"
            for at, sequence in enumerate(part):
                if at >= len(found) or found[at] != plain[at]:
                    pytest.fail(machine.describe(sequence, way))
            told = re.findall(r"gpusplit: (\w+): (\d+) launches, (\d+) split", said)
            launches += sum(int(n) for name, n, _ in told if not name.startswith("speaks"))
            split += sum(int(n) for *_, n in told)
    assert split > launches / 3, "it shows nothing about launches that stay whole"


def refused(kind: int, error: int) -> Calls:
    """Calls that are refused, behind a launch that waits for the program to set an event."""
    kernel, launched = "k.add_zero", ["launch", "q", "k.add_zero", None, [64], [8], ["u"], "e"]
    return [[[
        ["queue", "q", kind], ["buffer", "b1", 1], ["kernel", kernel], ["user", "u"],
        ["argument", kernel, 0, "b1"], ["argument", kernel, 1, "v3"], launched,
        ["waits", "e"], ["error", error, "q", "b1"], ["waits", "e"], ["set", "u", 0],
        ["wait", ["e"]],
    ]]]  # fmt: skip


@pytest.mark.parametrize("device", ["PoCL", "emulated"])
def test_what_is_refused_is_refused_at_once(
    tmp_path_factory: pytest.TempPathFactory, emugpu: EmuGpu, device: str
) -> None:
    """With the driver's error, though what is before hangs on what the program does next."""
    layer = install(tmp_path_factory.mktemp("calls"))
    machine = Machine(layer, emugpu if device == "emulated" else None)
    plans = [(0, refused(kind, error)) for kind in (0, 1) for error in range(len(ERRORS))]
    plain, why = machine.call(plans, None)
    assert len(plain) == len(plans), why
    for way in ({"policy": "unsplit"}, *WAYS[1::2]):
        ours, why = machine.call(plans, way)
        assert ours == plain, why


#: What the driver alone ended in several ways before a plan knew better, and why (call_maker.py).
MENDED = {
    22620: "a barrier with a wait list, and a launch behind it that counted on the barrier before",
}


@pytest.mark.parametrize("seed", MENDED)
def test_the_driver_alone_ends_a_sequence_in_one_way(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Of what was planned for 22620 at first, 9 runs of 60 ended otherwise."""
    machine = Machine(install(tmp_path_factory.mktemp("calls")), None)
    found, why = machine.run([draw(seed)] * 60, None)
    assert len(found) == 60, why
    assert all(one == found[0] for one in found), MENDED[seed]
