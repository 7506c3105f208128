"""The planning model: fair shares, and what the dry run measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusplit.planning import TIME_SLICES, Claim, Host, Job, fair_shares, predict, wake_delay
from gpusplit.simulate.driver import Driver
from gpusplit.simulate.host import GpuJob, Guests, Sched, simulate

MEASURED = Path(__file__).parents[1] / "data" / "dryrun-94b0ade-summary.json"
#: What issue 7 allows between prediction and measurement.
WITHIN = 0.05


class TestFairShares:
    def test_equal_claims_get_equal_parts(self) -> None:
        assert fair_shares(1, [Claim(1)] * 4) == [0.25] * 4

    def test_what_one_cannot_use_goes_to_the_others(self) -> None:
        assert fair_shares(2, [Claim(0.5), Claim(4), Claim(4)]) == [0.5, 0.75, 0.75]

    def test_weights_count(self) -> None:
        assert fair_shares(1, [Claim(1, 512), Claim(1, 256)]) == pytest.approx([2 / 3, 1 / 3])

    def test_a_vm_runs_on_no_more_cpus_than_it_has_virtual_ones(self) -> None:
        """The paper's host: a spinning thread takes one of 4 CPUs and can take no more."""
        assert fair_shares(4, [Claim(1), Claim(4)]) == [1, 3]

    def test_where_there_is_enough_everybody_is_satisfied(self) -> None:
        assert fair_shares(8, [Claim(1), Claim(4)]) == [1, 4]

    @given(
        st.floats(0.1, 128),
        st.lists(
            st.builds(Claim, st.floats(0.01, 64), st.integers(1, 65535).map(float)),
            min_size=1, max_size=20,
        ),
    )  # fmt: skip
    def test_no_cpu_is_lost_given_twice_or_unfairly_given(
        self, cpus: float, claims: list[Claim]
    ) -> None:
        shares = fair_shares(cpus, claims)
        wanted = sum(claim.limit for claim in claims)
        assert sum(shares) == pytest.approx(min(cpus, wanted))
        levels = [s / c.weight for s, c in zip(shares, claims, strict=True)]
        for share, claim, level in zip(shares, claims, levels, strict=True):
            assert 0 <= share <= claim.limit * (1 + 1e-9)
            # Whoever gets less than it wants has as much per weight as anybody.
            if share < claim.limit * (1 - 1e-9):
                assert level >= max(levels) * (1 - 1e-9)


class TestWakeDelay:
    def test_who_has_a_cpu_alone_waits_for_none(self) -> None:
        assert wake_delay(1.0, 0.030) == 0

    def test_it_grows_with_the_others_turns(self) -> None:
        delays = [wake_delay(1 / (n + 1), 0.030) for n in range(1, 5)]
        assert delays == sorted(delays)
        assert delays[-1] < 4 * 0.030

    @pytest.mark.parametrize("others", [1, 2, 3, 4])
    def test_a_simulated_round_robin_agrees(self, others: int) -> None:
        """A kernel ends at each of many moments of a turn; when does its vCPU run next?"""
        turn, own = 0.030 * (others + 1), 0.030
        moments = [turn * (i + 0.5) / 100_000 for i in range(100_000)]
        waits = [0.0 if at < own else turn - at for at in moments]
        expected = sum(waits) / len(waits)
        assert wake_delay(1 / (others + 1), 0.030) == pytest.approx(expected, rel=1e-3)


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return document


def point(measured: dict[str, Any], cpu_vms: int, mode: str, groups: int | None = None) -> Any:
    found = [
        p
        for p in measured["points"]
        if (p["cpu_vms"], p["mode"]) == (cpu_vms, mode) and groups in (None, p["groups"])
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
class TestTheDryRun:
    """Predicted from what was measured *alone*; compared with what was measured beside CPU VMs."""

    LAUNCHES = 4

    @pytest.fixture
    def prediction(self, measured: dict[str, Any], n: int) -> Any:
        alone = point(measured, 0, "unsplit")
        split = point(measured, n, "gpusplit")
        alone_split = point(measured, 0, "gpusplit", split["groups"])
        job = Job(
            kernel_seconds=alone["gpu_seconds"] / self.LAUNCHES,
            groups=split["groups"],
            wait_cpu=alone_split["gpu_vm_cpu_seconds"] / alone_split["gpu_seconds"],
        )
        return predict(Host(pcpus=1, cpu_vms=n, vcpus=1), job)

    def test_cpu_vms_beside_an_unsplit_job(
        self, measured: dict[str, Any], prediction: Any, n: int
    ) -> None:
        ratio = throughput(measured, n, "unsplit") / throughput(measured, n, "no_gpu")
        assert prediction.unsplit.cpu_vms / prediction.undisturbed == pytest.approx(ratio, WITHIN)

    def test_cpu_vms_beside_gpusplit(
        self, measured: dict[str, Any], prediction: Any, n: int
    ) -> None:
        ratio = throughput(measured, n, "gpusplit") / throughput(measured, n, "no_gpu")
        assert prediction.split.cpu_vms / prediction.undisturbed == pytest.approx(ratio, WITHIN)

    def test_the_gain_itself(self, measured: dict[str, Any], prediction: Any, n: int) -> None:
        gain = throughput(measured, n, "gpusplit") / throughput(measured, n, "unsplit") - 1
        assert prediction.gain == pytest.approx(gain, WITHIN)

    def test_the_physical_limit(self, measured: dict[str, Any], prediction: Any, n: int) -> None:
        assert prediction.limit == pytest.approx(measured["physical_limits"][str(n)])

    def test_the_gpu_job(self, measured: dict[str, Any], prediction: Any, n: int) -> None:
        """Within half a per cent even: its slow-down beside CPU VMs is one itself."""
        for mode, outcome in (("unsplit", prediction.unsplit), ("gpusplit", prediction.split)):
            seconds = point(measured, n, mode)["gpu_seconds"]
            assert outcome.launch_seconds * self.LAUNCHES == pytest.approx(seconds, 0.005)

    def test_the_cost(self, measured: dict[str, Any], prediction: Any, n: int) -> None:
        """As a factor: costs are fractions of a per cent, about as large as their noise."""
        cost = (
            point(measured, n, "gpusplit")["gpu_seconds"]
            / point(measured, n, "unsplit")["gpu_seconds"]
            - 1
        )
        assert 1 + prediction.cost == pytest.approx(1 + cost, 0.005)
        assert math.copysign(1, prediction.cost) == math.copysign(1, cost)

    def test_what_the_spinning_gpu_vm_uses(
        self, measured: dict[str, Any], prediction: Any, n: int
    ) -> None:
        used = point(measured, n, "unsplit")
        share = used["gpu_vm_cpu_seconds"] / used["gpu_seconds"]
        assert prediction.unsplit.gpu_vm == pytest.approx(share, WITHIN)


def throughput(measured: dict[str, Any], n: int, mode: str) -> float:
    value: float = point(measured, n, mode)["cpu_throughput"]
    return value


def test_a_blocking_driver_leaves_nothing_to_gain(measured: dict[str, Any]) -> None:
    """The harness measured that too: beside a blocking driver cpu1 lost 0.1 %."""
    prediction = predict(Host(), Job(driver_wait="block"))
    assert abs(prediction.gain) < 0.005
    blocking = measured["drivers"][0]["cpu_throughput"]
    ratio = blocking / throughput(measured, 1, "no_gpu")
    assert prediction.unsplit.cpu_vms / prediction.undisturbed == pytest.approx(ratio, 0.005)


def test_splitting_alone_frees_no_cpu_where_the_driver_spins() -> None:
    """The shares are the same, and every group is one more wait for the vCPU's turn."""
    costs = []
    for groups in (1, 4, 20):
        prediction = predict(Host(cpu_vms=3), Job(wait="driver", groups=groups))
        assert prediction.gain == 0
        costs.append(prediction.cost)
    assert costs == sorted(costs)
    assert costs[0] == 0 < costs[1]


def test_each_further_group_costs_what_it_was_measured_to_cost() -> None:
    prediction = predict(Host(), Job(kernel_seconds=1.0, groups=21, group_seconds=0.001))
    assert prediction.split.launch_seconds == pytest.approx(1.020)


def test_on_a_larger_host_the_spinning_thread_takes_one_cpu_at_most() -> None:
    prediction = predict(Host(pcpus=8, cpu_vms=4, vcpus=4, scheduler="cfs"), Job())
    assert prediction.unsplit.cpu_vms == 7
    assert prediction.limit == pytest.approx(1 / 7)


@pytest.mark.parametrize("scheduler", ["credit", "credit2"])
def test_xens_weights_are_each_virtual_cpus(scheduler: str) -> None:
    """One spinning thread among 16 busy virtual CPUs is one of 17, as the simulation has it too."""
    prediction = predict(Host(pcpus=8, cpu_vms=4, vcpus=4, scheduler=scheduler), Job())
    assert prediction.unsplit.gpu_vm == pytest.approx(8 / 17)
    simulated = simulate(
        Guests(pcpus=8, cpu_vms=4, vcpus=4), Sched(scheduler), Driver(), GpuJob((2.0,) * 4), 0
    )
    assert simulated.gpu_vm == pytest.approx(prediction.unsplit.gpu_vm, rel=0.02)


def test_neighbours_that_leave_a_cpu_free_gain_nothing() -> None:
    assert predict(Host(pcpus=8, cpu_vms=2, vcpus=3), Job()).gain == 0
    assert predict(Host(pcpus=2, cpu_vms=1, load=0.5), Job()).gain == 0


def test_a_cap_and_a_weight_limit_the_spinning_vm() -> None:
    assert predict(Host(gpu_cap=0.25), Job()).unsplit.gpu_vm == 0.25
    assert predict(Host(gpu_weight=128, cpu_weight=256), Job()).unsplit.gpu_vm == pytest.approx(
        1 / 3
    )


def test_several_gpu_vms_each_take_their_part() -> None:
    assert predict(Host(gpu_vms=2, cpu_vms=2), Job()).unsplit.cpu_vms == 0.5
    assert predict(Host(gpu_vms=0, cpu_vms=2), Job()).gain == 0


@pytest.mark.parametrize("scheduler", TIME_SLICES)
def test_a_scheduler_with_longer_turns_keeps_the_gpu_job_waiting_longer(scheduler: str) -> None:
    prediction = predict(Host(scheduler=scheduler), Job(kernel_seconds=1.0))
    assert prediction.unsplit.launch_seconds == pytest.approx(1 + TIME_SLICES[scheduler] / 4)
