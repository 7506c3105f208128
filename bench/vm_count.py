"""What a launch pays for the VM count: python -m bench.vm_count --json

A launch asks the source once.  Measured is that call, while the channel behind it is quick, slow
(every reading takes 50 ms) or hung: if the launch path touched the channel, its slowest calls
would take as long as a reading does.  Needs neither a GPU nor a hypervisor.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from gpusplit.count import Message
from gpusplit.subscription import Subscription
from gpusplit.tenancy import Static, Tenancy

#: A call that takes as long as this has waited for something other than the processor.
BAR_US = 20.0
#: Calls timed together: one of them is shorter than the clock's own cost.
BATCH = 50


class Publisher:
    """A channel whose readings take *seconds* each, and say something new every time."""

    def __init__(self, seconds: float, hang: bool = False) -> None:
        """hang: after the first word no reading ever ends."""
        self.source = f"bench: {seconds * 1e3:g} ms per reading"
        self.readings = 0
        self._seconds = seconds
        self._hang = hang

    def listen(self, seconds: float) -> Message | None:
        """The next word."""
        self.readings += 1
        if self._hang and self.readings > 1:
            time.sleep(3600)
        time.sleep(self._seconds)
        return Message(3, self.readings)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Cost:
    """Microseconds of a call, and how often the channel was read meanwhile."""

    source: str
    median_us: float
    p99_us: float
    calls: int
    seconds: float
    readings: int

    @property
    def within(self) -> bool:
        """Whether nearly every call was as short as looking at a value is."""
        return self.p99_us <= BAR_US


def time_calls(name: str, source: Tenancy, seconds: float, readings: Callable[[], int]) -> Cost:
    """Ask *source* as often as possible for *seconds*."""
    ask = source.vm_count
    assert ask() == 3
    before = readings()
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        begin = time.perf_counter()
        for _ in range(BATCH):
            ask()
        times.append((time.perf_counter() - begin) / BATCH * 1e6)
    took = time.perf_counter() - began
    return Cost(
        name, statistics.median(times), statistics.quantiles(times, n=100)[98],
        len(times) * BATCH, took, readings() - before,
    )  # fmt: skip


def measure(seconds: float) -> list[Cost]:
    """The cost with each kind of channel, *seconds* each."""
    costs = [time_calls("static", Static(3), seconds, lambda: 0)]
    for name, channel in (
        ("quick channel", Publisher(0.0)),
        ("slow channel (50 ms)", Publisher(0.05)),
        ("hung channel", Publisher(0.0, hang=True)),
    ):
        source = Subscription(channel)
        costs.append(
            time_calls(name, source, seconds, lambda channel=channel: channel.readings)  # type: ignore[misc]
        )
    return costs


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 where a launch would have waited for the channel."""
    parser = argparse.ArgumentParser(prog="python -m bench.vm_count", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--seconds", type=float, default=2.0, help="per channel (default: 2)")
    options = parser.parse_args(arguments)
    costs = measure(options.seconds)
    if options.json:
        print(json.dumps([asdict(cost) | {"within": cost.within} for cost in costs], indent=2))
    else:
        print(f"{'source':22} {'median us':>10} {'p99 us':>8} {'calls':>10} {'readings/s':>10}")
        for cost in costs:
            print(
                f"{cost.source:22} {cost.median_us:10.3f} {cost.p99_us:8.3f} {cost.calls:10} "
                f"{cost.readings / cost.seconds:10.1f}"
            )
    return 0 if all(cost.within for cost in costs) else 1


if __name__ == "__main__":
    sys.exit(main())
