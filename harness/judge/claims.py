"""What is claimed, and the verdicts.

The claims are data (`claims.toml`); this module reads them and judges a run by them: each claim's
95 % interval against its limit. A verdict is pass, fail, *inconclusive*, *does not arise* or
*invalid*. Inconclusive: the limit lies within the interval, so that measuring again might turn the
verdict. It does not arise where what the claim presupposes was not found: nothing levels off that
never rose. Invalid: the measurement does not allow a verdict, and why. A claim of `ours` must not
fail, or the run fails. A claim of the `paper` is judged as honestly, but is a finding: it is
reproduced or not.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

from harness.judge.claim_statistics import STATISTICS
from harness.judge.measurements import (
    DoesNotArise,
    DoesNotHold,
    Measurements,
    NotMeasured,
    Undecided,
    Unjudgeable,
)
from harness.judge.repetitions import Interval
from harness.judge.uncertainty import Estimate
from harness.plan.profiles import Profile

CLAIMS_FILE = Path(__file__).with_name("claims.toml")


class Outcome(StrEnum):
    """How a claim ended."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """The limit lies within what the value may be: neither pass nor fail."""
    DOES_NOT_ARISE = "does_not_arise"
    """What the claim presupposes was not found: it is neither kept nor broken."""
    INVALID = "invalid"


class Kind(StrEnum):
    """Whose claim it is."""

    OURS = "ours"
    PAPER = "paper"


Limits = float | list[float]
"""One for all, or one for each number of CPU VMs: n = 1, 2, 3, ..."""


@dataclass(frozen=True)
class ClaimTable:
    """A table of claims.toml, field by field."""

    id: str
    experiment: str
    figure: str
    kind: Kind
    statistic: str
    per: str
    text: str
    source: str
    because: str
    """Why the limit is where it is."""
    at_least: Limits | dict[str, Limits] | None = None
    at_most: Limits | dict[str, Limits] | None = None
    clock: str | None = None
    paper_size: bool = False

    def __post_init__(self) -> None:
        """ValueError for a table that makes no claim."""
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.id}: give one of at_least and at_most")
        if not self.because.strip():
            raise ValueError(f"{self.id}: say why the limit is where it is")
        if self.statistic not in STATISTICS:
            raise ValueError(f"{self.id}: there is no statistic {self.statistic!r}")


@dataclass(frozen=True)
class Claim:
    """One thing that is claimed."""

    id: str
    experiment: str
    figure: str
    kind: Kind
    statistic: str
    limit: float
    at_least: bool
    """True if the value must reach the limit, False if it must not pass it."""
    text: str
    source: str
    because: str
    """Why the limit is where it is."""
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
    interval: Interval | None = None
    """The 95 % interval of the value; both ends are the value where it is exact."""
    measured: bool = True
    """False if the points that it needs were not measured."""

    @property
    def fails_the_run(self) -> bool:
        """Whether the system does not do what it is made for, or nothing was measured of it."""
        return self.outcome is Outcome.INVALID or (
            self.outcome is Outcome.FAIL and self.claim.kind is Kind.OURS
        )


def load_claims(profile: Profile, lab: str, path: Path = CLAIMS_FILE) -> list[Claim]:
    """Read the claims made for a kind of lab, for every number of CPU VMs that is measured."""
    with path.open("rb") as file:
        tables = TypeAdapter(list[ClaimTable]).validate_python(tomllib.load(file)["claim"])
    scopes: Mapping[str, Sequence[int | None]] = {
        "cpu_vms": profile.cpu_vms,
        "fig2_vms": profile.fig2_vms,
        "sweep_vms": profile.sweep_vms,
        "sweep_first": profile.sweep_vms[:1],
        "sweep_last": profile.sweep_vms[-1:],
        "g500_vms": profile.g500_vms,
        "ablation_vms": profile.ablation_vms,
        "adaptive_vms": profile.adaptive_vms,
        "timeline": (None,) if profile.timeline_vms else (),
        "repeat_unsplit": profile.repeat_unsplit,
        "blocking_driver": profile.blocking_driver,
        "program_vms": profile.program_vms,
        "run": () if profile.programs else (None,),
    }
    claims = []
    for table in tables:
        if table.paper_size and profile.gpu_scale != 1:
            continue
        given = table.at_most if table.at_least is None else table.at_least
        limits = given.get(lab) if isinstance(given, dict) else given
        if limits is None:
            continue
        for n in scopes[table.per]:
            claims.append(
                Claim(
                    id=table.id if n is None else f"{table.id}-n{n}",
                    experiment=table.experiment,
                    figure=table.figure,
                    kind=table.kind,
                    statistic=table.statistic,
                    limit=limits[(n or 1) - 1] if isinstance(limits, list) else limits,
                    at_least=table.at_least is not None,
                    text=table.text,
                    source=table.source,
                    because=table.because,
                    cpu_vms=n,
                    clock=table.clock,
                )
            )
    return claims


def judge(claim: Claim, measurements: Measurements) -> Verdict:
    """Say whether a claim holds, with the number that decided it."""
    try:
        n = claim.cpu_vms
        comparable = measurements if n is None else measurements.beside(n)
        found = STATISTICS[claim.statistic](comparable, n or 0)
        if math.isnan(found.value):
            raise Unjudgeable("the value is not a number")
    except NotMeasured as why:
        return Verdict(claim, Outcome.INVALID, None, str(why), measured=False)
    except Unjudgeable as why:
        return Verdict(claim, Outcome.INVALID, None, str(why))
    except DoesNotArise as why:
        return Verdict(claim, Outcome.DOES_NOT_ARISE, None, str(why))
    except DoesNotHold as why:
        return Verdict(claim, Outcome.FAIL, None, str(why))
    except Undecided as why:
        return Verdict(claim, Outcome.INCONCLUSIVE, None, str(why))
    outcome = held_against(found.interval, claim.limit, at_least=claim.at_least)
    return Verdict(claim, outcome, found.value, _reason(claim, found, outcome), found.interval)


def held_against(interval: Interval, limit: float, *, at_least: bool) -> Outcome:
    """Hold what a value may be against its limit: only what is clear is decided."""
    low, high = interval
    if low >= limit if at_least else high <= limit:
        return Outcome.PASS
    if high < limit if at_least else low > limit:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE


def _reason(claim: Claim, found: Estimate, outcome: Outcome) -> str:
    low, high = found.interval
    known = "" if low == high else f" (95 %: {low:.4g} to {high:.4g})"
    wanted = "at least" if claim.at_least else "at most"
    open_ = ", which lies within" if outcome is Outcome.INCONCLUSIVE else ""
    return f"{found.value:.4g}{known}; must be {wanted} {claim.limit:g}{open_}"
