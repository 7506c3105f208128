"""One point, measured: VMs arranged, jobs told what to do, run together, sampled, stopped.

Nothing here is computed from the samples; `evaluate` does that. While the window lasts nothing is
sent to a guest or to the host, for both would cost CPU time that is being measured.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import asdict

from harness.errors import GivenUp, HarnessError
from harness.judge.validity import CLOCK_TOLERANCE
from harness.lab.hosts import COMMAND_TIMEOUT, Job
from harness.lab.lab import Lab, Sampler
from harness.lab.samples import ClockReading, PointSamples, Verification, tightest
from harness.measure.jobs import CpuJob, GpuJob, Jobs
from harness.measure.own_jobs import LONGEST_RUN, OwnCpuJob, OwnGpuJob
from harness.plan.experiments import Mode, Point, driver_environment, gpusplit_options
from harness.plan.profiles import PAPER_GPU_SECONDS, Profile

SLOWEST = 5.0
"""Seconds of the controller's clock that one second of a guest may take; 0.5 is usual."""

LEAST_TIMEOUT = 60.0
"""Seconds of the controller's clock that anything may take."""

AFTER_WINDOW = 0.5
"""Seconds that CPU jobs and sampling go on after the window, so that the last sample of every VM
lies behind its end. A VM that shares its CPU with four others waits 0.12 s for its turn."""

SETTLE = 2.0
"""Seconds that pass for every VM that runs after a job was started, before anything counts: logging
in leaves a guest busy for a second or more of its CPU time, of which it gets a share only."""

CLOCK_READINGS = 3
"""How often each clock is read, for the tightest reading: a busy VM answers when its turn comes."""

MOST_CLOCK_READINGS = 12
"""How often a clock is read that is not known well enough by then: one of five busy VMs may be
asked at the wrong end of its turn again and again."""


LONGEST_PHASE = 0.15
"""Seconds of the longest start phase: a turn of five VMs of the credit scheduler, 30 ms each."""


def start_phase(point: Point, repetition: int) -> float:
    """Return seconds to let pass before the window, another number for each repetition.

    Where time is a count of instructions, repetitions that begin alike end alike: they would say
    nothing of how much chance there is in when a job meets the scheduler's turns. By the label,
    so that a run can be made again.
    """
    return round(random.Random(f"{point.label} {repetition}").uniform(0, LONGEST_PHASE), 4)


def run_timeout(point: Point, profile: Profile, window: float | None) -> float:
    """Return seconds of the controller's clock until a point's window must be over."""
    if profile.gpu_program and window is None:
        return LONGEST_RUN
    expected = window or PAPER_GPU_SECONDS * profile.gpu_scale
    # The more VMs share the CPU, the longer a GPU job may take that is slowed down by them.
    return LEAST_TIMEOUT + SLOWEST * expected * (1 + point.cpu_vms) / 2


def running_vms(lab: Lab, point: Point) -> list[str]:
    """Return the VMs that run at a point."""
    cpu_vms = list(lab.cpu_vms[: point.cpu_vms])
    return cpu_vms if point.mode is Mode.NO_GPU else [*cpu_vms, lab.gpu_vm]


def measure_point(
    lab: Lab,
    jobs: Jobs,
    point: Point,
    repetition: int,
    profile: Profile,
    window: float | None = None,
) -> PointSamples:
    """Measure one repetition of a point.

    `window` is the seconds of the window of a point at which no GPU job's end bounds it; elsewhere
    the GPU job's own time is the window. Raises HarnessError's kinds if it cannot be measured.
    """
    began = time.monotonic()
    has_gpu = point.mode is not Mode.NO_GPU
    if window is None and (not has_gpu or profile.counts_gpu_lines):
        raise ValueError(f"{point.label} needs the length of its window")
    cpu_vms = lab.cpu_vms[: point.cpu_vms]
    running = running_vms(lab, point)
    timeout = run_timeout(point, profile, window)

    scheduling = jobs.schedule(point.condition.scheduling)
    identities = jobs.arrange(running)
    sampler = jobs.sampler()
    options: dict[str, object] = {"scheduling": asdict(scheduling)} if scheduling else {}
    gpu: GpuJob | OwnGpuJob | None = None
    if has_gpu:
        # The GPU job first: its start is long, and must not have to share the CPU.
        environment = driver_environment(point, profile)
        chosen = gpusplit_options(point)
        if profile.gpu_program:
            # The library below a program of any kind knows no other source of the count.
            chosen |= {"vms": f"static:{len(running)}"}
            gpu = jobs.own_gpu(profile.gpu_program, environment, chosen)
            if gpu.runs_on:
                gpu.warm_up()
        else:
            chosen |= {"vms": lab.vms_option(len(running))}
            gpu = jobs.gpu(environment)
            gpu.set(chosen)
        options |= {**environment, **chosen}
    cpus = jobs.cpus(cpu_vms)

    for cpu in cpus.values():
        cpu.go()
    for cpu in cpus.values():
        cpu.expect_warm(timeout)
    sampler.begin()
    if jobs.have_new():
        sampler.wait_until(sampler.clock() + SETTLE * len(running), timeout)
    clocks = read_clocks(sampler, jobs_by_vm(lab, gpu.job if gpu else None, cpus))

    phase = start_phase(point, repetition)
    options["start_phase"] = phase
    sampler.wait_until(sampler.clock() + phase, timeout)
    runs_on = isinstance(gpu, OwnGpuJob) and gpu.runs_on
    report = None
    if gpu is None or runs_on:
        start = sampler.clock()
        end = start + (window or 0.0)
    else:
        report = (
            gpu.go(timeout)
            if isinstance(gpu, OwnGpuJob)
            else gpu.go(point.launches or profile.gpu_launches, timeout)
        )
        offset = tightest(clocks)[lab.gpu_vm].offset
        start, end = report.start - offset, report.end - offset
    sampler.wait_until(end + AFTER_WINDOW, timeout)
    accounting = sampler.end()

    for cpu in cpus.values():
        cpu.halt()
    if isinstance(gpu, OwnGpuJob) and gpu.runs_on:
        report = gpu.halt(timeout)
    cpu_reports = tuple(cpu.report(COMMAND_TIMEOUT) for cpu in cpus.values())
    # Idle guests answer at once.
    clocks_after = read_clocks(sampler, jobs_by_vm(lab, gpu.job if gpu else None, cpus), least=1)

    return PointSamples(
        point=point,
        repetition=repetition,
        host=lab.host,
        window_start=start,
        window_end=end,
        gpu_vm=lab.gpu_vm,
        gpu=report,
        cpus=cpu_reports,
        accounting=accounting,
        clocks=clocks,
        clocks_after=clocks_after,
        identities=identities,
        identities_after=lab.identities(running),
        measured_in=time.monotonic() - began,
        shared_cpus=lab.shared_cpus,
        accounting_tolerance=lab.accounting_tolerance,
        real_cpus=lab.clock == "real",
        own_cpu_jobs=profile.cpu_program is None,
        options=options,
    )


def try_point(
    lab: Lab,
    jobs: Jobs,
    point: Point,
    repetition: int,
    profile: Profile,
    window: float | None = None,
) -> PointSamples:
    """Measure one repetition of a point; what goes wrong becomes its incident, and nothing runs on.

    A point of which the jobs are in an unknown state must not disturb the next one.
    """
    began = time.monotonic()
    try:
        return measure_point(lab, jobs, point, repetition, profile, window)
    except HarnessError as error:
        if not isinstance(error, GivenUp):
            jobs.stop()
        taken = time.monotonic() - began
        return PointSamples.failed(point, repetition, lab.host, lab.gpu_vm, error.what, taken)


def read_clocks(
    sampler: Sampler, jobs: Mapping[str, Job], least: int = CLOCK_READINGS
) -> tuple[ClockReading, ...]:
    """Read the clock of every guest a few times, each between two readings of the reference."""
    readings: list[ClockReading] = []
    before = sampler.clock()
    for count in range(MOST_CLOCK_READINGS):
        known = {
            vm for vm, best in tightest(readings).items() if best.uncertainty <= CLOCK_TOLERANCE
        }
        for vm, job in jobs.items():
            if count >= least and vm in known:
                continue
            reading = job.clock()
            after = sampler.clock()
            readings.append(ClockReading(vm, before, reading, after))
            before = after
    return tuple(readings)


def verify_numbers(lab: Lab, jobs: Jobs, profile: Profile) -> Verification:
    """Have a small product computed for real, split, and compared with numpy's in the guest."""
    jobs.arrange([lab.gpu_vm])
    environment = driver_environment(Point(0, Mode.UNSPLIT), profile, exec_mode="full")
    gpu = jobs.gpu(environment, profile.verify_size)
    # A real GPU has nearly as many cores as the small product has work-items: unasked, gpusplit
    # would leave it whole.
    split = {"policy": "fixed", "groups": profile.verify_groups, "cores": 1}
    gpu.set({**split, "wait": "cooperative"})
    return gpu.verify(profile.verify_size)


def jobs_by_vm(lab: Lab, gpu: Job | None, cpus: Mapping[str, CpuJob | OwnCpuJob]) -> dict[str, Job]:
    """Return the jobs by the name of the VM in which they run."""
    jobs = {vm: cpu.job for vm, cpu in cpus.items()}
    return jobs if gpu is None else {lab.gpu_vm: gpu, **jobs}
