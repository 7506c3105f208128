"""`run.json`: what a run measures, written when it begins, so that it can be continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.errors import UnreadableResults
from harness.judge.evaluate import evaluate
from harness.judge.timeline import Timeline, TimelineSamples, evaluate_timeline
from harness.keep.environment import ROOT, Machines, commit, describe_machines
from harness.keep.results import BEGUN, RunFolder
from harness.lab.lab import Lab
from harness.lab.samples import PointSamples, Verification
from harness.plan.profiles import Profile
from harness.plan.selection import Selection
from harness.workloads.gpu_matmul import package_digest

T = TypeVar("T")

VERIFICATION = "raw/verification.json"
TIMELINE_SAMPLES = "raw/timeline.json"


@dataclass(frozen=True)
class Manifest:
    """What a run measures; its points can be added to only by a run that measures the same."""

    lab: str
    clock: str
    hosts: list[str]
    profile: str
    commit: str
    sources: str
    """A digest of the harness and of gpusplit, for a checkout that was changed."""
    parameters: dict[str, Any]
    """The profile's fields."""
    shared_cpus: int
    """Physical CPUs that all VMs share."""
    machines: Machines
    started: str
    conditions: dict[str, str] = field(default_factory=dict)
    """Under which scheduler the lab stands; what a point changes of it is the point's."""
    selection: Selection = field(default_factory=Selection)
    """What of the profile is measured, and judged."""

    @classmethod
    def of(
        cls, labs: Sequence[Lab], profile: Profile, started: datetime, selection: Selection
    ) -> Manifest:
        """Describe a run that begins now."""
        return cls(
            lab=labs[0].kind,
            clock=labs[0].clock,
            hosts=[lab.host for lab in labs],
            profile=profile.name,
            commit=commit(ROOT),
            sources=f"{package_digest(ROOT / 'harness')} {package_digest(ROOT / 'gpusplit')}",
            parameters=TypeAdapter(Profile).dump_python(profile, mode="json"),
            shared_cpus=labs[0].shared_cpus,
            machines=describe_machines(labs[0]),
            started=started.isoformat(timespec="seconds"),
            conditions=labs[0].conditions(),
            selection=selection,
        )

    def differences(self, other: Manifest) -> list[str]:
        """Name the fields in which another run measures something else."""
        # Another kernel or Python is told in the report, which speaks of the beginning.
        others = ("started", "machines", "selection")
        names = [field.name for field in fields(self) if field.name not in others]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def as_begun(began: Manifest, profile: Profile) -> Profile:
    """Return a profile for going on with a run.

    A GPU job of another length would be another measurement: what was found stays. Repetitions may
    be added, and are never taken away.
    """
    begun, least = began.parameters, "least_repetitions"
    return replace(
        profile,
        gpu_launches=int(begun["gpu_launches"]),
        least_repetitions=max(profile.least_repetitions, int(begun[least])),
    )


def read_manifest(folder: RunFolder) -> Manifest:
    """Return how a run began. UnreadableResults if there is no run.json that can be read."""
    return _read(Manifest, folder.path / BEGUN)


def continue_run(folder: RunFolder, wanted: Manifest) -> tuple[Manifest, list[PointSamples]]:
    """Return how a run began that is to go on, and what it measured well.

    Repetitions and selection are those that are wanted now. UnreadableResults if it measured
    something else than what is wanted.
    """
    began = read_manifest(folder)
    least = "least_repetitions"
    began.parameters[least] = wanted.parameters[least]
    began = replace(began, selection=wanted.selection)
    different = began.differences(wanted)
    if different:
        was_and_is = "; ".join(
            f"{name} was {getattr(began, name)}, is {getattr(wanted, name)}"
            for name in different
            if name != "parameters"
        )
        raise UnreadableResults(
            f"{folder.path} cannot be continued: it differs in {', '.join(different)}"
            f"{f' ({was_and_is})' if was_and_is else ''}.",
            "continue it from the same checkout with the same options, or begin a new run "
            "without --resume",
        )
    return began, [sample for sample in read_samples(folder) if not evaluate(sample).problems]


def read_samples(folder: RunFolder) -> list[PointSamples]:
    """Return what a run measured, well or not."""
    raw = sorted((folder.path / "raw").glob("n*.json"))
    return [_read(PointSamples, path) for path in raw]


def read_timeline(folder: RunFolder) -> Timeline | None:
    """Return the timeline that a run measured already, if it did."""
    path = folder.path / TIMELINE_SAMPLES
    return evaluate_timeline(_read(TimelineSamples, path)) if path.exists() else None


def read_verification(folder: RunFolder) -> Verification | None:
    """Return the check of the numbers that a run made already, if it did."""
    path = folder.path / VERIFICATION
    return _read(Verification, path) if path.exists() else None


def _read(kind: type[T], path: Path) -> T:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UnreadableResults(
            f"{path} cannot be read: {error}", "begin a new run, without --resume"
        ) from error
