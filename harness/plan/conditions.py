"""Under which conditions a point is measured: how the driver waits, and how Xen schedules.

A condition is part of a point. All of it can be changed on a standing lab without a reboot: the
emulated driver's waits by the GPU job's environment, Xen's scheduler by CPU pools and
`xl sched-credit`.
Nothing here talks to a lab.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

SCHEDULERS = ("credit", "credit2")
"""Those that Debian's Xen is built with; it has neither rtds nor null."""

WINDOWS_LIMIT = 2.0
"""Seconds that Windows gives a GPU to answer (TdrDelay's default); the paper's guests ran it."""


@dataclass(frozen=True)
class Scheduling:
    """How Xen schedules the guests; the lab's own way where nothing is said."""

    slice_ms: int = 0
    """The time slice, 1 to 1000 ms."""
    ratelimit_us: int | None = None
    """The rate limit, 100 us to the time slice; 0: there is none."""
    gpu_weight: int = 0
    """The GPU VM's weight; a CPU VM's is 256."""
    gpu_cap: int = 0
    """The most that the GPU VM gets, per cent of one CPU."""
    scheduler: str = ""
    """`credit` or `credit2`, in a CPU pool that the guests have for themselves."""

    def __post_init__(self) -> None:
        """ValueError for what Xen refuses."""
        for name, value, least, most in (
            ("slice_ms", self.slice_ms, 1, 1000),
            ("ratelimit_us", self.ratelimit_us or 0, 100, 500_000),
            ("gpu_weight", self.gpu_weight, 1, 65535),
            ("gpu_cap", self.gpu_cap, 1, 10_000),
        ):
            if value and not least <= value <= most:
                raise ValueError(f"{name} {value} is not from {least} to {most}")
        if self.scheduler and self.scheduler not in SCHEDULERS:
            raise ValueError(f"{self.scheduler} is none of {', '.join(SCHEDULERS)}")
        if self.scheduler == "credit2" and self.slice_ms:
            raise ValueError("credit2 has no time slice")
        if self.slice_ms and (self.ratelimit_us or 0) > 1000 * self.slice_ms:
            raise ValueError(f"a rate limit of {self.ratelimit_us} us is above the time slice")


@dataclass(frozen=True)
class Condition:
    """What a point is measured under; the standard one is the lab's own."""

    wait: str = "spin"
    """The emulated driver's wait, as EMUGPU_WAIT has it (docs/emulated-gpu.md)."""
    then_after: float = 0.0
    """When a wait of two kinds changes to the second, as a part of an unsplit launch's time: so it
    is the same condition for a job of any length."""
    poll_period_us: float = 0.0
    poll_cost_us: float = 0.0
    """A polling driver's sleep and look, not scaled; 0: the card's."""
    launch_us: float = 0.0
    """Device time that a launch takes to begin, which each group pays that is waited for."""
    scheduling: Scheduling = Scheduling()

    def __post_init__(self) -> None:
        """ValueError for a threshold without two kinds of wait, and the other way round."""
        if ("-then-" in self.wait) != (self.then_after > 0):
            raise ValueError(f"{self.wait} and a threshold of {self.then_after} do not fit")

    @property
    def label(self) -> str:
        """A short name, good for a file's; empty for the standard condition."""
        return "-".join(self._parts())

    def _parts(self) -> Iterator[str]:
        if self.wait != "spin":
            yield self.wait
        if self.then_after:
            yield f"at{self.then_after:g}"
        if self.poll_period_us:
            yield f"each{self.poll_period_us:g}us"
        if self.poll_cost_us:
            yield f"for{self.poll_cost_us:g}us"
        if self.launch_us:
            yield f"launch{self.launch_us:g}us"
        scheduling = self.scheduling
        if scheduling.scheduler:
            yield f"{scheduling.scheduler}pool"
        if scheduling.slice_ms:
            yield f"slice{scheduling.slice_ms}ms"
        if scheduling.ratelimit_us is not None:
            yield f"limit{scheduling.ratelimit_us}us"
        if scheduling.gpu_weight:
            yield f"weight{scheduling.gpu_weight}"
        if scheduling.gpu_cap:
            yield f"cap{scheduling.gpu_cap}"

    @property
    def wakes_up(self) -> bool:
        """Whether the driver wakes up again and again while a kernel runs."""
        return "poll" in self.wait or "tick" in self.wait

    @property
    def driver(self) -> Condition:
        """What of it is the driver's: a change of that takes another process."""
        return replace(self, scheduling=Scheduling())

    @property
    def without_gpu(self) -> Condition:
        """What of it matters where no GPU job runs."""
        return Condition(scheduling=self.scheduling)

    def environment(self, launch_seconds: float) -> dict[str, str]:
        """Return the emulated driver's variables; `launch_seconds` is an unsplit launch's time."""
        micros = {
            "EMUGPU_THEN_AFTER_US": self.then_after * launch_seconds * 1e6,
            "EMUGPU_POLL_PERIOD_US": self.poll_period_us,
            "EMUGPU_POLL_COST_US": self.poll_cost_us,
            "EMUGPU_LAUNCH_LATENCY_US": self.launch_us,
        }
        given = {name: f"{value:.10g}" for name, value in micros.items() if value}
        return {"EMUGPU_WAIT": self.wait, **given}


STANDARD = Condition()


def hypotheses(launch_seconds: float) -> Sequence[Condition]:
    """Return the drivers that may have been the paper's, and controls.

    `launch_seconds` is an unsplit launch's time at the paper's size, 65/4 s: the threshold of 2 s
    is kept as a part of it.
    """
    limit = round(WINDOWS_LIMIT / launch_seconds, 3)
    return (
        Condition("interrupt"),
        Condition("poll", poll_period_us=1000, poll_cost_us=50),
        Condition("tick"),
        Condition("interrupt-then-spin", limit),
        Condition("interrupt-then-poll", limit, poll_period_us=1000, poll_cost_us=50),
        # The control: at 30 % of a launch 4 groups are short enough, and 10 gain nothing more.
        Condition("interrupt-then-spin", 0.3),
        # What a boundary must cost the device for 500 groups to cost the paper's 38 %, of which
        # the emulated card's whole waves are 15.3 % already: 0.227 x 65 s / (4 x 500), 7.4 ms.
        Condition("interrupt-then-spin", limit, launch_us=7_400),
        # The scheduler's side: turns of 5 ms, under the driver that spins; and Xen's newer one.
        Condition(scheduling=Scheduling(slice_ms=5)),
        Condition(scheduling=Scheduling(scheduler="credit2")),
        Condition("interrupt-then-spin", limit, scheduling=Scheduling(scheduler="credit2")),
    )


def polls() -> Sequence[Condition]:
    """Return polls that tell what they cost by themselves from what waking up costs the host.

    Beside a look of 50 us each 1 ms: a look that is longer by 100 us, the same looking by a fourth
    of the wake-ups, and no rate limit, which lets who wakes up have the CPU at once.
    """
    return (
        Condition("poll", poll_period_us=1000, poll_cost_us=150),
        Condition("poll", poll_period_us=4000, poll_cost_us=200),
        Condition(
            "poll", poll_period_us=1000, poll_cost_us=50, scheduling=Scheduling(ratelimit_us=0)
        ),
    )
