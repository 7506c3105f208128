"""How well a measured number is known: from repetitions to the 95 % interval of a claim's value.

The names are those of the GUM (JCGM 100:2008, "Guide to the expression of uncertainty in
measurement"). An *uncertain* number has a standard deviation and degrees of freedom. Where they
come from:

- A run repeats some of its points. Pooled, their relative scatter is the *repeatability* of the run
  (GUM 4.2.4), which holds for points that were measured once, too. It starts from what earlier
  runs in such labs showed (`KNOWN`), as if that were repetitions of this run: so a single
  sample is never taken for exact, and a run that repeats much is judged by what it saw itself.
- A point that scatters more than that is taken at its own word.
- A ratio of two points that share two rounds or more is taken within those: points of one round
  are near neighbours in time, so that what drifts from round to round is in both. The mean of the
  ratios' logarithms counts; its scatter is what is left of the points' when the rounds' own ups
  and downs are taken out (`within_rounds`).
- Other ratios, and differences, combine by the root of the sum of squares (GUM 5.1.2).

What the clocks leave open (`samples.ClockReading`) is not added: they are read anew at every
repetition, so it is in the scatter already, and is not to be counted twice (GUM 4.3.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, log, pi, sqrt
from statistics import mean, stdev

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from harness.judge.repetitions import CONFIDENCE, Interval


@dataclass(frozen=True)
class Repeatability:
    """How far one measurement of a point is from the next, relatively."""

    deviation: float
    """Standard deviation of one measurement, relative to its value."""
    freedom: float
    """Degrees of freedom of that standard deviation."""

    def largest_difference(self) -> Estimate:
        """The relative difference that two measurements keep within, 19 times of 20.

        ISO 5725-6 calls it the repeatability limit. Its interval is that of a standard
        deviation, by chi-squared.
        """
        factor = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * sqrt(2)
        low, high = (
            sqrt(self.freedom / float(stats.chi2.ppf(share, self.freedom)))
            for share in ((1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2)
        )
        value = factor * self.deviation
        return Estimate(value, (value * low, value * high))


KNOWN = {
    "deterministic": Repeatability(0.002, 20),
    "real": Repeatability(0.02, 2),
    "fast": Repeatability(0.03, 2),
}
"""What earlier runs showed, by the lab's clock. The freedom says how far that holds elsewhere.

- deterministic: in docs/results, 0.16 and 0.20 % of CPU throughput, 0.08 and 0.11 % of the GPU
  job's time (18 to 32 degrees of freedom). Time is a count of instructions there, on any machine.
- real: there, 1.7 and 2.4 % of CPU throughput. No two machines are alike, so that it weighs no
  more than one point that was measured three times.
- fast: nobody measured it; half as much again as real, a guess.
"""


@dataclass(frozen=True)
class Uncertain:
    """A number with its standard uncertainty, in the number's unit."""

    value: float
    deviation: float
    """Standard deviation of the value."""
    freedom: float = inf
    """Degrees of freedom of that standard deviation."""

    def interval(self, chosen_of: int = 1) -> Interval:
        """Return the 95 % interval, by Student's t.

        A number that was chosen of several as the least or the largest of them is so by chance
        too; with 1 - 5 % / several for each (Bonferroni), all of them lie within at 95 %.
        """
        if self.deviation == 0:
            return (self.value, self.value)
        confidence = 1 - (1 - CONFIDENCE) / chosen_of
        low, high = stats.t.interval(confidence, self.freedom, loc=self.value, scale=self.deviation)
        return (float(low), float(high))

    def estimate(self) -> Estimate:
        """Return the number with its interval."""
        return Estimate(self.value, self.interval())

    def over(self, other: Uncertain) -> Uncertain:
        """Return the ratio of two independent positive numbers."""
        value = self.value / other.value
        relative = hypot(self.deviation / self.value, other.deviation / other.value)
        # The lesser freedom is never too much (GUM G.4.1, note 1).
        return Uncertain(value, value * relative, min(self.freedom, other.freedom))

    def minus(self, other: Uncertain) -> Uncertain:
        """Return the difference of two independent numbers."""
        return Uncertain(
            self.value - other.value,
            hypot(self.deviation, other.deviation),
            min(self.freedom, other.freedom),
        )

    def plus(self, exact: float) -> Uncertain:
        """Return the number moved by an exact one."""
        return Uncertain(self.value + exact, self.deviation, self.freedom)

    def times(self, exact: float) -> Uncertain:
        """Return the number multiplied by an exact one."""
        return Uncertain(self.value * exact, self.deviation * abs(exact), self.freedom)


@dataclass(frozen=True)
class Estimate:
    """A claim's value with its 95 % interval; both ends are the value where it is exact."""

    value: float
    interval: Interval

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """Return a number that was counted or compared, and not measured."""
        return cls(value, (value, value))


def repeatability(repeated: Iterable[Sequence[float]], known: Repeatability) -> Repeatability:
    """Pool the relative scatter of repeated points with what was known before.

    `repeated` has each point's values; those of which there is one say nothing here.
    """
    freedom = known.freedom
    squares = known.freedom * known.deviation**2
    for values in repeated:
        if len(values) > 1:
            freedom += len(values) - 1
            squares += (len(values) - 1) * relative_deviation(values) ** 2
    return Repeatability(sqrt(squares / freedom), freedom)


def within_rounds(points: Iterable[Mapping[int, float]], known: Repeatability) -> Repeatability:
    """Pool the relative scatter that points have beside that of their rounds.

    `points` has each point's values by the round. Of points that were measured in the same rounds
    it is the residual of an analysis of variance by points and rounds, of the logarithms.
    """
    alike: dict[frozenset[int], list[list[float]]] = {}
    for values in points:
        if len(values) > 1:
            logs = [log(value) for _, value in sorted(values.items())]
            alike.setdefault(frozenset(values), []).append(logs)
    freedom = known.freedom
    squares = known.freedom * known.deviation**2
    for rows in alike.values():
        table = np.array(rows)
        residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
        freedom += (table.shape[0] - 1) * (table.shape[1] - 1)
        squares += float((residual**2).sum())
    return Repeatability(sqrt(squares / freedom), freedom)


def paired_ratio(
    ours: Mapping[int, float], theirs: Mapping[int, float], run: Repeatability
) -> Uncertain:
    """Return the ratio of two points by the rounds that both were measured in, two or more.

    `run` is the scatter within rounds. A pair that scatters more has the scatter of its own.
    """
    logs = [log(ours[number] / theirs[number]) for number in sorted(ours.keys() & theirs.keys())]
    scatter = max(sqrt(2) * run.deviation, stdev(logs))
    value = exp(mean(logs))
    return Uncertain(value, value * scatter / sqrt(len(logs)), run.freedom)


def relative_deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of two positive values or more, relative to their mean."""
    return stdev(values) / mean(values)


def of_repetitions(value: float, values: Sequence[float], run: Repeatability) -> Uncertain:
    """Return a point's number, the median of the values of its repetitions, as it is known.

    A point that scatters more than the run does has the scatter of its own. Then t by the freedom
    of the run will do: it guards against a scatter that is small by chance, and this is not.
    """
    scatter = run.deviation
    if len(values) > 1:
        scatter = max(scatter, relative_deviation(values))
    # Of three values or more the median is not their mean: its standard deviation is larger, by
    # sqrt(pi / 2) for many normal values and by less for a few.
    median = sqrt(pi / 2) if len(values) > 2 else 1.0
    return Uncertain(value, value * scatter * median / sqrt(max(len(values), 1)), run.freedom)


def least(numbers: Sequence[Uncertain]) -> Estimate:
    """Return the least of some numbers, one or more."""
    intervals = [number.interval(len(numbers)) for number in numbers]
    return Estimate(
        min(number.value for number in numbers),
        (min(low for low, _ in intervals), min(high for _, high in intervals)),
    )
