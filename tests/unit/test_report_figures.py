"""From a summary to figures: which numbers, which limits, and what the sentences say of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from made_up_run import NUMBERS, made_up_run, point, set_number
from pydantic import TypeAdapter

from harness.keep.summary import Summary
from harness.report.figures import figures
from harness.report.findings import changes
from harness.report.series import Datum, Figure, relative

Change = Callable[[dict[str, Any]], None]


def summary_of(run: dict[str, Any]) -> Summary:
    return TypeAdapter(Summary).validate_python(run)


def drawn(run: dict[str, Any]) -> dict[str, Figure]:
    return {figure.id: figure for figure in figures(summary_of(run))}


@pytest.fixture
def run() -> dict[str, Any]:
    return made_up_run()


class TestFigures:
    def test_every_experiment_has_its_figure_under_the_papers_number(
        self, run: dict[str, Any]
    ) -> None:
        assert [figure.number for figure in drawn(run).values()] == [
            "Fig. 2",
            "Fig. 4",
            "Fig. 5",
            "Fig. 6",
            "500 groups",
            "Ablation",
            "Adaptive",
        ]

    def test_a_run_without_an_experiment_lacks_its_figure_alone(self, run: dict[str, Any]) -> None:
        run["experiments"] = [e for e in run["experiments"] if e["id"] in ("fig2", "ablation")]
        assert list(drawn(run)) == ["fig2", "ablation"]

    def test_adaptive_stands_beside_the_best_alpha(self, run: dict[str, Any]) -> None:
        for n in NUMBERS:
            set_number(run, f"n{n}-gpusplit-adaptive", "gpu_seconds", 13.0)
            set_number(run, f"n{n}-gpusplit-alpha2", "gpu_seconds", 13.13)
            set_number(run, f"n{n}-gpusplit-adaptive", "cpu_throughput", 99.0)
            set_number(run, f"n{n}-gpusplit-alpha2", "cpu_throughput", 100.0)
        figure = drawn(run)["adaptive"]
        cpu, gpu = figure.panels
        assert [series.name for series in cpu.series] == ["best fixed alpha", "adaptive"]
        assert all(set(series.data) == set(NUMBERS) for series in (*cpu.series, *gpu.series))
        assert figure.finding.startswith(
            "Against the best fixed alpha, the CPU VMs' throughput is 1.0\N{NO-BREAK SPACE}% less "
            "with the policy adaptive; the GPU job's time is 1.0\N{NO-BREAK SPACE}% shorter"
        )

    def test_an_experiment_of_which_nothing_was_measured_is_not_drawn(
        self, run: dict[str, Any]
    ) -> None:
        for experiment in run["experiments"]:
            experiment["points"] = []
        assert not drawn(run)

    def test_fig2_sets_n_plus_1_cpu_vms_beside_n_and_a_gpu_vm(self, run: dict[str, Any]) -> None:
        cpu, gpu = drawn(run)["fig2"].panels
        same, more, beside = cpu.series
        for n in NUMBERS:
            assert same.data[n] is not None
            assert same.data[n].value == point(run, f"n{n}-no_gpu")["cpu_throughput"]
            assert more.data[n] is not None
            assert more.data[n].value == point(run, f"n{n + 1}-no_gpu")["cpu_throughput"]
            assert beside.data[n] is not None
            assert beside.data[n].value == point(run, f"n{n}-unsplit")["cpu_throughput"]
        assert set(gpu.series[0].data) == {0, *NUMBERS}

    def test_the_limit_of_a_throughput_is_the_unsplit_one_with_the_share_given_back(
        self, run: dict[str, Any]
    ) -> None:
        cpu, _ = drawn(run)["fig6"].panels
        unsplit = point(run, "n2-unsplit")["cpu_throughput"]
        assert cpu.limits is not None
        assert cpu.limits[2] == pytest.approx(unsplit * 1.5)

    def test_fig4_is_relative_to_unsplit_for_both_methods(self, run: dict[str, Any]) -> None:
        paper, ours = drawn(run)["fig4"].panels
        assert (paper.title, ours.title) == ("the paper's method", "gpusplit")
        assert [s.name for s in ours.series] == [f"{g} groups" for g in (2, 4, 10, 20)]
        split = point(run, "n3-gpusplit-10groups")["cpu_throughput"]
        unsplit = point(run, "n3-unsplit")["cpu_throughput"]
        datum = ours.series[2].data[3]
        assert datum is not None
        assert datum.value == pytest.approx(split / unsplit - 1)
        assert ours.limits == pytest.approx({1: 1.0, 2: 0.5, 3: 1 / 3, 4: 0.25})

    def test_fig5_has_the_job_alone_too_and_the_bound(self, run: dict[str, Any]) -> None:
        paper, _ = drawn(run)["fig5"].panels
        assert paper.cpu_vms == (0, *NUMBERS)
        assert paper.bound == 0.05

    def test_any_number_of_groupings_has_shades_that_tell_them_apart(
        self, run: dict[str, Any]
    ) -> None:
        for left_out in (20, 4, 10):
            run["points"] = [p for p in run["points"] if f"{left_out}groups" not in p["label"]]
            for panel in drawn(run)["fig4"].panels:
                shades = [series.shade for series in panel.series]
                assert shades == sorted(set(shades))
                assert all(0 < shade <= 1 for shade in shades)

    def test_fig6_takes_the_alpha_that_the_calibration_chose(self, run: dict[str, Any]) -> None:
        other = point(run, "n2-gpusplit-alpha2") | {
            "label": "n2-gpusplit-alpha4",
            "alpha": 4,
            "groups": 12,
            "cpu_throughput": 50.0,
        }
        run["points"].append(other)
        next(e for e in run["experiments"] if e["id"] == "fig6")["points"].append(other["label"])
        assert self._ours(run)[2] == point(run, "n2-gpusplit-alpha2")["cpu_throughput"]
        run["calibration"][1]["alpha"] = 4
        assert self._ours(run)[2] == 50.0

    @staticmethod
    def _ours(run: dict[str, Any]) -> dict[int, float]:
        panel = drawn(run)["fig6"].panels[0]
        return panel.trusted(next(s for s in panel.series if s.colour == "gpusplit"))

    def test_a_point_with_other_launches_is_not_set_against_the_usual_ones(
        self, run: dict[str, Any]
    ) -> None:
        for name in ("n1-paper-500groups", "n1-gpusplit-500groups"):
            point(run, name)["launches"] = 1
        cpu, _ = drawn(run)["g500"].panels
        assert [s.data[1] for s in cpu.series if "500" in s.name] == [None, None]

    def test_the_check_of_the_emulated_driver_is_in_no_figure(self, run: dict[str, Any]) -> None:
        set_number(run, "n1-unsplit-blocking", "cpu_throughput", 1.0)
        for experiment in run["experiments"]:
            experiment["points"].append("n1-unsplit-blocking")
        assert drawn(run) == drawn(made_up_run())


class TestRelative:
    def test_intervals_are_the_widest_that_both_allow(self) -> None:
        gain = relative(Datum(3.0, (2.0, 4.0)), Datum(2.0, (1.0, 2.5)))
        assert gain is not None
        assert gain.value == 0.5
        assert gain.interval == pytest.approx((2 / 2.5 - 1, 4 / 1 - 1))

    def test_no_interval_without_both(self) -> None:
        gain = relative(Datum(3.0, (2.0, 4.0)), Datum(2.0))
        assert gain is not None
        assert gain.interval is None

    def test_doubts_about_either_are_doubts_about_the_ratio(self) -> None:
        gain = relative(Datum(3.0, problems=("a",)), Datum(2.0, problems=("a", "b")))
        assert gain is not None
        assert gain.problems == ("a", "b")

    @pytest.mark.parametrize(
        ("datum", "base"), [(None, Datum(1.0)), (Datum(1.0), None), (Datum(1.0), Datum(0.0))]
    )
    def test_nothing_is_made_of_what_is_not_there(
        self, datum: Datum | None, base: Datum | None
    ) -> None:
        assert relative(datum, base) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, 0.2], "10.0 % to 20.0 % faster"),
        ([-0.1, -0.2], "10.0 % to 20.0 % slower"),
        ([-0.1, 0.2], "between 10.0 % slower and 20.0 % faster"),
        ([0.1], "10.0 % faster"),
        ([0.1, 0.1], "10.0 % faster"),
        ([0.0001, -0.0001], "neither faster nor slower"),
        ([-0.0001, 0.2], "0.0 % to 20.0 % faster"),
        ([], "not known"),
    ],
)
def test_changes_in_words(values: list[float], words: str) -> None:
    assert changes(values, "faster", "slower").replace("\N{NO-BREAK SPACE}", " ") == words


def finding(run: dict[str, Any], figure: str) -> str:
    return drawn(run)[figure].finding.replace("\N{NO-BREAK SPACE}", " ")


class TestFindings:
    """A sentence follows its numbers, also where they are against our hopes."""

    def test_fig2_says_what_the_gpu_vm_costs(self, run: dict[str, Any]) -> None:
        assert "a CPU VM is 20.0 % to 50.0 % slower than with no GPU VM" in finding(run, "fig2")
        assert "is neither faster nor slower; the GPU job is 0.3 % to 1.2 % slower" in finding(
            run, "fig2"
        )

    def test_fig2_says_when_nothing_is_lost(self, run: dict[str, Any]) -> None:
        for n in NUMBERS:
            alone = point(run, f"n{n}-no_gpu")["cpu_throughput"]
            set_number(run, f"n{n}-unsplit", "cpu_throughput", alone * 1.01)
        assert "a CPU VM is 1.0 % faster than with no GPU VM" in finding(run, "fig2")

    def test_fig6_says_how_much_of_the_possible_gain_is_reached(self, run: dict[str, Any]) -> None:
        text = finding(run, "fig6")
        assert "with gpusplit cpu vms are 24.3 % to 95.8 % faster" in text.lower()
        assert "the paper's method CPU VMs are 2.5 % to 4.7 % faster" in text
        assert "gpusplit reaches 95.8 % to 97.0 %" in text
        assert "The bound of 5.0 % for the GPU job is kept." in text

    def test_fig6_says_when_the_papers_method_is_better(self, run: dict[str, Any]) -> None:
        set_number(run, "n3-paper-alpha2", "cpu_throughput", 42.5)
        assert "At n = 3 the paper's method gains more than gpusplit." in finding(run, "fig6")
        assert "gains more than gpusplit" not in finding(made_up_run(), "fig6")

    def test_fig6_says_when_cpu_vms_lose(self, run: dict[str, Any]) -> None:
        for n in NUMBERS:
            unsplit = point(run, f"n{n}-unsplit")["cpu_throughput"]
            set_number(run, f"n{n}-gpusplit-alpha2", "cpu_throughput", unsplit * 0.9)
        assert "With gpusplit CPU VMs are 10.0 % slower" in finding(run, "fig6")

    def test_fig6_says_where_the_bound_is_broken(self, run: dict[str, Any]) -> None:
        seconds = point(run, "n4-unsplit")["gpu_seconds"]
        set_number(run, "n4-gpusplit-alpha2", "gpu_seconds", seconds * 1.07)
        text = finding(run, "fig6")
        assert "Over the bound of 5.0 % for the GPU job: GPU job, gpusplit at n = 4." in text
        assert "is kept" not in text

    def test_fig4_says_what_20_groups_give_beyond_10(self, run: dict[str, Any]) -> None:
        assert (
            "With the paper's method, 20 groups instead of 10 groups change the gain by "
            "+0.3 to +0.7 percentage points." in finding(run, "fig4")
        )

    def test_g500_says_what_many_groups_cost(self, run: dict[str, Any]) -> None:
        text = finding(run, "g500")
        assert "with the paper's method, 500 groups the GPU job is 39.5 % to 40.0 % slower" in text

    def test_the_ablation_says_what_does_more(self, run: dict[str, Any]) -> None:
        text = finding(run, "ablation")
        assert "At n = 1, 2, 3 and 4 waiting gives the CPU VMs more than splitting." in text
        set_number(run, "n2-unsplit_cooperative", "cpu_throughput", 43.0)
        text = finding(run, "ablation")
        assert "At n = 1, 3 and 4 waiting gives the CPU VMs more than splitting." in text
        assert "At n = 2 splitting gives the CPU VMs more than waiting." in text

    def test_a_number_in_doubt_is_left_out_and_named(self, run: dict[str, Any]) -> None:
        doubtful = point(run, "n1-gpusplit-alpha2")
        doubtful["problems"] = ["cpu1 was restarted"]
        doubtful["cpu_throughput"] = 9999.0
        text = finding(run, "fig6")
        assert "With gpusplit CPU VMs are 24.3 % to 48.3 % faster" in text
        assert (
            "Not counted, because invalid or missing: "
            "gpusplit, n = 1 (CPU VMs); gpusplit, n = 1 (GPU job)." in text
        )

    def test_a_missing_number_is_named(self, run: dict[str, Any]) -> None:
        set_number(run, "n2-unsplit", "gpu_seconds", None)
        text = finding(run, "fig2")
        assert "invalid or missing: n CPU VMs and the GPU VM, unsplit, n = 2 (GPU job)." in text

    def test_a_figure_without_any_trustworthy_number_says_so(self, run: dict[str, Any]) -> None:
        for each in run["points"]:
            each["problems"] = ["a full disk"]
        for figure in drawn(run).values():
            assert "no trustworthy number" in figure.finding
            assert "more." in figure.finding  # too many to be named
