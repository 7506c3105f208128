"""Which host measures what, and in which order.

Comparisons must not cross hosts, for no two are the same: all points beside n CPU VMs are measured
on one host, its *home*, with the points of other numbers that they are compared with.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.errors import LabUnsuitable
from harness.plan.conditions import STANDARD
from harness.plan.experiments import (
    ALONE,
    Best,
    Experiment,
    Mode,
    Point,
    alone_split,
    experiments,
    rounds,
    split,
)
from harness.plan.profiles import Profile

TIMELINE = "timeline"
"""The experiment without points, and what `--point` calls it."""

Task = tuple[Point, int]
"""A point and the number of its repetition."""


def homes(profile: Profile, hosts: Sequence[str]) -> dict[int, str]:
    """Return the host of every number of CPU VMs; those with the most points go first."""
    sizes: dict[int, int] = {}
    for taken in rounds(profile):
        for point in taken:
            sizes[point.cpu_vms] = sizes.get(point.cpu_vms, 0) + 1
    load = dict.fromkeys(hosts, 0)
    found = {}
    for n in sorted(sizes, key=lambda n: -sizes[n]):
        host = min(hosts, key=lambda host: load[host])
        found[n] = host
        load[host] += sizes[n]
    return found


def tasks(
    profile: Profile, hosts: Sequence[str], best: Best | None = None
) -> dict[str, list[Task]]:
    """Return what every host measures, in order, but for the splits alone that are found later."""
    home = homes(profile, hosts)
    made: dict[str, list[Task]] = {host: [] for host in hosts}
    for number, taken in enumerate(rounds(profile, best), start=1):
        for point in taken:
            for host in hosts:
                if home[point.cpu_vms] == host or _is_compared(point, host, profile, home):
                    made[host].append((point, number))
    return made


def _is_compared(point: Point, host: str, profile: Profile, home: dict[int, str]) -> bool:
    """Whether a host needs a point of another home to compare its own with."""
    if point == ALONE:
        return host in home.values()
    beside = (*profile.fig2_vms, *profile.condition_vms)
    is_fig2s = point.mode is Mode.NO_GPU and point.cpu_vms - 1 in beside
    return is_fig2s and home.get(point.cpu_vms - 1) == host


def chosen(profile: Profile, labels: Collection[str]) -> set[Point]:
    """Return the points with these labels; LabUnsuitable names one that the profile has not."""
    by_label = {point.label: point for point in _possible(profile)}
    for label in labels:
        if label not in by_label:
            raise LabUnsuitable(
                f"The profile {profile.name} has no point {label!r}.",
                f"choose of: {', '.join(sorted(by_label))}",
            )
    return {by_label[label] for label in labels}


def known(profile: Profile) -> tuple[str, ...]:
    """Return the experiments that a profile can be asked for, by name."""
    made = [experiment.id for experiment in experiments(profile)]
    timeline = [TIMELINE] if profile.timeline_vms else []
    checks = [] if profile.programs else ["checks"]
    return tuple(dict.fromkeys([*made, *checks, *timeline]))


def judged_by(profile: Profile, names: Collection[str]) -> set[Point]:
    """Return the points by which these experiments are judged; the timeline has none.

    "checks" is there with or without points: the product is always held against numpy's. More than
    an experiment's own: those that its claims presuppose, too. LabUnsuitable names an experiment
    that the profile has not.
    """
    made = {experiment.id: experiment for experiment in experiments(profile)}
    possible = known(profile)
    for name in names:
        if name not in possible:
            raise LabUnsuitable(
                f"The profile {profile.name} has no experiment {name!r} in this lab.",
                f"choose of: {', '.join(possible)}",
            )
    needed = [made[name] for name in names if name in made]
    presupposed = {point for one in needed for point in _presupposed(profile, one)}
    return {point for one in needed for point in one.points} | presupposed & _possible(profile)


def _presupposed(profile: Profile, experiment: Experiment) -> list[Point]:
    """Return the points of other experiments that an experiment's claims are held against."""
    match experiment.id:
        case "fig4":  # Nothing recovers where nothing was lost.
            return [Point(n, Mode.NO_GPU) for n in profile.sweep_vms]
        case "fig6":  # What the groups that it turns out to use cost the GPU job alone.
            return _alone_splits(profile)
        case "g500":  # Far too many groups are held against the most that are not.
            most = max(profile.sweep_groups)
            return [split(n, Mode.PAPER, groups=most) for n in profile.g500_vms]
        case "conditions":  # The map's first row is the standard condition.
            return [replace(point, condition=STANDARD) for point in experiment.points]
    return []


def _possible(profile: Profile) -> set[Point]:
    """Return every point that a run of the profile may measure."""
    return {point for taken in rounds(profile) for point in taken} | set(_alone_splits(profile))


def _alone_splits(profile: Profile) -> list[Point]:
    return alone_split(alpha * (n + 1) for alpha in profile.alphas for n in profile.cpu_vms)
