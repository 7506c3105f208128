"""The control law of the policy adaptive: pure arithmetic over what was measured.

Two loops.  The inner one, fit(), keeps every kernel's number of groups such that its predicted
slow-down stays within the budget.  The outer one, step(), finds by experiment whether cutting helps
the neighbours at all: all that they can gain is CPU time which this VM uses, so that is what is
compared.  Time counts in windows: how long one is, is not known here.  docs/adaptive.md has the
law, and why it does not oscillate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

#: The numbers of groups that are tried, each about three times the one before: 20 groups bring
#: little more than 10 (the paper's Fig. 4), and finer steps would only take longer to try.
LADDER = (1, 2, 6, 18)
#: CPUs (0.05: 5 % of one) that are worth an effort: that this VM must use, that others must want
#: and that they must gain before anything is cut for them.
WORTH = 0.05
#: Windows after an experiment before the next; doubled each time, since a host seldom changes.
FIRST_REST, LONGEST_REST = 30, 480
#: Windows in a row that end a split (a trial): above the budget (without a cut); and without
#: anybody who wants the CPU, at least so many, and one in so many of those to rest.
STRIKES = 3
QUIET, REST_PER_QUIET = 4, 10
#: Parts of the budget: groups are chosen for a cost of AIM; a number in use is lowered above 1 and
#: raised only from below ROOM, so that noise between the two changes nothing.
AIM, ROOM = 0.8, 0.6
#: Measurements whose mean is held for true; of more, the last count most.
REMEMBERED = 10


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured while one number of groups was in force.

    Attributes
    ----------
    cpu_used: CPUs that this process used (0.5: half of one).
    stolen: CPUs that this VM wanted and others got; None where the host does not tell.
    slow_down: of the launches that were cut, over their unsplit times; None where none was.
    reach: the most groups that any kernel can be cut into within the budget.
    """

    cpu_used: float
    stolen: float | None
    slow_down: float | None
    reach: int


class Phase(Enum):
    """Where the outer loop is."""

    UNSPLIT = "unsplit"
    """Nothing is cut; once rested, an experiment begins if there is something to give."""
    TRY = "trying"
    """One number of groups after the other, a window each."""
    CHECK_UNSPLIT = "checking, unsplit"
    CHECK_SPLIT = "checking, split"
    """The best of them once more against unsplit: one window may be luck."""
    SPLIT = "split"
    """The last experiment showed a gain."""


@dataclass(frozen=True, slots=True)
class Control:
    """The outer loop's state, for one number of running VMs.

    Attributes
    ----------
    phase: where it is.
    level: the most groups that any launch is cut into.
    reason: why, in words.
    unsplit_use: CPUs used in the last unsplit window.
    best: the level with the least use in this experiment, and that use; None: none yet.
    rest: windows until the next experiment.
    patience: windows to rest after it.
    strikes: windows in a row above the budget, or in a trial without a launch that was cut.
    quiet: windows in a row in which nobody wanted the CPU; None until somebody did.
    """

    phase: Phase = Phase.UNSPLIT
    level: int = 1
    reason: str = "not measured yet"
    unsplit_use: float = 0.0
    best: tuple[int, float] | None = None
    rest: int = 0
    patience: int = FIRST_REST
    strikes: int = 0
    quiet: int | None = None


def fit(current: int, level: int, seconds: float, group_cost: float, budget: float) -> int:
    """Groups for a kernel of unsplit *seconds* whose further groups cost *group_cost* seconds each.

    current: its groups up to now; budget: the part by which it may become slower.

    >>> fit(1, 18, 1.0, 0.001, 0.05)
    18
    >>> fit(18, 18, 1.0, 0.010, 0.05)
    5
    """
    allowed = budget * seconds
    group_cost = max(0.0, group_cost)
    aim = _most(AIM * allowed, group_cost)
    if current > level or (current - 1) * group_cost > allowed:
        return min(level, aim)
    if (current - 1) * group_cost >= ROOM * allowed:
        return current
    return max(current, min(level, aim))


def reach(seconds: float, group_cost: float | None, budget: float) -> int:
    """The most groups that such a kernel can be cut into within *budget*."""
    return LADDER[1] if group_cost is None else _most(AIM * budget * seconds, max(0.0, group_cost))


def _most(seconds: float, group_cost: float) -> int:
    """Groups whose costs add up to at most *seconds*."""
    most = LADDER[-1]
    return most if (most - 1) * group_cost <= seconds else 1 + int(seconds / group_cost + 1e-6)


@dataclass(slots=True)
class Mean:
    """The mean of the last measurements, roughly; None before the first."""

    value: float | None = None
    count: int = 0

    def add(self, measured: float) -> None:
        """One more."""
        self.count = min(self.count + 1, REMEMBERED)
        before = 0.0 if self.value is None else self.value
        self.value = before + (measured - before) / self.count


def step(control: Control, window: Window, budget: float) -> Control:
    """The outer loop's next state, after *window* with *control* in force."""
    over = window.slow_down is not None and window.slow_down > budget
    match control.phase:
        case Phase.UNSPLIT:
            return _unsplit(control, window)
        case Phase.TRY:
            return _try(control, window, over)
        case Phase.CHECK_UNSPLIT:
            assert control.best is not None
            level, use = control.best[0], window.cpu_used
            return replace(control, phase=Phase.CHECK_SPLIT, level=level, unsplit_use=use)
        case Phase.CHECK_SPLIT:
            gain = control.unsplit_use - window.cpu_used
            if over or not _pays(gain, window):
                return _stay_unsplit(control, f"{control.level} groups freed no CPU")
            reason = f"{control.level} groups free {gain:.0%} of a CPU"
            return _rest(control, Phase.SPLIT, control.level, reason)
    return _split(control, window, over)


def _unsplit(control: Control, window: Window) -> Control:
    if control.rest > 0:
        return replace(control, rest=control.rest - 1)
    if window.cpu_used < WORTH:
        reason = "waits use next to no CPU, there is none to give"
    elif window.stolen is not None and window.stolen < WORTH:
        reason = "nobody else wants the CPU"
    elif window.reach < LADDER[1]:
        reason = "no kernel can be cut within the budget"
    else:
        return replace(
            control, phase=Phase.TRY, level=LADDER[1], reason="trying what frees CPU",
            unsplit_use=window.cpu_used, best=None, strikes=0,
        )  # fmt: skip
    return control if reason == control.reason else replace(control, reason=reason)


def _try(control: Control, window: Window, over: bool) -> Control:
    if window.slow_down is None:
        # Launches that were on their way may come first.
        if control.strikes + 1 < STRIKES:
            return replace(control, strikes=control.strikes + 1)
        return _stay_unsplit(control, "no launch could be cut")
    pays = not over and _pays(control.unsplit_use - window.cpu_used, window)
    if pays and (control.best is None or window.cpu_used < control.best[1]):
        control = replace(control, best=(control.level, window.cpu_used))
    higher = [level for level in LADDER if level > control.level]
    # The next number is worth a try only if some kernel can be cut into more groups than now.
    if higher and not over and window.reach > control.level:
        return replace(control, level=higher[0])
    if control.best is None:
        if over and control.level == LADDER[1]:
            return _stay_unsplit(control, "any cut costs more than the budget")
        return _stay_unsplit(control, "no number of groups freed CPU")
    return replace(control, phase=Phase.CHECK_UNSPLIT, level=1)


def _pays(gain: float, window: Window) -> bool:
    """Whether neighbours gain enough, and not less than the GPU job loses."""
    return gain >= max(WORTH, window.slow_down or 0.0)


def _split(control: Control, window: Window, over: bool) -> Control:
    strikes = control.strikes + 1 if over else 0
    if strikes >= STRIKES:
        return _stay_unsplit(control, "the cuts cost more than the budget")
    quiet = control.quiet
    if window.stolen is not None:
        # A split that works may hide the others: only those that were seen can go away.
        if window.stolen >= WORTH:
            quiet = 0
        elif quiet is not None:
            quiet = quiet + 1 if window.stolen < WORTH / 2 else 0
    if quiet is not None and quiet >= max(QUIET, control.patience // REST_PER_QUIET):
        return replace(
            control, phase=Phase.UNSPLIT, level=1, rest=0, strikes=0, quiet=None,
            reason="nobody else wants the CPU any more",
        )  # fmt: skip
    if control.rest > 0:
        return replace(control, rest=control.rest - 1, strikes=strikes, quiet=quiet)
    return replace(
        control, phase=Phase.UNSPLIT, level=1, strikes=0, quiet=None,
        reason="unsplit once more, for comparison",
    )  # fmt: skip


def _stay_unsplit(control: Control, reason: str) -> Control:
    return _rest(control, Phase.UNSPLIT, 1, reason)


def _rest(control: Control, phase: Phase, level: int, reason: str) -> Control:
    """After an experiment: leave things as they are, the next time for twice as long."""
    return replace(
        control, phase=phase, level=level, reason=reason, strikes=0, quiet=None,
        rest=control.patience, patience=min(2 * control.patience, LONGEST_REST),
    )  # fmt: skip
