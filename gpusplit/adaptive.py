"""The policy adaptive: what this guest can see, put into windows, and the control law over it.

Once per window a launch pays for the arithmetic and for reading two counters; all others look a
decision up.  The law itself is adapt.py.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from gpusplit import adapt
from gpusplit.adapt import Control, Mean, Phase, Window
from gpusplit.policy import Decision, Situation
from gpusplit.waiting import MOST_KEYS

#: Seconds that a window lasts, or one launch if that takes longer.
WINDOW = 0.16
#: Stolen time is counted in ticks, of which one may belong to the window before.
TICK = 0.01
#: A window in which the launches took less than this part of the time says nothing about waits.
BUSY_PART = 0.25
#: Numbers of VMs for which a state is kept.
_MOST_COUNTS = 16


@dataclass(slots=True)
class _Kernel:
    """What is known of one kernel at one size: seconds unsplit, seconds per further group."""

    unsplit: Mean = field(default_factory=Mean)
    group_cost: Mean = field(default_factory=Mean)
    decision: Decision | None = None


@dataclass(slots=True)
class _Seen:
    """What was seen in a window: launches, their seconds; those cut, unsplit and as they were."""

    launches: int = 0
    seconds: float = 0.0
    cut_expected: float = 0.0
    cut_seconds: float = 0.0
    reach: int = 1


class Adaptive:
    """Groups such that neighbours gain most at a slow-down of at most *budget*."""

    needs_vm_count = True
    needs_history = False
    observes = True

    def __init__(
        self,
        budget: float,
        clock: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[], float] = time.process_time,
        stolen_seconds: Callable[[], float | None] | None = None,
    ) -> None:
        """budget: 0.05 for 5 %; clock and the counters are in seconds."""
        self.budget = budget
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._stolen_seconds = stolen_seconds or StolenSeconds()
        self._lock = threading.Lock()
        self._alone: dict[int | None, Decision] = {
            None: Decision(1, "the number of VMs is unknown"),
            1: Decision(1, "this VM is alone"),
        }
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._kernels: dict[tuple[Hashable, int], _Kernel] = {}
            self._controls: dict[int, Control] = {}
            self._count: int | None = None
            self._open_window()

    @property
    def control(self) -> Control:
        """The outer loop's state for the VM count of the last launch."""
        return self._controls.get(self._count or 0, Control())

    def decide(self, situation: Situation) -> Decision:
        """The groups of this kernel in this window."""
        count = situation.vm_count
        if count is None or count <= 1:
            self._count = count
            return self._alone[count if count is None else 1]
        if count != self._count:
            self._change_count(count)
        elif self._clock() >= self._due and self._seen.launches:
            self._close_window()
        kernel = self._kernel(situation.kernel, situation.work_items)
        if kernel.decision is None:
            kernel.decision = self._decision(kernel, 1)
        return kernel.decision

    def observe(self, kernel: Hashable, work_items: int, groups: int, seconds: float) -> None:
        """A launch of *kernel* in so many *groups* took so many *seconds*, as the program saw."""
        if seconds <= 0:
            return
        with self._lock:
            found = self._kernel(kernel, work_items)
            seen = self._seen
            seen.launches += 1
            seen.seconds += seconds
            if groups == 1:
                found.unsplit.add(seconds)
            unsplit = found.unsplit.value
            if unsplit is None:
                return
            if groups > 1:
                found.group_cost.add((seconds - unsplit) / (groups - 1))
                seen.cut_expected += unsplit
                seen.cut_seconds += seconds
            most = adapt.reach(unsplit, found.group_cost.value, self.budget)
            seen.reach = max(seen.reach, most)

    def _kernel(self, kernel: Hashable, work_items: int) -> _Kernel:
        key = (kernel, work_items)
        found = self._kernels.get(key)
        if found is None:
            if len(self._kernels) >= MOST_KEYS:
                self._kernels.clear()
            found = self._kernels.setdefault(key, _Kernel())
        return found

    def _open_window(self) -> None:
        self._began = self._clock()
        self._due = self._began + WINDOW
        self._cpu_before = self._cpu_seconds()
        self._stolen_before = self._stolen_seconds()
        self._seen = _Seen()

    def _change_count(self, count: int) -> None:
        """Go on where it was left when so many VMs ran last."""
        with self._lock:
            if len(self._controls) >= _MOST_COUNTS:
                self._controls.clear()
            self._controls.setdefault(count, Control())
            self._count = count
            self._decide_all()
            self._open_window()

    def _close_window(self) -> None:
        with self._lock:
            seen, wall = self._seen, self._clock() - self._began
            count = self._count
            if wall < WINDOW or count is None:
                return  # another thread was faster
            if seen.seconds >= BUSY_PART * wall:
                stolen, before = self._stolen_seconds(), self._stolen_before
                if stolen is not None and before is not None:
                    stolen = max(0.0, stolen - before - TICK) / wall
                slow_down = None
                if seen.cut_expected > 0:
                    slow_down = seen.cut_seconds / seen.cut_expected - 1
                window = Window(
                    cpu_used=(self._cpu_seconds() - self._cpu_before) / wall,
                    stolen=None if before is None else stolen,
                    slow_down=slow_down,
                    reach=seen.reach,
                )
                self._controls[count] = adapt.step(self._controls[count], window, self.budget)
                self._decide_all()
            self._open_window()

    def _decide_all(self) -> None:
        for kernel in list(self._kernels.values()):  # others may find new ones meanwhile
            current = 1 if kernel.decision is None else kernel.decision.groups
            decision = self._decision(kernel, current)
            # The same object where nothing changed: plans are remembered by it.
            if decision != kernel.decision:
                kernel.decision = decision

    def _decision(self, kernel: _Kernel, current: int) -> Decision:
        control = self.control
        groups = 1
        unsplit, cost = kernel.unsplit.value, kernel.group_cost.value
        if control.level > 1 and unsplit is not None:
            if cost is None:
                groups = adapt.LADDER[1]
            else:
                groups = adapt.fit(current, control.level, unsplit, cost, self.budget)
        reason = f"policy adaptive: {control.reason}"
        if groups < control.level and control.phase is Phase.SPLIT:
            reason += f"; {groups} here, for the budget"
        return Decision(groups, reason)


class StolenSeconds:
    """CPU time that this VM wanted and the host gave to others, from /proc/stat.

    A counter that never moved since the start of the system counts as none: not every host tells.
    """

    def __init__(self, path: str = "/proc/stat") -> None:
        """Open *path* once: it is read again and again."""
        self._tick = 1.0 / os.sysconf("SC_CLK_TCK")
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._file)

    def __call__(self) -> float | None:
        """Seconds, summed over the CPUs; None where unknown."""
        if self._file is None:
            return None
        try:
            # The first line is the sum: cpu user nice system idle iowait irq softirq steal ...
            ticks = int(os.pread(self._file, 256, 0).split(b"\n", 1)[0].split()[8])
        except (OSError, ValueError, IndexError):
            return None
        return ticks * self._tick if ticks else None
