"""What a run would measure, experiment by experiment, and how long that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.measure.progress import duration
from harness.measure.run import (
    REACHING,
    START_GUESS,
    VERIFYING,
    Options,
    point_guess,
    timeline_guess,
)
from harness.plan.experiments import ALONE, experiments
from harness.plan.profiles import Profile
from harness.plan.schedule import TIMELINE, judged_by, known, tasks

BEGINNING = "reaching every VM, starting jobs"
USED_SPLITS = "n0-gpusplit-...groups, as it turns out"


@dataclass(frozen=True)
class Part:
    """A point, or what an experiment has beside its points."""

    name: str
    times: int
    """How often it is measured."""
    seconds: float
    """All of them together."""
    recorded: bool
    """An earlier run took it; else the seconds are guessed by the profile."""


def outlook(
    profile: Profile, options: Options, durations: Mapping[str, float]
) -> dict[str, tuple[Part, ...]]:
    """Return the parts of every experiment; what several want is in each of them.

    *durations* are the seconds of parts in earlier runs, by name. LabUnsuitable names a point or
    an experiment that the profile has not.
    """
    only = options.only(profile)
    repeated = Counter(point for point, _ in tasks(profile, [""])[""])

    def part(name: str, times: int, guess: float) -> Part:
        return Part(name, times, times * durations.get(name, guess), name in durations)

    blocking = any(p.blocking_driver for p in repeated if only is None or p in only)
    began = [seconds for name, seconds in durations.items() if name.startswith(REACHING)]
    beginning = max(began, default=START_GUESS * (1 + blocking))
    found: dict[str, tuple[Part, ...]] = {}
    found[""] = (Part(BEGINNING, 1, beginning, bool(began)),)
    guess = point_guess(profile)
    alone = Part(
        USED_SPLITS,
        len(profile.cpu_vms),
        len(profile.cpu_vms) * durations.get(ALONE.label, guess),
        ALONE.label in durations,
    )
    for name in known(profile):
        if options.experiments and not options.points and name not in options.experiments:
            continue
        wanted = judged_by(profile, [name])
        parts = [
            part(point.label, times, guess)
            for point, times in repeated.items()
            if point in wanted and (only is None or point in only)
        ]
        beside = {
            "fig6": alone,
            "checks": part(VERIFYING, 1, 2 * START_GUESS),  # by a GPU job of its own
            TIMELINE: part(TIMELINE, 1, timeline_guess(profile)),
        }
        if name in beside and options.wants(name):
            parts.append(beside[name])
        if parts:
            found[name] = tuple(parts)
    return found


def outlook_lines(profile: Profile, found: Mapping[str, tuple[Part, ...]]) -> Iterator[str]:
    """Yield the lines of a list of it, for a terminal or a pipe."""
    titles = {experiment.id: experiment.title for experiment in experiments(profile)}
    for name, parts in found.items():
        title = f": {titles[name]}" if name in titles else ""
        yield f"{name or 'first'}{title} ({_sum(parts)})"
        for part in parts:
            sign = "" if part.recorded else "~"
            yield f"  {part.times} x {part.name}  {sign}{duration(part.seconds)}"
    once = {part.name: part for parts in found.values() for part in parts}.values()
    yield f"In all, each once however many want it: {_sum(tuple(once))}"
    guessed = sum(not part.recorded for part in once)
    if guessed:
        yield f"~ is guessed, for no earlier run below results/ took it: {guessed} of {len(once)}"


def _sum(parts: tuple[Part, ...]) -> str:
    times = sum(part.times for part in parts)
    seconds = sum(part.seconds for part in parts)
    return f"{times} part{'' if times == 1 else 's'}, {duration(seconds)}"
