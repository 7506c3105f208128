"""The timeline: CPU VMs come and go while the GPU job runs, and the job follows.

Unlike a point it is about change: how soon the next kernel call knows the new number of running
VMs, and what everybody gets meanwhile. `measure_timeline` takes the raw samples; here they are
defined and put on one clock, by pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.lab.samples import ClockReading, CpuReport, CpuSample, GpuReport, tightest

REACTION = 2.0
"""Seconds after a change within which a launch may still go by the old number of VMs."""

BIN = 1.0
"""Seconds over which a throughput is counted."""


@dataclass(frozen=True)
class Change:
    """CPU VMs came or went, between two moments of the reference clock."""

    cpu_vms: int
    """CPU VMs that run from then on."""
    began: float
    ended: float
    """The new number was published by then."""
    how: str = ""
    """`woken`, `paused`, `created` or `destroyed`."""


@dataclass(frozen=True)
class TimelineSamples:
    """Everything that was sampled. Times are those of the machine that took them."""

    host: str
    gpu_vm: str
    alpha: int
    first: int
    """CPU VMs that ran at the start."""
    start: float
    """The GPU job's start, on the reference clock."""
    changes: tuple[Change, ...]
    gpu: GpuReport
    cpus: tuple[CpuReport, ...]
    accounting: tuple[CpuSample, ...]
    clocks: tuple[ClockReading, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TimelineLaunch:
    """One kernel launch; seconds since the GPU job's start."""

    start: float
    end: float
    groups: int
    wanted: int
    vm_count: int | None
    """Running VMs that gpusplit counted."""


@dataclass(frozen=True)
class Step:
    """From a moment on so many CPU VMs ran; seconds since the GPU job's start."""

    began: float
    ended: float
    cpu_vms: int
    how: str = ""
    """What became of CPU VMs at its beginning, as in Change; empty for the first."""


@dataclass(frozen=True)
class Timeline:
    """What happened, on one clock."""

    host: str
    alpha: int
    bin_seconds: float
    steps: tuple[Step, ...]
    """The first is what ran at the start."""
    launches: tuple[TimelineLaunch, ...]
    throughput: dict[str, tuple[float, ...]]
    """Multiplications per second of every CPU VM, for every bin since the start."""

    def judged(self, step: Step) -> tuple[TimelineLaunch, ...]:
        """Launches that began REACTION after a change or later, and before the next one."""
        ready = step.ended + REACTION
        return tuple(launch for launch in self._within(step) if launch.start >= ready)

    def unjudged_steps(self) -> tuple[Step, ...]:
        """Steps too short for a launch that had to know: nothing is known of them."""
        return tuple(step for step in self.steps if not self.judged(step))

    def wrong_launches(self) -> tuple[TimelineLaunch, ...]:
        """Launches that began later than REACTION after a change and went by an old count."""
        wrong = []
        for step in self.steps:
            count = step.cpu_vms + 1
            right = (count, self.alpha * count)
            wrong += [one for one in self.judged(step) if (one.vm_count, one.wanted) != right]
        return tuple(wrong)

    def first_after(self, step: Step) -> TimelineLaunch | None:
        """The first launch that went by the new number of VMs; None if none did."""
        knew = (one for one in self._within(step) if one.vm_count == step.cpu_vms + 1)
        return next(knew, None)

    def _within(self, step: Step) -> list[TimelineLaunch]:
        """Return the launches that began in a step, in order."""
        until = min((s.began for s in self.steps if s.began > step.began), default=float("inf"))
        return [launch for launch in self.launches if step.began <= launch.start < until]


def evaluate_timeline(samples: TimelineSamples) -> Timeline:
    """Put everything on one clock, which starts with the GPU job."""
    offsets = {vm: clock.offset for vm, clock in tightest(samples.clocks).items()}
    start, ahead = samples.start, offsets[samples.gpu_vm]
    launches = tuple(
        TimelineLaunch(
            launch.start - ahead - start,
            launch.end - ahead - start,
            launch.groups,
            launch.wanted,
            launch.vm_count,
        )
        for launch in samples.gpu.launches
    )
    steps = [Step(0.0, 0.0, samples.first)]
    steps += [Step(c.began - start, c.ended - start, c.cpu_vms, c.how) for c in samples.changes]
    bins = int((samples.gpu.end - samples.gpu.start) / BIN)
    return Timeline(
        host=samples.host,
        alpha=samples.alpha,
        bin_seconds=BIN,
        steps=tuple(steps),
        launches=launches,
        throughput={
            cpu.vm: binned([end - offsets[cpu.vm] - start for end in cpu.ends], cpu.parts, bins)
            for cpu in samples.cpus
        },
    )


def binned(ends: Sequence[float], parts: int, bins: int) -> tuple[float, ...]:
    """Multiplications per second in every bin, from when each of their *parts* ended."""
    counts = [0] * bins
    for end in ends:
        if 0 <= end < bins * BIN:
            counts[int(end / BIN)] += 1
    return tuple(count / parts / BIN for count in counts)
