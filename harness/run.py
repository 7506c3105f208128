"""A whole run: every point of a profile, measured, judged and written down."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.claims import Measurements, Verdict, judge, load_claims
from harness.environment import describe_environment
from harness.errors import HarnessError, JobFailed
from harness.evaluate import PointResult, evaluate
from harness.experiments import (
    Mode,
    Point,
    Profile,
    alone,
    alone_split,
    beside,
    number_of_points,
)
from harness.lab.lab import Lab
from harness.measure import measure_point, verify_numbers
from harness.progress import RunProgress
from harness.report.figure import draw_throughput
from harness.report.summary import Summary, summarise
from harness.results import RunFolder
from harness.samples import PointSamples

START_GUESS = 25.0
"""Seconds that a part takes beside its window: a guess for the first forecast, no more."""

WINDOW_GUESS = 65.0
"""Seconds of a window at scale 1, as in the paper: again, a guess for the forecast only."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that was measured to its end, whatever the verdicts are."""

    folder: Path
    picture: Path
    summary: Summary
    measurements: Measurements
    verdicts: tuple[Verdict, ...]


def part_weights(profile: Profile) -> list[float]:
    """Return the guessed seconds of every part of a run, for the forecast."""
    point = START_GUESS + WINDOW_GUESS * profile.gpu_scale
    return [START_GUESS] * 2 + [point] * number_of_points(profile)


def run_experiment(
    lab: Lab, profile: Profile, folder: RunFolder, progress: RunProgress
) -> FinishedRun:
    """Measure all points of a profile, judge the claims, write the results."""
    started = datetime.now(UTC)
    lab.inventory.require_cpu_vms(max(profile.cpu_vms))
    results: list[PointResult] = []
    samples: list[PointSamples] = []

    def take(point: Point, no_gpu_window: float | None = None) -> PointResult:
        with progress.part(point.label):
            measured = measure_point(lab, point, profile, no_gpu_window)
        folder.write_json(f"raw/{point.label}.json", measured)
        samples.append(measured)
        results.append(evaluate(measured))
        return results[-1]

    try:
        with progress.part("reaching every VM"):
            lab.prepare()
        with progress.part("checking the GPU job's numbers against numpy"):
            verification = verify_numbers(lab, profile)
        folder.write_json("raw/verification.json", verification)

        window = take(alone()).gpu_seconds
        if window is None:
            raise JobFailed("The GPU job alone gave no time.", "see raw/ in the run's folder")
        for point in beside(profile):
            take(point, no_gpu_window=window)
        wanted = [
            result.wanted
            for result in results
            if result.point.mode is Mode.GPUSPLIT and result.wanted is not None
        ]
        for point in alone_split(wanted):
            take(point)
        environment = describe_environment(lab, samples)
    finally:
        # As it was found: whoever logs in next expects every VM to answer. A failure here
        # must not hide the one that may have led here.
        with suppress(HarnessError):
            lab.wake_all()

    measurements = Measurements(lab.inventory.clock, tuple(results), verification)
    verdicts = tuple(
        judge(claim, measurements)
        for claim in load_claims(profile)
        if claim.is_made_for(lab.inventory.clock)
    )
    summary = summarise(
        lab=lab.inventory.lab,
        profile=profile,
        measurements=measurements,
        verdicts=verdicts,
        environment=environment,
        started=started,
        finished=datetime.now(UTC),
    )
    picture = folder.path / "throughput.png"
    draw_throughput(summary, picture)
    folder.write_json("summary.json", summary)
    return FinishedRun(folder.path, picture, summary, measurements, verdicts)
