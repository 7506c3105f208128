"""`harness history`: how the figures of the claims moved over runs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_run import made_up_run
from rich.console import Console

from harness import __main__ as command
from harness.__main__ import BAD_INPUT, main
from harness.keep.summary import read_summary
from harness.report.history import History, histories, print_history

Keep = Callable[..., Path]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    def keep(name: str, day: int, gain: float = 0.95, **changed: Any) -> Path:
        """Keep a run of a day of January whose CPU VMs gain so much at n = 1 (limit 0.8)."""
        run = made_up_run() | {"started": f"2026-01-{day:02}T03:04:05+00:00"}
        first = run["claims"][0]
        assert first["id"] == "cpu-gain-n1"
        claim = {"value": gain, "outcome": "pass" if gain >= 0.8 else "fail"}
        first |= claim | changed.pop("claim", {})
        run |= changed
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(run))
        return folder

    return keep


def of(*folders: Path) -> tuple[History, ...]:
    return histories((folder.name, read_summary(folder)) for folder in folders)


def printed(history: History, width: int = 130) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_history(console, history)
    return console.export_text()


class TestHistory:
    def test_a_claim_has_its_value_and_verdict_in_every_run_by_time(self, keep: Keep) -> None:
        (history,) = of(keep("b", 2, gain=0.7), keep("a", 1, gain=0.9))
        assert [run.run for run in history.runs] == ["a", "b"]
        claim = next(c for c in history.claims if c.claim == "cpu-gain-n1")
        assert [(f.value, f.outcome) for f in claim.found if f] == [(0.9, "pass"), (0.7, "fail")]

    def test_papers_claims_do_not_fail(self, keep: Keep) -> None:
        (history,) = of(keep("a", 1, claim={"kind": "paper", "outcome": "fail"}))
        assert history.claims[0].found[0].outcome == "not_reproduced"  # type: ignore[union-attr]

    @pytest.mark.parametrize("other", [{"lab": "bench"}, {"profile": "full"}])
    def test_other_labs_and_profiles_are_told_apart(
        self, keep: Keep, other: dict[str, str]
    ) -> None:
        found = of(keep("a", 1), keep("b", 2, **other), keep("c", 3))
        assert [[run.run for run in history.runs] for history in found] == [["a", "c"], ["b"]]

    def test_so_are_other_gpus(self, keep: Keep) -> None:
        environment = made_up_run()["environment"] | {"gpu_vm": {"device": "another"}}
        assert len(of(keep("a", 1), keep("b", 2, environment=environment))) == 2

    def test_a_claim_that_a_run_did_not_judge_has_no_figure_there(self, keep: Keep) -> None:
        (history,) = of(keep("a", 1), keep("b", 2, claims=made_up_run()["claims"][1:]))
        claim = next(c for c in history.claims if c.claim == "cpu-gain-n1")
        assert claim.found[0] is not None
        assert claim.found[1] is None


class TestTable:
    def test_a_row_a_claim_and_a_column_a_run(self, keep: Keep) -> None:
        (history,) = of(keep("first", 1, gain=0.9), keep("second", 2, gain=0.7))
        text = printed(history)
        assert "lab dryrun, profile made up for tests, Made-up GPU" in text
        head = next(line for line in text.splitlines() if "first" in line)
        assert "second" in head
        assert "2026-01-01" in text
        assert "012345678 " in text, "the commit, shortened"
        row = next(line for line in text.splitlines() if "cpu-gain-n1" in line)
        assert [cell.strip() for cell in row.split("│")[1:-1]] == [
            "cpu-gain-n1",
            "≥ 0.8",
            "0.9 pass",
            "0.7 fail",
        ]

    def test_a_verdict_by_another_limit_says_so(self, keep: Keep) -> None:
        text = printed(*of(keep("a", 1, gain=0.7, claim={"limit": 0.6}), keep("b", 2)))
        row = next(line for line in text.splitlines() if "cpu-gain-n1" in line)
        assert "0.7 fail (≥ 0.6)" in row
        assert "0.95 pass " in row

    def test_runs_that_do_not_fit_follow_below(self, keep: Keep) -> None:
        (history,) = of(*(keep(f"run{day}", day) for day in range(1, 6)))
        text = printed(history, width=100)
        assert text.count("cpu-gain-n1") == 3
        assert all(f"run{day}" in text for day in range(1, 6))

    def test_changes_beside_the_commit_are_not_cut_off(self, keep: Keep) -> None:
        environment = made_up_run()["environment"] | {"commit": "0" * 40 + "+changes"}
        assert "000000000+changes" in printed(*of(keep("a", 1, environment=environment)))


class TestCommand:
    def test_json_has_everything(self, keep: Keep, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["history", "--json", str(keep("a", 1)), str(keep("b", 2))]) == 0
        (history,) = json.loads(capsys.readouterr().out)
        assert [run["started"][:10] for run in history["runs"]] == ["2026-01-01", "2026-01-02"]
        assert history["claims"][0]["found"][0]["limit"] == 0.8

    def test_without_names_it_takes_the_runs_that_ended_and_names_those_it_cannot_read(
        self,
        keep: Keep,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        results = tmp_path / "results"
        monkeypatch.setattr(command, "RESULTS", results)
        keep("20260101-000000", 1)
        keep("20260102-000000", 2)
        (results / "20260102-000000" / "summary.json").write_text("{}")
        (results / "20260103-000000").mkdir()  # interrupted
        (results / "latest").symlink_to("20260101-000000")
        assert main(["history", "--json"]) == 0
        out, err = capsys.readouterr()
        assert [run["run"] for run in json.loads(out)[0]["runs"]] == ["20260101-000000"]
        assert "left out" in err
        assert "20260102-000000" in err
        assert "20260103-000000" not in err

    def test_without_runs_it_says_so(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "RESULTS", tmp_path)
        assert main(["history"]) == BAD_INPUT
        assert "no run that has ended" in capsys.readouterr().err

    def test_a_run_that_was_named_must_be_readable(self, tmp_path: Path) -> None:
        assert main(["history", str(tmp_path)]) == BAD_INPUT
