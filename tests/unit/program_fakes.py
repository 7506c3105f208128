"""An operator's programs in a lab that is not there: what the keeper says of them."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

from harness_fakes import KINDS, FakeProcess, World

from harness.errors import JobFailed
from harness.lab.programs import OwnPrograms
from harness.lab.xen_lab import XenLab

GPU_RUN = 6.0
"""Seconds of one run of the GPU program."""

LINE_EVERY = 0.5
"""Seconds between two lines of it, where it runs on."""


class FakeKeeper(FakeProcess):
    """A GPU program that spins, unless gpusplit runs it; CPU programs that never rest."""

    def begin(self) -> None:
        at = next(k for k, word in enumerate(self.words) if word.endswith("/keeper"))
        self.way, self.folder, *self.program = self.words[at + 1 :]
        self.is_gpu = self.host.name == "gpu1"
        self.vm = self.world.vms[self.host.name]
        self.say("ready")

    def command(self, word: str, argument: str) -> None:
        if "fails" in self.program and word == "go":
            return  # it says nothing any more: see read_line
        self.say("warm") if word == "go" else None
        if self.is_gpu:
            self.gpu(word)
        elif word == "go":
            self.vm.ends.clear()
            self.began = self.clock()
            self.vm.computing = True
        else:
            known = len(self.vm.ends)
            while len(self.vm.ends) == known:
                self.world.advance(0.05)
            self.vm.computing = False
            ahead = self.world.clock_offset.get(self.host.name, 0.0)
            self.report([end + ahead for end in self.vm.ends])

    def gpu(self, word: str) -> None:
        if word == "go":
            spins = "run" not in self.program
            self.world.gpu_share = 1.0 if spins else self.world.split_cpu_share
            self.began = self.clock()
            self.lines: list[float] = []
            self.left = GPU_RUN if self.way == "once" else math.inf
            # The world asks its GPU job for no more than this has, whatever it is called.
            self.world.gpu_job = self  # type: ignore[assignment]
        else:
            known = len(self.lines)
            while len(self.lines) == known:
                self.world.advance(0.05)
            self.ended()
            self.report(self.lines)

    def ran(self, seconds: float) -> None:
        """Time passed while the GPU program ran."""
        self.left -= seconds
        if self.clock() >= self.began + (len(self.lines) + 1) * LINE_EVERY:
            self.lines.append(self.clock())
        if self.left <= 1e-9:
            self.ended()
            self.report([self.clock()])

    def report(self, marks: list[float]) -> None:
        micros = [round(moment * 1e6) for moment in (self.began, *marks)]
        steps = [after - before for before, after in pairwise(micros)]
        self.say("report", start=round(self.began, 6), steps=steps)

    def read_line(self, timeout: float) -> str:
        while not self.said and self.world.gpu_job is self and self.way == "once":
            self.world.advance(0.05)
        if not self.said:
            raise JobFailed("the GPU program ended with status 3: no licence", "fix it")
        return super().read_line(timeout)

    def ended(self) -> None:
        self.vm.computing = False
        if self.is_gpu:
            self.world.gpu_share = self.world.gpu_job = None


KINDS["keeper"] = FakeKeeper


def lab_with_programs(world: World, folder: Path) -> XenLab:
    """A lab that can start an operator's programs, with a folder of files for them."""
    lab = world.lab(folder)
    keeper = folder / "keeper"
    keeper.write_text("the keeper")
    files = folder / "files"
    files.mkdir()
    (files / "solve").write_text("a program")
    lab.own = OwnPrograms(keeper, folder / "gpusplit", files)
    return lab
