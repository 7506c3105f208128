"""How many groups each policy asks for."""

from __future__ import annotations

import pytest

from gpusplit.policy import BoundedTime, Fixed, PerVmCount, Situation, Unsplit


@pytest.mark.parametrize(
    ("vms", "alpha", "groups"), [(2, 5, 10), (5, 2, 10), (5, 4, 20), (3, 2.5, 8), (2, 0.1, 1)]
)
def test_groups_are_vms_times_alpha(vms: int, alpha: float, groups: int) -> None:
    assert PerVmCount(alpha).decide(Situation(10**6, vms)).groups == groups


def test_alone_or_with_an_unknown_count_there_is_no_split() -> None:
    assert PerVmCount(5).decide(Situation(10**6, 1)).groups == 1
    assert PerVmCount(5).decide(Situation(10**6, None)).groups == 1


def test_fixed_and_unsplit_ask_for_no_vm_count() -> None:
    assert not Fixed(4).needs_vm_count
    assert not Unsplit().needs_vm_count
    assert Fixed(4).decide(Situation(10**6, None)).groups == 4
    assert Unsplit().decide(Situation(10**6, 5)).groups == 1


def test_bounded_time_probes_what_it_has_never_seen() -> None:
    assert BoundedTime(0.005).decide(Situation(10**6, None)).probe


@pytest.mark.parametrize(("lanes", "groups"), [(1, 23), (2, 45)])
def test_bounded_time_cuts_so_that_no_group_is_longer(lanes: int, groups: int) -> None:
    """100 ms in groups of 5 ms: 20 and a reserve; with two at a time each takes twice as long."""
    decision = BoundedTime(0.005, lanes).decide(Situation(10**6, None, 1e-7))
    assert decision.groups == groups
    assert not decision.probe


def test_bounded_time_leaves_short_kernels_whole() -> None:
    assert BoundedTime(0.005).decide(Situation(10**4, None, 1e-7)).groups == 1
