"""One host with a GPU VM and CPU VMs, simulated: what everybody gets while the GPU job runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gpusplit.simulate.credit import Credit
from gpusplit.simulate.credit2 import Credit2
from gpusplit.simulate.driver import Driver, ns, wait_cooperatively, wait_until
from gpusplit.simulate.machine import (
    MS,
    NEVER,
    SECOND,
    Action,
    Compute,
    Cpu,
    Machine,
    Scheduler,
    SleepUntil,
    SpinUntil,
    Vcpu,
)

SCHEDULERS = ("credit", "credit2")
GPU_VM = "gpu"

#: Before the GPU job begins everybody has been running for a while, of random length.
SETTLE = 0.5

#: Seconds.  Shorter than a turn of the schedulers, as the work of a server is.
LOAD_PERIOD = 0.010


@dataclass(frozen=True, slots=True)
class Guests:
    """The VMs and the CPUs that they share.

    Attributes
    ----------
    pcpus: physical CPUs that guests may use.
    cpu_vms, vcpus: VMs that compute without end, and the virtual CPUs of each.
    gpu_vms: VMs with a GPU job; the first one is told of.
    threads: of each GPU job that wait for the GPU, all in the same way; a virtual CPU each.
    pinned: each virtual CPU of a CPU VM stays on one CPU.
    cpu_weight, gpu_weight: of a VM.
    cpu_cap, gpu_cap: CPUs that a VM may use at most; 0: no cap (credit alone).
    load: the part of each period of LOAD_PERIOD that CPU VMs have work for.
    """

    pcpus: int = 1
    cpu_vms: int = 1
    vcpus: int = 1
    gpu_vms: int = 1
    threads: int = 1
    pinned: bool = False
    cpu_weight: int = 256
    gpu_weight: int = 256
    cpu_cap: float = 0.0
    gpu_cap: float = 0.0
    load: float = 1.0


@dataclass(frozen=True, slots=True)
class Sched:
    """The scheduler and its settings.

    Attributes
    ----------
    name: one of SCHEDULERS.
    slice_ms: credit's time slice.
    limit_us: the rate limit.
    pool_cpus: CPUs of the pool, if it has more than guests may use (dom0's, pinned); 0: as many.
    socket_cpus: credit2's CPUs of a queue; 0: all.
    """

    name: str = "credit"
    slice_ms: float = 30.0
    limit_us: float = 1000.0
    pool_cpus: int = 0
    socket_cpus: int = 0

    def make(self) -> Scheduler:
        """Return a new scheduler."""
        limit = round(self.limit_us * 1000)
        if self.name == "credit2":
            return Credit2(limit, self.socket_cpus)
        if self.name != "credit":
            raise ValueError(f"{self.name!r} is none of {', '.join(SCHEDULERS)}")
        return Credit(round(self.slice_ms * MS), limit, self.pool_cpus)


@dataclass(frozen=True, slots=True)
class GpuJob:
    """The GPU job.

    Attributes
    ----------
    parts: device time of each group of a launch, run by itself; one for an unsplit launch.
    launches: how many, one after the other.
    in_flight: all groups of a launch are on their way before the one wait; else each is waited for.
    cooperative_cpu: None: the driver waits; else gpusplit does, with this part of a CPU.
    """

    parts: tuple[float, ...] = (1.0,)
    launches: int = 4
    in_flight: bool = False
    cooperative_cpu: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one run came to.

    Attributes
    ----------
    seconds: the GPU job's time.
    cpu_vms: CPUs that all CPU VMs together had meanwhile.
    gpu_vm: CPUs that the first GPU VM had.
    wakes: how often its virtual CPUs were woken.
    events: of the simulation.
    """

    seconds: float
    cpu_vms: float
    gpu_vm: float
    wakes: int
    events: int


@dataclass
class _Program:
    """The GPU job as a program; *ended* is when it was over."""

    job: GpuJob
    driver: Driver
    now: Callable[[], int]
    wake_helpers: Callable[[], None]
    start: int
    ended: int | None = None
    end_of_group: int = 0
    began: Callable[[], None] = field(default=lambda: None)

    def actions(self, again: bool) -> Iterator[Action]:
        yield SpinUntil(self.start)  # computing, as the CPU VMs do, until it begins
        self.began()
        while True:
            for _ in range(self.job.launches):
                yield from self._launch()
            self.ended = self.now()
            if not again:
                return

    def _launch(self) -> Iterator[Action]:
        job, driver = self.job, self.driver
        end = 0
        for seconds in job.parts:
            yield Compute(ns(driver.submit_cpu))
            start = self.now() + ns(driver.launch_latency)
            end = max(start, end + ns(driver.gap) if end else 0) + ns(seconds)
            yield Compute(ns(driver.aside_cpu))
            if not job.in_flight:
                yield from self._wait(end)
                end = 0
        if job.in_flight:
            yield from self._wait(end)

    def _wait(self, end: int) -> Iterator[Action]:
        self.end_of_group = end
        self.wake_helpers()
        if self.job.cooperative_cpu is not None:
            yield from wait_cooperatively(end, self.job.cooperative_cpu, self.now)
        else:
            yield from wait_until(end, self.driver, self.now)

    def helper(self) -> Iterator[Action]:
        """Another thread of the driver, which waits for the same."""
        while True:
            # One that notices late finds the next group begun already: nobody wakes it again.
            if self.end_of_group <= self.now():
                yield SleepUntil(NEVER)
            yield from wait_until(self.end_of_group, self.driver, self.now)


def _work(begin: int, load: float, now: Callable[[], int]) -> Iterator[Action]:
    """What a virtual CPU of a CPU VM does, from *begin* on."""
    yield SleepUntil(begin)
    if load >= 1:
        yield SpinUntil(NEVER)
    period = ns(LOAD_PERIOD)
    while True:
        yield Compute(round(load * period))
        begin = max(begin + period, now())
        yield SleepUntil(begin)


def simulate(
    guests: Guests, sched: Sched, driver: Driver, job: GpuJob | None, seed: int, window: float = 5.0
) -> Result:
    """Run the GPU job once; without one (None), the CPU VMs alone for *window* seconds."""
    machine = Machine([Cpu(i) for i in range(guests.pcpus)], [], sched.make(), seed)
    every = tuple(range(guests.pcpus))
    start = ns(SETTLE) + machine.random.randrange(SECOND // 2)
    used_before: list[int] = []
    programs = []

    def account() -> None:
        for cpu in machine.cpus:
            machine.charge(cpu)
        used_before.extend(vcpu.used for vcpu in machine.vcpus)
        used_before.append(sum(v.wakes for v in machine.vcpus if v.vm == GPU_VM))

    for i in range(guests.gpu_vms if job is not None else 0):
        assert job is not None
        vm = GPU_VM if i == 0 else f"{GPU_VM}{i}"
        helpers: list[Vcpu] = []

        def wake_helpers(of: list[Vcpu] = helpers) -> None:
            for vcpu in of:
                machine.wake(vcpu)

        program = _Program(job, driver, lambda: machine.now, wake_helpers, start)
        if i == 0:
            program.began = account
        programs.append(program)
        threads = [program.actions(again=i > 0)]
        threads += [program.helper() for _ in range(guests.threads - 1)]
        made = [Vcpu(vm, thread, guests.gpu_weight, every, guests.gpu_cap) for thread in threads]
        helpers.extend(made[1:])
        machine.vcpus += made
    for i in range(guests.cpu_vms):
        for j in range(guests.vcpus):
            number = (i * guests.vcpus + j) % guests.pcpus
            cpus = (number,) if guests.pinned else every
            # Each begins at another moment, so that no order of theirs is anybody's choice.
            begin = machine.random.randrange(ns(SETTLE / 2))
            work = _work(begin, guests.load, lambda: machine.now)
            machine.vcpus.append(Vcpu(f"cpu{i + 1}", work, guests.cpu_weight, cpus, guests.cpu_cap))

    if job is None:
        machine.at(start, lambda _: account())
        end = start + ns(window)
        machine.at(end, lambda _: None)
        machine.run(lambda: machine.now >= end)
    else:
        machine.run(lambda: programs[0].ended is not None)
    for cpu in machine.cpus:
        machine.charge(cpu)
    seconds = (machine.now - start) / SECOND
    if job is not None:
        assert programs[0].ended is not None
    *before, wakes = used_before
    used = {"cpu": 0, "gpu": 0}
    for vcpu, earlier in zip(machine.vcpus, before, strict=True):
        if vcpu.vm == GPU_VM:
            used["gpu"] += vcpu.used - earlier
        elif vcpu.vm.startswith("cpu"):
            used["cpu"] += vcpu.used - earlier
    return Result(
        seconds=seconds,
        cpu_vms=used["cpu"] / SECOND / seconds,
        gpu_vm=used["gpu"] / SECOND / seconds,
        wakes=sum(v.wakes for v in machine.vcpus if v.vm == GPU_VM) - wakes,
        events=machine.events,
    )
