"""`summary.json`: a run's numbers and verdicts, in a schema that stays as it is.

The fields of the classes below are the schema (number 2), name by name. A number that a point
does not have, or that was not obtained, is null. Everything that reports say is computed from
this file alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import UnreadableResults
from harness.judge.repetitions import Interval
from harness.judge.timeline import Timeline
from harness.keep.environment import Environment
from harness.lab.samples import Verification

SCHEMA = 2

NAME = "summary.json"


@dataclass(frozen=True)
class Sample:
    """One repetition of a point."""

    repetition: int
    host: str
    cpu_throughput: float | None
    gpu_seconds: float | None
    gpu_vm_cpu_seconds: float | None
    cpu_throughputs: dict[str, float]
    raw: str
    """The file with the raw samples, in the run's folder."""
    problems: tuple[str, ...]
    repeated_for: tuple[str, ...] = ()
    """Why it was measured a second time; empty if the first try counts."""


@dataclass(frozen=True)
class PointSummary:
    """One point: medians over its repetitions, with 95 % confidence intervals.

    An interval is null where there is one repetition only.
    """

    label: str
    cpu_vms: int
    mode: str
    groups: int | None
    """Groups that were launched."""
    wanted: int | None
    """Groups that were asked for; null where nothing is split."""
    alpha: int | None
    blocking_driver: bool
    launches: int | None
    cpu_throughput: float | None
    """Multiplications per second, mean over the CPU VMs; of an operator's program runs or lines
    per second (`parameters.programs`)."""
    gpu_seconds: float | None
    """Of the GPU job; where an operator's program is counted by its lines, of a line."""
    gpu_vm_cpu_seconds: float | None
    cpu_throughput_interval: Interval | None
    gpu_seconds_interval: Interval | None
    gpu_vm_cpu_seconds_interval: Interval | None
    samples: tuple[Sample, ...]
    cpu_throughputs: dict[str, float]
    """The throughput of each CPU VM."""
    problems: tuple[str, ...]
    """Why the numbers cannot be trusted; empty if they can."""
    adaptive: bool = False
    """The policy adaptive chose the groups."""
    gpu_sleeps: float | None = None
    """How often the GPU job gave up the CPU to wait: a median, like the others."""
    work_rate: float | None = None
    """Multiplications (runs, lines) of a CPU VM per second of its CPU time, by the accounting."""


@dataclass(frozen=True)
class ExperimentSummary:
    """A set of points that answer one question."""

    id: str
    title: str
    source: str
    points: tuple[str, ...]
    """Their labels."""


@dataclass(frozen=True)
class Tried:
    """One alpha of a calibration."""

    alpha: int
    groups: int | None
    gpu_slow_down: float | None
    """Relative to the unsplit GPU job beside as many CPU VMs; below 0 it is faster."""
    cpu_throughput: float | None
    point: str
    """The label of the point."""


@dataclass(frozen=True)
class CalibrationSummary:
    """The search for the best alpha beside so many CPU VMs."""

    cpu_vms: int
    bound: float
    """The largest relative slow-down of the GPU job that was allowed."""
    alpha: int | None
    """The best; null if none kept within the bound."""
    groups: int | None
    tried: tuple[Tried, ...]
    mode: str = "gpusplit"
    """Whose best alpha: gpusplit's or the paper's method's."""


@dataclass(frozen=True)
class ClaimSummary:
    """One claim and its verdict."""

    id: str
    kind: str
    """`ours`: must hold, or the run fails. `paper`: is reproduced or not, as it turns out."""
    experiment: str
    figure: str
    statistic: str
    text: str
    source: str
    value: float | None
    limit: float
    at_least: bool
    """True if the value must reach the limit, False if it must not pass it."""
    outcome: str
    """`pass`, `fail`, `inconclusive`, `does_not_arise` or `invalid`."""
    reason: str
    """How the outcome came about."""
    interval: Interval | None = None
    """The 95 % interval of the value, which is held against the limit; both ends are the value
    where it is exact. Null without a value."""
    because: str = ""
    """Why the limit is where it is."""


@dataclass(frozen=True)
class RepeatabilitySummary:
    """How far one measurement of a point is from the next, on one host."""

    host: str
    quantity: str
    """`cpu_throughput` or `gpu_seconds`."""
    deviation: float
    """Standard deviation, relative to the value."""
    freedom: float
    """Its degrees of freedom, those included that earlier runs in such labs count for."""


@dataclass(frozen=True)
class ConditionSummary:
    """What came out under one condition, beside one number of CPU VMs."""

    label: str
    """Empty for the standard condition."""
    condition: dict[str, Any]
    """Its fields (harness/plan/conditions.py)."""
    cpu_vms: int
    points: tuple[PointSummary, ...]
    claims: tuple[ClaimSummary, ...]
    distance: float | None
    """How far the worst of the paper's three numbers (20 %, under 5 %, 38 % by 500 groups) is
    from what was measured, 0.01 being a percentage point; null if too little was measured."""


@dataclass(frozen=True)
class Summary:
    """A whole run."""

    schema: int
    lab: str
    """`dryrun`, `bench` or `local`."""
    profile: str
    clock: str
    """`deterministic`, `fast` or `real`."""
    started: str
    finished: str
    environment: Environment
    parameters: dict[str, Any]
    """The profile's fields."""
    points: tuple[PointSummary, ...]
    """Those of Fig. 6 first: no_gpu, unsplit and gpusplit by the number of VMs."""
    experiments: tuple[ExperimentSummary, ...]
    calibration: tuple[CalibrationSummary, ...]
    claims: tuple[ClaimSummary, ...]
    physical_limits: dict[str, float]
    """The largest possible gain of CPU throughput over unsplit, by the number of CPU VMs."""
    verification: Verification | None
    timeline: Timeline | None = None
    repeatability: tuple[RepeatabilitySummary, ...] = ()
    conditions: tuple[ConditionSummary, ...] = ()
    """The experiment `conditions`: the standard one first."""

    def point(self, label: str) -> PointSummary | None:
        """Return a point by its label; None if it was not measured."""
        return next((point for point in self.points if point.label == label), None)


def read_summary(path: Path) -> Summary:
    """Read a `summary.json`, or that of a run's folder; UnreadableResults says what is wrong."""
    if path.is_dir():
        path = path / NAME
    try:
        return TypeAdapter(Summary).validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnreadableResults(
            f"There is no {path}.", "give the folder of a run that has ended (see results/)"
        ) from None
    except (OSError, ValidationError) as error:
        raise UnreadableResults(
            f"{path} is not a summary of schema {SCHEMA}: {error}",
            "measure again, or read it with the version of gpusplit that wrote it",
        ) from error
