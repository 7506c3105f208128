"""gpusplit plan: ranges in, predictions out, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import time

import pytest

from gpusplit import forecast
from gpusplit.cli import main


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["plan", *arguments]) == 0
    return capsys.readouterr().out


def test_the_table_shows_what_is_swept(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "--pcpus", "1", "--vcpus", "1", "--vms", "1:4")
    lines = text.splitlines()
    assert "pcpus 1" in lines[0]
    assert lines[-5].split() == [
        "vms", "alone", "unsplit", "gpusplit", "gain", "limit", "cost", "freed",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[-4:]] == ["1", "2", "3", "4"]
    assert [line.split()[5] for line in lines[-4:]] == ["100.0%", "50.0%", "33.3%", "25.0%"]


def test_csv_has_a_row_for_every_combination(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(
        capsys, "--csv", "--hosts", "1,100", "--vms", "1:3", "--driver-wait", "spin,block"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 12
    assert list(rows[0]) == [c.name for c in forecast.CHOICES] + [
        f.name for f in dataclasses.fields(forecast.Row)
    ]
    many = [row for row in rows if row["hosts"] == "100" and row["driver_wait"] == "spin"]
    one = [row for row in rows if row["hosts"] == "1" and row["driver_wait"] == "spin"]
    for some, single in zip(many, one, strict=True):
        assert float(some["total_cpus_freed"]) == pytest.approx(
            100 * float(single["total_cpus_freed"]), abs=1e-3
        )


def test_json_lines_have_the_same_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "--json", "--load", "0.5:1:0.25").splitlines()
    assert [json.loads(line)["load"] for line in lines] == [0.5, 0.75, 1.0]
    assert {f.name for f in dataclasses.fields(forecast.Row)} < set(json.loads(lines[0]))


def test_per_cent_and_milliseconds_are_turned_into_cpus_and_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = json.loads(
        output(capsys, "--json", "--pcpus", "1", "--vcpus", "1", "--vms", "1", "--gpu-cap", "25",
               "--kernel-ms", "50", "--groups", "3", "--group-us", "500", "--wait-cpu", "2")
    )  # fmt: skip
    assert found["gpu_vm_cpus_unsplit"] == 0.25
    assert found["cpus_split"] == 0.98
    assert found["split_launch_ms"] == 51


@pytest.mark.parametrize(
    "arguments",
    [
        ("--vms", "0"), ("--vms", "4:1"), ("--vms", "1:2:3:4"), ("--vms", "x"), ("--vms", ""),
        ("--vms", "1.5"), ("--load", "nan"), ("--load", "0"), ("--load", "2"),
        ("--load", "0.1:1:0"), ("--scheduler", "null"), ("--wait", "spin"),
        ("--vms", "1:9999", "--hosts", "1:9999"), ("--csv", "--json"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["plan", *arguments])
    assert end.value.code == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("gpusplit plan: error:")


def test_hundreds_of_hosts_take_seconds() -> None:
    values = {choice.name: [choice.default] for choice in forecast.CHOICES}
    values |= {"hosts": list(range(1, 501)), "vms": list(range(1, 21))}
    began = time.process_time()
    assert sum(1 for _ in forecast.sweep(values)) == 10_000
    assert time.process_time() - began < 10


class TestSimulated:
    """`--seeds`: the same columns by simulation, with intervals."""

    def test_it_agrees_with_arithmetic_where_that_has_an_answer(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        case = ("--json", "--pcpus", "1", "--vcpus", "1", "--vms", "1,3")
        for known, simulated in zip(
            output(capsys, *case).splitlines(),
            output(capsys, *case, "--seeds", "3").splitlines(),
            strict=True,
        ):
            expected, found = json.loads(known), json.loads(simulated)
            assert found["gain_percent"] == pytest.approx(expected["gain_percent"], rel=0.05)
            assert found["gain_low_percent"] <= found["gain_percent"] <= found["gain_high_percent"]
            assert found["gain_low_percent"] < found["gain_high_percent"]

    def test_a_capped_gpu_vm_leaves_the_rest_to_others(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A quarter of the CPU at most, where a spinning one would have half."""
        case = ("--json", "--pcpus", "1", "--vcpus", "1", "--vms", "1", "--gpu-cap", "25")
        known, found = (json.loads(output(capsys, *case, *more)) for more in ((), ("--seeds", "3")))
        assert known["cpus_unsplit"] == pytest.approx(0.75)
        assert found["cpus_unsplit"] == pytest.approx(0.75, abs=0.03)

    @pytest.mark.parametrize(("vms", "cap", "left"), [("1", "50", 0.5), ("4", "0", 0.8)])
    def test_short_launches_are_simulated_for_many_turns_of_the_scheduler(
        self, capsys: pytest.CaptureFixture[str], vms: str, cap: str, left: float
    ) -> None:
        """A job that is over within one turn would leave its neighbours nothing, or all."""
        case = ("--json", "--pcpus", "1", "--vcpus", "1", "--vms", vms, "--gpu-cap", cap,
                "--kernel-ms", "10", "--seeds", "3")  # fmt: skip
        assert json.loads(output(capsys, *case))["cpus_unsplit"] == pytest.approx(left, abs=0.03)

    def test_a_driver_that_changes_its_mind_is_only_simulated(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Splitting alone helps there: two groups of 1.5 s where one launch of 3 s spins for 1."""
        case = ("--json", "--pcpus", "1", "--vcpus", "1", "--vms", "1", "--wait", "driver",
                "--driver-wait", "block-then-spin", "--kernel-ms", "3000",
                "--groups", "2")  # fmt: skip
        found = json.loads(output(capsys, *case, "--seeds", "2"))
        # Undisturbed, 1; unsplit, half of the last second of three is lost: 5/6.
        assert found["gain_percent"] == pytest.approx(20, abs=1)
        assert "is only simulated: say --seeds 5" in main_refuses(capsys, *case)

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--seeds", "1"), "from 2 (an interval needs as many) to 1000, not 1"),
            (("--seeds", "2", "--scheduler", "cfs"), "cfs is not simulated: credit, credit2 are"),
            (
                ("--seeds", "2", "--gpu-cap", "50", "--scheduler", "credit2"),
                "caps are simulated under credit only",
            ),
            (("--threads", "4"), "spin with 4 threads is only simulated: say --seeds 5"),
        ],
    )
    def test_what_it_does_not_know_is_refused(
        self, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str
    ) -> None:
        assert complaint in main_refuses(capsys, *arguments)

    def test_hundreds_of_like_hosts_are_simulated_once(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        start = time.perf_counter()
        lines = output(
            capsys, "--json", "--hosts", "1:400", "--pcpus", "2", "--vms", "2", "--seeds", "2"
        ).splitlines()
        assert len(lines) == 400
        freed = [json.loads(line)["total_cpus_freed"] for line in lines]
        assert freed[399] == pytest.approx(400 * freed[0], rel=1e-3)
        assert time.perf_counter() - start < 30


def main_refuses(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the complaint of a command that must be refused."""
    with pytest.raises(SystemExit) as refused:
        main(["plan", *arguments])
    assert refused.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]
