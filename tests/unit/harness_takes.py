"""Runs of the profile smoke in a lab that is not there, for tests."""

from __future__ import annotations

import io
from pathlib import Path

from harness_fakes import World
from rich.console import Console

from harness.judge.claims import Outcome
from harness.keep.results import RunFolder
from harness.measure.progress import RunProgress
from harness.measure.run import Options, Run
from harness.plan.profiles import PROFILES, Profile
from harness.whole_run import FinishedRun, run_experiment

SMOKE = PROFILES["smoke"]


def take(
    world: World, folder: Path, options: Options | None = None, profile: Profile = SMOKE
) -> FinishedRun:
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    console = Console(file=io.StringIO())
    made = Run([world.lab(folder / "lab")], profile, RunFolder(results), options)
    with RunProgress(console, made.expected_parts()) as progress:
        return run_experiment(made, progress)


def outcomes(run: FinishedRun) -> dict[str, Outcome]:
    return {verdict.claim.id: verdict.outcome for verdict in run.verdicts}
