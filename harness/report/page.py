"""The report's pages: report.html, one file that needs no other, and report.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.keep.summary import ClaimSummary
from harness.report.content import Content
from harness.report.plot import ONCE, measured_once
from harness.report.points import outcome_of
from harness.report.series import Panel
from harness.report.style import COLOURS, OUTCOMES
from harness.report.svg import drawing_svg, panel_svg
from harness.report.tables import MISSING, describe, figure_table
from harness.report.timeline import TimelineReport, canvas

FINE = 0.001
"""Limits below this, and the values they belong to, are written with a power of ten."""

DASHES = "6 4"
DOTS = "2 3"
DASHDOTS = "8 3 2 3"


@dataclass(frozen=True)
class LegendEntry:
    """What one kind of mark in a figure means."""

    name: str
    colour: str
    shade: float = 1.0
    line: str = ""
    """The dashes of a line; empty for bars."""
    dot: bool = False
    """A hollow dot."""


def html(report: Content) -> str:
    """Return the page. Nothing in it is loaded from elsewhere, and nothing in it is a program."""
    return (
        _environment(autoescape=True)
        .get_template("report.html")
        .render(report=report, colours=COLOURS, outcomes=OUTCOMES)
    )


def markdown(report: Content) -> str:
    """Return the report's text and tables as Markdown."""
    return (
        _environment(autoescape=False)
        .get_template("report.md")
        .render(report=report, outcomes=OUTCOMES)
    )


def legend(panel: Panel) -> list[LegendEntry]:
    """Return what a diagram's marks mean."""
    found = [LegendEntry(s.name, s.colour, s.shade) for s in panel.series if s.data]
    if panel.limits:
        found.append(LegendEntry("physical limit", "limit", line=DASHES))
    if panel.fair:
        found.append(LegendEntry("fair share", "fair", line=DASHDOTS))
    if measured_once(panel):
        found.append(LegendEntry(ONCE, "ink", dot=True))
    if panel.bound is not None:
        found.append(LegendEntry(f"bound, {panel.bound:.0%}", "fail", line=DOTS))
    return found


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "beside": _beside,
        "cell": _markdown_cell,
        "numbers": figure_table,
        "legend": legend,
        "outcome": outcome_of,
        "says_more": _says_more,
        "svg": _svg,
        "timeline_svg": _timeline_svg,
        "value": _value,
        "limit": _limit,
    }
    return environment


def _svg(panel: Panel) -> Markup:
    # Made by this program, with every text in it escaped by ElementTree.
    return Markup(panel_svg(panel, describe(panel)))


def _timeline_svg(report: TimelineReport) -> Markup:
    drawing = canvas(report.timeline)
    return Markup(drawing_svg(drawing, "timeline-drawing", report.title, report.describe()))


def _beside(claim: ClaimSummary) -> str:
    """Name the number of CPU VMs that a claim's verdict is about; empty where there is none."""
    found = re.search(r"-n(\d+)$", claim.id)
    return f"n = {found[1]}" if found else ""


def _says_more(claim: ClaimSummary) -> bool:
    """Say whether the reason is more than value, interval and limit, which have their columns."""
    decided = claim.outcome in ("pass", "fail") and claim.value is not None
    return not (decided and "; must be " in claim.reason)


def _value(claim: ClaimSummary) -> str:
    """Write a claim's value as finely as its limit deserves."""
    if claim.value is None:
        return MISSING
    form = "z.4f" if abs(claim.limit) >= FINE or not claim.limit else ".2e"
    low, high = claim.interval or (claim.value, claim.value)
    known = f" ± {(high - low) / 2:{form}}" if high > low else ""
    return f"{claim.value:{form}}{known}"


def _limit(claim: ClaimSummary) -> str:
    return f"{'≥' if claim.at_least else '≤'} {claim.limit:.4g}"


def _markdown_cell(text: str) -> str:
    """Keep a text within its cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
