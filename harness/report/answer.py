"""The answer: what the GPU VM does to its neighbours, and what gpusplit gives.

Two or three sentences and a table by the number of CPU VMs, made from the numbers whichever way
they came out. The figure beside them is that of the run's main experiment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.judge.repetitions import Interval
from harness.judge.uncertainty import Repeatability, Uncertain, of_repetitions
from harness.keep.summary import ClaimSummary, PointSummary, Summary
from harness.plan.experiments import Mode
from harness.report.findings import at, listed, sentence
from harness.report.points import by_vms, cpu_throughput, gpu_seconds, points_of, select
from harness.report.programs import gpu_piece, pieces
from harness.report.series import Datum, Figure, relative
from harness.report.tables import MISSING, THROUGHPUT, Cell, Table

MAIN = ("programs", "fig6")
"""The experiments that answer, the first that a run has."""


@dataclass(frozen=True)
class Answer:
    """What a reader came for."""

    sentences: str
    figure: Figure
    table: Table


Points = Mapping[int, PointSummary]


@dataclass(frozen=True)
class _Way:
    """A way to run the GPU job beside CPU VMs, and which claims know what it changes."""

    name: str
    points: Points
    gain: str
    """The statistic of the CPU VMs' gain over the plain job."""
    cost: str
    """That of the GPU job's time against the plain one."""
    cost_less: float
    """What is to be taken from the latter: it may be a ratio."""


@dataclass(frozen=True)
class _Base:
    """What the ways are held against."""

    name: str
    """How the GPU job is called that gpusplit has no part in."""
    none: Points
    """Without a GPU VM."""
    plain: Points
    """Beside that job."""


def answer(summary: Summary, drawn: Sequence[Figure]) -> Answer | None:
    """Return the answer; None where a run did not measure it."""
    figure = next((f for name in MAIN for f in drawn if f.id == name), None)
    if figure is None:
        return None
    points = points_of(summary, figure.id)
    none, plain = select(points, Mode.NO_GPU), select(points, Mode.UNSPLIT)
    whole = _Way(
        "gpusplit's waits alone",
        select(points, Mode.UNSPLIT_COOPERATIVE),
        "waiting_gain",
        "waiting_cost",
        0.0,
    )
    split = _Way(
        "gpusplit", by_vms(summary, points, Mode.GPUSPLIT), "cpu_gain", "gpu_time_ratio", 1.0
    )
    paper = _Way(
        "the paper's method",
        by_vms(summary, points, Mode.PAPER),
        "paper_best_gain",
        "paper_slow_down",
        0.0,
    )
    ways = [way for way in (whole, paper, split) if way.points]
    base = _Base("plain" if figure.id == "programs" else "unsplit", none, plain)
    numbers = sorted(n for n in plain if n > 0)
    return Answer(
        " ".join(_sentences(summary, base, ways, numbers)),
        figure,
        _table(summary, base, ways, numbers),
    )


def _sentences(
    summary: Summary, base: _Base, ways: Sequence[_Way], numbers: Sequence[int]
) -> list[str]:
    job = gpu_piece(summary).removeprefix("a line of the ")
    told, clauses = [], []
    kept = _kept(base.none, base.plain, numbers)
    if kept:
        limits = {n: summary.physical_limits.get(str(n)) for n in kept}
        fair = {n: 1 / (1 + limit) for n, limit in limits.items() if limit is not None}
        share = f"; a fair share would be {_each(fair)}" if fair.keys() == kept.keys() else ""
        told.append(
            f"Beside the {base.name} {job} a CPU VM keeps {_each(kept)} of its speed at "
            f"{at(kept)}{share}."
        )
    for way in ways:
        gains = _trusted(_gain(summary, way, base.plain, n) for n in numbers)
        costs = _trusted(_cost(summary, way, base.plain, n) for n in numbers)
        keeps = _kept(base.none, way.points, numbers)
        # Only where all is known: each list is of the same numbers of CPU VMs.
        known = [n for n in gains if n in costs and (n in keeps or not keeps)]
        if not known:
            continue
        keep, gain, cost = (
            {n: some[n] for n in known if n in some} for some in (keeps, gains, costs)
        )
        now = f"keeps {_each(keep)}, " if keep else "has "
        where = "" if known == list(kept) else f" at {at(known)}"
        clause = (
            f"with {way.name} it {now}{_each(gain, '+z.1%')} against {base.name}{where}, and the "
            f"{job}'s time changes by {_each(cost, '+z.1%')}"
        )
        clauses.append(sentence([clause]))
    # gpusplit as a whole is the last of them, and what a reader came for.
    return told + clauses[::-1]


def _kept(none: Points, beside: Points, numbers: Sequence[int]) -> dict[int, float]:
    """Return the part of a CPU VM's speed that is left, by the number of CPU VMs."""
    found = {}
    for n in numbers:
        change = relative(cpu_throughput(beside.get(n)), cpu_throughput(none.get(n)))
        if change is not None and not change.problems:
            found[n] = 1 + change.value
    return found


def _trusted(data: Iterable[tuple[int, Datum | None]]) -> dict[int, float]:
    return {n: datum.value for n, datum in data if datum is not None and not datum.problems}


def _gain(summary: Summary, way: _Way, plain: Points, n: int) -> tuple[int, Datum | None]:
    return n, _against(summary, way.gain, 0.0, "cpu_throughput", way.points, plain, n)


def _cost(summary: Summary, way: _Way, plain: Points, n: int) -> tuple[int, Datum | None]:
    return n, _against(summary, way.cost, way.cost_less, "gpu_seconds", way.points, plain, n)


def _against(
    summary: Summary,
    statistic: str,
    less: float,
    quantity: str,
    points: Points,
    plain: Points,
    n: int,
) -> Datum | None:
    """Return a change against the plain job: by the claim about it, or else by the medians.

    The claim's is better known: its interval is of what the whole run repeated.
    """
    claim = _claim(summary, statistic, n)
    if claim is not None and claim.value is not None:
        known = claim.interval and (claim.interval[0] - less, claim.interval[1] - less)
        return Datum(claim.value - less, known or None)
    number = {"cpu_throughput": cpu_throughput, "gpu_seconds": gpu_seconds}[quantity]
    changed = relative(number(points.get(n)), number(plain.get(n)))
    ours, theirs = (_uncertain(summary, some.get(n), quantity) for some in (points, plain))
    if changed is None or ours is None or theirs is None:
        return changed
    return replace(changed, interval=ours.over(theirs).plus(-1).interval())


def _claim(summary: Summary, statistic: str, n: int) -> ClaimSummary | None:
    return next(
        (c for c in summary.claims if c.statistic == statistic and c.id.endswith(f"-n{n}")), None
    )


def _table(summary: Summary, base: _Base, ways: Sequence[_Way], numbers: Sequence[int]) -> Table:
    """One row for each number of CPU VMs, with 95 % intervals and units."""
    unit, job = f"{pieces(summary)}/s", gpu_piece(summary)
    head = [
        "n",
        f"no GPU VM, {unit}",
        f"{base.name}, {unit}",
        *(f"{way.name}, against {base.name}" for way in ways),
        "possible",
        f"{job}, {base.name}, s",
        *(f"time, {way.name}" for way in ways),
    ]
    rows = []
    for n in numbers:
        none, plain = base.none.get(n), base.plain.get(n)
        limit = summary.physical_limits.get(str(n))
        rows.append(
            (
                Cell(str(n)),
                _number(cpu_throughput(none), _known(summary, none, "cpu_throughput")),
                _number(cpu_throughput(plain), _known(summary, plain, "cpu_throughput")),
                *(_change(_gain(summary, way, base.plain, n)[1]) for way in ways),
                Cell(MISSING if limit is None else f"{limit:+.1%}"),
                _number(gpu_seconds(plain), _known(summary, plain, "gpu_seconds")),
                *(_change(_cost(summary, way, base.plain, n)[1]) for way in ways),
            )
        )
    return Table(tuple(head), tuple(rows), words=1)


def _known(summary: Summary, point: PointSummary | None, quantity: str) -> Interval | None:
    """Return the 95 % interval of a point's number by how well the run repeats, as claims have it.

    So a point that was measured once has one too. Of a run that does not tell it is that of the
    point's own repetitions.
    """
    known = _uncertain(summary, point, quantity)
    if known is not None:
        return known.interval()
    own: Interval | None = getattr(point, f"{quantity}_interval", None)
    return own


def _uncertain(summary: Summary, point: PointSummary | None, quantity: str) -> Uncertain | None:
    value = getattr(point, quantity, None)
    if point is None or value is None:
        return None
    hosts = {sample.host for sample in point.samples}
    found = [r for r in summary.repeatability if r.quantity == quantity and r.host in hosts]
    values = [getattr(s, quantity) for s in point.samples if not s.problems]
    measured = [x for x in values if x]
    if not found or not measured:
        return None
    known = max(found, key=lambda r: r.deviation)
    repeats = Repeatability(known.deviation, known.freedom)
    return of_repetitions(value, measured, repeats)


def _number(datum: Datum | None, interval: Interval | None) -> Cell:
    if datum is None:
        return Cell(MISSING)
    half = f" ± {(interval[1] - interval[0]) / 2:#.2g}" if interval else ""
    return Cell(f"{datum.value:{THROUGHPUT}}{half}", doubtful=bool(datum.problems))


def _change(datum: Datum | None) -> Cell:
    if datum is None:
        return Cell(MISSING)
    half = f" ± {(datum.interval[1] - datum.interval[0]) / 2:.1%}" if datum.interval else ""
    return Cell(f"{datum.value:+z.1%}{half}", doubtful=bool(datum.problems))


def _each(values: Mapping[int, float], form: str = ".1%") -> str:
    """Write a value for each number of CPU VMs, in their order."""
    words = [format(value, form).replace("%", "\N{NO-BREAK SPACE}%") for value in values.values()]
    return listed(words)
