"""What must hold, and the verdicts.

The claims are data (`claims.toml`); this module reads them and judges a run by them. A
verdict is pass, fail or *invalid*: invalid means that the measurement does not allow a
verdict, and why.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from harness.evaluate import PointResult
from harness.experiments import Mode, Point, Profile
from harness.samples import Verification

CLAIMS_FILE = Path(__file__).with_name("claims.toml")


class Outcome(StrEnum):
    """How a claim ended."""

    PASS = "pass"
    FAIL = "fail"
    INVALID = "invalid"


class Unjudgeable(Exception):
    """The measurement does not allow a verdict; the message says why."""


@dataclass(frozen=True)
class Claim:
    """One thing that must hold."""

    id: str
    statistic: str
    limit: float
    at_least: bool
    """True if the value must reach the limit, False if it must not pass it."""
    text: str
    source: str
    cpu_vms: int | None = None
    clock: str | None = None
    """The claim is made for labs with this clock only; None means for all."""

    def is_made_for(self, clock: str) -> bool:
        """Say whether the claim is made for a lab with this clock."""
        return self.clock in (None, clock)


@dataclass(frozen=True)
class Verdict:
    """How one claim ended, and by what number."""

    claim: Claim
    outcome: Outcome
    value: float | None
    reason: str


@dataclass(frozen=True)
class Measurements:
    """All that a run measured, in the form that claims are judged on."""

    clock: str
    results: tuple[PointResult, ...]
    verification: Verification | None

    def at(
        self,
        cpu_vms: int,
        mode: Mode,
        *,
        groups: int | None = None,
        repetition: int = 1,
        blocking_driver: bool = False,
    ) -> PointResult:
        """Return a point's trustworthy result, or say why there is none."""
        wanted = Point(cpu_vms, mode, groups, repetition, blocking_driver)
        for result in self.results:
            if result.point == wanted:
                if result.problems:
                    raise Unjudgeable(f"{wanted.label}: {'; '.join(result.problems)}")
                return result
        raise Unjudgeable(f"{wanted.label} was not measured")


def load_claims(profile: Profile, path: Path = CLAIMS_FILE) -> list[Claim]:
    """Read the claims, written out for every number of CPU VMs that the profile measures."""
    claims = []
    with path.open("rb") as file:
        tables = tomllib.load(file)["claim"]
    for table in tables:
        at_least = "at_least" in table
        limits = table["at_least" if at_least else "at_most"]
        scopes: dict[str, Sequence[int | None]] = {
            "cpu_vms": profile.cpu_vms,
            "repeat_unsplit": profile.repeat_unsplit,
            "blocking_driver": profile.blocking_driver,
            "run": (None,),
        }
        for n in scopes[table["per"]]:
            claims.append(
                Claim(
                    id=table["id"] if n is None else f"{table['id']}-n{n}",
                    statistic=table["statistic"],
                    limit=limits[n - 1] if isinstance(limits, list) and n else limits,
                    at_least=at_least,
                    text=table["text"],
                    source=table["source"],
                    cpu_vms=n,
                    clock=table.get("clock"),
                )
            )
    return claims


def judge(claim: Claim, measurements: Measurements) -> Verdict:
    """Say whether a claim holds, with the number that decided it."""
    try:
        value = STATISTICS[claim.statistic](measurements, claim.cpu_vms or 0)
        if math.isnan(value):
            raise Unjudgeable("the value is not a number")
    except Unjudgeable as why:
        return Verdict(claim, Outcome.INVALID, None, str(why))
    holds = value >= claim.limit if claim.at_least else value <= claim.limit
    wanted = "at least" if claim.at_least else "at most"
    return Verdict(
        claim,
        Outcome.PASS if holds else Outcome.FAIL,
        value,
        f"{value:.4g}; must be {wanted} {claim.limit:g}",
    )


def physical_limit(cpu_vms: int, shared_cpus: int = 1) -> float:
    """Return the largest possible CPU gain when n one-vCPU CPU VMs share the CPUs.

    A spinning GPU VM is one more consumer of equal weight: without it, each of n VMs gets
    1/n instead of 1/(n+1) of the CPUs, but never more than one CPU.
    """
    without = min(1.0, shared_cpus / cpu_vms)
    beside = min(1.0, shared_cpus / (cpu_vms + 1))
    return without / beside - 1


def cpu_gain(run: Measurements, n: int) -> float:
    """CPU throughput beside the split GPU job over that beside the unsplit one, less 1."""
    split = _number(run.at(n, Mode.GPUSPLIT).cpu_throughput)
    return split / _number(run.at(n, Mode.UNSPLIT).cpu_throughput) - 1


def gpu_time_ratio(run: Measurements, n: int) -> float:
    """Time of the split GPU job over that of the unsplit one, n CPU VMs beside each."""
    split = _number(run.at(n, Mode.GPUSPLIT).gpu_seconds)
    return split / _number(run.at(n, Mode.UNSPLIT).gpu_seconds)


def split_cost(run: Measurements, n: int) -> float:
    """Relative time that the GPU job alone loses by the groups it used beside n CPU VMs."""
    wanted = run.at(n, Mode.GPUSPLIT).wanted
    split = _number(run.at(0, Mode.GPUSPLIT, groups=wanted).gpu_seconds)
    return split / _number(run.at(0, Mode.UNSPLIT).gpu_seconds) - 1


def repeat_difference(run: Measurements, n: int) -> float:
    """Relative difference of CPU throughput between the unsplit point and its repetition."""
    first = _number(run.at(n, Mode.UNSPLIT).cpu_throughput)
    return abs(_number(run.at(n, Mode.UNSPLIT, repetition=2).cpu_throughput) / first - 1)


def spin_share(run: Measurements, n: int) -> float:
    """CPU time of the GPU VM under the spinning driver, over its fair share beside n CPU VMs."""
    return _cpu_share(run.at(n, Mode.UNSPLIT)) * (n + 1)


def blocking_share(run: Measurements, n: int) -> float:
    """CPU time of the GPU VM under the blocking driver, over the GPU job's time."""
    return _cpu_share(run.at(n, Mode.UNSPLIT, blocking_driver=True))


def _cpu_share(result: PointResult) -> float:
    return _number(result.gpu_vm_cpu_seconds) / _number(result.gpu_seconds)


def gpu_number_error(run: Measurements, _n: int) -> float:
    """Largest relative error of the split GPU job's product against numpy's."""
    if run.verification is None:
        raise Unjudgeable("the product was not checked against numpy")
    if run.verification.groups < 2:
        raise Unjudgeable("the product that was checked was not split")
    # An element that was never computed is as wrong as can be.
    error = run.verification.max_relative_error
    return math.inf if error is None else error


def _number(value: float | None) -> float:
    if value is None or value <= 0:
        raise Unjudgeable(f"a number is missing or not positive: {value}")
    return value


STATISTICS: dict[str, Callable[[Measurements, int], float]] = {
    function.__name__: function
    for function in (
        cpu_gain,
        gpu_time_ratio,
        split_cost,
        repeat_difference,
        spin_share,
        blocking_share,
        gpu_number_error,
    )
}
