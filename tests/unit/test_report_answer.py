"""The first screen: what the GPU VM does to its neighbours, and what gpusplit gives."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_run import made_up_run, point, set_number
from pydantic import TypeAdapter

from harness.keep.summary import Summary
from harness.report.answer import Answer, answer
from harness.report.figures import figures
from harness.report.series import Datum, Panel, Series, on_one_scale, relative


def of(run: dict[str, Any]) -> Answer:
    summary = TypeAdapter(Summary).validate_python(run)
    found = answer(summary, figures(summary))
    assert found is not None
    return found


def words(run: dict[str, Any]) -> str:
    return of(run).sentences.replace("\N{NO-BREAK SPACE}", " ")


def cells(run: dict[str, Any], n: int) -> dict[str, str]:
    table = of(run).table
    row = next(row for row in table.rows if row[0].text == str(n))
    return {head: cell.text for head, cell in zip(table.head, row, strict=True)}


def with_programs(run: dict[str, Any]) -> dict[str, Any]:
    """The same numbers as those of a run of somebody's own programs."""
    modes = ("no_gpu", "unsplit", "unsplit_cooperative", "gpusplit")
    labels = [
        p["label"]
        for p in run["points"]
        if p["mode"] in modes and not p["blocking_driver"] and (p["alpha"] or not p["wanted"])
    ]
    run["experiments"] = [
        {"id": "programs", "title": "Programs", "source": "own", "points": labels}
    ]
    run["parameters"] |= {
        "programs": {
            "gpu": {"words": ["python", "train.py"], "work": "time"},
            "cpu": {"words": ["./solve"], "work": "lines"},
        }
    }
    return run


class TestSentences:
    def test_say_what_is_left_beside_the_gpu_vm_and_what_would_be_fair(self) -> None:
        assert words(made_up_run()).startswith(
            "Beside the unsplit GPU job a CPU VM keeps 50.0 %, 66.7 %, 75.0 % and 80.0 % of its "
            "speed at n = 1, 2, 3 and 4; a fair share would be 50.0 %, 66.7 %, 75.0 % and 80.0 %. "
            "With gpusplit it keeps "
        )

    def test_are_turned_by_the_numbers(self) -> None:
        """Nothing in them takes a result for granted."""
        run = made_up_run()
        run["claims"] = []
        for n in (1, 2, 3, 4):
            set_number(run, f"n{n}-gpusplit-alpha2", "cpu_throughput", 10.0)
        assert "-84.4 %" in words(run)

    def test_leave_out_what_cannot_be_trusted(self) -> None:
        run = made_up_run()
        point(run, "n1-unsplit")["problems"] = ["cpu1 was restarted"]
        point(run, "n3-gpusplit-alpha2")["problems"] = ["cpu1 was restarted"]
        said = words(run)
        assert "of its speed at n = 2, 3 and 4;" in said
        with_gpusplit = said[said.index("With gpusplit") : said.index("With the paper")]
        assert "against unsplit at n = 2 and 4, and" in with_gpusplit
        assert with_gpusplit.count(" and ") == 5, "two numbers each"

    def test_are_about_ones_own_programs_where_they_were_measured(self) -> None:
        said = words(with_programs(made_up_run()))
        assert said.startswith("Beside the plain GPU program a CPU VM keeps 50.0 %")
        assert "With gpusplit's waits alone it keeps" in said
        assert said.index("With gpusplit it keeps") < said.index("With gpusplit's waits alone")


class TestTable:
    def test_has_a_row_for_each_number_of_cpu_vms_with_units_and_intervals(self) -> None:
        found = cells(made_up_run(), 2)
        assert found["no GPU VM, multiplications/s"].startswith("64.00 ± 0.")
        assert found["possible"] == "+50.0%"
        assert "±" in found["gpusplit, against unsplit"]
        assert "±" in found["GPU job, unsplit, s"]
        assert "±" in found["time, gpusplit"]

    def test_a_number_that_was_measured_once_has_an_interval_too(self) -> None:
        """By how well the run repeats, as the claims have it."""
        found = cells(made_up_run(repetitions=1), 2)
        assert "±" in found["unsplit, multiplications/s"]

    def test_the_gain_is_the_claims(self) -> None:
        run = made_up_run()
        claim = next(c for c in run["claims"] if c["statistic"] == "cpu_gain")
        n = int(claim["id"].rpartition("-n")[2])
        claim |= {"value": 0.777, "interval": [0.7, 0.854]}
        assert cells(run, n)["gpusplit, against unsplit"] == "+77.7% ± 7.7%"

    def test_the_units_are_those_of_ones_own_programs(self) -> None:
        found = cells(with_programs(made_up_run()), 1)
        assert "plain, lines/s" in found
        assert "GPU program, plain, s" in found


def test_there_is_none_where_it_was_not_measured() -> None:
    run = made_up_run()
    run["experiments"] = [e for e in run["experiments"] if e["id"] == "fig2"]
    summary = TypeAdapter(Summary).validate_python(run)
    assert answer(summary, figures(summary)) is None


class TestFigures:
    def test_every_repetition_is_there_to_be_drawn(self) -> None:
        summary = TypeAdapter(Summary).validate_python(made_up_run())
        fig6 = next(f for f in figures(summary) if f.id == "fig6")
        for panel in fig6.panels:
            for series in panel.series:
                assert all(d and len(d.repeats) == 3 for d in series.data.values())

    def test_a_change_has_its_repetitions_against_the_others_number(self) -> None:
        changed = relative(Datum(2.0, repeats={1: 1.9, 2: 2.1}), Datum(1.0, repeats={1: 0.9}))
        assert changed is not None
        assert changed.repeats == pytest.approx({1: 0.9, 2: 1.1})

    def test_the_fair_share_is_that_of_one_more_vm(self) -> None:
        summary = TypeAdapter(Summary).validate_python(made_up_run())
        fig6 = next(f for f in figures(summary) if f.id == "fig6")
        assert fig6.panels[0].fair == pytest.approx({1: 64.0, 2: 128 / 3, 3: 32.0, 4: 25.6})

    def test_diagrams_of_the_same_changes_have_one_scale(self) -> None:
        small, large = (
            Panel(name, name, "gpu", "%", (Series(name, "paper", {1: Datum(value)}),), bound=0.05)
            for name, value in (("small", -0.02), ("large", 0.8))
        )
        reaches = {panel.reach for panel in on_one_scale((small, large))}
        assert len(reaches) == 1
        ((low, high),) = [reach for reach in reaches if reach]
        assert low < -0.02
        assert high > 0.8
