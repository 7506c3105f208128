"""`--list`: what a run would measure, and how long it takes; without a lab."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from harness_fakes import World
from harness_takes import SMOKE
from rich.console import Console

from harness.keep.durations import DURATIONS, earlier_durations
from harness.keep.results import RunFolder
from harness.measure.progress import RunProgress
from harness.measure.run import REACHING, VERIFYING, Options, Run
from harness.plan.profiles import PROFILES
from harness.report.outlook import BEGINNING, Part, outlook, outlook_lines
from harness.whole_run import run_experiment

QUICK = PROFILES["quick"].for_lab("dryrun", "deterministic")


def once(found: dict[str, tuple[Part, ...]]) -> dict[str, Part]:
    return {part.name: part for parts in found.values() for part in parts}


def labels(found: dict[str, tuple[Part, ...]], experiment: str) -> set[str]:
    return {part.name for part in found[experiment]}


class TestGuessed:
    @pytest.mark.parametrize(
        "options",
        [Options(), Options(experiments=("checks",)), Options(experiments=("fig6", "timeline"))],
    )
    def test_it_takes_as_long_as_the_run_itself_expects(
        self, options: Options, tmp_path: Path
    ) -> None:
        made = Run([World(cpu_vms=5).lab(tmp_path)], QUICK, RunFolder(tmp_path / "run"), options)
        parts = once(outlook(made.profile, options, {})).values()
        assert sum(p.seconds for p in parts) == pytest.approx(sum(made.expected_parts()))
        assert sum(p.times for p in parts) == len(made.expected_parts())

    def test_an_experiment_has_what_it_is_judged_by(self) -> None:
        found = outlook(QUICK, Options(), {})
        assert {"n0-unsplit", "n1-unsplit", "n2-no_gpu"} <= labels(found, "fig2")
        assert labels(found, "timeline") == {"timeline"}
        assert VERIFYING in labels(found, "checks")

    def test_single_points_are_listed_where_they_belong(self) -> None:
        found = outlook(QUICK, Options(points=("n1-unsplit_cooperative",)), {})
        assert list(found) == ["", "ablation"]
        assert labels(found, "ablation") == {"n1-unsplit_cooperative"}


class TestRecorded:
    def ticking(self) -> Iterator[float]:
        """A clock on which every look takes half a second."""
        return (n / 2 for n in count())

    def measured(self, root: Path) -> None:
        folder = RunFolder(root / "20260101-000000")
        folder.path.mkdir(parents=True)
        made = Run([World().lab(root / "lab")], SMOKE, folder, Options(points=("n1-unsplit",)))
        clock = self.ticking()
        console = Console(file=io.StringIO())
        with RunProgress(console, made.expected_parts(), lambda: next(clock)) as progress:
            run_experiment(made, progress)

    def test_a_part_takes_what_it_took_in_an_earlier_run(self, tmp_path: Path) -> None:
        self.measured(tmp_path)
        found = once(outlook(SMOKE, Options(), earlier_durations(tmp_path, "dryrun", "smoke")))
        assert found["n1-unsplit"] == Part("n1-unsplit", 2, 1.0, recorded=True)
        assert found[BEGINNING].recorded
        assert not found["n2-unsplit"].recorded

    def test_other_labs_and_profiles_say_nothing(self, tmp_path: Path) -> None:
        self.measured(tmp_path)
        assert not earlier_durations(tmp_path, "local", "smoke")
        assert not earlier_durations(tmp_path, "dryrun", "quick")

    def test_the_latest_run_counts_and_what_cannot_be_read_does_not(self, tmp_path: Path) -> None:
        self.measured(tmp_path)
        earlier = tmp_path / "20260101-000000"
        for name, text in (
            ("20260102-000000", json.dumps({"n1-unsplit": [3.0, 5.0, 4.0]})),
            ("20260103-000000", "{"),
        ):
            later = tmp_path / name
            later.mkdir()
            (later / "run.json").write_text((earlier / "run.json").read_text())
            (later / DURATIONS).write_text(text)
        known = earlier_durations(tmp_path, "dryrun", "smoke")
        assert known["n1-unsplit"] == 4.0
        assert known[f"{REACHING} xen1"] == 0.5


class TestLines:
    def test_say_what_is_guessed_and_count_every_part_once(self) -> None:
        found = outlook(SMOKE, Options(experiments=("fig2", "ablation")), {"n1-unsplit": 8.0})
        lines = list(outlook_lines(SMOKE, found))
        assert "  2 x n1-unsplit  16 s" in lines
        assert "  1 x n2-no_gpu  ~6 s" in lines
        assert lines.count("  2 x n1-unsplit  16 s") == 2, "it is in both experiments"
        assert lines[-2].startswith("In all, each once however many want it: 10 parts, ")
        assert lines[-1].endswith("8 of 9")
