"""What a reader sees: summary.json, the table, the picture, the results folder, progress."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from harness_fakes import World
from rich.console import Console

from harness.errors import LabUnsuitable, UnreadableResults
from harness.keep.results import RunFolder
from harness.keep.summary import read_summary
from harness.measure.progress import Forecast, RunProgress, duration
from harness.measure.run import Run
from harness.plan.profiles import PROFILES
from harness.report.table import print_tables
from harness.whole_run import FinishedRun, run_experiment

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run in which clocks are apart at n = 2."""
    folder = tmp_path_factory.mktemp("report")
    world = World(slow_clock={"cpu2": 0.2})
    results = RunFolder.create(folder / "results", STARTED)
    with RunProgress(Console(file=io.StringIO()), []) as progress:
        return run_experiment(
            Run([world.lab(folder / "lab")], PROFILES["smoke"], results), progress
        )


@pytest.fixture(scope="module")
def summary(run: FinishedRun) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run.folder / "summary.json").read_text())
    return loaded


class TestSummary:
    def test_says_what_was_measured_and_where(self, summary: dict[str, Any]) -> None:
        assert (summary["lab"], summary["profile"]) == ("dryrun", "smoke")
        assert summary["clock"] == "deterministic"
        assert summary["environment"]["host"]["xen_scheduler"] == "credit"
        assert summary["environment"]["gpu_vm"]["device"].endswith("(emulated)")
        assert len(summary["environment"]["commit"]) >= 7

    def test_points_have_the_promised_fields(self, summary: dict[str, Any]) -> None:
        for point in summary["points"]:
            assert point.keys() >= {
                "cpu_vms",
                "mode",
                "groups",
                "cpu_throughput",
                "gpu_seconds",
                "gpu_vm_cpu_seconds",
            }
            assert point["mode"] in {
                "no_gpu",
                "unsplit",
                "unsplit_cooperative",
                "paper",
                "paper_ahead",
                "gpusplit_single",
                "gpusplit",
            }
            if not point["problems"]:
                assert (point["cpu_throughput"] is None) == (point["cpu_vms"] == 0)
            assert (point["gpu_seconds"] is None) == (point["mode"] == "no_gpu")
            assert (point["groups"] is None) == (point["mode"] == "no_gpu")
            assert isinstance(point["gpu_vm_cpu_seconds"], float)

    def test_no_two_points_are_the_same(self, summary: dict[str, Any]) -> None:
        labels = [p["label"] for p in summary["points"]]
        assert len(labels) == len(set(labels)) == 15
        again = [p["label"] for p in summary["points"] if len(p["samples"]) > 1]
        assert again == ["n1-unsplit"]

    def test_intervals_are_there_where_a_point_was_repeated(self, summary: dict[str, Any]) -> None:
        for point in summary["points"]:
            interval = point["cpu_throughput_interval"]
            if len(point["samples"]) == 1:
                assert interval is None
            else:
                assert interval[0] <= point["cpu_throughput"] <= interval[1]

    def test_the_points_of_fig_6_come_first(self, summary: dict[str, Any]) -> None:
        first = [(p["cpu_vms"], p["mode"]) for p in summary["points"][:7]]
        modes = ("no_gpu", "unsplit", "gpusplit")
        assert first == [(0, "unsplit"), *((n, mode) for n in (1, 2) for mode in modes)]

    def test_is_read_as_it_was_written(self, run: FinishedRun) -> None:
        assert read_summary(run.folder) == run.summary

    def test_another_schema_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "summary.json").write_text('{"schema": 1}')
        with pytest.raises(UnreadableResults, match="not a summary of schema 2"):
            read_summary(tmp_path)

    def test_claims_have_the_promised_fields(self, summary: dict[str, Any]) -> None:
        for claim in summary["claims"]:
            assert claim.keys() >= {"id", "value", "interval", "limit", "because", "outcome"}
            assert claim["outcome"] in {"pass", "fail", "inconclusive", "invalid"}
            assert (claim["value"] is None) == (claim["outcome"] == "invalid")
            assert (claim["interval"] is None) == (claim["value"] is None)
            if claim["interval"]:
                assert claim["interval"][0] <= claim["value"] <= claim["interval"][1]
        ours = {claim["outcome"] for claim in summary["claims"] if claim["kind"] == "ours"}
        assert ours == {"pass", "invalid"}

    def test_says_how_well_a_point_repeats(self, summary: dict[str, Any]) -> None:
        """The world repeats exactly, but for when a multiplication ends; the known counts on."""
        found = {(r["host"], r["quantity"]): r for r in summary["repeatability"]}
        assert found.keys() == {("xen1", "cpu_throughput"), ("xen1", "gpu_seconds")}
        for each in found.values():
            assert 0.001 < each["deviation"] <= 0.003
            assert each["freedom"] == 20 + 1

    def test_physical_limits_are_computed(self, summary: dict[str, Any]) -> None:
        assert summary["physical_limits"] == {"1": 1.0, "2": 0.5}

    def test_every_number_follows_the_samples(self, summary: dict[str, Any], run: Any) -> None:
        """Made again by hand from the raw file: no number comes from elsewhere."""
        point = next(p for p in summary["points"] if (p["cpu_vms"], p["mode"]) == (1, "unsplit"))
        sample = point["samples"][0]
        raw = json.loads((run.folder / sample["raw"]).read_text())
        start, end = raw["gpu"]["start"], raw["gpu"]["end"]
        inside = sum(start < t <= end for t in raw["cpus"][0]["ends"])
        assert sample["gpu_seconds"] == end - start
        assert sample["cpu_throughput"] == pytest.approx(inside / (end - start), rel=0.01)


class TestTable:
    def test_names_every_point_and_claim_and_what_is_wrong(self, run: FinishedRun) -> None:
        out = io.StringIO()
        print_tables(Console(file=out, width=120), run.summary)
        text = out.getvalue()
        for claim in run.summary.claims:
            assert claim.id in text
        assert text.count("gpusplit") >= 4
        assert "the clock of cpu2" in text
        assert "+97" in text or "+96" in text


def test_picture(run: FinishedRun) -> None:
    """How it looks is for eyes to judge; that it is one, and not empty, can be tested."""
    content = run.picture.read_bytes()
    assert content.startswith(PNG)
    assert len(content) > 20_000
    assert run.picture.name == "throughput.png"


class TestResults:
    def test_each_run_has_a_folder_of_its_own(self, tmp_path: Path) -> None:
        first, second = (RunFolder.create(tmp_path, STARTED) for _ in range(2))
        assert first.path.name == "20260102-030405"
        assert second.path.name == "20260102-030405-2"

    def test_latest_moves_only_when_published(self, tmp_path: Path) -> None:
        first = RunFolder.create(tmp_path, STARTED)
        first.write_json("summary.json", {"run": 1})
        first.publish()
        second = RunFolder.create(tmp_path, STARTED)
        latest = tmp_path / "latest"
        assert json.loads((latest / "summary.json").read_text()) == {"run": 1}
        second.publish()
        assert latest.resolve() == second.path.resolve()
        assert first.path.exists()
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            first.path.name,
            second.path.name,
            "latest",
        ]

    def test_a_file_is_written_wholly_or_not_at_all(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        folder.write_json("x.json", [1])
        for broken in (float("nan"), object()):
            with pytest.raises((ValueError, TypeError)):
                folder.write_json("x.json", [broken])
        assert json.loads((tmp_path / "x.json").read_text()) == [1]

    def test_an_unwritable_place_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(LabUnsuitable, match="--results"):
            RunFolder.create(tmp_path / "file" / "below", STARTED)


class TestProgress:
    def test_forecast_learns_from_what_parts_took(self) -> None:
        forecast = Forecast([10, 10, 20])
        assert forecast.remaining == 40
        forecast.done(15)
        assert forecast.remaining == 45
        forecast.done(5)
        assert forecast.remaining == 20

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0.4, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min"),
            (100, "1 min 40 s"),
            (3600, "60 min"),
            (750, "12 min"),
        ],
    )
    def test_durations_are_for_people(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    def test_plain_lines_without_a_terminal(self) -> None:
        now = [0.0]
        out = io.StringIO()
        with RunProgress(Console(file=out, width=200), [10.0, 10.0], lambda: now[0]) as progress:
            for name in ("n1-unsplit", "n1-gpusplit"):
                with progress.part(name):
                    now[0] += 30
        assert out.getvalue().splitlines() == [
            "2 parts, expected to take 20 s",
            "[1/2] n1-unsplit (0 s elapsed, about 20 s to go)",
            "[2/2] n1-gpusplit (30 s elapsed, about 30 s to go)",
        ]

    def test_a_moving_line_on_a_terminal(self) -> None:
        out = io.StringIO()
        console = Console(file=out, width=200, force_terminal=True)
        with RunProgress(console, [1.0] * 16) as progress, progress.part("n1-unsplit"):
            pass
        assert "16 parts" in out.getvalue()
