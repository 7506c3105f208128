"""A host, a driver and a program that launches one kernel after another, simulated.

The policy sees what it would see in a guest; time is arithmetic, and noise has a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from adaptive_law import Adaptive, Decision

WORK_ITEMS = 10**6
KERNEL = 1


@dataclass(frozen=True)
class Ran:
    """One launch."""

    start: float
    end: float
    groups: int
    slow_down: float
    """Without noise, over unsplit."""


@dataclass
class Host:
    """What a launch takes and uses, by its number of groups."""

    use: Callable[[int], float]
    """CPUs that the waiting program wants, alone on the host."""
    group_cost: float = 0.0
    """Seconds for each group beyond the first."""
    kernel: float = 0.1
    """Seconds of a launch in one piece."""
    budget: float = 0.05
    vms: int | None = 3
    contended: bool = True
    """Others want the CPU."""
    others: float = 0.5
    """Part of what the program wants that they get."""
    tells: bool = True
    """The host says how much is stolen."""
    noise: float = 0.0
    """Standard deviation of times and CPU use, relative."""
    seed: int = 1
    now: float = 0.0
    cpu: float = 0.0
    stolen: float = 1.0
    ran: list[Ran] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.policy = Adaptive(
            self.budget,
            clock=lambda: self.now,
            cpu_seconds=lambda: self.cpu,
            stolen_seconds=lambda: self.stolen if self.tells else None,
        )

    def run(self, seconds: float) -> list[Ran]:
        """Launch for so many seconds; what was launched."""
        first, until = len(self.ran), self.now + seconds
        while self.now < until:
            self.launch()
        return self.ran[first:]

    def decide(self) -> Decision:
        """What is decided of the next launch."""
        return self.policy.decide(KERNEL, WORK_ITEMS, self.vms)

    def launch(self) -> None:
        """One launch, to its end."""
        groups = self.decide().groups
        ideal = self.kernel + (groups - 1) * self.group_cost
        taken = ideal * self.varied()
        wanted = self.use(groups) * self.varied()
        share = 1 - self.others if self.contended else 1.0
        self.cpu += wanted * share * taken
        self.stolen += wanted * (1 - share) * taken
        start, self.now = self.now, self.now + taken
        self.ran.append(Ran(start, self.now, groups, ideal / self.kernel - 1))
        self.policy.observe(KERNEL, WORK_ITEMS, groups, taken)

    def varied(self) -> float:
        # A machine stalls more often than it hurries; nothing takes less than nothing.
        return max(0.5, 1 + self.noise * self.random.gauss(0, 1))


def changes(ran: list[Ran]) -> int:
    """How often the number of groups changed."""
    return sum(before.groups != after.groups for before, after in pairwise(ran))


def slow_down(ran: list[Ran]) -> float:
    """By how much all of these launches together became slower."""
    unsplit = sum((run.end - run.start) / (1 + run.slow_down) for run in ran)
    return sum(run.end - run.start for run in ran) / unsplit - 1
