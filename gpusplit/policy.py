"""How many groups a launch is cut into.

A policy sees a Situation and answers with a number of groups and the reason in words.  The
paper's two exceptions (Algorithm 1) are kept: a GPU VM that is alone on its host does not split by
VM count, and no policy splits a kernel with fewer work-items than the GPU has cores (launch.py).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Situation:
    """What a policy may look at when a kernel is about to start.

    Attributes
    ----------
    work_items: work-items of the launch.
    vm_count: running VMs, this one included; None where it is unknown.
    seconds_per_item: device time of this kernel per work-item, with the device full; None where
        the kernel has not been seen.
    kernel: what tells it from others; None where the policy does not ask.
    """

    work_items: int
    vm_count: int | None
    seconds_per_item: float | None = None
    kernel: Hashable = None


@dataclass(frozen=True, slots=True)
class Decision:
    """So many groups (1: leave the launch whole), and why.

    With *probe*, the launch begins with one small group, and once its time is known the policy is
    asked again.
    """

    groups: int
    reason: str
    probe: bool = False


class Policy(Protocol):
    """Chooses the number of groups of one launch."""

    @property
    def needs_vm_count(self) -> bool:
        """False where the VM count plays no part, so that nobody need ask for it."""
        ...

    @property
    def needs_history(self) -> bool:
        """Whether measured group times play a part."""
        ...

    @property
    def observes(self) -> bool:
        """Whether it decides per kernel and is an Observer."""
        ...

    def decide(self, situation: Situation) -> Decision:
        """The number of groups for *situation*."""
        ...


@runtime_checkable
class Observer(Protocol):
    """Is told what became of launches."""

    def observe(self, kernel: Hashable, work_items: int, groups: int, seconds: float) -> None:
        """A launch of *kernel* in so many *groups* took so many *seconds*."""
        ...

    def forget(self) -> None:
        """Know nothing again."""
        ...


@dataclass(frozen=True, slots=True)
class Unsplit:
    """Every launch stays whole."""

    needs_vm_count: bool = False
    needs_history: bool = False
    observes: bool = False

    def decide(self, situation: Situation) -> Decision:
        """Always one group."""
        return Decision(1, "policy unsplit")


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same number of groups for every launch (the paper's Fig. 4 and 5)."""

    groups: int
    needs_vm_count: bool = False
    needs_history: bool = False
    observes: bool = False

    def decide(self, situation: Situation) -> Decision:
        """The fixed number."""
        return Decision(self.groups, f"policy fixed: {self.groups} groups")


@dataclass(frozen=True, slots=True)
class PerVmCount:
    """groups = VMs x alpha (the paper's Eq. 1), rounded to the nearest whole number."""

    alpha: float
    needs_vm_count: bool = True
    needs_history: bool = False
    observes: bool = False

    def decide(self, situation: Situation) -> Decision:
        """VMs x alpha; one group where this VM is alone or the count is unknown."""
        count = situation.vm_count
        if count is None:
            return Decision(1, "the number of VMs is unknown")
        if count <= 1:
            return Decision(1, "this VM is alone")
        groups = max(1, round(count * self.alpha))
        return Decision(groups, f"policy vms: {count} VMs x {self.alpha:g} = {groups} groups")


@dataclass(frozen=True, slots=True)
class BoundedTime:
    """No group longer than *seconds*, whoever else runs: a latency that users can name.

    hashcat and John the Ripper let users choose a latency rather than a number of pieces; the
    number follows from what the kernel was measured to take.  With *lanes* groups on the device
    at a time, each takes about so many times its share.
    """

    seconds: float
    lanes: int = 1
    needs_vm_count: bool = False
    needs_history: bool = True
    observes: bool = False

    #: Groups of one kernel differ; aiming a little below keeps most of them below.
    AIM: ClassVar[float] = 0.9

    def decide(self, situation: Situation) -> Decision:
        """As many groups as the measured time per work-item asks for; a probe if there is none."""
        per_item = situation.seconds_per_item
        if per_item is None:
            return Decision(2, "policy time: kernel not measured yet", probe=True)
        total = per_item * situation.work_items
        groups = 1
        if total > self.seconds:
            groups = math.ceil(total * self.lanes / (self.AIM * self.seconds))
        return Decision(
            groups,
            f"policy time: {total * 1e3:.3g} ms in groups of at most {self.seconds * 1e3:g} ms",
        )
