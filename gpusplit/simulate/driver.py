"""What a GPU driver does while it waits, as a virtual CPU's actions.

The ways and their names are those of the emulated GPU (docs/emulated-gpu.md), so that a condition
can be simulated and measured alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gpusplit.simulate.machine import (
    SECOND,
    Action,
    Compute,
    SleepUntil,
    SpinUntil,
)

#: To a hypervisor `yield` is `spin`: the guest has nothing else to run.
WAYS = ("spin", "interrupt", "poll", "yield", "tick")
THEN = "-then-"


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver's way of waiting, and what it costs; seconds.

    Attributes
    ----------
    wait: one of WAYS, or two, as interrupt-then-spin.
    then_after: how long a wait of two ways keeps to the first.
    poll_period, poll_cost: a polling driver sleeps for the one and looks for the other.
    tick: between two ticks of the clock that `tick` wakes up at.
    submit_cpu: CPU time of a launch until the device has it, the program's and the driver's.
    aside_cpu: CPU time that it costs after that, while the device works already.
    launch_latency: device time from a launch to its start, when nothing else is in flight.
    gap: device time between two launches that are in flight.
    wake_cpu: CPU time that each wake-up costs the guest, its interrupt and its scheduler.
    """

    wait: str = "spin"
    then_after: float = 2.0
    poll_period: float = 50e-6
    poll_cost: float = 1e-6
    tick: float = 1 / 64
    submit_cpu: float = 5e-6
    aside_cpu: float = 0.0
    launch_latency: float = 50e-6
    gap: float = 10e-6
    wake_cpu: float = 0.0

    def __post_init__(self) -> None:
        """ValueError for a way of waiting that there is not, or that would never end."""
        if not set(self.ways) <= set(WAYS) or len(self.ways) > 2:
            raise ValueError(
                f"{self.wait!r} is none of {', '.join(WAYS)}, nor two of them with {THEN!r} between"
            )
        if "poll" in self.ways and self.poll_period <= 0:
            raise ValueError("the polling driver's period must be above 0")
        if "tick" in self.ways and self.tick <= 0:
            raise ValueError("the clock's tick must be above 0")

    @property
    def ways(self) -> tuple[str, ...]:
        """How a wait begins, and how it goes on."""
        return tuple(self.wait.split(THEN))


def ns(seconds: float) -> int:
    """Whole nanoseconds."""
    return round(seconds * SECOND)


def wait_until(end: int, driver: Driver, now: Callable[[], int]) -> Iterator[Action]:
    """Wait, as *driver* does, for something that is over at *end*, ns."""
    ways = driver.ways
    turn = now() + ns(driver.then_after) if len(ways) == 2 else end
    for way, until in ((ways[0], min(turn, end)), (ways[-1], end)):
        while now() < until:
            if way in ("spin", "yield"):
                yield SpinUntil(until)
                continue
            if way == "interrupt":
                wake = until
            elif way == "tick":
                tick = ns(driver.tick)
                wake = -(-until // tick) * tick
            else:
                wake = now() + ns(driver.poll_period)
            yield SleepUntil(wake)
            yield Compute(ns(driver.wake_cpu + (driver.poll_cost if way == "poll" else 0.0)))


#: A cooperative wait is taken to ask so often on its way, of the time expected.
ASKS = 16


def wait_cooperatively(end: int, cpu: float, now: Callable[[], int]) -> Iterator[Action]:
    """Wait as gpusplit does: sleep, ask now and then, be there at the end.

    *cpu* is the part of a CPU that this uses.
    """
    begin = now()
    step = max(1, (end - begin) // ASKS)
    while now() < end:
        asked = now()
        yield SleepUntil(min(asked + step, end))
        yield Compute(round(cpu * (now() - asked)))
