"""How many groups a launch is cut into.

A policy sees a Situation and answers with a number of groups and the reason in words.  All of
them share the paper's two exceptions (Algorithm 1): a GPU VM that is alone on its host, and a
kernel with fewer work-items than the GPU has cores, are not split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Situation:
    """What a policy may look at when a kernel is about to start.

    Attributes
    ----------
    work_items: work-items of the launch.
    vm_count: running VMs, this one included; None where it is unknown.
    expected_seconds: how long the whole launch will run, from earlier ones; None if never seen.
    """

    work_items: int
    vm_count: int | None
    expected_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """So many groups (1: leave the launch whole), and why."""

    groups: int
    reason: str


class Policy(Protocol):
    """Chooses the number of groups of one launch."""

    @property
    def needs_vm_count(self) -> bool:
        """False where the VM count plays no part, so that nobody need ask for it."""
        ...

    def decide(self, situation: Situation) -> Decision:
        """The number of groups for *situation*."""
        ...


@dataclass(frozen=True, slots=True)
class Unsplit:
    """Every launch stays whole."""

    needs_vm_count: bool = False

    def decide(self, situation: Situation) -> Decision:
        """Always one group."""
        return Decision(1, "policy unsplit")


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same number of groups for every launch (the paper's Fig. 4 and 5)."""

    groups: int
    needs_vm_count: bool = False

    def decide(self, situation: Situation) -> Decision:
        """The fixed number."""
        return Decision(self.groups, f"policy fixed: {self.groups} groups")


@dataclass(frozen=True, slots=True)
class PerVmCount:
    """groups = VMs x alpha (the paper's Eq. 1), rounded to the nearest whole number."""

    alpha: float
    needs_vm_count: bool = True

    def decide(self, situation: Situation) -> Decision:
        """VMs x alpha; one group where this VM is alone or the count is unknown."""
        count = situation.vm_count
        if count is None:
            return Decision(1, "the number of VMs is unknown")
        if count <= 1:
            return Decision(1, "this VM is alone")
        groups = max(1, round(count * self.alpha))
        return Decision(groups, f"policy vms: {count} VMs x {self.alpha:g} = {groups} groups")
