"""What is measured: the points of the experiments, as data.

A *point* is one measurement: so many CPU VMs, and the GPU VM absent, unsplit or split.
A *profile* says how large the jobs are and which points are taken. Nothing here talks to
a lab.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What the GPU VM does at a point."""

    NO_GPU = "no_gpu"
    """The GPU VM is paused: the CPU VMs have the host to themselves."""
    UNSPLIT = "unsplit"
    """Every kernel is one launch and the driver waits for it, as programs do today."""
    GPUSPLIT = "gpusplit"
    """Kernels are cut into groups, and waiting leaves the CPU to others."""


@dataclass(frozen=True)
class Point:
    """One measurement."""

    cpu_vms: int
    mode: Mode
    groups: int | None = None
    """A fixed number of groups to ask for; None leaves it to the mode."""
    repetition: int = 1
    """Counts from 1: a repeated point is measured again as if it were new."""
    blocking_driver: bool = False
    """Waits of the emulated driver block, and do not spin: a check of the emulated GPU itself."""

    @property
    def label(self) -> str:
        """A short name, good for a file name and for a progress line."""
        groups = f"-{self.groups}groups" if self.groups is not None else ""
        again = f"-again{self.repetition}" if self.repetition > 1 else ""
        blocking = "-blocking" if self.blocking_driver else ""
        return f"n{self.cpu_vms}-{self.mode}{groups}{blocking}{again}"


@dataclass(frozen=True)
class Profile:
    """How large the jobs are and which points are taken."""

    name: str
    cpu_vms: tuple[int, ...]
    """The numbers of CPU VMs to measure, each above 0."""
    gpu_scale: float
    """Multiplies every time of the emulated GPU; 1 is the paper's card. A real GPU ignores it."""
    gpu_size: int = 5120
    """Rows and columns of the GPU job's square matrices."""
    gpu_launches: int = 4
    """Matrix products, one kernel launch each, in one GPU job."""
    alpha: int = 2
    """Groups per running VM (the paper's Eq. 1)."""
    cpu_size: int = 64
    """Rows and columns of the CPU job's square matrices."""
    cpu_warm_up: int = 20
    """Multiplications that each CPU VM does before the GPU job may start."""
    repeat_unsplit: tuple[int, ...] = ()
    """The numbers of CPU VMs at which the unsplit point is measured twice."""
    blocking_driver: tuple[int, ...] = ()
    """The numbers of CPU VMs at which the emulated driver is measured with blocking waits too."""
    verify_size: int = 144
    """Matrix size of the check against numpy: 9 tile rows, so that 4 groups leave a remainder."""
    verify_groups: int = 4
    """Groups into which the check against numpy is split."""


PROFILES = {
    profile.name: profile
    for profile in (
        # A window of 8 s: 260 time slices of the credit scheduler, so that one more or less for
        # a VM moves nothing by more than 1 %.
        Profile("smoke", cpu_vms=(1, 2), gpu_scale=0.12, repeat_unsplit=(1,), blocking_driver=(1,)),
        Profile(
            "quick", cpu_vms=(1, 2, 3, 4), gpu_scale=0.2, repeat_unsplit=(1,), blocking_driver=(1,)
        ),
    )
}

DEFAULT_PROFILE = "quick"


def alone() -> Point:
    """The GPU job with nobody beside it. It comes first: its time sizes the no-GPU windows."""
    return Point(0, Mode.UNSPLIT)


def beside(profile: Profile) -> list[Point]:
    """The points with CPU VMs, in the order of measurement."""
    points: list[Point] = []
    for n in profile.cpu_vms:
        points += [Point(n, Mode.NO_GPU), Point(n, Mode.UNSPLIT), Point(n, Mode.GPUSPLIT)]
        if n in profile.repeat_unsplit:
            points.append(Point(n, Mode.UNSPLIT, repetition=2))
        if n in profile.blocking_driver:
            points.append(Point(n, Mode.UNSPLIT, blocking_driver=True))
    return points


def alone_split(wanted: Iterable[int]) -> list[Point]:
    """The GPU job alone, once with each number of groups that was asked for beside CPU VMs."""
    return [Point(0, Mode.GPUSPLIT, groups=groups) for groups in sorted(set(wanted))]


def number_of_points(profile: Profile) -> int:
    """How many points a run will take, if every number of CPU VMs gets its own group number."""
    return 1 + len(beside(profile)) + len(profile.cpu_vms)


def gpu_environment(point: Point, profile: Profile) -> dict[str, str]:
    """The environment variables that make the GPU job run as the point says."""
    environment = {
        "EMUGPU_EXEC": "none",
        "EMUGPU_SCALE": repr(profile.gpu_scale),
        "EMUGPU_WAIT": "interrupt" if point.blocking_driver else "spin",
        # Said outright: `auto` would quietly take another source where xenstore cannot be read.
        "GPUSPLIT_VMS": "xenstore",
    }
    match point.mode:
        case Mode.NO_GPU:
            raise ValueError(f"{point.label}: there is no GPU job at this point")
        case Mode.UNSPLIT:
            split = {"GPUSPLIT_POLICY": "unsplit", "GPUSPLIT_WAIT": "driver"}
        case Mode.GPUSPLIT if point.groups is not None:
            split = {
                "GPUSPLIT_POLICY": "fixed",
                "GPUSPLIT_GROUPS": str(point.groups),
                "GPUSPLIT_WAIT": "cooperative",
            }
        case Mode.GPUSPLIT:
            split = {
                "GPUSPLIT_POLICY": "vms",
                "GPUSPLIT_ALPHA": str(profile.alpha),
                "GPUSPLIT_WAIT": "cooperative",
            }
    return environment | split
