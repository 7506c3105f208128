"""A run that was interrupted is continued, or judged as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from harness_fakes import World
from harness_takes import SMOKE, outcomes, take

from harness.__main__ import main
from harness.errors import UnreadableResults
from harness.judge.claims import Outcome
from harness.keep import manifest
from harness.keep.results import RunFolder
from harness.keep.summary import read_summary
from harness.lab.xen_lab import XenLab
from harness.measure import jobs
from harness.measure.run import Options
from harness.whole_run import judge_measured


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not answer is given up at once."""
    monkeypatch.setattr(jobs, "RECOVERY", 0.0)


def launched(world: World) -> list[int]:
    """Count the GPU job's runs from now on."""
    runs: list[int] = []
    world.on_gpu_go = lambda: runs.append(1)
    return runs


def interrupt(folder: Path) -> World:
    """A world whose run was ended by Ctrl-C beside two CPU VMs."""
    world = World()

    def press() -> None:
        if world.vms["cpu2"].computing:
            raise KeyboardInterrupt

    world.on_gpu_go = press
    with pytest.raises(KeyboardInterrupt):
        take(world, folder)
    return world


def interrupted(folder: Path) -> World:
    """The same, ready for another run."""
    world = interrupt(folder)
    shutil.rmtree(folder / "lab")
    world.on_gpu_go = lambda: None
    return world


def test_ctrl_c_stops_the_jobs_and_keeps_what_was_measured(tmp_path: Path) -> None:
    world = interrupt(tmp_path)
    assert not world.running
    assert not any(vm.paused for vm in world.vms.values())
    raw = {path.name for path in (tmp_path / "results" / "raw").iterdir()}
    assert "n2-no_gpu.1.xen1.json" in raw
    assert not (tmp_path / "results" / "summary.json").exists()


class TestResume:
    def test_measures_only_what_is_missing(self, tmp_path: Path) -> None:
        world = interrupted(tmp_path)
        runs = launched(world)
        run = take(world, tmp_path, Options(resume=True))
        # unsplit, gpusplit and paper beside two, unsplit again beside one, two splits alone
        assert len(runs) == 6
        assert not any(verdict.fails_the_run for verdict in run.verdicts)
        assert run.summary.verification is not None

    def test_the_gpu_job_keeps_the_length_that_was_found_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(XenLab, "launches", lambda self, profile: 6)
        world = interrupted(tmp_path)
        monkeypatch.setattr(XenLab, "launches", lambda self, profile: 5)
        run = take(world, tmp_path, Options(resume=True))
        raw = (json.loads(path.read_text()) for path in (run.folder / "raw").glob("n*.json"))
        assert {len(sample["gpu"]["launches"]) for sample in raw if sample["gpu"]} == {6}
        assert run.summary.parameters["gpu_launches"] == 6

    def test_an_invalid_point_is_measured_again(self, tmp_path: Path) -> None:
        world = World(slow_clock={"cpu2": 0.2})
        take(world, tmp_path)
        shutil.rmtree(tmp_path / "lab")
        world.slow_clock.clear()
        run = take(world, tmp_path, Options(resume=True))
        assert outcomes(run)["cpu-gain-n2"] is Outcome.PASS

    def test_repetitions_can_be_added_to_a_run_that_has_ended(self, tmp_path: Path) -> None:
        world = World()
        only = Options(points=("n1-unsplit", "n1-unsplit_cooperative"))
        take(world, tmp_path, only)
        shutil.rmtree(tmp_path / "lab")
        runs = launched(world)
        more = replace(SMOKE, least_repetitions=4)
        run = take(world, tmp_path, Options(resume=True), more)
        assert {p.label: len(p.samples) for p in run.summary.points} == dict.fromkeys(
            only.points, 4
        )
        assert len(runs) == 2 + 3, "what was measured before is not measured again"
        assert (
            json.loads((run.folder / "run.json").read_text())["parameters"]["least_repetitions"]
            == 4
        )

    def test_repetitions_are_never_taken_away(self, tmp_path: Path) -> None:
        world = World()
        only = Options(points=("n1-unsplit",))
        take(world, tmp_path, only, replace(SMOKE, least_repetitions=3))
        shutil.rmtree(tmp_path / "lab")
        (point,) = take(world, tmp_path, Options(resume=True)).summary.points
        assert len(point.samples) == 3

    def test_what_was_selected_stays_selected(self, tmp_path: Path) -> None:
        world = World()
        take(world, tmp_path, Options(experiments=("ablation",)))
        shutil.rmtree(tmp_path / "lab")
        runs = launched(world)
        run = take(world, tmp_path, Options(resume=True))
        assert runs == []
        assert run.selection.experiments == ("ablation",)

    def test_of_another_run_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = interrupted(tmp_path)
        monkeypatch.setattr(manifest, "commit", lambda _: "another")
        with pytest.raises(UnreadableResults, match=r"differs in commit \(commit was .*another"):
            take(world, tmp_path, Options(resume=True))

    def test_finds_the_latest_that_has_not_ended(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableResults, match="no unfinished run"):
            RunFolder.find(tmp_path, "latest")
        for name, files in (("20260101", ["run.json"]), ("20260102", ["run.json", "summary.json"])):
            (tmp_path / name).mkdir()
            for file in files:
                (tmp_path / name / file).touch()
        assert RunFolder.find(tmp_path, "latest").path.name == "20260101"
        assert RunFolder.find(tmp_path, "20260102").path.name == "20260102"
        with pytest.raises(UnreadableResults, match="no run"):
            RunFolder.find(tmp_path, "20260103")


class TestJudgedWithoutTheLab:
    def test_what_was_measured_is_judged_and_the_rest_is_invalid(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        interrupted(tmp_path)
        results = tmp_path / "results"
        assert main(["judge", str(results)]) == 1
        assert str(results / "report.html") in capsys.readouterr().out
        summary = read_summary(results)
        verdicts = {claim.id: claim.outcome for claim in summary.claims}
        assert verdicts["cpu-gain-n1"] == "pass"
        assert verdicts["cpu-gain-n2"] == "invalid"
        assert summary.environment.host["xen_version"] == "4.17.6", "of when it began"

    def test_as_the_run_itself_judges_it(self, tmp_path: Path) -> None:
        run = take(World(), tmp_path)
        before = read_summary(run.folder)
        (run.folder / "summary.json").unlink()
        judge_measured(RunFolder(run.folder))
        assert replace(read_summary(run.folder), finished=before.finished) == before

    def test_a_run_that_came_to_its_end_is_judged_again_by_the_claims_of_now(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = take(World(), tmp_path)
        before = read_summary(run.folder)
        assert main(["judge", str(run.folder)]) == 0
        assert read_summary(run.folder) == before
        monkeypatch.setattr("harness.judge.claims.held_against", lambda *_, **__: Outcome.FAIL)
        assert main(["judge", str(run.folder)]) == 1
        assert {c.outcome for c in read_summary(run.folder).claims if c.kind == "ours"} == {"fail"}

    @pytest.mark.parametrize(
        "options",
        [
            Options(experiments=("ablation",)),
            Options(points=("n1-unsplit", "n1-unsplit_cooperative")),
        ],
    )
    def test_a_run_of_a_selection_ends_as_pytest_ends(
        self, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Claims about the rest are skipped there, and are in no summary."""
        run = take(World(), tmp_path, options)
        assert not run.failed
        assert main(["judge", str(run.folder)]) == 0
        judged = {claim.id for claim in read_summary(run.folder).claims}
        assert "waiting-gain-n1" in judged
        assert "cpu-gain-n1" not in judged
        monkeypatch.setattr("harness.judge.claims.held_against", lambda *_, **__: Outcome.FAIL)
        assert main(["judge", str(run.folder)]) == 1

    def test_a_folder_without_a_run_is_said_to_be_none(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["judge", str(tmp_path)]) == 2
        assert "run.json" in capsys.readouterr().err
