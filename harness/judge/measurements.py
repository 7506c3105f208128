"""All that a run measured: its points, how well they are known, and the search for the best alpha.

Where the measurement does not allow a number, what asks for it raises `Unjudgeable`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from harness.judge.evaluate import SampleResult
from harness.judge.repetitions import PointResult, combined
from harness.judge.timeline import Timeline
from harness.judge.uncertainty import (
    KNOWN,
    Repeatability,
    Uncertain,
    of_repetitions,
    paired_ratio,
    repeatability,
    within_rounds,
)
from harness.lab.samples import Verification
from harness.plan.conditions import STANDARD, Condition
from harness.plan.experiments import Mode, Point
from harness.plan.profiles import Profile

NOISE = 0.01
"""Throughputs this close, relatively, are equal for the choice of the best alpha."""


class Unjudgeable(Exception):
    """The measurement does not allow a verdict; the message says why."""


class NotMeasured(Unjudgeable):
    """The points that the verdict needs were not measured."""


class DoesNotArise(Exception):
    """The claim presupposes something that was not found. Says what."""


class DoesNotHold(Exception):
    """The claim is refuted without a number. Says by what."""


class Undecided(Exception):
    """Whether what the claim presupposes was found is less than the measurement can tell."""


class Quantity(StrEnum):
    """What is measured at a point, by the names of the fields that have it."""

    CPU_THROUGHPUT = "cpu_throughput"
    GPU_SECONDS = "gpu_seconds"


@dataclass(frozen=True)
class Calibration:
    """The search for the best alpha beside so many CPU VMs (the paper's Eq. 2)."""

    cpu_vms: int
    bound: float
    tried: tuple[tuple[PointResult, float], ...]
    """Points with their relative GPU slow-down over the unsplit job beside as many CPU VMs."""
    best: PointResult | None


@dataclass(frozen=True)
class Measurements:
    """All that a run measured, in the form that claims are judged on."""

    lab: str
    clock: str
    shared_cpus: int
    profile: Profile
    results: tuple[PointResult, ...]
    verification: Verification | None
    timeline: Timeline | None = None
    timeline_problem: str = ""
    """Why the timeline could not be measured; empty if nobody tried, or it was."""

    def beside(self, n: int) -> Measurements:
        """Return what may be compared with points beside n CPU VMs: what their host measured."""
        home = next((r.host for r in self.results if r.point.cpu_vms == n), None)
        return self.of_host(home) if home is not None else self

    def of_host(self, host: str) -> Measurements:
        """Return what one host measured."""
        return replace(self, results=tuple(r for r in self.results if r.host == host))

    def under(self, condition: Condition) -> Measurements:
        """Return what was measured under a condition, as if it was the standard one.

        So whatever judges a run judges a condition too.
        """
        found = []
        for result in self.results:
            point = result.point
            wanted = condition.without_gpu if point.mode is Mode.NO_GPU else condition
            if point.condition == wanted:
                found.append(replace(result, point=replace(point, condition=STANDARD)))
        return replace(self, results=tuple(found))

    def find(self, point: Point) -> PointResult:
        """Return a point's trustworthy result, or say why there is none."""
        for result in self.results:
            if result.point == point:
                if result.problems:
                    raise Unjudgeable(f"{point.label}: {'; '.join(result.problems)}")
                return result
        raise NotMeasured(f"{point.label} was not measured")

    def at(self, cpu_vms: int, mode: Mode, **more: Any) -> PointResult:
        """Return the result of the point with these fields."""
        return self.find(Point(cpu_vms, mode, **more))

    def repeatability(self, quantity: Quantity) -> Repeatability:
        """Return how well a point's number repeats, by all points that were repeated."""
        repeated = [_trusted(result, quantity) for result in self.results]
        return repeatability(repeated, KNOWN[self.clock])

    def throughput(self, result: PointResult) -> Uncertain:
        """Return a point's CPU throughput as it is known, multiplications per second."""
        return self._known(result, Quantity.CPU_THROUGHPUT)

    def seconds(self, result: PointResult) -> Uncertain:
        """Return the seconds of a point's GPU job as they are known."""
        return self._known(result, Quantity.GPU_SECONDS)

    def _known(self, result: PointResult, quantity: Quantity) -> Uncertain:
        value = positive(getattr(result, quantity))
        return of_repetitions(value, _trusted(result, quantity), self.repeatability(quantity))

    def faster(self, result: PointResult, than: PointResult) -> Uncertain:
        """Return the ratio of two points' CPU throughputs."""
        return self._ratio(result, than, Quantity.CPU_THROUGHPUT)

    def longer(self, result: PointResult, than: PointResult) -> Uncertain:
        """Return the ratio of two points' GPU jobs' times."""
        return self._ratio(result, than, Quantity.GPU_SECONDS)

    def _ratio(self, result: PointResult, than: PointResult, quantity: Quantity) -> Uncertain:
        ours, theirs = (_by_round(r, quantity) for r in (result, than))
        if len(ours.keys() & theirs.keys()) > 1:
            known = within_rounds([_by_round(r, quantity) for r in self.results], KNOWN[self.clock])
            return paired_ratio(ours, theirs, known)
        return self._known(result, quantity).over(self._known(than, quantity))

    def calibration(self, n: int, mode: Mode = Mode.GPUSPLIT) -> Calibration:
        """Choose the best alpha beside n CPU VMs: the one with the most CPU throughput.

        Only those count whose GPU slow-down keeps within the profile's bound (the paper's Eq. 2).
        Of those that are equal within the noise the smallest is best: it cuts the least. The
        first repetition of each chooses; the others judge (`judged`).
        """
        unsplit = positive(_first(self.at(n, Mode.UNSPLIT)).gpu_seconds)
        tried = []
        for alpha in self.profile.alphas:
            result = self.at(n, mode, alpha=alpha)
            tried.append((result, positive(_first(result).gpu_seconds) / unsplit - 1))
        bound = self.profile.slow_down_bound

        def throughput(result: PointResult) -> float:
            return positive(_first(result).cpu_throughput)

        allowed = [result for result, slow_down in tried if slow_down <= bound]
        most = max(map(throughput, allowed), default=0.0)
        best = next((r for r in allowed if throughput(r) >= most * (1 - NOISE)), None)
        return Calibration(n, bound, tuple(tried), best)

    def chosen(self, n: int, mode: Mode = Mode.GPUSPLIT) -> PointResult:
        """Return the point of a mode at its best alpha beside n CPU VMs."""
        calibration = self.calibration(n, mode)
        if calibration.best is not None:
            return calibration.best
        # None keeps within the bound: the claims are to see the one that comes nearest.
        return min(calibration.tried, key=lambda tried: tried[1])[0]

    def judged(self, n: int, mode: Mode = Mode.GPUSPLIT) -> PointResult:
        """Return the same by the repetitions that had no part in the choice.

        What was chosen as the best of several is so by luck too, in the repetition that chose it.
        """
        result = self.chosen(n, mode)
        if len(self.profile.alphas) == 1:
            return result
        others = [sample for sample in result.trusted if sample is not _first(result)]
        if not others:
            raise NotMeasured(f"{result.point.label} was measured only when it was chosen")
        return combined(others)


def physical_limit(cpu_vms: int, shared_cpus: int = 1) -> float:
    """Return the largest possible CPU gain when n one-vCPU CPU VMs share the CPUs.

    A spinning GPU VM is one more consumer of equal weight: without it, each of n VMs gets
    1/n instead of 1/(n+1) of the CPUs, but never more than one CPU.
    """
    without = min(1.0, shared_cpus / cpu_vms)
    beside = min(1.0, shared_cpus / (cpu_vms + 1))
    return without / beside - 1


def positive(value: float | None) -> float:
    """Return a number that must be there and above 0; Unjudgeable if it is not."""
    if value is None or not value > 0:  # nor is what is not a number
        raise Unjudgeable(f"a number is missing or not positive: {value}")
    return value


def _trusted(result: PointResult, quantity: Quantity) -> list[float]:
    """Return a quantity of a point's trustworthy repetitions."""
    return list(_by_round(result, quantity).values())


def _by_round(result: PointResult, quantity: Quantity) -> dict[int, float]:
    """Return the same by the number of the repetition, which is that of the round."""
    values = {sample.repetition: getattr(sample, quantity) for sample in result.trusted}
    return {number: value for number, value in values.items() if value is not None and value > 0}


def _first(result: PointResult) -> SampleResult:
    """Return the first trustworthy repetition: that which chooses."""
    return min(result.trusted, key=lambda sample: sample.repetition)
