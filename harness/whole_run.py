"""A whole run, room by room: it is measured, judged, kept, and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from harness.errors import CannotWrite
from harness.judge.claims import Verdict, judge, load_claims
from harness.judge.evaluate import evaluate
from harness.judge.measurements import Measurements
from harness.judge.repetitions import combine
from harness.keep.durations import write_durations
from harness.keep.environment import describe_environment
from harness.keep.manifest import (
    Manifest,
    read_manifest,
    read_samples,
    read_timeline,
    read_verification,
)
from harness.keep.results import BEGUN, FINISHED, RunFolder
from harness.keep.summarise import summarise
from harness.keep.summary import NAME, Summary, read_summary
from harness.lab.samples import PointSamples
from harness.measure.progress import RunProgress
from harness.measure.run import Run
from harness.plan.profiles import Profile
from harness.plan.selection import Selection
from harness.report.picture import PICTURE
from harness.report.write import write_report


@dataclass(frozen=True)
class FinishedRun:
    """A run that was measured to its end, whatever the verdicts are."""

    folder: Path
    report: Path
    """report.html."""
    summary: Summary
    measurements: Measurements
    verdicts: tuple[Verdict, ...]
    selection: Selection = field(default_factory=Selection)
    """What of the profile was measured; claims about the rest are in no summary."""

    @property
    def failed(self) -> bool:
        """Whether a claim that is judged makes the run fail."""
        return any(verdict.fails_the_run for verdict in self.verdicts if not self.skipped(verdict))

    def skipped(self, verdict: Verdict) -> str:
        """Say why a verdict does not count; empty if it does."""
        return self.selection.leaves_out(verdict.claim.experiment, verdict.measured)

    @property
    def picture(self) -> Path:
        """The picture; a run of single points may have none."""
        return self.folder / PICTURE


def run_experiment(run: Run, progress: RunProgress) -> FinishedRun:
    """Measure what a run is to measure, judge the claims, write the results.

    What is measured stays on disk if the run is interrupted, and `Options.resume` goes on.
    """
    run.folder.write_json(BEGUN, run.manifest)
    run.measure(progress)
    write_durations(run.folder, progress.taken)

    now = datetime.now(UTC)
    return conclude(run.folder, run.manifest, run.samples, run.measurements(), now)


def conclude(
    folder: RunFolder,
    manifest: Manifest,
    samples: Sequence[PointSamples],
    measurements: Measurements,
    ended: datetime,
) -> FinishedRun:
    """Judge the claims and write the results. CannotWrite if there is no room."""
    verdicts = tuple(
        judge(claim, measurements)
        for claim in load_claims(measurements.profile, measurements.lab)
        if claim.is_made_for(measurements.clock)
    )
    selection = manifest.selection
    judged = [v for v in verdicts if not selection.leaves_out(v.claim.experiment, v.measured)]
    environment = describe_environment(manifest.commit, manifest.machines, samples)
    started = datetime.fromisoformat(manifest.started)
    summary = summarise(measurements, judged, environment, started, ended)
    try:
        folder.write_json(NAME, summary)
        report = write_report(summary, folder.path)
    except OSError as error:
        raise CannotWrite(
            f"The results could not be written to {folder.path}: {error}.",
            "free some space; what was measured is there, and `harness judge` judges it",
        ) from error
    return FinishedRun(folder.path, report, summary, measurements, verdicts, selection)


def judge_measured(folder: RunFolder) -> FinishedRun:
    """Judge what a run measured, interrupted or ended, by the claims of now; without its lab.

    UnreadableResults if its files cannot be read.
    """
    manifest, samples = read_manifest(folder), read_samples(folder)
    measurements = Measurements(
        manifest.lab,
        manifest.clock,
        manifest.shared_cpus,
        TypeAdapter(Profile).validate_python(manifest.parameters),
        combine([evaluate(sample) for sample in samples]),
        read_verification(folder),
        read_timeline(folder),
    )
    return conclude(folder, manifest, samples, measurements, _ended(folder))


def _ended(folder: RunFolder) -> datetime:
    """Say when a run ended: as it says, or when it last wrote something."""
    if (folder.path / FINISHED).exists():
        return datetime.fromisoformat(read_summary(folder.path).finished)
    written = [path.stat().st_mtime for path in folder.path.glob("raw/*.json")]
    return datetime.fromtimestamp(max(written, default=(folder.path / BEGUN).stat().st_mtime), UTC)
