"""An operator's own programs as the jobs of a run (workloads/keeper.c starts and counts them).

They are asked the same as the harness's own jobs. What goes wrong is the program's, mostly, and
is told as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from harness.errors import CommandTimedOut, JobFailed
from harness.lab.hosts import COMMAND_TIMEOUT, Event, Job
from harness.lab.lab import Lab
from harness.lab.samples import CpuReport, GpuReport
from harness.plan.programs import Program, Work

LONGEST_RUN = 1800.0
"""Seconds of the controller's clock that a program may take to end where nothing is known of it."""

FIRST_LINE = 600.0
"""Seconds of it until a program has printed its first line."""


class _Kept:
    """A program that is kept, in either part."""

    def __init__(self, job: Job, program: Program) -> None:
        self.job = job
        self._program = program
        try:
            job.expect("ready", COMMAND_TIMEOUT)
        except BaseException:
            job.stop()
            raise

    def _expect(self, name: str, timeout: float) -> Event:
        try:
            return self.job.expect(name, timeout)
        except CommandTimedOut as error:
            raise JobFailed(
                f"{self.job.name} {self._silence(name)} within {timeout:.0f} s.", self._remedy()
            ) from error

    def _silence(self, name: str) -> str:
        ends = self._program.work is Work.TIME
        return "did not end" if ends else f"printed no{' further' * (name != 'warm')} line"

    def _remedy(self) -> str:
        if self._program.work is Work.TIME:
            return (
                "give it less to do; or, if it runs on by itself, have the lines counted that it "
                "prints: --gpu-work lines, --cpu-work lines"
            )
        return (
            "have it print a line for each piece of its work, and flush its output; or, if it "
            "ends, have its time counted: --gpu-work time, --cpu-work time"
        )

    def _moments(self, said: Event) -> tuple[float, ...]:
        """Return when it was started, and the marks: each end of a run, or each line."""
        start = float(said["start"])
        return (start, *(start + step / 1e6 for step in accumulate(said["steps"])))


class OwnGpuJob(_Kept):
    """An operator's GPU program, under gpusplit's options; it is not started yet."""

    def __init__(
        self,
        lab: Lab,
        environment: Mapping[str, str],
        program: Program,
        options: Mapping[str, Any],
    ) -> None:
        self._device = program.command + " (on the emulated GPU)" * lab.emulated_gpu
        super().__init__(lab.start_gpu_program(program, environment, options), program)

    @property
    def runs_on(self) -> bool:
        """Whether it does not end by itself."""
        return self._program.work is Work.LINES

    def warm_up(self) -> None:
        """Start it; return when it has started, or at the first line of one that runs on."""
        self.job.send("go")
        self._expect("warm", FIRST_LINE)

    def go(self, timeout: float) -> GpuReport:
        """Run one that ends."""
        self.warm_up()
        start, end = self._moments(self._expect("report", timeout))
        return self._report(start, end)

    def halt(self, timeout: float) -> GpuReport:
        """End one that runs on, after its next line."""
        self.job.send("stop")
        start, *lines = self._moments(self._expect("report", timeout))
        return self._report(start, lines[-1] if lines else start, tuple(lines))

    def _report(self, start: float, end: float, lines: tuple[float, ...] = ()) -> GpuReport:
        return GpuReport(start, end, self._device, {}, launches=(), lines=lines)


class OwnCpuJob(_Kept):
    """An operator's CPU program in one VM; it is not started yet."""

    def __init__(self, lab: Lab, vm: str, program: Program) -> None:
        self.vm = vm
        super().__init__(lab.start_cpu_program(vm, program), program)

    def go(self) -> None:
        """Begin to work."""
        self.job.send("go")

    def expect_warm(self, timeout: float) -> None:
        """Return when it has started; where lines are counted, when it has printed one."""
        self._expect("warm", max(timeout, FIRST_LINE))

    def halt(self) -> None:
        """Stop after the run, or the line, that comes next; the report comes then."""
        self.job.send("stop")

    def report(self, timeout: float) -> CpuReport:
        """Return what was done between `go` and `halt`."""
        start, *marks = self._moments(self._expect("report", max(timeout, LONGEST_RUN)))
        # A run has begun where the one before it ended, the first one at the start.
        first = [start] if self._program.work is Work.TIME else []
        return CpuReport(self.vm, (*first, *marks))
