"""Two runs beside each other: what changed, and whether that is more than noise.

What counts as noise, for each number of each point:

- Both runs repeated the point: the halves of both 95 % confidence intervals together. A change
  beyond it leaves the two intervals apart.
- Otherwise: the repeat tolerance, relative to the first run's number. It is the largest of the
  limits that the runs set to the difference of a repeated point (the claims with the statistic
  `repeat_difference`) and of the differences that they saw.
- Runs that say nothing about repeating leave the noise unknown, and the change is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.judge.repetitions import Interval
from harness.keep.summary import PointSummary, Summary
from harness.report.content import device_of
from harness.report.points import outcome_of

REPEAT = "repeat_difference"

INTERVALS = "half of both 95 % intervals together"
REPEATS = "what the runs allow and saw of repeated points"
UNKNOWN = "unknown"


class Judgement(StrEnum):
    """What a change of a number is."""

    WITHIN = "within the noise"
    OUTSIDE = "outside the noise"
    UNJUDGED = "noise unknown"
    MISSING = "no number in one run"
    INVALID = "not to be trusted in one run"
    DISAGREES = "outside the tolerance"
    AGREES = "within the tolerance"


CHANGES = (Judgement.OUTSIDE, Judgement.DISAGREES)
"""What makes two runs different."""


@dataclass(frozen=True)
class NumberChange:
    """One number of a point, in both runs."""

    point: str
    quantity: str
    a: float | None
    b: float | None
    absolute: float | None
    """b - a, in the number's unit."""
    relative: float | None
    """b / a - 1; null where a is 0."""
    noise: float | None
    """The largest absolute change that is noise; null if unknown."""
    noise_from: str
    judgement: Judgement


@dataclass(frozen=True)
class ClaimChange:
    """One claim, in both runs; null where a run did not judge it."""

    claim: str
    a: str | None
    b: str | None
    value_a: float | None
    value_b: float | None
    changed: bool
    """Both runs judged it, and not alike. An inconclusive verdict contradicts no other."""

    @property
    def differs(self) -> bool:
        """Both runs judged it, and the outcomes are others, inconclusive ones too."""
        return None not in (self.a, self.b) and self.a != self.b


@dataclass(frozen=True)
class Comparison:
    """Two runs beside each other."""

    tolerance: float | None
    """The relative change that all points had to keep, if one was asked for."""
    differences: tuple[str, ...]
    """In what the runs differ as such: lab, profile, device..."""
    only_a: tuple[str, ...]
    """Points that only the first run has."""
    only_b: tuple[str, ...]
    numbers: tuple[NumberChange, ...]
    claims: tuple[ClaimChange, ...]

    @property
    def alike(self) -> bool:
        """Whether the runs agree: no number outside the noise, and no other verdict.

        With a tolerance: whether both have the same points, at least one, and every CPU throughput
        and every time of a GPU job is there, can be trusted, and agrees within the tolerance.
        """
        if self.tolerance is not None:
            checked = [n for n in self.numbers if n.quantity in CHECKED]
            same_points = not self.only_a and not self.only_b
            return (
                bool(checked)
                and same_points
                and all(n.judgement is Judgement.AGREES for n in checked)
            )
        return not any(n.judgement in CHANGES for n in self.numbers) and not any(
            claim.changed for claim in self.claims
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it for a JSON file."""
        return asdict(self) | {"alike": self.alike}


CHECKED = ("cpu_throughput", "gpu_seconds")
"""What a tolerance is held against. The GPU VM's CPU time is not: a cooperative wait leaves so
little of it that a relative change says nothing."""

QUANTITIES = (*CHECKED, "gpu_vm_cpu_seconds")


def compare(a: Summary, b: Summary, tolerance: float | None = None) -> Comparison:
    """Compare two runs, point by point and claim by claim."""
    points_a, points_b = ({p.label: p for p in run.points} for run in (a, b))
    repeats = repeat_tolerance((a, b))
    numbers = [
        change
        for label, point in points_a.items()
        if label in points_b
        for change in _numbers(point, points_b[label], repeats, tolerance)
    ]
    return Comparison(
        tolerance=tolerance,
        differences=tuple(_differences(a, b)),
        only_a=tuple(label for label in points_a if label not in points_b),
        only_b=tuple(label for label in points_b if label not in points_a),
        numbers=tuple(numbers),
        claims=tuple(_claims(a, b)),
    )


def repeat_tolerance(runs: Iterable[Summary]) -> float | None:
    """Return the relative difference to be expected of a repeated point; None if none is known."""
    told = [claim for run in runs for claim in run.claims if claim.statistic == REPEAT]
    return max((x for claim in told for x in (claim.limit, claim.value or 0.0)), default=None)


def _numbers(
    a: PointSummary, b: PointSummary, repeats: float | None, tolerance: float | None
) -> Iterator[NumberChange]:
    for quantity in QUANTITIES:
        first: float | None = getattr(a, quantity)
        second: float | None = getattr(b, quantity)
        if first is None and second is None:
            continue  # neither has such a number: no GPU job, or no CPU VM
        absolute = None if first is None or second is None else second - first
        noise, noise_from = _noise(a, b, quantity, repeats)
        if tolerance is not None and quantity in CHECKED:
            allowed = None if first is None else tolerance * first
            inside, outside = Judgement.AGREES, Judgement.DISAGREES
        else:
            allowed, inside, outside = noise, Judgement.WITHIN, Judgement.OUTSIDE
        if absolute is None:
            judgement = Judgement.MISSING
        elif a.problems or b.problems:
            judgement = Judgement.INVALID
        elif allowed is None:
            judgement = Judgement.UNJUDGED
        else:
            judgement = inside if abs(absolute) <= allowed else outside
        yield NumberChange(
            point=a.label,
            quantity=quantity,
            a=first,
            b=second,
            absolute=absolute,
            relative=absolute / first if absolute is not None and first else None,
            noise=noise,
            noise_from=noise_from,
            judgement=judgement,
        )


def _noise(
    a: PointSummary, b: PointSummary, quantity: str, repeats: float | None
) -> tuple[float | None, str]:
    """Return the largest absolute change that is noise, and where that is from."""
    intervals: list[Interval | None] = [getattr(p, f"{quantity}_interval") for p in (a, b)]
    known = [interval for interval in intervals if interval is not None]
    if len(known) == len(intervals):
        return sum((high - low) / 2 for low, high in known), INTERVALS
    # Of a GPU VM that hardly uses its CPU, a change is noise relative to the job's time.
    whole = a.gpu_seconds if quantity == "gpu_vm_cpu_seconds" else getattr(a, quantity)
    if repeats is None or whole is None:
        return None, UNKNOWN
    return repeats * whole, REPEATS


def _claims(a: Summary, b: Summary) -> Iterator[ClaimChange]:
    claims_a, claims_b = ({c.id: c for c in run.claims} for run in (a, b))
    for name in dict.fromkeys((*claims_a, *claims_b)):
        first, second = claims_a.get(name), claims_b.get(name)
        outcomes = [None if claim is None else outcome_of(claim) for claim in (first, second)]
        yield ClaimChange(
            claim=name,
            a=outcomes[0],
            b=outcomes[1],
            value_a=first.value if first else None,
            value_b=second.value if second else None,
            changed=outcomes[0] != outcomes[1] and not {None, "inconclusive"} & set(outcomes),
        )


def _differences(a: Summary, b: Summary) -> Iterator[str]:
    for name in ("lab", "profile", "clock"):
        if getattr(a, name) != getattr(b, name):
            yield f"{name}: {getattr(a, name)} and {getattr(b, name)}"
    if device_of(a) != device_of(b):
        yield f"GPU: {device_of(a)} and {device_of(b)}"
    commits = [run.environment.commit for run in (a, b)]
    if commits[0] != commits[1]:
        yield f"commit: {commits[0]} and {commits[1]}"
    for name in sorted(a.parameters.keys() | b.parameters.keys()):
        one, other = a.parameters.get(name), b.parameters.get(name)
        if one != other and name != "name":
            yield f"parameter {name}: {one} and {other}"
