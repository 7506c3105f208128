"""Stand-in for the new summary.py until it is merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    repetition: int
    host: str
    cpu_throughput: float | None
    gpu_seconds: float | None
    gpu_vm_cpu_seconds: float | None
    cpu_throughputs: dict[str, float]
    raw: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class PointSummary:
    label: str
    cpu_vms: int
    mode: str
    groups: int | None
    wanted: int | None
    alpha: int | None
    blocking_driver: bool
    launches: int | None
    cpu_throughput: float | None
    gpu_seconds: float | None
    gpu_vm_cpu_seconds: float | None
    cpu_throughput_interval: Interval | None
    gpu_seconds_interval: Interval | None
    gpu_vm_cpu_seconds_interval: Interval | None
    samples: tuple[Sample, ...]
    cpu_throughputs: dict[str, float]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ExperimentSummary:
    id: str
    title: str
    source: str
    points: tuple[str, ...]


@dataclass(frozen=True)
class Tried:
    alpha: int
    groups: int | None
    gpu_slow_down: float | None
    cpu_throughput: float | None
    point: str


@dataclass(frozen=True)
class CalibrationSummary:
    cpu_vms: int
    bound: float
    alpha: int | None
    groups: int | None
    tried: tuple[Tried, ...]


@dataclass(frozen=True)
class ClaimSummary:
    id: str
    kind: str
    experiment: str
    figure: str
    statistic: str
    text: str
    source: str
    value: float | None
    limit: float
    at_least: bool
    outcome: str
    reason: str


@dataclass(frozen=True)
class Summary:
    schema: int
    lab: str
    profile: str
    clock: str
    started: str
    finished: str
    environment: dict[str, Any]
    parameters: dict[str, Any]
    points: tuple[PointSummary, ...]
    experiments: tuple[ExperimentSummary, ...]
    calibration: tuple[CalibrationSummary, ...]
    claims: tuple[ClaimSummary, ...]
    physical_limits: dict[str, float]
    verification: dict[str, Any] | None
