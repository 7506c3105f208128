"""Putting the repetitions of a point together: medians and 95 % intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median

from scipy import stats  # type: ignore[import-untyped]

from harness.judge.evaluate import SampleResult
from harness.judge.validity import accounting_disagreements
from harness.plan.experiments import Point

Interval = tuple[float, float]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class PointResult:
    """The numbers of one point on one host: medians over its repetitions that can be trusted."""

    point: Point
    host: str
    groups: int | None
    wanted: int | None
    cpu_throughput: float | None
    """Multiplications per second: the median over repetitions of the mean over the CPU VMs."""
    cpu_throughput_interval: Interval | None
    gpu_seconds: float | None
    gpu_seconds_interval: Interval | None
    gpu_vm_cpu_seconds: float | None
    gpu_vm_cpu_seconds_interval: Interval | None
    cpu_throughputs: dict[str, float]
    """The median over repetitions, for each CPU VM."""
    samples: tuple[SampleResult, ...]
    """Every repetition, those that cannot be trusted too."""
    problems: tuple[str, ...]
    """Why the numbers cannot be trusted; empty if they can."""
    gpu_sleeps: float | None = None
    """How often the GPU job gave up the CPU to wait."""
    work_rate: float | None = None
    """Multiplications of a CPU VM per second of its CPU time."""

    @property
    def trusted(self) -> tuple[SampleResult, ...]:
        """The repetitions without problems."""
        return tuple(sample for sample in self.samples if not sample.problems)


def interval(values: Sequence[float]) -> Interval | None:
    """Return the 95 % confidence interval by Student's t; None for fewer than two values.

    t and not a bootstrap: from two to five values nothing can be drawn that is not among them.
    """
    if len(values) < 2:
        return None
    centre, error = mean(values), float(stats.sem(values))
    if error == 0:
        return (centre, centre)
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=centre, scale=error)
    return (float(low), float(high))


def combine(results: Sequence[SampleResult]) -> tuple[PointResult, ...]:
    """Put the repetitions of every point on a host together, in the order of their first."""
    disagreements = accounting_disagreements(results)
    by_point: dict[tuple[str, Point], list[SampleResult]] = {}
    for index, result in enumerate(results):
        problems = (*result.problems, *disagreements.get(index, ()))
        by_point.setdefault((result.host, result.point), []).append(
            replace(result, problems=problems)
        )
    return tuple(combined(samples) for samples in by_point.values())


def combined(samples: Sequence[SampleResult]) -> PointResult:
    """Put the repetitions of a point together.

    It can be trusted if one of them can: another repetition, good or bad, never makes a point
    invalid. How far they are apart is in what its number is known to (`uncertainty`).
    """
    trusted = [sample for sample in samples if not sample.problems]
    problems = [] if trusted else [problem for sample in samples for problem in sample.problems]
    shown = trusted or samples

    def values(of: Callable[[SampleResult], float | None]) -> list[float]:
        return [value for value in map(of, shown) if value is not None]

    throughputs = values(lambda sample: sample.cpu_throughput)
    seconds = values(lambda sample: sample.gpu_seconds)
    used = values(lambda sample: sample.gpu_vm_cpu_seconds)
    sleeps = values(lambda sample: sample.gpu_sleeps)
    rates = values(lambda s: mean(s.work_rates.values()) if s.work_rates else None)
    vms = sorted({vm for sample in shown for vm in sample.cpu_throughputs})
    return PointResult(
        point=samples[0].point,
        host=samples[0].host,
        groups=_agreed([sample.groups for sample in shown]),
        wanted=_agreed([sample.wanted for sample in shown]),
        cpu_throughput=median(throughputs) if throughputs else None,
        cpu_throughput_interval=interval(throughputs),
        gpu_seconds=median(seconds) if seconds else None,
        gpu_seconds_interval=interval(seconds),
        gpu_vm_cpu_seconds=median(used) if used else None,
        gpu_vm_cpu_seconds_interval=interval(used),
        cpu_throughputs={
            vm: median(values(lambda sample, vm=vm: sample.cpu_throughputs.get(vm)))  # type: ignore[misc]
            for vm in vms
        },
        samples=tuple(samples),
        problems=tuple(dict.fromkeys(problems)),
        gpu_sleeps=median(sleeps) if sleeps else None,
        work_rate=median(rates) if rates else None,
    )


def _agreed(values: Sequence[int | None]) -> int | None:
    return values[0] if len(set(values)) == 1 else None
