"""What a measured point leaves behind: raw samples, as they came from the machines.

These are kept on disk for every point; all numbers of a report are computed from them
(see `evaluate`), so that a reader can check any number by hand.

All times are seconds of the job that took them, unless they say otherwise: of its machine's
monotonic clock, set to CLOCK_REALTIME when the job started, so that a clock that is set meanwhile
moves nothing. They differ by up to seconds, but run at one rate, the hypervisor's; `ClockReading`
measures the differences, so that all can be put on the *reference clock*: that of the sampler in
dom0, or on this machine where there is no hypervisor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.plan.experiments import Point


@dataclass(frozen=True)
class Launch:
    """One kernel launch of the GPU job, as gpusplit recorded it."""

    start: float
    end: float
    groups: int
    """Groups that were launched."""
    wanted: int
    """Groups that were asked for; work-groups are not cut, so that it may differ from `groups`."""
    vm_count: int | None
    """Running VMs that gpusplit knew of when it chose the number of groups."""
    reason: str
    """Why that many groups, in gpusplit's words."""


@dataclass(frozen=True)
class GpuReport:
    """What the GPU job said at its end."""

    start: float
    end: float
    device: str
    """The OpenCL device's name; of an operator's program its command."""
    versions: dict[str, str]
    """What the job ran on, by name; nothing of an operator's program."""
    launches: tuple[Launch, ...]
    sleeps: int | None = None
    """How often a thread of it gave up the CPU to wait: each time it has to be woken up."""
    lines: tuple[float, ...] = ()
    """When it printed each line, where an operator's program is counted by them; ascending."""


@dataclass(frozen=True)
class CpuReport:
    """What the CPU job of one VM said at its end."""

    vm: str
    ends: tuple[float, ...]
    """When each part of a multiplication ended, warm-up included; ascending."""
    parts: int = 1
    """Parts of one multiplication."""


@dataclass(frozen=True)
class CpuSample:
    """The lab's accounting of CPU time at one moment of the reference clock."""

    time: float
    cpu_seconds: dict[str, float]
    """CPU time that every VM has used since some moment before the point, by the VM's name."""


@dataclass(frozen=True)
class ClockReading:
    """A guest's clock, read between two readings of the reference clock."""

    vm: str
    before: float
    """The reference clock before the guest was asked."""
    reading: float
    after: float
    """The reference clock after the guest had answered."""

    @property
    def offset(self) -> float:
        """Seconds by which the guest's clock is ahead, by the middle of the reading."""
        return self.reading - (self.before + self.after) / 2

    @property
    def uncertainty(self) -> float:
        """Seconds by which the offset may be wrong."""
        return (self.after - self.before) / 2


def tightest(clocks: Iterable[ClockReading]) -> dict[str, ClockReading]:
    """Return the reading of each VM's clock that leaves the least open."""
    best: dict[str, ClockReading] = {}
    for clock in clocks:
        if clock.vm not in best or clock.uncertainty < best[clock.vm].uncertainty:
            best[clock.vm] = clock
    return best


@dataclass(frozen=True)
class PointSamples:
    """Everything that was sampled in one repetition of a point."""

    point: Point
    repetition: int
    """Counts from 1."""
    host: str
    """The lab's host it was measured on."""
    window_start: float
    """Start of the time that counts, on the reference clock: the GPU job's start, if any."""
    window_end: float
    gpu_vm: str
    gpu: GpuReport | None
    cpus: tuple[CpuReport, ...]
    accounting: tuple[CpuSample, ...]
    clocks: tuple[ClockReading, ...]
    identities: dict[str, str]
    """What tells each running VM from itself after a restart (the domid), before the window."""
    identities_after: dict[str, str]
    """The same after the window."""
    measured_in: float
    """Seconds of the controller's clock that the whole point took; only for forecasts."""
    shared_cpus: int = 1
    """Physical CPUs that the VMs share."""
    accounting_tolerance: float = 0.03
    """Relative difference allowed between the CPU jobs' own account and the lab's."""
    real_cpus: bool = False
    """Caches, hyper-threads and clock rates are real: points differ in what a second of CPU time is
    worth."""
    own_cpu_jobs: bool = True
    """The CPU jobs are the harness's own: all of their work is alike, and they never idle."""
    options: dict[str, Any] = field(default_factory=dict)
    """The emulated driver's settings and gpusplit's options."""
    incidents: tuple[str, ...] = ()
    """What went wrong while it was measured; then the rest may be empty."""
    repeated_for: tuple[str, ...] = ()
    """Incidents of the try before, which this one took the place of."""
    clocks_after: tuple[ClockReading, ...] = ()
    """The same as `clocks`, read when the jobs had reported."""

    @classmethod
    def failed(
        cls, point: Point, repetition: int, host: str, gpu_vm: str, why: str, measured_in: float
    ) -> PointSamples:
        """Return what is left of a point that could not be measured."""
        return cls(
            point, repetition, host, 0.0, 0.0, gpu_vm, None, (), (), (), {}, {}, measured_in,
            incidents=(why,),
        )  # fmt: skip


@dataclass(frozen=True)
class Verification:
    """The GPU job's product at a small size, really computed, against numpy's."""

    size: int
    groups: int
    """Groups of the launch, as gpusplit recorded them."""
    max_relative_error: float | None
    """Largest difference from numpy's product, divided by the largest element of it; None if
    an element was never computed."""
    device: str
