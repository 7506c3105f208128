"""CPUs, virtual CPUs and events in order of time; what runs where is a scheduler's decision.

Times are whole nanoseconds: sums stay exact, and no event comes before its cause by rounding.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

MS = 1_000_000
US = 1_000
SECOND = 1_000_000_000
NEVER = 1 << 62

#: A timer of Xen's goes off up to so much late (xen/common/timer.c: TIMER_SLOP), so that no two
#: periodic things on a host stay in step for long.
TIMER_SLOP = 50 * US


class Compute(NamedTuple):
    """Use so much CPU time."""

    ns: int


class SpinUntil(NamedTuple):
    """Use the CPU until this moment; whoever does not run then notices when it runs again."""

    at: int


class SleepUntil(NamedTuple):
    """Leave the CPU until this moment, or until somebody wakes the virtual CPU."""

    at: int


Action = Compute | SpinUntil | SleepUntil
Program = Iterator[Action]

NOTHING = Compute(0)


@dataclass(eq=False, slots=True)
class Vcpu:
    """A virtual CPU and the program on it.

    Attributes
    ----------
    vm: the name of its VM.
    program: what it does; at its end the virtual CPU sleeps for ever.
    weight: of its VM.
    cap: CPUs that its VM may use at most; 0: no cap.  Only credit knows caps here.
    cpus: physical CPUs that it may run on.
    used: CPU time so far, ns.
    wakes: how often it was woken.
    cpu: where it runs, or ran last.
    left: CPU time that its Compute has left, ns.
    began: since when what runs has not been charged.
    action: what the program does now.
    naps: how often it fell asleep or was woken, so that the end of an old nap is known by it.
    of_scheduler: what the scheduler keeps of it.
    """

    vm: str
    program: Program
    weight: int
    cpus: tuple[int, ...]
    cap: float = 0.0
    used: int = 0
    wakes: int = 0
    cpu: int = 0
    runnable: bool = True
    running: bool = False
    action: Action = NOTHING
    left: int = 0
    began: int = 0
    naps: int = 0
    of_scheduler: Any = None


@dataclass(slots=True)
class Cpu:
    """A physical CPU.

    Attributes
    ----------
    current: what runs; None: idle.
    since: when it was put there.
    slice_end: when the scheduler wants to decide anew.
    turn: grows with each decision, so that what was to end an earlier one is known by it.
    """

    number: int
    current: Vcpu | None = None
    since: int = 0
    slice_end: int = NEVER
    turn: int = 0


class Scheduler(Protocol):
    """Decides what runs.  It keeps the queues; the machine keeps the time."""

    def start(self, machine: Machine) -> None:
        """Begin: all virtual CPUs of *machine* are known, and runnable."""

    def charge(self, vcpu: Vcpu, ns: int) -> None:
        """*vcpu* has run for so long since it was charged last."""

    def wake(self, vcpu: Vcpu) -> Cpu | None:
        """Put *vcpu* into a queue; return the CPU that is to decide anew."""

    def pick(self, cpu: Cpu) -> tuple[Vcpu | None, int]:
        """What runs on *cpu* next, out of its queue, and for how many ns at most."""


@dataclass
class Machine:
    """A host: CPUs, virtual CPUs, and events.

    Attributes
    ----------
    seed: of the phases and of the timers' slop.
    """

    cpus: list[Cpu]
    vcpus: list[Vcpu]
    scheduler: Scheduler
    seed: int = 0
    now: int = 0
    events: int = 0
    _heap: list[tuple[int, int, Callable[..., None], Any]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def at(self, when: int, act: Callable[..., None], what: Any = None) -> None:
        """Have ``act(what)`` called at a moment."""
        heapq.heappush(self._heap, (when, next(self._order), act, what))

    def every(self, period: int, act: Callable[[Any], None], what: Any = None) -> None:
        """Have ``act(what)`` called each *period* ns, a little late, from a random moment on."""

        def again(due: int) -> None:
            act(what)
            self.at(due + period + self.random.randrange(TIMER_SLOP), again, due + period)

        first = self.random.randrange(period)
        self.at(first, again, first)

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until it is so."""
        self.scheduler.start(self)
        for cpu in self.cpus:
            self.decide(cpu)
        while not until():
            self.now, _, act, what = heapq.heappop(self._heap)
            self.events += 1
            act(what)

    def wake(self, vcpu: Vcpu) -> None:
        """Let a sleeping virtual CPU go on."""
        if vcpu.runnable:
            return
        vcpu.runnable = True
        vcpu.wakes += 1
        vcpu.naps += 1  # a nap that was to end later has ended
        if not self._advance(vcpu):
            return
        cpu = self.scheduler.wake(vcpu)
        if cpu is not None:
            self.decide(cpu)

    def decide(self, cpu: Cpu) -> None:
        """Let the scheduler choose anew what runs on a CPU."""
        self.charge(cpu)
        before = cpu.current
        chosen, ns = self.scheduler.pick(cpu)
        if chosen is not before:
            if before is not None:
                before.running = False
            if chosen is not None:
                chosen.running = True
                chosen.cpu = cpu.number
                chosen.began = self.now
            cpu.since = self.now
        cpu.current = chosen
        cpu.slice_end = self.now + ns
        self._continue(cpu)

    def charge(self, cpu: Cpu) -> None:
        """Account what has run so far."""
        vcpu = cpu.current
        if vcpu is None:
            return
        ran = self.now - vcpu.began
        if ran:
            vcpu.began = self.now
            vcpu.used += ran
            vcpu.left -= ran
            self.scheduler.charge(vcpu, ran)

    def _continue(self, cpu: Cpu) -> None:
        cpu.turn += 1
        vcpu = cpu.current
        if vcpu is not None:
            end = self._end_of(vcpu)
            self.at(min(end, cpu.slice_end), self._due, (cpu, cpu.turn))

    def _end_of(self, vcpu: Vcpu) -> int:
        action = vcpu.action
        if isinstance(action, SpinUntil):
            return max(self.now, action.at)
        return self.now + vcpu.left

    def _due(self, what: tuple[Cpu, int]) -> None:
        cpu, turn = what
        if turn != cpu.turn:
            return
        self.charge(cpu)
        vcpu = cpu.current
        assert vcpu is not None
        if self._end_of(vcpu) <= self.now and not self._advance(vcpu):
            vcpu.runnable = False
            self.decide(cpu)
        elif self.now >= cpu.slice_end:
            self.decide(cpu)
        else:
            self._continue(cpu)

    def _advance(self, vcpu: Vcpu) -> bool:
        """Take the program's next actions; False if it sleeps now."""
        for action in vcpu.program:
            vcpu.action = action
            if isinstance(action, SleepUntil):
                if action.at > self.now:
                    self._sleep(vcpu, action.at)
                    return False
            elif isinstance(action, Compute):
                vcpu.left = action.ns
                if action.ns > 0:
                    return True
            elif action.at > self.now:
                return True
        self._sleep(vcpu, NEVER)
        return False

    def _sleep(self, vcpu: Vcpu, at: int) -> None:
        vcpu.runnable = False
        vcpu.naps += 1
        if at < NEVER:
            self.at(at, self._end_nap, (vcpu, vcpu.naps))

    def _end_nap(self, what: tuple[Vcpu, int]) -> None:
        vcpu, nap = what
        if nap == vcpu.naps:
            self.wake(vcpu)
