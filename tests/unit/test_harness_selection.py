"""`--experiment`: less is measured, and the verdicts are those of a whole run."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from harness_fakes import World
from rich.console import Console

from harness.errors import LabUnsuitable
from harness.judge.claims import Outcome
from harness.keep.results import RunFolder
from harness.measure.progress import RunProgress
from harness.measure.run import Options, Run
from harness.plan.conditions import Condition
from harness.plan.experiments import experiments
from harness.plan.profiles import PROFILES
from harness.plan.schedule import judged_by
from harness.whole_run import FinishedRun, run_experiment

PROFILE = replace(
    PROFILES["smoke"],
    cpu_vms=(1,),
    sweep_vms=(1,),
    sweep_groups=(4, 10, 20),
    g500_vms=(1,),
    timeline_vms=(1, 2),
    conditions=(Condition("interrupt"),),
    condition_vms=(1,),
    condition_groups=(4, 10, 20),
)
"""Every experiment, as small as can be."""

NAMES = (*(experiment.id for experiment in experiments(PROFILE)), "timeline")


def take(folder: Path, *names: str) -> FinishedRun:
    results = RunFolder(folder / "results")
    results.path.mkdir()
    made = Run([World().lab(folder / "lab")], PROFILE, results, Options(experiments=names))
    with RunProgress(Console(file=io.StringIO()), made.expected_parts()) as progress:
        return run_experiment(made, progress)


def outcomes(run: FinishedRun, experiment: str) -> dict[str, Outcome]:
    verdicts = (v for v in run.verdicts if v.claim.experiment == experiment)
    return {verdict.claim.id: verdict.outcome for verdict in verdicts}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return take(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("name", NAMES)
def test_one_experiment_is_judged_as_in_a_whole_run(
    name: str, whole: FinishedRun, tmp_path: Path
) -> None:
    alone = take(tmp_path, name)
    assert outcomes(alone, name) == outcomes(whole, name)
    assert all(v.measured for v in alone.verdicts if v.claim.experiment == name)
    assert {r.point for r in alone.measurements.results} <= judged_by(PROFILE, [name])
    assert len(alone.measurements.results) < len(whole.measurements.results)
    conditions = {c.label: len(c.claims) for c in alone.summary.conditions}
    if name == "conditions":
        assert conditions == {c.label: len(c.claims) for c in whole.summary.conditions}


def test_what_a_claim_presupposes_is_measured_with_it() -> None:
    """In the order of claims.toml: was anything lost, does it level off, what do groups cost?"""
    labels = {name: {p.label for p in judged_by(PROFILE, [name])} for name in NAMES}
    assert "n1-no_gpu" in labels["fig4"]
    assert "n1-paper-20groups" in labels["g500"]
    assert "n0-gpusplit-4groups" in labels["fig6"]
    assert "n1-unsplit" in labels["conditions"]


def test_several_are_measured_together() -> None:
    both = judged_by(PROFILE, ["fig2", "ablation"])
    assert both == judged_by(PROFILE, ["fig2"]) | judged_by(PROFILE, ["ablation"])


def test_the_check_against_numpy_is_there_in_every_profile() -> None:
    assert not judged_by(PROFILES["demo"], ["checks"])


def test_an_unknown_one_is_named_with_those_that_there_are() -> None:
    with pytest.raises(LabUnsuitable, match=r"no experiment 'fig7'.*\n.*fig2, fig4.*timeline"):
        judged_by(PROFILE, ["fig7"])
    with pytest.raises(LabUnsuitable, match="no experiment 'timeline'"):
        judged_by(PROFILES["smoke"], ["timeline"])
