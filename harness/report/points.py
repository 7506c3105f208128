"""Finding points in a summary, and taking numbers from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.keep.summary import ClaimSummary, ExperimentSummary, PointSummary, Summary
from harness.plan.experiments import Mode
from harness.report.series import Datum


def experiment_of(summary: Summary, name: str) -> ExperimentSummary | None:
    """Return an experiment by its id; None if the run had none."""
    return next((e for e in summary.experiments if e.id == name), None)


def points_of(summary: Summary, experiment: str) -> list[PointSummary]:
    """Return an experiment's points in the order of the summary."""
    found = experiment_of(summary, experiment)
    labels = set(found.points) if found else set()
    return [point for point in summary.points if point.label in labels]


def select(
    points: Iterable[PointSummary], mode: Mode, groups: int | None = None
) -> dict[int, PointSummary]:
    """Return a mode's points by the number of CPU VMs; of one number of groups, if it is given."""
    return {
        point.cpu_vms: point
        for point in points
        if point.mode == mode
        and not point.blocking_driver
        and (groups is None or (point.wanted == groups and point.alpha is None))
    }


def by_vms(summary: Summary, points: Iterable[PointSummary], mode: Mode) -> dict[int, PointSummary]:
    """Return the points whose groups follow the number of VMs, one for each number of CPU VMs.

    Of several alphas it is the one that the calibration chose, or else the profile's.
    """
    points = [p for p in points if p.mode == mode and p.alpha is not None and p.cpu_vms > 0]
    best = {found.cpu_vms: found.alpha for found in summary.calibration if found.mode == mode}
    found: dict[int, PointSummary] = {}
    for point in points:
        wanted = (best.get(point.cpu_vms), summary.parameters.get("alpha"))
        taken = found.get(point.cpu_vms)
        if taken is None or _rank(point.alpha, wanted) < _rank(taken.alpha, wanted):
            found[point.cpu_vms] = point
    return found


def _rank(alpha: int | None, wanted: tuple[int | None, ...]) -> int:
    return wanted.index(alpha) if alpha in wanted else len(wanted)


def base_of(summary: Summary, point: PointSummary) -> PointSummary | None:
    """Return the unsplit point beside as many CPU VMs, with as many launches."""
    for other in summary.points:
        if (
            other.mode == Mode.UNSPLIT
            and not other.blocking_driver
            and (other.cpu_vms, other.launches) == (point.cpu_vms, point.launches)
        ):
            return other
    return None


def cpu_throughput(point: PointSummary | None) -> Datum | None:
    """Return a point's CPU throughput: multiplications per second, mean over the CPU VMs."""
    if point is None or point.cpu_throughput is None:
        return None
    return _datum(point, "cpu_throughput")


def fair_shares(summary: Summary, without: Mapping[int, PointSummary]) -> dict[int, float]:
    """Return the CPU throughput beside a GPU VM that takes one more VM's share, and no more.

    *without* are points without a GPU VM, by the number of CPU VMs.
    """
    return {
        n: point.cpu_throughput / (1 + summary.physical_limits[str(n)])
        for n, point in without.items()
        if point.cpu_throughput is not None and str(n) in summary.physical_limits
    }


def gpu_seconds(point: PointSummary | None) -> Datum | None:
    """Return the seconds that a point's GPU job took."""
    if point is None or point.gpu_seconds is None:
        return None
    return _datum(point, "gpu_seconds")


def _datum(point: PointSummary, quantity: str) -> Datum:
    repeats = {s.repetition: getattr(s, quantity) for s in point.samples if not s.problems}
    return Datum(
        getattr(point, quantity),
        getattr(point, f"{quantity}_interval"),
        point.problems,
        _note(point),
        {number: value for number, value in repeats.items() if value is not None},
    )


def gpu_vm_cpu_share(point: PointSummary | None) -> Datum | None:
    """Return the CPU time that the GPU VM used, relative to the GPU job's time."""
    if point is None or point.gpu_vm_cpu_seconds is None or not point.gpu_seconds:
        return None
    return Datum(point.gpu_vm_cpu_seconds / point.gpu_seconds, None, point.problems)


def outcome_of(claim: ClaimSummary) -> str:
    """Return a claim's outcome, for a reader: the paper's claims cannot fail, only not come out."""
    if claim.outcome == "fail" and claim.kind == "paper":
        return "not_reproduced"
    return claim.outcome


def _note(point: PointSummary) -> str:
    """Say into how many groups a launch was cut, where the point itself does not say so."""
    if point.groups is None or (point.alpha is None and point.groups == (point.wanted or 1)):
        return ""
    return f"{point.groups} groups"
