"""Everything that a report says, as plain data: its pages (HTML, Markdown) only lay it out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from harness.keep.summary import ClaimSummary, PointSummary, Summary
from harness.measure.progress import duration
from harness.report.answer import Answer, answer
from harness.report.figures import figures
from harness.report.points import outcome_of
from harness.report.programs import programs_of
from harness.report.series import Figure
from harness.report.style import MODE_NAMES, MODE_TEXTS, OUTCOMES
from harness.report.tables import (
    MISSING,
    Table,
    ablation_table,
    calibration_table,
    conditions_sentence,
    conditions_table,
    figure_table,
    points_table,
)
from harness.report.timeline import TimelineReport, timeline_report

LABS = {
    "dryrun": "dryrun: an emulated Xen host",
    "bench": "bench: a real Xen host",
    "local": "local: no hypervisor, each VM is a control group",
}
"""What kind of lab it was, for a reader who does not know their names."""


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on claims that say the same, each for another number of CPU VMs."""

    text: str
    kind: str
    """`ours`, or `paper`: what the paper says of its own method."""
    source: str
    because: str
    """Why the limit is where it is; empty where an old run does not say."""
    figure: Figure | None
    """The figure that shows it, if one does."""
    claims: tuple[ClaimSummary, ...]


@dataclass(frozen=True)
class Content:
    """A whole report."""

    run: str
    """The run's name, that of its folder."""
    device: str
    emulated: bool
    """Whether the GPU was an emulated one."""
    answer: Answer | None
    """What a reader came for; None where the run did not measure it."""
    headline: str
    judged_under: str
    """The driver's wait and the scheduler that the verdicts are about; empty where unknown."""
    facts: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdicts, ...]
    figures: tuple[tuple[Figure, Table], ...]
    """All but the answer's."""
    modes: tuple[tuple[str, str, str], ...]
    """Role of the colour, name and meaning of every mode that was measured."""
    ablation: Table | None
    calibration: Table | None
    conditions: Table | None
    conditions_sentence: str
    timeline: TimelineReport | None
    points: Table
    problems: tuple[tuple[str, str], ...]
    """What is wrong at which point, and which repetitions were left out."""
    environment: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    files: tuple[str, ...]
    """What else there is in the run's folder."""


def content(summary: Summary, run: str, files: Iterable[str] = ()) -> Content:
    """Put a run's report together."""
    device = device_of(summary)
    drawn = figures(summary)
    found = answer(summary, drawn)
    return Content(
        run=run,
        device=device,
        emulated="emulated" in device.lower(),
        answer=found,
        headline=headline(summary),
        judged_under=judged_under(summary),
        facts=_facts(summary, device),
        verdicts=tuple(_verdicts(summary.claims, drawn)),
        figures=tuple(
            (figure, figure_table(figure))
            for figure in drawn
            if found is None or figure is not found.figure
        ),
        modes=tuple(
            (str(mode), MODE_NAMES[mode], text)
            for mode, text in MODE_TEXTS.items()
            if any(point.mode == mode for point in summary.points)
        ),
        ablation=ablation_table(summary),
        calibration=calibration_table(summary),
        conditions=conditions_table(summary),
        conditions_sentence=conditions_sentence(summary),
        timeline=timeline_report(summary.timeline),
        points=points_table(summary),
        problems=tuple(_problems(summary.points)),
        environment=_environment(summary),
        files=tuple(files),
    )


def device_of(summary: Summary) -> str:
    """Return the name of the GPU that the run used."""
    return str(_plain(summary.environment)["gpu_vm"].get("device", "no GPU device recorded"))


def judged_under(summary: Summary) -> str:
    """Name the conditions of the verdicts: they are those of this driver and scheduler alone."""
    told = _plain(summary.environment)
    wait = re.search(r"\bwait=([\w-]+)", str(told["gpu_vm"].get("opencl_driver", "")))
    scheduler = told["host"].get("xen_scheduler")
    named = [f"the driver's wait {wait[1]}"] if wait else []
    named += [f"Xen's scheduler {scheduler}"] if scheduler else []
    return " and ".join(named)


def headline(summary: Summary) -> str:
    """Count the verdicts, on our claims and on the paper's of its own method."""
    sentences = []
    under = judged_under(summary)
    papers = "The paper's of its own method" + (f" under {under}" if under else "")
    for kind, name in (("ours", "Our claims"), ("paper", papers)):
        counts = Counter(outcome_of(claim) for claim in summary.claims if claim.kind == kind)
        parts = [
            f"{counts[outcome]} {OUTCOMES[outcome][1]}" for outcome in OUTCOMES if counts[outcome]
        ]
        if parts:
            sentences.append(f"{name}: {', '.join(parts)}.")
    return " ".join(sentences) or "No claim was judged."


def _facts(summary: Summary, device: str) -> tuple[tuple[str, str], ...]:
    started, finished = (datetime.fromisoformat(t) for t in (summary.started, summary.finished))
    repetitions = max((len(point.samples) for point in summary.points), default=0)
    repeats = {
        "CPU throughput": [r for r in summary.repeatability if r.quantity == "cpu_throughput"],
        "GPU job": [r for r in summary.repeatability if r.quantity == "gpu_seconds"],
    }
    known = ", ".join(
        f"{name} {max(r.deviation for r in found):.2%}" for name, found in repeats.items() if found
    )
    return (
        ("Lab", LABS.get(summary.lab, summary.lab)),
        ("Clock", summary.clock),
        ("Profile", summary.profile),
        ("GPU program" if programs_of(summary).gpu else "GPU", device),
        *(
            (("CPU program", program.command),)
            if (program := programs_of(summary).cpu) is not None
            else ()
        ),
        ("Started", f"{started:%Y-%m-%d %H:%M} {started.tzname() or ''}".strip()),
        ("Took", duration((finished - started).total_seconds())),
        ("Repetitions", f"up to {repetitions}" if repetitions > 1 else "one, so no error bars"),
        *((("Repeatability (standard deviation)", known),) if known else ()),
    )


def _verdicts(claims: Iterable[ClaimSummary], drawn: list[Figure]) -> Iterator[Verdicts]:
    by_number = {figure.number: figure for figure in drawn}
    by_id = {figure.id: figure for figure in drawn}
    for (text, kind, source, because, number, experiment), group in groupby(
        claims, key=lambda c: (c.text, c.kind, c.source, c.because, c.figure, c.experiment)
    ):
        # A claim may rest on the points of one figure and belong to another.
        figure = by_number.get(number)
        if figure is None and not number.startswith("Fig."):
            figure = by_id.get(experiment)
        yield Verdicts(text, kind, source, because, figure, tuple(group))


def _problems(points: Iterable[PointSummary]) -> Iterator[tuple[str, str]]:
    for point in points:
        for problem in point.problems:
            yield point.label, problem
        for sample in point.samples:
            for why in sample.repeated_for:
                yield point.label, f"repetition {sample.repetition} was measured again: {why}"
        if not point.problems:
            for sample in point.samples:
                for problem in sample.problems:
                    yield point.label, f"repetition {sample.repetition} was left out: {problem}"


def _environment(
    summary: Summary,
) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    found = _plain(summary.environment)
    groups = {
        "Commit": {"commit": found["commit"]},
        "Controller": found["controller"],
        "Host": found["host"],
        "GPU VM": found["gpu_vm"],
        "Parameters of the profile": _plain(summary.parameters),
        "Check of the GPU job's numbers": _plain(summary.verification or {}),
    }
    return tuple(
        (title, tuple((name, _text(value)) for name, value in facts.items()))
        for title, facts in groups.items()
        if facts
    )


def _plain(value: Any) -> dict[str, Any]:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return MISSING if value is None else str(value)
