"""What was found, as data for JSON and as a table for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.programs import reasons
from bench.programs.compare import Comparison, Kind
from bench.programs.log import Log

#: Reasons named in a table's cell.
_MOST_REASONS = 4


@dataclass(slots=True)
class Finding:
    """A program under one number of groups against itself plain.

    unsteady: tests that broke at first and, repeated, did not, or failed plain as well.
    """

    groups: int
    log: Log
    comparison: Comparison
    unsteady: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """Tests that break when split, again and again."""
        return [
            name for name in self.comparison.tests.get(Kind.BROKEN, []) if name not in self.unsteady
        ]


@dataclass(slots=True)
class Report:
    """All of one program; error says why there is nothing."""

    name: str
    what: str
    plain: Log | None = None
    plain_seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    error: str | None = None

    @property
    def well(self) -> bool:
        """Whether all that could be run gives the same results."""
        return not any(finding.broken for finding in self.findings)


def percentage(part: int, of: int) -> str:
    """A part in per cent; a dash of nothing.

    >>> percentage(1, 3)
    '33 %'
    """
    return f"{100 * part / of:.0f} %" if of else "-"


def counts(log: Log) -> tuple[int, int, int]:
    """Launches, those large enough for a split, and those split."""
    split = sum(count for (_, was_split, _), count in log.launches.items() if was_split)
    large = sum(count for reason, count in reasons.whole(log.launches).items()
                if reasons.is_large(reason))  # fmt: skip
    return sum(log.launches.values()), large + split, split


def as_json(reports: list[Report]) -> list[dict[str, Any]]:
    """Everything that was found."""
    return [
        {
            "program": report.name,
            "what": report.what,
            "error": report.error,
            "plain": _log_as_json(report.plain, report.plain_seconds),
            "split": [
                {
                    "groups": finding.groups,
                    **(_log_as_json(finding.log, finding.seconds) or {}),
                    "tests": {kind: names for kind, names in finding.comparison.tests.items()
                              if kind is not Kind.SAME},
                    "unsteady": finding.unsteady,
                    "broken": finding.broken,
                }
                for finding in report.findings
            ],
        }
        for report in reports
    ]  # fmt: skip


def _log_as_json(log: Log | None, seconds: float) -> dict[str, Any] | None:
    if log is None:
        return None
    launches, large, split = counts(log)
    return {
        "seconds": round(seconds, 1),
        "outcomes": dict(sorted(Counter(log.outcomes.values()).items())),
        "messages": log.messages,
        "launches": launches,
        "large_enough": large,
        "launches_split": split,
        "whole": dict(reasons.whole(log.launches).most_common()),
        "kernels_whole": reasons.kernels_whole(log.launches),
    }


def markdown(reports: list[Report]) -> str:
    """The table of docs/programs.md."""
    lines = [
        "| program | groups | tests | fail plain, too | break when split | launches "
        "| large enough | of these split | large, and whole, because |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        if report.error is not None:
            lines.append(f"| {report.name}: {report.what} | - | not run: {_cell(report.error)} "
                         "| | | | | | |")  # fmt: skip
        lines += [_row(report, finding) for finding in report.findings]
    return "\n".join(lines) + "\n"


def _row(report: Report, finding: Finding) -> str:
    launches, large, split = counts(finding.log)
    comparison = finding.comparison
    broken = str(len(finding.broken))
    if finding.unsteady:
        broken += f" ({len(finding.unsteady)} unsteady)"
    both = sum(map(len, comparison.tests.values())) - comparison.count(Kind.LEFT)
    cells = (
        f"{report.name}: {report.what}", str(finding.groups), str(both),
        str(comparison.count(Kind.ALSO_PLAIN)), broken, f"{launches:,}", f"{large:,}",
        f"{split:,} ({percentage(split, large)})", _why(finding.log),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _why(log: Log) -> str:
    found = [
        (reason, count)
        for reason, count in reasons.whole(log.launches).most_common()
        if reasons.is_large(reason)
    ]
    named = [f"{count:,} x {_cell(reason)}" for reason, count in found[:_MOST_REASONS]]
    rest = sum(count for _, count in found[_MOST_REASONS:])
    if rest:
        named.append(f"{rest:,} x others")
    return "; ".join(named)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
