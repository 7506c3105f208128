"""Putting a run's results into the schema of `summary.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import product
from math import isfinite

from pydantic import TypeAdapter

from harness.judge.claims import Verdict
from harness.judge.condition_map import ConditionVerdicts, map_conditions
from harness.judge.evaluate import SampleResult
from harness.judge.measurements import Measurements, Quantity, Unjudgeable, physical_limit
from harness.judge.repetitions import PointResult
from harness.keep.environment import Environment
from harness.keep.results import raw_name
from harness.keep.summary import (
    SCHEMA,
    CalibrationSummary,
    ClaimSummary,
    ConditionSummary,
    ExperimentSummary,
    PointSummary,
    RepeatabilitySummary,
    Sample,
    Summary,
    Tried,
)
from harness.plan.conditions import STANDARD
from harness.plan.experiments import Mode, experiments
from harness.plan.profiles import Profile


def summarise(
    measurements: Measurements,
    verdicts: Sequence[Verdict],
    environment: Environment,
    started: datetime,
    finished: datetime,
) -> Summary:
    """Put a run's results into the schema."""
    profile = measurements.profile
    calibrations = calibrate(measurements)
    order = _order(profile, calibrations)
    measured = {r.point.label for r in measurements.results if r.point.condition == STANDARD}
    return Summary(
        schema=SCHEMA,
        lab=measurements.lab,
        profile=profile.name,
        clock=measurements.clock,
        started=started.isoformat(timespec="seconds"),
        finished=finished.isoformat(timespec="seconds"),
        environment=environment,
        parameters=TypeAdapter(Profile).dump_python(profile, mode="json"),
        points=tuple(map(_point, sorted(_at_home(measurements), key=order))),
        experiments=tuple(
            ExperimentSummary(
                experiment.id,
                experiment.title,
                experiment.source,
                tuple(p.label for p in experiment.points if p.label in measured),
            )
            for experiment in experiments(profile)
        ),
        calibration=calibrations,
        claims=tuple(_claim(verdict) for verdict in verdicts),
        physical_limits={
            str(n): physical_limit(n, measurements.shared_cpus)
            for n in profile.cpu_vms or profile.program_vms
        },
        verification=measurements.verification,
        timeline=measurements.timeline,
        repeatability=tuple(_repeatability(measurements)),
        conditions=tuple(map(_condition, map_conditions(measurements))),
    )


def calibrate(measurements: Measurements) -> tuple[CalibrationSummary, ...]:
    """Describe the search for the best alpha, where it could be made."""
    made = []
    for n, mode in product(measurements.profile.cpu_vms, (Mode.GPUSPLIT, Mode.PAPER)):
        try:
            calibration = measurements.beside(n).calibration(n, mode)
        except Unjudgeable:
            continue
        best = calibration.best
        made.append(
            CalibrationSummary(
                cpu_vms=n,
                bound=calibration.bound,
                alpha=best.point.alpha if best else None,
                groups=best.groups if best else None,
                mode=str(mode),
                tried=tuple(
                    Tried(
                        alpha=result.point.alpha or 0,
                        groups=result.groups,
                        gpu_slow_down=slow_down,
                        cpu_throughput=result.cpu_throughput,
                        point=result.point.label,
                    )
                    for result, slow_down in calibration.tried
                ),
            )
        )
    return tuple(made)


def _repeatability(measurements: Measurements) -> Iterator[RepeatabilitySummary]:
    """Say how well every host repeats."""
    for host in dict.fromkeys(result.host for result in measurements.results):
        for quantity in Quantity:
            found = measurements.of_host(host).repeatability(quantity)
            yield RepeatabilitySummary(host, str(quantity), found.deviation, found.freedom)


def _at_home(measurements: Measurements) -> Iterator[PointResult]:
    """Give every point once: where several hosts measured one, what its home did."""
    for result in measurements.results:
        if result.point.condition != STANDARD:
            continue  # its place is in the map of conditions
        at_home = measurements.beside(result.point.cpu_vms).results
        if result in at_home or all(other.point != result.point for other in at_home):
            yield result


def _order(
    profile: Profile, calibrations: Sequence[CalibrationSummary]
) -> Callable[[PointResult], tuple[int, int, int]]:
    """Return a sort key: what Fig. 6 shows first, by the number of CPU VMs; then the others.

    Whoever takes the first point of a mode beside n CPU VMs has the one that Fig. 6 shows.
    """
    best = dict.fromkeys(profile.cpu_vms, profile.alpha)
    ours = [c for c in calibrations if c.mode == Mode.GPUSPLIT]
    best |= {c.cpu_vms: c.alpha for c in ours if c.alpha is not None}
    modes = list(Mode)

    def key(result: PointResult) -> tuple[int, int, int]:
        point = result.point
        shown = point.mode in (Mode.NO_GPU, Mode.UNSPLIT) and not point.blocking_driver
        shown |= point.mode is Mode.GPUSPLIT and best.get(point.cpu_vms, 0) == point.alpha
        return (not shown, point.cpu_vms, modes.index(point.mode))

    return key


def _point(result: PointResult) -> PointSummary:
    point = result.point
    return PointSummary(
        label=point.label,
        cpu_vms=point.cpu_vms,
        mode=str(point.mode),
        groups=result.groups,
        wanted=result.wanted if point.mode.splits else None,
        alpha=point.alpha,
        blocking_driver=point.blocking_driver,
        launches=point.launches,
        cpu_throughput=result.cpu_throughput,
        gpu_seconds=result.gpu_seconds,
        gpu_vm_cpu_seconds=result.gpu_vm_cpu_seconds,
        cpu_throughput_interval=result.cpu_throughput_interval,
        gpu_seconds_interval=result.gpu_seconds_interval,
        gpu_vm_cpu_seconds_interval=result.gpu_vm_cpu_seconds_interval,
        samples=tuple(map(_sample, result.samples)),
        cpu_throughputs=result.cpu_throughputs,
        problems=result.problems,
        adaptive=point.adaptive,
        gpu_sleeps=result.gpu_sleeps,
        work_rate=result.work_rate,
    )


def _condition(found: ConditionVerdicts) -> ConditionSummary:
    n = found.cpu_vms
    return ConditionSummary(
        label=found.condition.label,
        condition=asdict(found.condition),
        cpu_vms=n,
        points=tuple(
            _point(result) for result in found.measurements.results if result.point.cpu_vms == n
        ),
        claims=tuple(map(_claim, found.verdicts)),
        distance=found.distance,
    )


def _sample(result: SampleResult) -> Sample:
    return Sample(
        repetition=result.repetition,
        host=result.host,
        cpu_throughput=result.cpu_throughput,
        gpu_seconds=result.gpu_seconds,
        gpu_vm_cpu_seconds=result.gpu_vm_cpu_seconds,
        cpu_throughputs=result.cpu_throughputs,
        raw=raw_name(result.point, result.repetition, result.host),
        problems=result.problems,
        repeated_for=result.repeated_for,
    )


def _claim(verdict: Verdict) -> ClaimSummary:
    claim = verdict.claim
    return ClaimSummary(
        id=claim.id,
        kind=str(claim.kind),
        experiment=claim.experiment,
        figure=claim.figure,
        statistic=claim.statistic,
        text=claim.text,
        source=claim.source,
        # JSON knows no infinity, which stands for numbers that were never computed.
        value=verdict.value if verdict.value is not None and isfinite(verdict.value) else None,
        interval=verdict.interval if all(map(isfinite, verdict.interval or ())) else None,
        because=claim.because,
        limit=claim.limit,
        at_least=claim.at_least,
        outcome=str(verdict.outcome),
        reason=verdict.reason,
    )
