"""Xen's credit scheduler, after xen/common/sched/credit.c of Xen 4.17.

Each 30 ms (the time slice) credits are given to the active virtual CPUs by weight; who runs burns
10 a millisecond.  Below 0 a virtual CPU is OVER and runs after all that are UNDER.  Who wakes up
UNDER is BOOSTed before both, until a tick (each 10 ms) finds it running.  Only such a tick makes a
virtual CPU active, so that one which uses the CPU a little at a time is seldom accounted at all.
Each CPU has a queue, and looks into the others' before it idles or runs what is OVER.

Left out: the load balancer's choice between hyper-threads and cores, soft affinity, and parking by
caps within a slice (a capped VM is parked at the accounting, as in Xen).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gpusplit.simulate.machine import MS, NEVER, US, Cpu, Machine, Vcpu

BOOST, UNDER, OVER, IDLE = 0, -1, -2, -64
CREDITS_PER_MS = 10
TICKS_PER_SLICE = 3


@dataclass(eq=False, slots=True)
class _Account:
    """What the scheduler keeps of a virtual CPU; credits are in milliseconds x 10."""

    credit: float = 0.0
    priority: int = UNDER
    active: bool = False
    parked: bool = False


@dataclass
class Credit:
    """The scheduler.

    Attributes
    ----------
    slice_ns, limit_ns: time slice and rate limit (`xl sched-credit -s -t ... -r ...`).
    accounted_cpus: CPUs of the pool, which credits are given out for; 0: those of the machine.
        Guests that are pinned to some of them are given more than they can burn.
    boosts: whether who wakes up goes before the others; only to see what the boost does.
    """

    slice_ns: int = 30 * MS
    limit_ns: int = 1000 * US
    accounted_cpus: int = 0
    boosts: bool = True
    _queues: list[list[Vcpu]] = field(default_factory=list)
    _balance: float = 0.0

    def start(self, machine: Machine) -> None:
        """Begin with everybody UNDER, spread over the CPUs."""
        self._machine = machine
        self._queues = [[] for _ in machine.cpus]
        self._slice_credits = self.slice_ns / MS * CREDITS_PER_MS
        for i, vcpu in enumerate(machine.vcpus):
            vcpu.of_scheduler = _Account(credit=self._slice_credits / 2)
            vcpu.cpu = vcpu.cpus[i % len(vcpu.cpus)]
            self._insert(vcpu)
        for cpu in machine.cpus:
            machine.every(self.slice_ns // TICKS_PER_SLICE, self._tick, cpu)
        machine.every(self.slice_ns, self._account)

    def charge(self, vcpu: Vcpu, ns: int) -> None:
        """Burn credits."""
        vcpu.of_scheduler.credit -= ns * CREDITS_PER_MS / MS

    def wake(self, vcpu: Vcpu) -> Cpu | None:
        """Boost and queue; a CPU that idles or runs what counts less is to decide anew."""
        account: _Account = vcpu.of_scheduler
        if self.boosts and account.priority == UNDER and not account.parked:
            account.priority = BOOST
        if account.parked:
            return None
        self._insert(vcpu)
        cpus = self._machine.cpus
        own = cpus[vcpu.cpu]
        if own.current is None:
            return own
        idle = [cpus[number] for number in vcpu.cpus if cpus[number].current is None]
        if idle:
            return idle[0]
        return own if account.priority > _priority(own.current) else None

    def pick(self, cpu: Cpu) -> tuple[Vcpu | None, int]:
        """The first of the queue, or of another CPU's if that counts more."""
        current = cpu.current
        can_go_on = current is not None and current.runnable and not current.of_scheduler.parked
        ran = self._machine.now - cpu.since
        if can_go_on and ran < self.limit_ns:
            return current, self.limit_ns - ran
        if can_go_on:
            assert current is not None
            self._insert(current)
        queue = self._queues[cpu.number]
        best = _priority(queue[0]) if queue else IDLE
        if best <= OVER:
            stolen = self._steal(cpu, best)
            if stolen is not None:
                return stolen, self.slice_ns
        return (queue.pop(0), self.slice_ns) if queue else (None, NEVER)

    def _steal(self, cpu: Cpu, least: int) -> Vcpu | None:
        """Take what counts more than *least* from another CPU's queue; the next CPU's first."""
        count = len(self._queues)
        for step in range(1, count):
            queue = self._queues[(cpu.number + step) % count]
            for i, vcpu in enumerate(queue):
                if _priority(vcpu) <= least:
                    break
                # What another CPU is just about to leave is still on it.
                if cpu.number in vcpu.cpus and not vcpu.running:
                    return queue.pop(i)
        return None

    def _insert(self, vcpu: Vcpu) -> None:
        """Behind all that count as much."""
        queue = self._queues[vcpu.cpu]
        priority = _priority(vcpu)
        place = next((i for i, v in enumerate(queue) if _priority(v) < priority), len(queue))
        queue.insert(place, vcpu)

    def _tick(self, cpu: Cpu) -> None:
        self._machine.charge(cpu)
        if cpu.current is not None:
            account: _Account = cpu.current.of_scheduler
            if account.priority == BOOST:
                account.priority = UNDER
            account.active = True
        self._queues[cpu.number].sort(key=_priority, reverse=True)

    def _account(self, _: None) -> None:
        """Give out credits (csched_acct)."""
        machine = self._machine
        for cpu in machine.cpus:
            machine.charge(cpu)
        active = [vcpu for vcpu in machine.vcpus if vcpu.of_scheduler.active]
        weights = sum(vcpu.weight for vcpu in active)
        total = (self.accounted_cpus or len(machine.cpus)) * self._slice_credits
        balance, given_by, left_weights = 0.0, self._balance, weights
        for vms in _by_vm(active):
            weight = vms[0].weight * len(vms)
            left_weights -= weight
            peak = len(vms) * self._slice_credits
            if given_by < 0:
                peak += -given_by * weight / weights
            if vms[0].cap:
                peak = min(peak, vms[0].cap * self._slice_credits)
            fair = total * weight / weights
            if fair >= peak:
                if left_weights:
                    # What this VM cannot use is for those that come after it.
                    total += (fair - peak) * weights / left_weights
                fair = peak
            for vcpu in vms:
                self._give(vcpu, fair / len(vms))
                balance += vcpu.of_scheduler.credit
        self._balance = balance

    def _give(self, vcpu: Vcpu, credits: float) -> None:
        account: _Account = vcpu.of_scheduler
        account.credit += credits
        if account.credit < 0:
            account.priority = OVER
            if vcpu.cap and account.credit < -vcpu.cap * self._slice_credits:
                self._park(vcpu)
            account.credit = max(account.credit, -self._slice_credits)
            return
        account.priority = max(account.priority, UNDER)
        if account.parked:
            account.parked = False
            if vcpu.runnable:
                cpu = self.wake(vcpu)
                if cpu is not None:
                    self._machine.decide(cpu)
        if account.credit > self._slice_credits:
            # It does not use what it gets: no longer active, and a little ahead for the next time.
            account.active = False
            account.credit /= 2

    def _park(self, vcpu: Vcpu) -> None:
        account: _Account = vcpu.of_scheduler
        if account.parked:
            return
        account.parked = True
        cpu = self._machine.cpus[vcpu.cpu]
        if cpu.current is vcpu:
            self._machine.decide(cpu)
        elif vcpu in self._queues[vcpu.cpu]:
            self._queues[vcpu.cpu].remove(vcpu)


def _priority(vcpu: Vcpu) -> int:
    account: _Account = vcpu.of_scheduler
    return account.priority


def _by_vm(vcpus: list[Vcpu]) -> list[list[Vcpu]]:
    groups: dict[str, list[Vcpu]] = {}
    for vcpu in vcpus:
        groups.setdefault(vcpu.vm, []).append(vcpu)
    return list(groups.values())
