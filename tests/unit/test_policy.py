"""How many groups each policy asks for."""

from __future__ import annotations

import pytest

from gpusplit.policy import Fixed, PerVmCount, Situation, Unsplit


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
