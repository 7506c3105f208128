"""The files of a report in a run's folder."""

from __future__ import annotations

from pathlib import Path

from harness.keep.results import whole_or_not_at_all
from harness.keep.summary import Summary
from harness.report.content import content
from harness.report.files import csv_text, junit_xml
from harness.report.page import html, markdown
from harness.report.picture import PICTURE, draw_picture

LINKED = ("summary.json", "summary.csv", "report.md", "junit.xml", PICTURE, "raw", "logs")
"""What a report links to, where it is there."""


def write_report(summary: Summary, folder: Path) -> Path:
    """Write every file that is made from a run's summary; return the path of report.html."""
    run = folder.resolve().name
    _write(folder / "summary.csv", csv_text(summary))
    _write(folder / "junit.xml", junit_xml(summary, run))
    draw_picture(summary, folder / PICTURE)
    # report.md exists when report.html is made, but logs may come later: they always do.
    files = [
        n for n in LINKED if (folder / n).exists() or n in ("summary.json", "report.md", "logs")
    ]
    report = content(summary, run, [f"{n}/" if n in ("raw", "logs") else n for n in files])
    _write(folder / "report.md", markdown(report))
    page = folder / "report.html"
    _write(page, html(report))
    return page


def _write(path: Path, text: str) -> None:
    """Write a file wholly or not at all: an old report is better than half a new one."""
    with whole_or_not_at_all(path) as partial:
        partial.write_text(text, encoding="utf-8")
