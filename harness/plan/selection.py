"""What of a profile is wanted: all of it, or some experiments or points."""

from __future__ import annotations

from dataclasses import dataclass

from harness.plan.experiments import Point
from harness.plan.profiles import Profile
from harness.plan.schedule import TIMELINE, chosen, judged_by


@dataclass(frozen=True)
class Selection:
    """What is to be measured, and so what is judged."""

    points: tuple[str, ...] = ()
    """Labels of the only points to measure; all of the profile if this and the next are empty."""
    experiments: tuple[str, ...] = ()
    """The experiments to measure what they judge."""

    @property
    def whole(self) -> bool:
        """Whether all of the profile is wanted."""
        return not self.points and not self.experiments

    def wants(self, experiment: str) -> bool:
        """Whether what an experiment has beside its points is wanted: the timeline, say."""
        return self.whole or experiment in (*self.points, *self.experiments)

    def only(self, profile: Profile) -> set[Point] | None:
        """Return the only points to measure; None for all of the profile.

        LabUnsuitable names a point or an experiment that the profile has not.
        """
        if self.whole:
            return None
        points = [p for p in self.points if p != TIMELINE or not profile.timeline_vms]
        return chosen(profile, points) | judged_by(profile, self.experiments)

    def leaves_out(self, experiment: str, measured: bool) -> str:
        """Say why a claim of an experiment is not judged; empty if it is.

        *measured*: whether the points that the claim needs were measured.
        """
        # What another experiment lacks of its points may turn its verdict.
        if self.experiments and not self.points and experiment not in self.experiments:
            return f"a claim of {experiment}: --experiment {', '.join(self.experiments)} was given"
        return "" if measured or not self.points else "--point was given"
