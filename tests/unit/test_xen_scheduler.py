"""What xl says of the scheduler, and what is told to it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import role_programs
from ansible.module_utils import xl_scheduler
from ansible.module_utils.xl_scheduler import (
    Request,
    Share,
    Wanted,
    as_requested,
    commands,
    impossible,
    parse_cpus,
    parse_schedule,
    parse_vcpu_list,
)

xen_scheduler = role_programs.load("xen_scheduler/library/xen_scheduler.py")

DATA = Path(__file__).parents[1] / "data"
CREDIT = (DATA / "xl-sched-credit.txt").read_text()
CREDIT2 = (DATA / "xl-sched-credit2.txt").read_text()
VCPUS = (DATA / "xl-vcpu-list.txt").read_text()


def cpus(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


HOST = xl_scheduler.Host("credit", 3, parse_schedule(CREDIT), parse_vcpu_list(VCPUS, 3))
HOST2 = replace(HOST, scheduler="credit2", schedule=parse_schedule(CREDIT2))
NULL = replace(HOST, scheduler="null", schedule=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", {1}), ("0-2", {0, 1, 2}), ("0,2-3", {0, 2, 3}), ("all", {0, 1, 2, 3}), ("1, 3", {1, 3})],
)
def test_cpus_are_read_as_xl_writes_them(text: str, expected: set[int]) -> None:
    assert parse_cpus(text, cpus=4) == expected


@pytest.mark.parametrize("text", ["", "one", "1-", "-1", "1;2"])
def test_what_is_no_list_of_cpus_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_cpus(text, cpus=4)


def test_credits_parameters_and_shares_are_read() -> None:
    schedule = parse_schedule(CREDIT)
    assert (schedule.timeslice, schedule.ratelimit) == (30, 1000)
    assert schedule.shares["cpu1"] == Share(weight=512, cap=50)
    assert list(schedule.shares) == ["Domain-0", "gpu1", "cpu1", "someone's own VM"]


def test_credit2_has_no_time_slice() -> None:
    schedule = parse_schedule(CREDIT2)
    assert (schedule.timeslice, schedule.ratelimit) == (None, 1000)
    assert schedule.shares["gpu1"] == Share(256, 0)


def test_another_output_is_not_taken_for_a_schedule() -> None:
    with pytest.raises(ValueError, match="no scheduler's parameters"):
        parse_schedule("Name ID\n")


def test_the_affinity_of_every_vcpu_is_read_running_or_not() -> None:
    placed = parse_vcpu_list(VCPUS, cpus=3)
    assert placed["Domain-0"].vcpus == (cpus(0),)
    assert placed["cpu1"].vcpus == (cpus(1, 2), cpus(1, 2))
    assert placed["someone's own VM"].vcpus == (cpus(0, 1, 2),)


def test_a_host_that_schedules_as_requested_is_told_nothing() -> None:
    domains = {
        "Domain-0": Wanted(vcpus=1, pcpus=(cpus(0),)),
        "cpu1": Wanted(vcpus=2, pcpus=(cpus(1, 2),), weight=512, cap=50),
    }
    request = Request("credit", timeslice=30, ratelimit=1000, domains=domains)
    assert impossible(request, HOST) == []
    assert commands(request, HOST) == []


def test_what_is_not_asked_for_is_left_as_it_is() -> None:
    assert commands(Request("credit", domains={"cpu1": Wanted()}), HOST) == []


def test_only_what_differs_is_set() -> None:
    domains = {"gpu1": Wanted(weight=256, cap=25), "cpu1": Wanted(weight=256, cap=50)}
    request = Request("credit", timeslice=5, ratelimit=1000, domains=domains)
    assert commands(request, HOST) == [
        ["sched-credit", "-s", "-t", "5"],
        ["sched-credit", "-d", "gpu1", "-c", "25"],
        ["sched-credit", "-d", "cpu1", "-w", "256"],
    ]


def test_slice_and_limit_change_together() -> None:
    request = Request("credit", timeslice=50, ratelimit=40000)
    assert commands(request, HOST) == [["sched-credit", "-s", "-t", "50", "-r", "40000"]]


def test_credit2_is_set_by_its_own_command() -> None:
    request = Request("credit2", ratelimit=500, domains={"gpu1": Wanted(weight=128)})
    assert commands(request, HOST2) == [
        ["sched-credit2", "-s", "-r", "500"],
        ["sched-credit2", "-d", "gpu1", "-w", "128"],
    ]


def test_a_limit_of_zero_is_a_limit_to_be_set() -> None:
    assert commands(Request("credit", ratelimit=0), HOST) == [["sched-credit", "-s", "-r", "0"]]


def test_one_list_of_cpus_is_every_vcpus() -> None:
    request = Request("credit", domains={"cpu1": Wanted(pcpus=(cpus(2),))})
    assert commands(request, HOST) == [
        ["vcpu-pin", "cpu1", "0", "2"],
        ["vcpu-pin", "cpu1", "1", "2"],
    ]


def test_each_vcpu_can_be_pinned_by_itself() -> None:
    request = Request("credit", domains={"cpu1": Wanted(pcpus=(cpus(1, 2), cpus(2)))})
    assert commands(request, HOST) == [["vcpu-pin", "cpu1", "1", "2"]]


def test_what_was_requested_is_how_the_host_schedules_then() -> None:
    domains = {"cpu1": Wanted(pcpus=(cpus(1), cpus(2)), weight=100), "gpu1": Wanted(cap=10)}
    request = Request("credit", timeslice=5, ratelimit=0, domains=domains)
    assert commands(request, as_requested(request, HOST)) == []


@pytest.mark.parametrize(
    ("request_", "host", "words"),
    [
        (Request("credit2"), HOST, ["runs the scheduler credit, not credit2", "dom0.yml"]),
        (Request("credit2", timeslice=30), HOST2, ["credit2 has no time slice"]),
        (Request("null", ratelimit=1), NULL, ["null has no rate limit"]),
        (Request("null", domains={"gpu1": Wanted(weight=1)}), NULL, ["no weights", "gpu1"]),
        (Request("credit", timeslice=1, ratelimit=1001), HOST, ["1001 us", "1 ms"]),
        (Request("credit", domains={"cpu9": Wanted()}), HOST, ["cpu9 does not run", "guests.yml"]),
        (Request("credit", domains={"cpu1": Wanted(vcpus=4)}), HOST, ["has 2 vCPUs, not 4"]),
        (
            Request("credit", domains={"cpu1": Wanted(pcpus=(cpus(1), cpus(1), cpus(1)))}),
            HOST,
            ["cpu1 has 2 vCPUs, but 3 lists"],
        ),
        (
            Request("credit", domains={"gpu1": Wanted(pcpus=(cpus(1, 3),))}),
            HOST,
            ["gpu1 is to run on CPU 3, but the host has 3", "guest_pcpus"],
        ),
        (Request("credit", timeslice=1001), HOST, ["scheduler_timeslice is 1001", "1 to 1000 ms"]),
        (Request("credit", ratelimit=99), HOST, ["scheduler_ratelimit is 99", "100 to 500000 us"]),
        (Request("credit", domains={"gpu1": Wanted(weight=0)}), HOST, ["guest_weight of gpu1"]),
        (Request("credit", domains={"cpu1": Wanted(cap=201)}), HOST, ["cap of cpu1", "0 to 200 %"]),
    ],
)
def test_what_no_command_can_bring_about_is_said_with_its_remedy(
    request_: Request, host: xl_scheduler.Host, words: list[str]
) -> None:
    (problem,) = impossible(request_, host)
    assert all(word in problem for word in words)


# Answers as xl does, and takes what it is told; not when `stubborn` lies beside it.
XL = r"""#!/bin/sh
cd "$(dirname "$0")" || exit
case "$*" in info|sched-credit|vcpu-list) cat "$1"; exit ;; esac
echo "$*" >>calls
if [ -e refuses ]; then echo "libxl: error: Setting failed: Invalid argument" >&2; exit 1; fi
if [ -e stubborn ]; then exit; fi
case "$1 $2" in
    "sched-credit -s") sed -i "s/tslice=[0-9]*/tslice=$4/" sched-credit ;;
    "sched-credit -d") sed -i -E "s/^($3 +[0-9]+ +)[0-9]+/\1$5/" sched-credit ;;
    vcpu-pin*) sed -i "/^$2 /s|[0-9,-]* / all|$4 / all|" vcpu-list ;;
    *) exit 2 ;;
esac
"""


class Dom0:
    """The module in a dom0 whose xl is ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "xl").write_text(XL)
        (folder / "xl").chmod(0o755)
        (folder / "info").write_text(
            "nr_cpus                : 3\nxen_scheduler          : credit\n"
        )
        shutil.copy(DATA / "xl-sched-credit.txt", folder / "sched-credit")
        shutil.copy(DATA / "xl-vcpu-list.txt", folder / "vcpu-list")

    def asks(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        arguments = {"scheduler": "credit", "domains": {}, **arguments}
        return role_programs.call(xen_scheduler, check=check, **arguments)

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def dom0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dom0:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Dom0(tmp_path)


ASKED: dict[str, Any] = {
    "timeslice": 5,
    "domains": {"gpu1": {"weight": "128", "cap": 0, "pcpus": 2, "vcpus": 1}},
}


def test_what_differs_is_set_once(dom0: Dom0) -> None:
    told = dom0.asks(**ASKED)
    assert told["changed"]
    assert dom0.calls() == [
        "sched-credit -s -t 5",
        "sched-credit -d gpu1 -w 128",
        "vcpu-pin gpu1 0 2",
    ]
    assert "timeslice 30 ms" in told["diff"]["before"]
    assert "timeslice 5 ms" in told["diff"]["after"]
    assert "gpu1: vCPUs on 2, weight 128, cap 0" in told["diff"]["after"]
    assert not dom0.asks(**ASKED)["changed"]


def test_check_mode_shows_the_change_and_makes_none(dom0: Dom0) -> None:
    told = dom0.asks(check=True, **ASKED)
    assert told["changed"]
    assert "timeslice 5 ms" in told["diff"]["after"]
    assert dom0.calls() == []


def test_a_setting_that_xen_does_not_take_is_an_error(dom0: Dom0) -> None:
    (dom0.folder / "stubborn").touch()
    told = dom0.asks(timeslice=5)
    assert told["failed"]
    assert "did not take `xl sched-credit -s -t 5`" in told["msg"]


def test_what_xl_complains_of_is_repeated(dom0: Dom0) -> None:
    (dom0.folder / "refuses").touch()
    told = dom0.asks(timeslice=5)
    assert told["failed"]
    assert "Invalid argument" in told["msg"]


def test_all_that_is_impossible_is_said_at_once_and_nothing_is_set(dom0: Dom0) -> None:
    told = dom0.asks(timeslice=5, domains={"cpu7": {}, "gpu1": {"vcpus": 2, "weight": 128}})
    assert told["failed"]
    assert len(told["problems"]) == 2
    assert dom0.calls() == []


def test_a_plan_that_no_host_could_follow_is_refused_before_there_is_one(dom0: Dom0) -> None:
    (dom0.folder / "xl").unlink()
    assert not dom0.asks(planned=True, **ASKED)["failed"]
    domains = {"cpu1": {"vcpus": 2, "pcpus": ["1", "2", "3"], "cap": 250}}
    told = dom0.asks(planned=True, timeslice=1, ratelimit=5000, domains=domains)
    assert told["failed"]
    assert len(told["problems"]) == 3
    told = dom0.asks(planned=True, scheduler="credit2", timeslice=30)
    assert "scheduler_timeslice empty" in told["msg"]


def test_a_value_that_is_no_number_is_an_error(dom0: Dom0) -> None:
    told = dom0.asks(domains={"gpu1": {"weight": "heavy"}})
    assert told["failed"]
    assert "heavy" in told["msg"]
