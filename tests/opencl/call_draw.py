"""What is drawn for a sequence of calls, and what is kept in mind while it is planned."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

TRANSFERS = ("read", "write", "copy", "fill", "read rect", "write rect", "copy rect", "map")
#: Calls that end in the name of their event, or None.
COMMANDS = frozenset({*TRANSFERS, "launch", "task", "unmap", "marker", "barrier", "old marker"})

#: What is drawn, and how often.
INTENTS = {
    "launch": 40, "transfer": 26, "user": 5, "settle": 4, "order": 6, "wait": 5, "callback": 4,
    "release": 6, "error": 12, "query": 3, "phase": 2,
}  # fmt: skip
Intent = tuple[str, int, int]


@dataclass(frozen=True)
class Sequence:
    """seed: its number; queues: their properties (1 out of order, 2 profiled); own: the program is
    built for it alone; fails: it ends with a user event that fails."""

    seed: int
    threads: int
    queues: tuple[int, ...]
    buffers: int
    own: int
    fails: bool
    intents: tuple[Intent, ...]


def draw(seed: int) -> Sequence:
    """The sequence number *seed*."""
    rng = random.Random(f"calls {seed}")
    threads = rng.choice((1, 1, 1, 2, 3))
    kinds = rng.choices(list(INTENTS), list(INTENTS.values()), k=rng.randint(8, 40))
    return Sequence(
        seed, threads,
        tuple(rng.choice((0, 0, 1, 2, 3)) for _ in range(rng.randint(1, 3))),
        threads * 2 + rng.randint(0, 2),
        rng.randint(1, 3) if rng.random() < 0.01 else 0,
        rng.random() < 0.1,
        tuple((kind, rng.randrange(threads), rng.getrandbits(32)) for kind in kinds),
    )  # fmt: skip


@dataclass(eq=False)
class Access:
    """A command that touched a buffer; event: None if the program kept none."""

    queue: str
    at: int
    event: str | None
    done: bool = False


@dataclass
class Buffer:
    name: str
    write: Access | None = None
    reads: list[Access] = field(default_factory=list)


@dataclass
class Thread:
    """What one thread has in hand: calls of this phase, and what it may name."""

    number: int
    calls: list[list[Any]] = field(default_factory=list)
    events: dict[str, str] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    barriers: dict[str, int] = field(default_factory=dict)
    kernels: dict[str, list[str | None]] = field(default_factory=dict)


def left(phases: list[list[list[list[Any]]]]) -> dict[str, str]:
    """What a program holds after all of these calls, and its kind."""
    counts: Counter[tuple[str, str]] = Counter()
    makers = {"queue": "CommandQueue", "buffer": "MemObject", "part": "MemObject",
              "kernel": "Kernel", "clone": "Kernel", "user": "Event"}  # fmt: skip
    for phase in phases:
        for kind, *given in (call for calls in phase for call in calls):
            if kind in makers:
                counts[makers[kind], given[0]] += 1
            elif kind in ("retain", "release"):
                counts[given[0], given[1]] += 1 if kind == "retain" else -1
            elif kind in COMMANDS and given[-1] is not None:
                counts["Event", given[-1]] += 1
    return {name: kind for (kind, name), count in counts.items() if count}
