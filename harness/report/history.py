"""How the figures of the claims moved, from run to run and from commit to commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.judge.repetitions import Interval
from harness.keep.summary import ClaimSummary, Summary
from harness.report.content import device_of
from harness.report.points import outcome_of
from harness.report.style import OUTCOMES
from harness.report.table import COLOURS

CLAIM_WIDTH, RUN_WIDTH = 45, 24
"""Columns of a terminal that the claims take, and each run."""


@dataclass(frozen=True)
class RunOf:
    """One run, as the head of a column."""

    run: str
    """Its folder's name."""
    started: str
    commit: str


@dataclass(frozen=True)
class Found:
    """What a run found of a claim."""

    value: float | None
    interval: Interval | None
    limit: float
    outcome: str


@dataclass(frozen=True)
class ClaimHistory:
    """One claim, in every run."""

    claim: str
    text: str
    at_least: bool
    """Whether its limits are the least values allowed, or the largest."""
    found: tuple[Found | None, ...]
    """By run; null where a run did not judge it."""


@dataclass(frozen=True)
class History:
    """Runs that can be set beside each other: of one lab, profile and GPU."""

    lab: str
    profile: str
    device: str
    runs: tuple[RunOf, ...]
    """By time, the earliest first."""
    claims: tuple[ClaimHistory, ...]


def histories(runs: Iterable[tuple[str, Summary]]) -> tuple[History, ...]:
    """Set runs, each with its name, beside each other; each lab, profile and GPU by itself."""
    alike: dict[tuple[str, str, str], list[tuple[str, Summary]]] = {}
    for name, run in sorted(runs, key=lambda one: datetime.fromisoformat(one[1].started)):
        key = (run.lab, run.profile, device_of(run))
        alike.setdefault(key, []).append((name, run))
    return tuple(
        History(
            *key,
            tuple(RunOf(name, run.started, run.environment.commit) for name, run in members),
            tuple(_claims([run for _, run in members])),
        )
        for key, members in alike.items()
    )


def _claims(runs: Sequence[Summary]) -> Iterator[ClaimHistory]:
    judged = [{claim.id: claim for claim in run.claims} for run in runs]
    # In the order of the latest run's claims; what only earlier ones had comes last.
    for name in dict.fromkeys(name for claims in reversed(judged) for name in claims):
        latest = next(claims[name] for claims in reversed(judged) if name in claims)
        found = tuple(_found(claims[name]) if name in claims else None for claims in judged)
        yield ClaimHistory(name, latest.text, latest.at_least, found)


def _found(claim: ClaimSummary) -> Found:
    return Found(claim.value, claim.interval, claim.limit, outcome_of(claim))


def print_history(console: Console, history: History) -> None:
    """Print a row for each claim, a column for each run; as many runs beside each other as fit."""
    fit = max(1, (console.width - CLAIM_WIDTH) // RUN_WIDTH)
    for first in range(0, len(history.runs), fit):
        shown = slice(first, first + fit)
        table = Table(
            title=f"lab {history.lab}, profile {history.profile}, {history.device}",
            title_justify="left",
        )
        table.add_column("claim", overflow="fold")
        table.add_column("limit")
        for run in history.runs[shown]:
            table.add_column(Text(f"{run.run}\n{run.started[:10]}\n{_short(run.commit)}"))
        for claim in history.claims:
            limit = [one.limit for one in claim.found if one is not None][-1]
            cells = (_cell(one, claim, limit) for one in claim.found[shown])
            table.add_row(claim.claim, _limit(claim, limit), *cells)
        console.print(table)


def _cell(found: Found | None, claim: ClaimHistory, limit: float) -> Text:
    """Say what a run found, and by which limit where that was not the latest run's."""
    if found is None:
        return Text("-", style="dim")
    value = "" if found.value is None else f"{found.value:.4g} "
    other = "" if found.limit == limit else f" ({_limit(claim, found.limit)})"
    name = OUTCOMES[found.outcome][1]
    return Text(f"{value}{name}{other}", style=COLOURS[found.outcome])


def _limit(claim: ClaimHistory, limit: float) -> str:
    return f"{'≥' if claim.at_least else '≤'} {limit:.4g}"


def _short(commit: str) -> str:
    """Shorten a commit, but not what is said of it, such as `+changes`."""
    number, plus, said = commit.partition("+")
    return f"{number[:9]}{plus}{said}"
