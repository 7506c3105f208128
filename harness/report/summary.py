"""`summary.json`: a run's numbers and verdicts, in a schema that stays as it is.

The fields of the classes below are the schema, name by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from harness.claims import Measurements, Verdict, physical_limit
from harness.environment import Environment
from harness.evaluate import PointResult
from harness.experiments import Point, Profile
from harness.samples import Verification


@dataclass(frozen=True)
class PointSummary:
    """One point; null where a point has no such number, or none was obtained."""

    cpu_vms: int
    mode: str
    groups: int | None
    cpu_throughput: float | None
    """Multiplications per second, mean over the CPU VMs."""
    gpu_seconds: float | None
    gpu_vm_cpu_seconds: float | None
    cpu_throughputs: dict[str, float]
    """The same for each CPU VM."""
    problems: tuple[str, ...]
    """Why the numbers cannot be trusted; empty if they can."""
    raw: str
    """The file with the raw samples, in the run's folder."""


@dataclass(frozen=True)
class ClaimSummary:
    """One claim and its verdict."""

    id: str
    value: float | None
    limit: float
    outcome: str
    reason: str
    text: str


@dataclass(frozen=True)
class Summary:
    """A whole run."""

    lab: str
    profile: str
    clock: str
    points: tuple[PointSummary, ...]
    repeats: tuple[PointSummary, ...]
    """Points measured a second time, only to see whether they repeat."""
    drivers: tuple[PointSummary, ...]
    """Points under another emulated driver, which check the emulated GPU itself."""
    claims: tuple[ClaimSummary, ...]
    physical_limits: dict[str, float]
    """The largest possible gain of CPU throughput, by the number of CPU VMs."""
    verification: Verification | None
    parameters: Profile
    started: str
    finished: str
    environment: Environment


def summarise(
    *,
    lab: str,
    profile: Profile,
    measurements: Measurements,
    verdicts: Sequence[Verdict],
    environment: Environment,
    started: datetime,
    finished: datetime,
) -> Summary:
    """Put a run's results into the schema."""
    results = measurements.results
    return Summary(
        lab=lab,
        profile=profile.name,
        clock=measurements.clock,
        points=tuple(_point(r) for r in results if not _is_check(r.point)),
        repeats=tuple(_point(r) for r in results if r.point.repetition > 1),
        drivers=tuple(_point(r) for r in results if r.point.blocking_driver),
        claims=tuple(_claim(verdict) for verdict in verdicts),
        physical_limits={str(n): physical_limit(n) for n in profile.cpu_vms},
        verification=measurements.verification,
        parameters=profile,
        started=started.isoformat(timespec="seconds"),
        finished=finished.isoformat(timespec="seconds"),
        environment=environment,
    )


def _is_check(point: Point) -> bool:
    """Say whether a point checks the measurement, rather than being a part of it."""
    return point.repetition > 1 or point.blocking_driver


def _point(result: PointResult) -> PointSummary:
    return PointSummary(
        cpu_vms=result.point.cpu_vms,
        mode=str(result.point.mode),
        groups=result.groups,
        cpu_throughput=result.cpu_throughput,
        gpu_seconds=result.gpu_seconds,
        gpu_vm_cpu_seconds=result.gpu_vm_cpu_seconds,
        cpu_throughputs=result.cpu_throughputs,
        problems=result.problems,
        raw=f"raw/{result.point.label}.json",
    )


def _claim(verdict: Verdict) -> ClaimSummary:
    return ClaimSummary(
        id=verdict.claim.id,
        # JSON knows no infinity, which stands for numbers that were never computed.
        value=verdict.value if verdict.value is not None and isfinite(verdict.value) else None,
        limit=verdict.claim.limit,
        outcome=str(verdict.outcome),
        reason=verdict.reason,
        text=verdict.claim.text,
    )
