"""The timeline, measured: the GPU job runs once, and CPU VMs are paused and woken beside it."""

from __future__ import annotations

from harness.experiments import Mode, driver_environment, gpusplit_options, split
from harness.jobs import Jobs
from harness.lab.hosts import COMMAND_TIMEOUT
from harness.lab.lab import Lab
from harness.measure import AFTER_WINDOW, LEAST_TIMEOUT, SETTLE, SLOWEST, jobs_by_vm, read_clocks
from harness.profiles import PAPER_GPU_SECONDS, Profile
from harness.samples import tightest
from harness.timeline import Change, TimelineSamples


def timeline_seconds(profile: Profile) -> float:
    """Return about how long the GPU job of the timeline takes."""
    launches = profile.timeline_launches / profile.gpu_launches
    return PAPER_GPU_SECONDS * profile.gpu_scale * launches


def measure_timeline(lab: Lab, jobs: Jobs, profile: Profile) -> TimelineSamples:
    """Run the GPU job once, long enough for every change. Raises HarnessError's kinds."""
    vms = lab.cpu_vms[: max(profile.timeline_vms)]
    point = split(len(vms), Mode.GPUSPLIT, alpha=profile.alpha)
    seconds = timeline_seconds(profile)
    timeout = LEAST_TIMEOUT + SLOWEST * seconds

    jobs.arrange([*vms, lab.gpu_vm])
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
        sampler.wait_until(sampler.clock() + SETTLE, timeout)
    # Before anything is paused: a paused VM does not tell its time.
    clocks = read_clocks(sampler, jobs_by_vm(lab, gpu.job, cpus))

    first, *later = profile.timeline_vms
    jobs.arrange([*vms[:first], lab.gpu_vm])
    started = sampler.clock()
    gpu.begin(profile.timeline_launches)
    changes = []
    for position, number in enumerate(later, start=1):
        due = started + seconds * position / len(profile.timeline_vms)
        sampler.wait_until(due, timeout)
        began = sampler.clock()
        jobs.arrange([*vms[:number], lab.gpu_vm])
        changes.append(Change(number, began, sampler.clock()))
    report = gpu.report(timeout)
    sampler.wait_until(sampler.clock() + AFTER_WINDOW, timeout)
    accounting = sampler.end()
    # A job in a paused VM cannot end.
    jobs.arrange([*vms, lab.gpu_vm])
    for cpu in cpus.values():
        cpu.halt()
    return TimelineSamples(
        host=lab.host,
        gpu_vm=lab.gpu_vm,
        alpha=profile.alpha,
        first=first,
        start=report.start - tightest(clocks)[lab.gpu_vm].offset,
        changes=tuple(changes),
        gpu=report,
        cpus=tuple(cpu.report(COMMAND_TIMEOUT) for cpu in cpus.values()),
        accounting=accounting,
        clocks=clocks,
        options={**environment, **chosen},
    )
