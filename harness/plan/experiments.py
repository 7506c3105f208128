"""What is measured: the experiments of the paper and their points, as data.

A *point* is one arrangement: so many CPU VMs, and what the GPU VM does beside them. It is measured
once or more (a *repetition*). An *experiment* is a set of points that answer one question. A run
measures the union of the points, each once per round however many experiments want it. Nothing
here talks to a lab.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.plan.conditions import STANDARD, Condition
from harness.plan.profiles import LAUNCHES, PAPER_GPU_SECONDS, Profile


class Mode(StrEnum):
    """What the GPU VM does at a point.

    Those with a GPU job are the ablation: whole or split, the driver's wait or the cooperative
    one, and where it is split one group at a time or several in flight.
    """

    NO_GPU = "no_gpu"
    """The GPU VM does not run: the CPU VMs have the host to themselves."""
    UNSPLIT = "unsplit"
    """Every kernel is one launch and the driver waits for it, as programs do today."""
    UNSPLIT_COOPERATIVE = "unsplit_cooperative"
    """Every kernel is one launch; waiting leaves the CPU to others."""
    PAPER = "paper"
    """Kernels are cut into groups and the driver waits for each: the paper's method."""
    PAPER_AHEAD = "paper_ahead"
    """The same with several groups in flight: the driver waits with the next ones on their way."""
    GPUSPLIT_SINGLE = "gpusplit_single"
    """Kernels are cut into groups, one at a time, and waiting leaves the CPU to others."""
    GPUSPLIT = "gpusplit"
    """The same with several groups in flight."""

    @property
    def splits(self) -> bool:
        """Whether kernels are cut into groups."""
        return self in (Mode.PAPER, Mode.PAPER_AHEAD, Mode.GPUSPLIT_SINGLE, Mode.GPUSPLIT)

    @property
    def cooperates(self) -> bool:
        """Whether waiting leaves the CPU to others."""
        return self in (Mode.UNSPLIT_COOPERATIVE, Mode.GPUSPLIT_SINGLE, Mode.GPUSPLIT)


ONE_AT_A_TIME = {"queues": 1, "in_flight": 1}
SEVERAL_IN_FLIGHT = {"queues": 2, "in_flight": 64}
"""Said outright for the driver's waits, with which there is one unasked."""


@dataclass(frozen=True)
class Point:
    """One arrangement that is measured."""

    cpu_vms: int
    mode: Mode
    groups: int | None = None
    """A fixed number of groups to ask for; None leaves it to `alpha`."""
    alpha: int | None = None
    """Groups per running VM (the paper's Eq. 1)."""
    blocking_driver: bool = False
    """Waits of the emulated driver block, and do not spin: a check of the emulated GPU itself."""
    launches: int | None = None
    """Kernel launches in the GPU job; None leaves it to the profile."""
    adaptive: bool = False
    """gpusplit's policy adaptive chooses the number of groups."""
    condition: Condition = STANDARD
    """What it is measured under."""

    def __post_init__(self) -> None:
        """ValueError unless exactly the split modes say into how many groups."""
        said = (self.groups is not None) + (self.alpha is not None) + self.adaptive
        if said != self.mode.splits:
            raise ValueError(f"{self.mode}: {self.groups} groups and alpha {self.alpha} do not fit")
        if self.adaptive and self.mode is not Mode.GPUSPLIT:
            raise ValueError(f"{self.mode}: only gpusplit is adaptive")

    @property
    def label(self) -> str:
        """A short name, good for a file name, a progress line and `--point`."""
        parts = [f"n{self.cpu_vms}", str(self.mode)]
        if self.groups is not None:
            parts.append(f"{self.groups}groups")
        if self.alpha is not None:
            parts.append(f"alpha{self.alpha}")
        if self.adaptive:
            parts.append("adaptive")
        if self.launches is not None:
            parts.append(f"{self.launches}launches")
        if self.blocking_driver:
            parts.append("blocking")
        if self.condition != STANDARD:
            parts.append(self.condition.label)
        return "-".join(parts)


ALONE = Point(0, Mode.UNSPLIT)
"""The GPU job with nobody beside it. It comes first: its time sizes windows without a GPU job."""


@dataclass(frozen=True)
class Experiment:
    """A set of points that answer one question."""

    id: str
    title: str
    source: str
    """Where it comes from: the paper's figure, or what made us add it."""
    points: tuple[Point, ...]


def split(
    cpu_vms: int, mode: Mode, *, alpha: int | None = None, groups: int | None = None
) -> Point:
    """Return the point at which the GPU job is split beside so many CPU VMs."""
    return Point(cpu_vms, mode, groups=groups, alpha=alpha)


def experiments(profile: Profile) -> tuple[Experiment, ...]:
    """Return the experiments of a profile, those with nothing to measure left out."""
    made = (
        _fig2, _fig4, _fig5, _fig6, _g500, _ablation, _adaptive, _checks, _conditions, _programs
    )  # fmt: skip
    return tuple(
        Experiment(
            id=made_by.__name__.strip("_"),
            title=title,
            source=source,
            points=tuple(dict.fromkeys(points)),
        )
        for made_by in made
        for title, source, points in [made_by(profile)]
        if points
    )


Made = tuple[str, str, list[Point]]


def _fig2(profile: Profile) -> Made:
    points = [Point(n, Mode.UNSPLIT) for n in profile.fig2_vms]
    points += [Point(n + 1, Mode.NO_GPU) for n in profile.fig2_vms]
    title = "n CPU VMs beside a GPU VM, against n + 1 CPU VMs and no GPU VM"
    return title, "Fig. 2", [ALONE, *points] if points else []


def _sweep(profile: Profile, numbers: Iterable[int]) -> list[Point]:
    return [
        split(n, mode, groups=groups)
        for n in numbers
        for groups in profile.sweep_groups
        for mode in (Mode.PAPER, Mode.GPUSPLIT)
    ]


def _fig4(profile: Profile) -> Made:
    points = [Point(n, Mode.UNSPLIT) for n in profile.sweep_vms]
    points += _sweep(profile, profile.sweep_vms)
    return "CPU VMs beside a GPU job in 2 to 20 groups", "Fig. 4", points


def _fig5(profile: Profile) -> Made:
    numbers = (0, *profile.sweep_vms) if profile.sweep_vms else ()
    points = [Point(n, Mode.UNSPLIT) for n in numbers] + _sweep(profile, numbers)
    return "The GPU job in 2 to 20 groups", "Fig. 5", points


def _fig6(profile: Profile) -> Made:
    points = []
    for n in profile.cpu_vms:
        points += [Point(n, Mode.NO_GPU), Point(n, Mode.UNSPLIT)]
        for mode in (Mode.GPUSPLIT, Mode.PAPER):
            points += [split(n, mode, alpha=alpha) for alpha in profile.alphas]
    return "Groups chosen by the number of VMs", "Fig. 6", [ALONE, *points] if points else []


def _g500(profile: Profile) -> Made:
    points = []
    for n in profile.g500_vms:
        points.append(Point(n, Mode.UNSPLIT))
        for mode in (Mode.PAPER, Mode.GPUSPLIT):
            points.append(split(n, mode, groups=profile.many_groups))
    return "Far too many groups", "the paper's text on 500 groups", points


def _ablation(profile: Profile) -> Made:
    points = []
    for n in profile.ablation_vms:
        points += [Point(n, Mode.UNSPLIT), Point(n, Mode.UNSPLIT_COOPERATIVE)]
        points += [split(n, mode, alpha=profile.alpha) for mode in Mode if mode.splits]
    title = "What comes from splitting, from waiting, and from several groups in flight"
    return title, "ours, not in the paper", points


def adaptive(cpu_vms: int) -> Point:
    """Return the point at which gpusplit finds the number of groups itself."""
    return Point(cpu_vms, Mode.GPUSPLIT, adaptive=True)


def _adaptive(profile: Profile) -> Made:
    points = []
    for n in profile.adaptive_vms:
        points.append(Point(n, Mode.UNSPLIT))
        points += [split(n, Mode.GPUSPLIT, alpha=alpha) for alpha in profile.alphas]
        points.append(adaptive(n))
    title = "Groups found by the GPU VM itself, against the best fixed alpha"
    return title, "the paper's future work", points


def _checks(profile: Profile) -> Made:
    points = [Point(n, Mode.UNSPLIT) for n in profile.repeat_unsplit]
    points += [Point(n, Mode.UNSPLIT, blocking_driver=True) for n in profile.blocking_driver]
    return "Checks of the measurement and of the emulated GPU", "ours, not in the paper", points


def _conditions(profile: Profile) -> Made:
    points = []
    for condition in profile.conditions:
        for n in profile.condition_vms:
            points += [Point(m, Mode.NO_GPU, condition=condition.without_gpu) for m in (n, n + 1)]
            points.append(Point(n, Mode.UNSPLIT, condition=condition))
            points += [
                Point(n, mode, groups=groups, condition=condition)
                for mode, some in (
                    (Mode.PAPER, profile.condition_groups),
                    (Mode.GPUSPLIT, profile.condition_groups[-2:-1]),
                )
                for groups in some
            ]
    for condition in profile.waits:
        for n in profile.condition_vms:
            points.append(Point(n + 1, Mode.NO_GPU, condition=condition.without_gpu))
            points.append(Point(n, Mode.UNSPLIT, condition=condition))
    title = "The paper's method under other drivers' waits and schedulers' settings"
    return title, "ours: under which conditions the paper holds", points


def _programs(profile: Profile) -> Made:
    points = []
    for n in profile.program_vms:
        points += [Point(n, Mode.NO_GPU), Point(n, Mode.UNSPLIT)]
        points.append(Point(n, Mode.UNSPLIT_COOPERATIVE))
        points.append(split(n, Mode.GPUSPLIT, alpha=profile.alpha))
    alone = [
        ALONE,
        Point(0, Mode.UNSPLIT_COOPERATIVE),
        split(0, Mode.GPUSPLIT, alpha=profile.alpha),
    ]
    title = "A GPU program beside CPU programs, plain and under gpusplit"
    return title, "the operator's own programs", alone + points if points else []


def alone_split(wanted: Iterable[int]) -> list[Point]:
    """The GPU job alone, once with each number of groups that was asked for beside CPU VMs."""
    return [split(0, Mode.GPUSPLIT, groups=groups) for groups in sorted(set(wanted))]


Best = Mapping[tuple[int, Mode], int]
"""The best alpha by the number of CPU VMs and the mode, as far as it is known."""


def rounds(profile: Profile, best: Best | None = None) -> list[list[Point]]:
    """Return what to measure, round by round, in order.

    Of several alphas the later rounds repeat the best alone, unless every point is repeated.

    Points with the same number of CPU VMs stay together, so that a ratio is taken of near
    neighbours and few VMs are woken or put to sleep between two points. The order within them is
    turned by a third from round to round, so that no mode always comes first, when the machine
    may be cooler.
    """
    points = dict.fromkeys(
        point for experiment in experiments(profile) for point in experiment.points
    )
    wanted = dict.fromkeys(points, profile.least_repetitions)
    for n in profile.repeat_unsplit:
        wanted[Point(n, Mode.UNSPLIT)] = max(2, profile.least_repetitions)
    for n in profile.cpu_vms:
        shown = [Point(n, Mode.NO_GPU), Point(n, Mode.UNSPLIT)]
        for mode in (Mode.GPUSPLIT, Mode.PAPER):
            shown.append(split(n, mode, alpha=(best or {}).get((n, mode), profile.alpha)))
        for point in shown:
            wanted[point] = max(wanted[point], profile.fig6_repetitions)
    for n in profile.adaptive_vms:
        wanted[adaptive(n)] = max(wanted[adaptive(n)], profile.fig6_repetitions)
    return [
        list(_ordered([point for point, times in wanted.items() if times >= number], number))
        for number in range(1, max(wanted.values()) + 1)
    ]


def _ordered(points: list[Point], number: int) -> Iterator[Point]:
    if ALONE in points:
        yield ALONE
    for n in sorted({point.cpu_vms for point in points}):
        block = [point for point in points if point.cpu_vms == n and point != ALONE]
        turn = (number - 1) * len(block) // 3 % max(len(block), 1)
        # A changed driver costs a new GPU job: such points come last, those of a driver together.
        yield from sorted(
            block[turn:] + block[:turn],
            key=lambda point: (
                point.blocking_driver,
                point.condition.driver.label,
                point.condition.label,
            ),
        )


def driver_environment(point: Point, profile: Profile, exec_mode: str = "none") -> dict[str, str]:
    """Return the emulated driver's settings, which hold as long as a GPU job's process."""
    launch_seconds = PAPER_GPU_SECONDS / LAUNCHES * profile.gpu_scale
    return {
        "EMUGPU_EXEC": exec_mode,
        # An operator's program has the card at its own speed.
        "EMUGPU_SCALE": repr(1.0 if profile.gpu_program else profile.gpu_scale),
        **point.condition.environment(launch_seconds),
        **({"EMUGPU_WAIT": "interrupt"} if point.blocking_driver else {}),
    }


def gpusplit_options(point: Point) -> dict[str, Any]:
    """Return gpusplit's options for a point: what `gpusplit.Config` takes."""
    match point.mode:
        case Mode.NO_GPU:
            raise ValueError(f"{point.label}: there is no GPU job at this point")
        case Mode.UNSPLIT:
            return {"policy": "unsplit", "wait": "driver"}
        case Mode.UNSPLIT_COOPERATIVE:
            return {"policy": "unsplit", "wait": "cooperative"}
    if point.adaptive:
        return {"policy": "adaptive", "wait": "cooperative"}
    lanes: dict[str, Any] = {
        Mode.PAPER_AHEAD: SEVERAL_IN_FLIGHT,
        Mode.GPUSPLIT_SINGLE: ONE_AT_A_TIME,
    }.get(point.mode, {})
    wait = {"wait": "cooperative" if point.mode.cooperates else "driver", **lanes}
    if point.groups is not None:
        return {"policy": "fixed", "groups": point.groups, **wait}
    return {"policy": "vms", "alpha": point.alpha, **wait}
