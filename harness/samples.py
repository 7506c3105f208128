"""What a point leaves behind: raw samples, as they came from the machines.

These are kept on disk for every point; all numbers of a report are computed from them
(see `evaluate`), so that a reader can check any number by hand.

All times are CLOCK_REALTIME seconds of the machine that took them, unless they say
otherwise. Guests set their clocks when they boot and differ by up to seconds, but run at one
rate, Xen's; `ClockReading` measures the differences, so that all can be put on dom0's clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.experiments import Point


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
    """The OpenCL device's name."""
    versions: dict[str, str]
    """What the job ran on, by name."""
    launches: tuple[Launch, ...]


@dataclass(frozen=True)
class CpuReport:
    """What the CPU job of one VM said at its end."""

    vm: str
    ends: tuple[float, ...]
    """When each multiplication ended, warm-up included; ascending."""


@dataclass(frozen=True)
class XenSample:
    """Xen's accounting at one moment of dom0's clock."""

    time: float
    cpu_seconds: dict[int, float]
    """CPU time since its creation of every domain, by domid."""


@dataclass(frozen=True)
class ClockReading:
    """A guest's clock, read between two readings of dom0's."""

    vm: str
    before: float
    """dom0's clock before the guest was asked."""
    reading: float
    after: float
    """dom0's clock after the guest had answered."""

    @property
    def offset(self) -> float:
        """Seconds by which the guest's clock is ahead of dom0's, by the middle of the reading."""
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
    """Everything that was sampled at one point."""

    point: Point
    window_start: float
    """Start of the time that counts, on dom0's clock: the GPU job's start, where there is one."""
    window_end: float
    gpu_domid: int
    gpu: GpuReport | None
    cpus: tuple[CpuReport, ...]
    xen: tuple[XenSample, ...]
    clocks: tuple[ClockReading, ...]
    measured_in: float
    """Seconds of the controller's clock that the whole point took; only for forecasts."""
    environment: dict[str, str] = field(default_factory=dict)
    """The GPU job's environment variables."""


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
