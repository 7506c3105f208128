"""What `gpusplit plan` asks, answered by simulation: the same questions as gpusplit.planning's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from statistics import mean, stdev

from gpusplit.planning import Host, Job, Outcome, Prediction
from gpusplit.simulate.card import even_parts
from gpusplit.simulate.driver import Driver
from gpusplit.simulate.host import SCHEDULERS, GpuJob, Guests, Result, Sched, simulate

#: Launches of a simulated job: each begins at another moment of the scheduler's turns.
LAUNCHES = 4
#: Seconds that it takes at least: many turns, or neighbours have not had theirs.
LEAST_SECONDS = 2.0

#: Student's t for 95 %, two-sided, by degrees of freedom from 1 on (any table of it).
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
      2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """A mean over seeds and its 95 % interval."""

    value: float
    low: float
    high: float


def span(values: Sequence[float]) -> Span:
    """The mean of two values or more, with its interval by Student's t.

    >>> span([1.0, 1.0, 1.0])
    Span(value=1.0, low=1.0, high=1.0)
    """
    freedom = len(values) - 1
    half = _T[min(freedom, len(_T)) - 1] * stdev(values) / sqrt(len(values))
    middle = mean(values)
    return Span(middle, middle - half, middle + half)


# Hosts that differ in what the simulation does not see (their number) are simulated once.
@lru_cache(maxsize=4096)
def _run(guests: Guests, sched: Sched, driver: Driver, job: GpuJob | None, seed: int) -> Result:
    return simulate(guests, sched, driver, job, seed)


def predict(host: Host, job: Job, driver: Driver, threads: int, seed: int) -> Prediction:
    """What *host* is to expect of *job*; *driver* in place of the job's driver_wait.

    ValueError for what is not simulated.
    """
    if host.scheduler not in SCHEDULERS:
        raise ValueError(f"{host.scheduler} is not simulated: {', '.join(SCHEDULERS)} are")
    if (host.gpu_cap or host.cpu_cap) and host.scheduler != "credit":
        raise ValueError("caps are simulated under credit only")
    guests = Guests(
        pcpus=host.pcpus, cpu_vms=host.cpu_vms, vcpus=host.vcpus, gpu_vms=host.gpu_vms,
        threads=threads, cpu_weight=int(host.cpu_weight), gpu_weight=int(host.gpu_weight),
        load=host.load, cpu_cap=host.cpu_cap, gpu_cap=host.gpu_cap,
    )  # fmt: skip
    sched = Sched(host.scheduler)
    alone = _run(guests, sched, driver, None, seed).cpu_vms
    if not host.gpu_vms:
        nothing = Outcome(alone, 0.0, job.kernel_seconds)
        return Prediction(alone, nothing, nothing)
    parts = even_parts(job.kernel_seconds, job.groups, job.group_seconds)
    cooperative = job.wait_cpu if job.wait == "cooperative" else None
    launches = max(LAUNCHES, ceil(LEAST_SECONDS / job.kernel_seconds))
    jobs = (
        GpuJob((job.kernel_seconds,), launches),
        GpuJob(parts, launches, cooperative is not None, cooperative),
    )
    unsplit, split = (
        Outcome(ran.cpu_vms, ran.gpu_vm, ran.seconds / launches)
        for ran in (_run(guests, sched, driver, one, seed) for one in jobs)
    )
    return Prediction(alone, unsplit, split)
