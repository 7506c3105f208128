"""What arithmetic says of VMs that share CPUs."""

from __future__ import annotations

import doctest

import pytest

from harness.plan import sharing
from harness.plan.conditions import Scheduling
from harness.plan.sharing import Sharing


def test_its_examples() -> None:
    tried = doctest.testmod(sharing)
    assert tried.attempted
    assert not tried.failed


@pytest.mark.parametrize(("n", "limit"), [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)])
def test_of_one_cpu_a_vm_more_takes_an_equal_part(n: int, limit: float) -> None:
    assert Sharing().limit(n) == pytest.approx(limit)
    assert Sharing().fair_share(n) == pytest.approx(1 / (n + 1))


@pytest.mark.parametrize(
    ("shared", "n", "limit"),
    [
        # Each busy vCPU has its VM's weight: four VMs of four are 16 against one, not 4.
        (Sharing(vcpus=4), 4, 1 / 16),
        (Sharing(vcpus=2, gpu_weight=512), 2, 0.5),
        (Sharing(cpu_weight=512), 1, 0.5),
        # Who has a CPU to itself loses none.
        (Sharing(cpus=2), 1, 0.0),
        (Sharing(cpus=5, vcpus=4), 1, 0.0),
        (Sharing(cpus=4, vcpus=4), 1, 0.25),
        # A VM uses no more CPUs than it has vCPUs: 2 of 3, and the GPU VM the third.
        (Sharing(cpus=3, vcpus=2), 1, 0.0),
        (Sharing(cpus=3), 3, 1 / 3),
        # A cap below its part of the CPU, which is 1/2.
        (Sharing(gpu_cap=25), 1, 1 / 0.75 - 1),
        (Sharing(cpu_cap=25), 1, 0.0),
    ],
)
def test_the_limit_is_by_vcpus_cpus_weights_and_caps(shared: Sharing, n: int, limit: float) -> None:
    assert shared.limit(n) == pytest.approx(limit)


def test_a_vm_that_spins_uses_no_more_than_a_cpu_and_its_cap() -> None:
    assert Sharing(cpus=4, gpu_weight=65535).fair_share(8) == 1
    assert Sharing(cpus=4, gpu_cap=30).fair_share(1) == pytest.approx(0.3)


def test_busy_cpus_are_those_that_cpu_vms_can_use() -> None:
    assert [Sharing(cpus=4).busy(n) for n in (0, 1, 4, 5)] == [0, 1, 4, 4]


def test_a_condition_changes_what_it_says_and_no_more() -> None:
    lab = Sharing(4, 2, 128, 50, 512, 60)
    assert lab.under(Scheduling(slice_ms=5, scheduler="credit")) == lab
    assert lab.under(Scheduling(vcpus=3, cpus=1, gpu_weight=256, gpu_cap=10)) == Sharing(
        1, 3, 128, 50, 256, 10
    )
