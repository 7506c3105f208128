"""Two runs beside each other: what changed, what is noise, and the exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_run import made_up_run, point, set_number
from pydantic import TypeAdapter

from harness.__main__ import main, share
from harness.keep.summary import Summary
from harness.report.compare import Comparison, Judgement, NumberChange, compare


def compared(
    change: Callable[[dict[str, Any]], None] = lambda run: None,
    tolerance: float | None = None,
    repetitions: int = 3,
) -> Comparison:
    """Compare a run with one that was changed."""
    runs = [made_up_run(repetitions) for _ in "ab"]
    change(runs[1])
    a, b = (TypeAdapter(Summary).validate_python(run) for run in runs)
    return compare(a, b, tolerance)


def number(found: Comparison, label: str, quantity: str = "cpu_throughput") -> NumberChange:
    return next(n for n in found.numbers if (n.point, n.quantity) == (label, quantity))


def faster(share: float, label: str = "n1-unsplit") -> Callable[[dict[str, Any]], None]:
    def change(run: dict[str, Any]) -> None:
        value = point(run, label)["cpu_throughput"]
        set_number(run, label, "cpu_throughput", value * (1 + share))

    return change


class TestNoise:
    def test_equal_runs_are_alike(self) -> None:
        found = compared()
        assert found.alike
        assert {n.judgement for n in found.numbers} == {Judgement.WITHIN}
        assert not any(claim.changed for claim in found.claims)

    @pytest.mark.parametrize(
        ("change", "judgement"), [(0.004, Judgement.WITHIN), (0.006, Judgement.OUTSIDE)]
    )
    def test_of_repeated_points_is_half_of_both_intervals(
        self, change: float, judgement: Judgement
    ) -> None:
        """Each is 0.25 % to either side."""
        found = compared(faster(change))
        changed = number(found, "n1-unsplit")
        assert changed.judgement is judgement
        assert "intervals" in changed.noise_from
        assert changed.relative == pytest.approx(change)
        assert changed.absolute == pytest.approx(64 * change)
        assert changed.noise == pytest.approx(64 * 0.005, rel=0.01)
        assert found.alike == (judgement is Judgement.WITHIN)

    @pytest.mark.parametrize(
        ("change", "judgement"), [(-0.009, Judgement.WITHIN), (-0.011, Judgement.OUTSIDE)]
    )
    def test_without_repetitions_is_what_a_repeated_point_may_differ(
        self, change: float, judgement: Judgement
    ) -> None:
        """The claim on repeating allows 1 %, and saw less."""
        changed = number(compared(faster(change), repetitions=1), "n1-unsplit")
        assert changed.judgement is judgement
        assert "repeated" in changed.noise_from

    def test_is_more_where_a_run_saw_more(self) -> None:
        def change(run: dict[str, Any]) -> None:
            faster(0.03)(run)
            next(c for c in run["claims"] if c["id"] == "repeat-n1")["value"] = 0.04

        assert number(compared(change, repetitions=1), "n1-unsplit").judgement is Judgement.WITHIN

    def test_of_the_gpu_vms_cpu_time_is_relative_to_the_job(self) -> None:
        """What a cooperative wait uses may double and still be next to nothing."""

        def change(run: dict[str, Any]) -> None:
            used = point(run, "n1-gpusplit-alpha2")["gpu_vm_cpu_seconds"]
            set_number(run, "n1-gpusplit-alpha2", "gpu_vm_cpu_seconds", used * 1.4)

        changed = number(
            compared(change, repetitions=1), "n1-gpusplit-alpha2", "gpu_vm_cpu_seconds"
        )
        assert changed.judgement is Judgement.WITHIN
        assert changed.noise == pytest.approx(0.13, rel=0.01)

    def test_may_be_unknown(self) -> None:
        runs = [made_up_run(1) for _ in "ab"]
        for run in runs:
            run["claims"] = []
        faster(0.5)(runs[1])
        a, b = (TypeAdapter(Summary).validate_python(run) for run in runs)
        found = compare(a, b)
        assert number(found, "n1-unsplit").judgement is Judgement.UNJUDGED
        assert number(found, "n1-unsplit").noise is None

    def test_a_number_in_doubt_is_not_judged(self) -> None:
        def change(run: dict[str, Any]) -> None:
            faster(0.5)(run)
            point(run, "n1-unsplit")["problems"] = ["stolen time"]

        assert number(compared(change), "n1-unsplit").judgement is Judgement.INVALID

    def test_a_number_that_one_run_lacks_is_told(self) -> None:
        found = compared(lambda run: set_number(run, "n1-unsplit", "cpu_throughput", None))
        changed = number(found, "n1-unsplit")
        assert changed.judgement is Judgement.MISSING
        assert (changed.absolute, changed.relative) == (None, None)


class TestRunsThatDiffer:
    def test_points_of_one_run_alone_are_named(self) -> None:
        def change(run: dict[str, Any]) -> None:
            point(run, "n4-unsplit")["label"] = "n9-unsplit"

        found = compared(change)
        assert (found.only_a, found.only_b) == (("n4-unsplit",), ("n9-unsplit",))
        assert found.alike

    def test_lab_profile_device_and_parameters_are_named(self) -> None:
        def change(run: dict[str, Any]) -> None:
            run |= {"lab": "bench", "profile": "full", "clock": "real"}
            run["environment"]["gpu_vm"]["device"] = "another"
            run["parameters"]["alpha"] = 4

        text = "\n".join(compared(change).differences)
        for each in ("dryrun and bench", "full", "deterministic and real", "another", "2 and 4"):
            assert each in text

    def test_another_verdict_is_a_change(self) -> None:
        def change(run: dict[str, Any]) -> None:
            run["claims"][0] |= {"outcome": "invalid", "value": None}

        found = compared(change)
        assert not found.alike
        assert [(c.claim, c.a, c.b) for c in found.claims if c.changed] == [
            ("cpu-gain-n1", "pass", "invalid")
        ]

    @pytest.mark.parametrize("outcome", ["pass", "fail", "invalid"])
    def test_an_inconclusive_verdict_contradicts_no_other(self, outcome: str) -> None:
        """One sample more or less turns it: else runs would differ by bad luck."""

        def change(run: dict[str, Any]) -> None:
            run["claims"][0]["outcome"] = "inconclusive"

        runs = [made_up_run() for _ in "ab"]
        change(runs[1])
        runs[0]["claims"][0]["outcome"] = outcome
        found = compare(*(TypeAdapter(Summary).validate_python(run) for run in runs))
        assert found.alike
        assert (found.claims[0].a, found.claims[0].b) == (outcome, "inconclusive")
        assert found.claims[0].differs
        assert not found.claims[0].changed

    def test_a_claim_of_one_run_alone_is_not_a_change(self) -> None:
        found = compared(lambda run: run["claims"].pop(0))
        assert found.alike
        assert found.claims[0].b is None


class TestTolerance:
    def test_holds_for_equal_runs(self) -> None:
        assert compared(tolerance=0.005).alike

    @pytest.mark.parametrize("repetitions", [1, 3])
    @pytest.mark.parametrize(("change", "alike"), [(0.0049, True), (0.0051, False)])
    def test_is_a_bound_on_every_point_whatever_the_noise(
        self, change: float, alike: bool, repetitions: int
    ) -> None:
        found = compared(faster(-change, "n3-gpusplit-4groups"), 0.005, repetitions)
        assert found.alike == alike
        wanted = Judgement.AGREES if alike else Judgement.DISAGREES
        assert number(found, "n3-gpusplit-4groups").judgement is wanted

    def test_is_held_against_the_gpu_jobs_time_too(self) -> None:
        def change(run: dict[str, Any]) -> None:
            set_number(run, "n0-unsplit", "gpu_seconds", 13.1)

        assert not compared(change, 0.005).alike

    @pytest.mark.parametrize(
        "change",
        [
            lambda run: run["points"].pop(),
            lambda run: run["points"].clear(),
            lambda run: set_number(run, "n1-unsplit", "cpu_throughput", None),
            lambda run: point(run, "n1-unsplit")["problems"].append("a guest died"),
        ],
        ids=["a point is missing", "no points", "a number is missing", "a number is in doubt"],
    )
    def test_is_not_kept_by_what_cannot_be_compared(
        self, change: Callable[[dict[str, Any]], None]
    ) -> None:
        assert not compared(change, 0.005).alike

    @pytest.mark.parametrize(
        ("text", "value"), [("0.5%", 0.005), ("0.5 %", 0.005), ("0.005", 0.005), ("0", 0.0)]
    )
    def test_is_read_as_a_share(self, text: str, value: float) -> None:
        assert share(text) == pytest.approx(value)

    @pytest.mark.parametrize("text", ["", "%", "a", "-1%", "100%", "5", "nan"])
    def test_must_be_a_share(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - argparse says the rest
            share(text)


class TestCommand:
    @pytest.fixture
    def runs(self, tmp_path: Path) -> list[str]:
        changed = made_up_run()
        faster(0.02)(changed)
        for name, run in (("first", made_up_run()), ("second", changed)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "summary.json").write_text(json.dumps(run))
        return [str(tmp_path / name) for name in ("first", "second")]

    def test_tells_what_changed(self, runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["compare", *runs]) == 1
        out = capsys.readouterr().out
        assert "A: first" in out
        assert "B: second" in out
        assert "+2.00%" in out
        assert "outside the noise: 1 of" in out
        assert "n4-unsplit" not in out  # did not change
        assert "Something changed beyond the noise." in out

    def test_tells_of_a_verdict_that_is_inconclusive_in_one(
        self, runs: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = made_up_run()
        changed["claims"][0]["outcome"] = "inconclusive"
        Path(runs[1], "summary.json").write_text(json.dumps(changed))
        assert main(["compare", *runs]) == 0
        out = capsys.readouterr().out
        assert "cpu-gain-n1" in out
        assert "inconclusive" in out
        assert "Verdicts that changed: 0 of" in out

    def test_tells_of_everything_if_asked(
        self, runs: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["compare", *runs, "--all"]) == 1
        assert "n4-unsplit" in capsys.readouterr().out

    def test_a_run_is_like_itself(
        self, runs: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["compare", runs[0], runs[0], "--tolerance", "0.5%"]) == 0
        assert "agree on every point" in capsys.readouterr().out

    def test_writes_json(self, runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["compare", *runs, "--json", "--tolerance", "1%"]) == 1
        found = json.loads(capsys.readouterr().out)
        assert found["alike"] is False
        changed = [n for n in found["numbers"] if n["judgement"] == "outside the tolerance"]
        assert [(n["point"], n["quantity"]) for n in changed] == [("n1-unsplit", "cpu_throughput")]
        assert changed[0]["relative"] == pytest.approx(0.02)

    def test_says_what_is_no_run(
        self, runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["compare", runs[0], str(tmp_path / "none")]) == 2
        assert "What to do:" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"], ["compare", "--help"]])
    def test_has_help(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert "usage: harness" in capsys.readouterr().out
