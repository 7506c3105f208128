"""What figures show, in a sentence or two made from their numbers.

They say what came out, whichever way it came out: they are built from the values, and no word
in them takes a result for granted. Values that cannot be trusted are left out, and named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from harness.keep.summary import Summary
from harness.plan.experiments import Mode
from harness.report.series import Panel, Series, span
from harness.report.style import MODE_NAMES

NOTHING = "The run has no trustworthy number for this figure."

NAMED = 4
"""How many doubtful numbers are named before the rest is only counted."""

STEP = 0.1
"""Percentage points below which a step is not told in figures."""

SAME = 0.0005
"""Relative changes below this would be printed as 0.0 %."""


def per_cent(value: float) -> str:
    """Write a share in per cent, without a sign."""
    return f"{abs(value) * 100:.1f}\N{NO-BREAK SPACE}%"


def changes(values: Iterable[float], more: str, less: str) -> str:
    """Say in words by how much something changed, such as `2.0 % to 9.5 % faster`."""
    reach = span(values)
    if reach is None:
        return "not known"
    low, high = reach
    if max(-low, high) < SAME:
        return f"neither {more} nor {less}"
    if low > -SAME:
        return f"{_from_to(max(low, 0), high)} {more}"
    if high < SAME:
        return f"{_from_to(min(high, 0), low)} {less}"
    return f"between {per_cent(low)} {less} and {per_cent(high)} {more}"


def at(numbers: Collection[int]) -> str:
    """Write numbers of CPU VMs, such as `n = 1, 2 and 4`."""
    return f"n = {listed([str(n) for n in sorted(numbers)])}"


def doubts(panels: Iterable[Panel]) -> str:
    """Name what could not be trusted or is missing; an empty string if there is nothing."""
    names = [f"{name} ({panel.title})" for panel in panels for name in panel.doubtful()]
    if not names:
        return ""
    rest = f"; and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"Not counted, because invalid or missing: {'; '.join(names[:NAMED])}{rest}."


def more_vms(cpu: Panel, gpu: Panel) -> str:
    """Fig. 2."""
    same, more, beside = (cpu.trusted(series) for series in cpu.series)
    seconds = gpu.trusted(gpu.series[0])
    alone = seconds.pop(0, None)
    clauses = []
    if against_same := ratios(beside, same):
        words = changes(against_same.values(), "faster", "slower")
        clauses.append(f"beside the unsplit GPU job a CPU VM is {words} than with no GPU VM")
    if against_more := ratios(beside, more):
        words = changes(against_more.values(), "faster", "slower")
        clauses.append(f"against one more CPU VM in the GPU VM's place it is {words}")
    if alone and seconds:
        words = changes((value / alone - 1 for value in seconds.values()), "slower", "faster")
        clauses.append(f"the GPU job is {words} than alone")
    return sentence(clauses)


def groups_cpu(panels: tuple[Panel, ...]) -> str:
    """Fig. 4."""
    clauses = [
        f"with {panel.title} CPU VMs are {words} than beside the unsplit job"
        for panel in panels
        if (words := _fewest_and_most(panel, "faster", "slower"))
    ]
    if clauses and panels[0].limits:
        clauses.append(f"physically possible are {_from_to(*_reach(panels[0].limits))}")
    steps = [step for panel in panels if (step := _last_step(panel))]
    return " ".join([sentence(clauses), *steps, *_behind(panels)])


def groups_gpu(panels: tuple[Panel, ...]) -> str:
    """Fig. 5."""
    clauses = [
        f"with {panel.title} the GPU job is {words} than unsplit"
        for panel in panels
        if (words := _fewest_and_most(panel, "slower", "faster"))
    ]
    return " ".join([sentence(clauses), *_bound(panels)])


def best_alpha(summary: Summary, cpu: Panel, gpu: Panel) -> str:
    """Fig. 6."""
    trusted = {series.colour: cpu.trusted(series) for series in cpu.series}
    costs = {series.colour: gpu.trusted(series) for series in gpu.series}
    gains = {
        mode: ratios(trusted.get(mode, {}), trusted.get(Mode.UNSPLIT, {}))
        for mode in (Mode.GPUSPLIT, Mode.PAPER)
    }
    clauses = []
    for mode, gain in gains.items():
        if gain:
            words = changes(gain.values(), "faster", "slower")
            name = MODE_NAMES[mode]
            clauses.append(f"with {name} CPU VMs are {words} than beside the unsplit job")
        if costs.get(mode):
            words = changes(costs[mode].values(), "slower", "faster")
            clauses.append(f"its GPU job is {words} than unsplit")
    sentences = [sentence(clauses)]
    limits = summary.physical_limits
    ours = gains[Mode.GPUSPLIT]
    shares = [gain / limits[str(n)] for n, gain in ours.items() if limits.get(str(n))]
    if shares:
        low, high = min(shares), max(shares)
        sentences.append(
            f"Of the gain that is physically possible gpusplit reaches "
            f"{per_cent(low)} to {per_cent(high)}."
        )
    behind = [n for n, gain in ours.items() if gain < gains[Mode.PAPER].get(n, gain)]
    if behind:
        sentences.append(f"At {at(behind)} the paper's method gains more than gpusplit.")
    return " ".join([*sentences, *_bound([gpu])])


def many_groups(cpu: Panel, gpu: Panel) -> str:
    """500 groups."""
    clauses = [
        f"with {series.name} CPU VMs are "
        f"{changes(gain.values(), 'faster', 'slower')} than beside the unsplit job"
        for series in _most(cpu)
        if (gain := cpu.trusted(series))
    ]
    costs = [
        f"with {series.name} the GPU job is "
        f"{changes(cost.values(), 'slower', 'faster')} than unsplit"
        for series in _most(gpu)
        if (cost := gpu.trusted(series))
    ]
    return sentence(clauses + costs)


def ablation(cpu: Panel, gpu: Panel) -> str:
    """What waiting, splitting and groups in flight do, each alone and together."""
    gains = {series.colour: cpu.trusted(series) for series in cpu.series}
    costs = {series.colour: gpu.trusted(series) for series in gpu.series}
    names = {
        Mode.UNSPLIT_COOPERATIVE: "the cooperative wait alone",
        Mode.PAPER: "splitting alone",
        Mode.PAPER_AHEAD: "splitting and several groups in flight",
        Mode.GPUSPLIT_SINGLE: "splitting and the cooperative wait",
        Mode.GPUSPLIT: "all together",
    }
    clauses = []
    for mode, name in names.items():
        if gain := gains.get(mode):
            clause = f"with {name} CPU VMs are {changes(gain.values(), 'faster', 'slower')}"
            if cost := costs.get(mode):
                clause += f" and the GPU job is {changes(cost.values(), 'slower', 'faster')}"
            clauses.append(clause)
    if clauses:
        clauses[0] = f"against unsplit, {clauses[0]}"
    sentences = [*_as_well_by_waiting(gains), sentence(clauses)]
    split, wait = gains.get(Mode.PAPER, {}), gains.get(Mode.UNSPLIT_COOPERATIVE, {})
    common = split.keys() & wait.keys()
    for name, other, numbers in (
        ("waiting", "splitting", [n for n in common if wait[n] > split[n]]),
        ("splitting", "waiting", [n for n in common if split[n] > wait[n]]),
    ):
        if numbers:
            sentences.append(f"At {at(numbers)} {name} gives the CPU VMs more than {other}.")
    return " ".join(sentences)


AS_WELL = 0.01
"""Throughputs this close, relatively, are equal, as for the choice of the best alpha."""


def _as_well_by_waiting(gains: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Say where the cooperative wait alone does for CPU VMs what all together does."""
    wait, both = gains.get(Mode.UNSPLIT_COOPERATIVE, {}), gains.get(Mode.GPUSPLIT, {})
    common = wait.keys() & both.keys()
    alike = [n for n in common if (1 + both[n]) / (1 + wait[n]) - 1 <= AS_WELL]
    if not alike:
        return []
    return [f"At {at(alike)} waiting alone does as much for the CPU VMs as all together."]


def adaptive(cpu: Panel, gpu: Panel) -> str:
    """The policy adaptive beside the best fixed alpha: what either does against unsplit."""
    clauses = []
    for panel, more, less, whose in (
        (cpu, "more", "less", "the CPU VMs' throughput"),
        (gpu, "longer", "shorter", "the GPU job's time"),
    ):
        fixed, found = (panel.trusted(series) for series in panel.series)
        # Both are relative to unsplit.
        other = {n: (1 + found[n]) / (1 + fixed[n]) - 1 for n in fixed.keys() & found.keys()}
        if other:
            words = changes(other.values(), more, less)
            clauses.append(f"{whose} is {words} with the policy adaptive")
    if clauses:
        clauses[0] = f"against the best fixed alpha, {clauses[0]}"
    return " ".join([sentence(clauses), *_bound([gpu])])


def _fewest_and_most(panel: Panel, more: str, less: str) -> str:
    """Say what the fewest and the most groups change in a diagram by groups."""
    told = [series for series in panel.series if panel.trusted(series)]
    words = {
        series.name: changes(panel.trusted(series).values(), more, less)
        for series in told[:1] + told[1:][-1:]
    }
    if len(words) == 2 and len(set(words.values())) == 1:
        return f"{words[told[0].name]} in {told[0].name} and in {told[-1].name}"
    return listed([f"{text} in {name}" for name, text in words.items()]) if words else ""


def _last_step(panel: Panel) -> str:
    """Say what the most groups gain over the next fewer, in points of per cent."""
    if len(panel.series) < 2:
        return ""
    fewer, most = panel.series[-2:]
    before, after = panel.trusted(fewer), panel.trusted(most)
    steps = [after[n] - before[n] for n in after.keys() & before.keys()]
    if not steps:
        return ""
    low, high = min(steps) * 100, max(steps) * 100
    reach = f"{low:+z.1f} to {high:+z.1f}" if max(-low, high) >= STEP else f"less than {STEP}"
    return (
        f"With {panel.title}, {most.name} instead of {fewer.name} change the gain by "
        f"{reach} percentage points."
    )


def _behind(panels: tuple[Panel, ...]) -> list[str]:
    """Say where the paper's method does more for the CPU VMs than gpusplit."""
    if len(panels) != 2:
        return []
    paper, ours = (
        {(s.name, n): v for s in panel.series for n, v in panel.trusted(s).items()}
        for panel in panels
    )
    common = paper.keys() & ours.keys()
    behind = [
        f"{groups} at n = {n}"
        for groups, n in ours
        if (groups, n) in common and ours[groups, n] < paper[groups, n]
    ]
    if not behind:
        return []
    return [
        f"In {len(behind)} of {len(common)} points the paper's method gains more than gpusplit: "
        f"{listed(behind)}."
    ]


def _most(panel: Panel) -> list[Series]:
    """Return each mode's series with the most groups: the last one of its colour."""
    return list({series.colour: series for series in panel.series}.values())


def _bound(panels: Iterable[Panel]) -> list[str]:
    """Say whether the bound on the GPU job's slow-down is kept."""
    bounded = [(panel, panel.bound) for panel in panels if panel.bound is not None]
    if not any(panel.trusted(series) for panel, _ in bounded for series in panel.series):
        return []
    over = [
        f"{panel.title}, {series.name} at {at(beyond)}"
        for panel, bound in bounded
        for series in panel.series
        if (beyond := [n for n, value in panel.trusted(series).items() if value > bound])
    ]
    bound = per_cent(bounded[0][1])
    if over:
        return [f"Over the bound of {bound} for the GPU job: {'; '.join(over)}."]
    return [f"The bound of {bound} for the GPU job is kept."]


def ratios(values: Mapping[int, float], base: Mapping[int, float]) -> dict[int, float]:
    """Return by how much values differ from others, relative to those, where both are there."""
    return {n: value / base[n] - 1 for n, value in values.items() if base.get(n)}


def _reach(limits: Mapping[int, float]) -> tuple[float, float]:
    return min(limits.values()), max(limits.values())


def _from_to(one: float, other: float) -> str:
    low, high = per_cent(one), per_cent(other)
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """Join words as prose does: one, two and three."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def sentence(clauses: list[str]) -> str:
    """Join clauses to a sentence."""
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else NOTHING
