"""One point, measured: VMs set, jobs started and ready, run together, sampled, stopped.

Nothing here is computed from the samples; `evaluate` does that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack

from harness.experiments import Mode, Point, Profile, gpu_environment
from harness.lab.hosts import COMMAND_TIMEOUT, Event, Job
from harness.lab.lab import GPU_READY_TIMEOUT, Lab
from harness.lab.xen import Sampler
from harness.samples import (
    ClockReading,
    CpuReport,
    GpuReport,
    Launch,
    PointSamples,
    Verification,
    tightest,
)

RUN_TIMEOUT = 900.0
"""Seconds of the controller's clock until jobs that run must be done; an emulated second may
take several."""

AFTER_WINDOW = 0.5
"""Seconds that CPU jobs and sampling go on after the window, so that the last sample of every VM
lies behind its end. A VM that shares its CPU with four others waits 0.12 s for its turn."""


CLOCK_READINGS = 3
"""How often each clock is read, for the tightest reading: a busy VM answers when its turn comes."""


def measure_point(
    lab: Lab, point: Point, profile: Profile, no_gpu_window: float | None = None
) -> PointSamples:
    """Measure one point.

    `no_gpu_window` is the window in seconds of a point without a GPU job; elsewhere the
    GPU job's own time is the window.
    """
    began = time.monotonic()
    inventory = lab.inventory
    cpu_vms = inventory.cpu_vms[: point.cpu_vms]
    has_gpu = point.mode is not Mode.NO_GPU
    running = {*cpu_vms, inventory.gpu_vm} if has_gpu else set(cpu_vms)
    environment = gpu_environment(point, profile) if has_gpu else {}

    gpu_domid = lab.xen.run_only(running, among=inventory.vms)[inventory.gpu_vm]
    if has_gpu:
        # The GPU VM reads this count at every launch. While it is paused nobody reads it.
        lab.xen.wait_for_count(gpu_domid, len(running))

    with ExitStack() as jobs:
        # The GPU job first: its start is long, and must not have to share the CPU.
        gpu: Job | None = None
        ready: Event = {}
        if has_gpu:
            arguments = ("--size", str(profile.gpu_size), "--launches", str(profile.gpu_launches))
            gpu = jobs.enter_context(lab.gpu_job(environment, *arguments))
            ready = lab.expect_gpu_ready(gpu)
        cpus = {}
        for name in cpu_vms:
            cpus[name] = jobs.enter_context(
                lab.cpu_job(name, profile.cpu_size, profile.cpu_warm_up)
            )
        for job in cpus.values():
            job.expect("ready", COMMAND_TIMEOUT)
        sampler = jobs.enter_context(lab.sampler())

        for job in cpus.values():
            job.send("go")
        for job in cpus.values():
            job.expect("warm", RUN_TIMEOUT)
        clocks = read_clocks(sampler, cpus if gpu is None else {inventory.gpu_vm: gpu, **cpus})

        report = None
        if gpu is not None:
            gpu.send("go")
            report = _gpu_report(ready, gpu.expect("report", RUN_TIMEOUT))
            offset = tightest(clocks)[inventory.gpu_vm].offset
            start, end = report.start - offset, report.end - offset
        else:
            if no_gpu_window is None:
                raise ValueError(f"{point.label} needs the length of its window")
            start = sampler.clock()
            end = start + no_gpu_window
        sampler.wait_until(end + AFTER_WINDOW, RUN_TIMEOUT)

        for job in cpus.values():
            job.send("stop")
        cpu_reports = tuple(
            CpuReport(name, tuple(job.expect("report", COMMAND_TIMEOUT)["ends"]))
            for name, job in cpus.items()
        )
        xen_samples = sampler.finish()

    return PointSamples(
        point=point,
        window_start=start,
        window_end=end,
        gpu_domid=gpu_domid,
        gpu=report,
        cpus=cpu_reports,
        xen=xen_samples,
        clocks=clocks,
        measured_in=time.monotonic() - began,
        environment=environment,
    )


def read_clocks(sampler: Sampler, jobs: Mapping[str, Job]) -> tuple[ClockReading, ...]:
    """Read the clock of every guest a few times, each between two readings of dom0's."""
    readings = []
    before = sampler.clock()
    for _ in range(CLOCK_READINGS):
        for vm, job in jobs.items():
            reading = job.clock()
            after = sampler.clock()
            readings.append(ClockReading(vm, before, reading, after))
            before = after
    return tuple(readings)


def verify_numbers(lab: Lab, profile: Profile) -> Verification:
    """Have a small product computed for real, split, and compared with numpy's in the guest."""
    environment = {
        "EMUGPU_EXEC": "full",
        "GPUSPLIT_POLICY": "fixed",
        "GPUSPLIT_GROUPS": str(profile.verify_groups),
        "GPUSPLIT_WAIT": "cooperative",
        "GPUSPLIT_VMS": "xenstore",
    }
    with lab.gpu_job(environment, "--verify", "--size", str(profile.verify_size)) as job:
        said = job.expect("verified", GPU_READY_TIMEOUT)
    lab.check_device(said["device"])
    return Verification(
        size=profile.verify_size,
        groups=said["groups"],
        max_relative_error=said["max_relative_error"],
        device=said["device"],
    )


def _gpu_report(ready: Event, report: Event) -> GpuReport:
    return GpuReport(
        start=float(report["start"]),
        end=float(report["end"]),
        device=ready["device"],
        versions=ready["versions"],
        launches=tuple(Launch(**launch) for launch in report["launches"]),
    )
