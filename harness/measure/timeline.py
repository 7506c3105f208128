"""The timeline, measured: the GPU job runs once, and CPU VMs come and go beside it.

Those that compute are woken and paused, so that their jobs stay. One without a job is there at
first, is destroyed, and is created again: while it boots it is a neighbour like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge.timeline import Change, TimelineSamples
from harness.lab.hosts import COMMAND_TIMEOUT
from harness.lab.lab import Lab
from harness.lab.samples import tightest
from harness.measure.jobs import Jobs
from harness.measure.point import (
    AFTER_WINDOW,
    LEAST_TIMEOUT,
    SETTLE,
    SLOWEST,
    jobs_by_vm,
    read_clocks,
)
from harness.plan.conditions import Scheduling
from harness.plan.experiments import Mode, driver_environment, gpusplit_options, split
from harness.plan.profiles import PAPER_GPU_SECONDS, Profile

CREATION_PARTS = 3
"""Parts of the timeline, its last, in which the created VM is there: creating it takes seconds of a
busy dom0. Every other stretch between two changes is one part."""


def timeline_seconds(profile: Profile) -> float:
    """Return about how long the GPU job of the timeline takes."""
    launches = profile.timeline_launches / profile.gpu_launches
    return PAPER_GPU_SECONDS * profile.gpu_scale * launches


def measure_timeline(lab: Lab, jobs: Jobs, profile: Profile) -> TimelineSamples:
    """Run the GPU job once, long enough for every change. Raises HarnessError's kinds.

    The VM that was destroyed and created may still boot at the end.
    """
    most = max(profile.timeline_vms)
    vms, spare = lab.cpu_vms[:most], lab.cpu_vms[most]
    jobs.schedule(Scheduling())
    # A job in a paused VM cannot end.
    jobs.arrange([*vms, spare, lab.gpu_vm])
    jobs.end_cpu(spare)
    try:
        return _measure(lab, jobs, profile, vms, spare)
    finally:
        lab.create(spare)


def _measure(
    lab: Lab, jobs: Jobs, profile: Profile, vms: Sequence[str], spare: str
) -> TimelineSamples:
    """Let *vms* compute, and *spare*, which has no job, go and come."""
    point = split(len(vms), Mode.GPUSPLIT, alpha=profile.alpha)
    seconds = timeline_seconds(profile)
    timeout = LEAST_TIMEOUT + SLOWEST * seconds

    sampler = jobs.sampler()
    environment = driver_environment(point, profile)
    gpu = jobs.gpu(environment)
    chosen = {**gpusplit_options(point), "vms": lab.vms_option(len(vms) + 1)}
    gpu.set(chosen)
    cpus = jobs.cpus(vms)
    for cpu in cpus.values():
        cpu.go()
    for cpu in cpus.values():
        cpu.expect_warm(timeout)
    sampler.begin()
    if jobs.have_new():
        sampler.wait_until(sampler.clock() + SETTLE * (len(vms) + 1), timeout)
    # Before anything is paused: a paused VM does not tell its time.
    clocks = read_clocks(sampler, jobs_by_vm(lab, gpu.job, cpus))

    first, *later = profile.timeline_vms
    jobs.arrange([*vms[:first], spare, lab.gpu_vm])
    started = sampler.clock()
    gpu.begin(profile.timeline_launches)
    parts = 1 + len(profile.timeline_vms) + CREATION_PARTS
    changes: list[Change] = []

    def change(part: int, how: str, running: Sequence[str], act: Callable[[], None]) -> None:
        sampler.wait_until(started + seconds * part / parts, timeout)
        began = sampler.clock()
        act()
        jobs.arrange([*running, lab.gpu_vm])
        changes.append(Change(len(running), began, sampler.clock(), how))

    change(1, "destroyed", vms[:first], lambda: lab.destroy(spare))
    running = first
    for part, number in enumerate(later, start=2):
        how = "woken" if number > running else "paused"
        change(part, how, vms[:number], lambda: None)
        running = number
    change(parts - CREATION_PARTS, "created", [*vms[:running], spare], lambda: lab.create(spare))
    report = gpu.report(timeout)
    sampler.wait_until(sampler.clock() + AFTER_WINDOW, timeout)
    accounting = sampler.end()
    # A job in a paused VM cannot end.
    jobs.arrange([*vms, spare, lab.gpu_vm])
    for cpu in cpus.values():
        cpu.halt()
    return TimelineSamples(
        host=lab.host,
        gpu_vm=lab.gpu_vm,
        alpha=profile.alpha,
        first=first + 1,
        start=report.start - tightest(clocks)[lab.gpu_vm].offset,
        changes=tuple(changes),
        gpu=report,
        cpus=tuple(cpu.report(COMMAND_TIMEOUT) for cpu in cpus.values()),
        accounting=accounting,
        clocks=clocks,
        options={**environment, **chosen},
    )
