"""Which host measures what, and in which order.

Comparisons must not cross hosts, for no two are the same: all points beside n CPU VMs are measured
on one host, its *home*, with the points of other numbers that they are compared with.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.errors import LabUnsuitable
from harness.plan.experiments import ALONE, Best, Mode, Point, alone_split, rounds
from harness.plan.profiles import Profile

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
    possible = {point for taken in rounds(profile) for point in taken}
    possible.update(
        alone_split(alpha * (n + 1) for alpha in profile.alphas for n in profile.cpu_vms)
    )
    by_label = {point.label: point for point in possible}
    for label in labels:
        if label not in by_label:
            raise LabUnsuitable(
                f"The profile {profile.name} has no point {label!r}.",
                f"choose of: {', '.join(sorted(by_label))}",
            )
    return {by_label[label] for label in labels}
