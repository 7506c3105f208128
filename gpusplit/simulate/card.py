"""How long the groups of a launch take on a card that works in whole waves."""

from __future__ import annotations

import math

from gpusplit.ndrange import NDRange, slices, steps


def even_parts(seconds: float, groups: int, group_seconds: float = 0.0) -> tuple[float, ...]:
    """Device seconds of each of *groups* equal groups; all but one cost *group_seconds* more.

    >>> even_parts(1.0, 4, 0.01)
    (0.25, 0.26, 0.26, 0.26)
    """
    each = seconds / groups
    return (each, *[each + group_seconds] * (groups - 1))


def wave_parts(
    whole: NDRange, groups: int, seconds: float, slots: int, least: int = 1
) -> tuple[float, ...]:
    """Device seconds of each group, as gpusplit cuts *whole*, which takes *seconds* unsplit.

    The card holds *slots* work-groups at once, and a group's last wave takes its time however few
    are in it (docs/emulated-gpu.md, tail = 1): 500 groups of the paper's launch on the paper's
    card take 15 % longer than the launch.

    >>> launch = NDRange((5120, 5120), (16, 16), (0, 0))
    >>> round(sum(wave_parts(launch, 500, 1.0, 48, 6)), 3)
    1.153
    """

    def waves(part: NDRange) -> int:
        return math.ceil(math.prod(part.work_groups) / slots)

    wave = seconds / waves(whole)
    cut = slices(whole, steps(whole.work_groups, groups, least))
    return tuple(wave * waves(part) for part in cut)
