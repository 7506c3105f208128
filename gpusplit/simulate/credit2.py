"""Xen's credit2 scheduler, after xen/common/sched/credit2.c of Xen 4.17.

All CPUs of a socket share one queue, ordered by credit.  Who runs burns credit, the slower the
more weight it has, and goes on until somebody in the queue has more.  When the one to run next has
none left, everybody gets 10 ms more.  Who wakes up takes the CPU of whoever has least credit, if
that is less than its own: there is no boost, but who sleeps burns nothing.

Left out: caps, soft affinity, moving between sockets' queues, and hyper-threads.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from gpusplit.simulate.machine import MS, NEVER, US, Cpu, Machine, Vcpu

INITIAL = 10 * MS
CARRY_OVER = 500 * US
LEAST_RUN, MOST_RUN = 500 * US, 10 * MS
#: What a virtual CPU must have more to move to another CPU (sched_credit2_migrate_resist).
MIGRATE_RESIST = 500 * US


@dataclass(eq=False, slots=True)
class _Account:
    credit: float = float(INITIAL)


@dataclass
class Credit2:
    """The scheduler.

    Attributes
    ----------
    limit_ns: the rate limit (`xl sched-credit2 -s -r ...`).
    socket_cpus: CPUs of a socket, which share a queue; 0: all.
    """

    limit_ns: int = 1000 * US
    socket_cpus: int = 0
    _queues: list[list[Vcpu]] = field(default_factory=list)

    def start(self, machine: Machine) -> None:
        """Begin with everybody's credit alike, and the sockets with as many virtual CPUs."""
        self._machine = machine
        size = self.socket_cpus or len(machine.cpus)
        self._socket = [cpu.number // size for cpu in machine.cpus]
        self._queues = [[] for _ in range(self._socket[-1] + 1)]
        self._members: list[list[Vcpu]] = [[] for _ in self._queues]
        self._of: dict[int, int] = {}
        for vcpu in machine.vcpus:
            vcpu.of_scheduler = _Account()
            possible = sorted({self._socket[number] for number in vcpu.cpus})
            socket = min(possible, key=lambda s: len(self._members[s]))
            self._members[socket].append(vcpu)
            self._of[id(vcpu)] = socket
            vcpu.cpu = next(n for n in vcpu.cpus if self._socket[n] == socket)
            self._queues[socket].append(vcpu)
        self._most = [max((v.weight for v in vs), default=1) for vs in self._members]

    def charge(self, vcpu: Vcpu, ns: int) -> None:
        """Burn credit: the VM with the most weight burns as much as it runs."""
        vcpu.of_scheduler.credit -= ns * self._most[self._of[id(vcpu)]] / vcpu.weight

    def wake(self, vcpu: Vcpu) -> Cpu | None:
        """Queue; an idle CPU, or that of whoever has least credit, is to decide anew."""
        machine = self._machine
        socket = self._of[id(vcpu)]
        self._insert(vcpu, self._queues[socket])
        mine = [machine.cpus[n] for n in vcpu.cpus if self._socket[n] == socket]
        idle = [cpu for cpu in mine if cpu.current is None]
        if idle:
            return next((cpu for cpu in idle if cpu.number == vcpu.cpu), idle[0])
        for cpu in mine:
            machine.charge(cpu)

        def beats(cpu: Cpu) -> float:
            assert cpu.current is not None
            resist = 0 if cpu.number == vcpu.cpu else MIGRATE_RESIST
            return float(vcpu.of_scheduler.credit - cpu.current.of_scheduler.credit - resist)

        best = max(mine, key=beats)
        return best if beats(best) > 0 else None

    def pick(self, cpu: Cpu) -> tuple[Vcpu | None, int]:
        """The one with the most credit; who runs goes on if nobody has more."""
        current = cpu.current
        socket = self._socket[cpu.number]
        queue = self._queues[socket]
        ran = self._machine.now - cpu.since
        best = current if current is not None and current.runnable else None
        if best is not None and ran < self.limit_ns:
            return best, self.limit_ns - ran
        least = -NEVER if best is None else best.of_scheduler.credit
        chosen = best
        for vcpu in queue:
            credit = vcpu.of_scheduler.credit
            if credit <= least:
                break
            resist = 0 if vcpu.cpu == cpu.number else MIGRATE_RESIST
            if cpu.number in vcpu.cpus and credit - resist >= least:
                chosen = vcpu
                break
        if chosen is None:
            return None, NEVER
        if chosen is not best:
            queue.remove(chosen)
            if best is not None:
                self._insert(best, queue)
        if chosen.of_scheduler.credit <= 0:
            self._reset(socket, chosen)
        return chosen, self._time(chosen, queue, socket)

    def _insert(self, vcpu: Vcpu, queue: list[Vcpu]) -> None:
        """In order of credit, which nobody in a queue burns; behind those that have as much."""
        bisect.insort_right(queue, vcpu, key=_owed)

    def _reset(self, socket: int, chosen: Vcpu) -> None:
        """Give everybody of a socket what *chosen* needs to have credit again."""
        credit = chosen.of_scheduler.credit
        times = 1 + (int(-credit) // INITIAL if credit < -INITIAL else 0)
        for cpu in self._machine.cpus:
            if self._socket[cpu.number] == socket:
                self._machine.charge(cpu)
        for vcpu in self._members[socket]:
            account: _Account = vcpu.of_scheduler
            account.credit = min(account.credit + times * INITIAL, INITIAL + CARRY_OVER)

    def _time(self, chosen: Vcpu, queue: list[Vcpu], socket: int) -> int:
        """Until *chosen* has less credit than the next (csched2_runtime)."""
        # Whoever has just been put off is in the queue from the next decision on.
        waiting = next((v.of_scheduler.credit for v in queue if not v.running), 0.0)
        more = chosen.of_scheduler.credit - max(waiting, 0.0)
        ns = int(more * chosen.weight / self._most[socket])
        return max(LEAST_RUN, self.limit_ns, min(ns, MOST_RUN))


def _owed(vcpu: Vcpu) -> float:
    account: _Account = vcpu.of_scheduler
    return -account.credit
