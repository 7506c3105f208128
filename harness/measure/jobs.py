"""The jobs of a run: started once, kept, and told point by point what to do.

Starting the GPU job takes 12 s in the emulation, Python's imports mostly, so a job stays until it
fails or the emulated driver's settings change. Whatever happens, `stop` ends all of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from itertools import accumulate
from types import TracebackType
from typing import Any, Self, TypeVar

from harness.errors import CommandTimedOut, GivenUp, HarnessError, HostUnreachable
from harness.lab.hosts import COMMAND_TIMEOUT, Event
from harness.lab.lab import Lab, Sampler
from harness.lab.samples import CpuReport, GpuReport, Launch, Verification
from harness.measure.own_jobs import OwnCpuJob, OwnGpuJob
from harness.plan.conditions import Scheduling
from harness.plan.profiles import Profile
from harness.plan.programs import Program

Done = TypeVar("Done")

RECOVERY = 120.0
"""Seconds of the controller's clock that a VM which does not answer gets to come back: a rebooting
one takes 25 s and more of its own."""

RETRY_EVERY = 5.0

GPU_READY_TIMEOUT = 300.0
"""Seconds until the GPU job is ready: Python's imports take 10 s in the emulation, the first
kernel build of a new guest 13 s more."""


class GpuJob:
    """The GPU job, ready."""

    def __init__(self, lab: Lab, environment: Mapping[str, str], size: int) -> None:
        self.environment = dict(environment)
        self.job = lab.gpu_job(environment, "--size", str(size))
        try:
            self.ready: Event = self.job.expect("ready", GPU_READY_TIMEOUT)
            lab.check_gpu_job(self.ready)
        except BaseException:
            self.job.stop()
            raise

    def set(self, options: Mapping[str, Any]) -> None:
        """Hand over gpusplit's options, and have the first launch with them done."""
        self.job.send(f"set {json.dumps(options)}")
        self.job.expect("set", GPU_READY_TIMEOUT)

    def go(self, launches: int, timeout: float) -> GpuReport:
        """Run the measured launches."""
        self.begin(launches)
        return self.report(timeout)

    def begin(self, launches: int) -> None:
        """Let the measured launches begin."""
        self.job.send(f"go {launches}")

    def report(self, timeout: float) -> GpuReport:
        """Return what became of them, once they are over."""
        report = self.job.expect("report", timeout)
        return GpuReport(
            start=float(report["start"]),
            end=float(report["end"]),
            device=self.ready["device"],
            versions=self.ready["versions"],
            launches=tuple(Launch(**launch) for launch in report["launches"]),
            sleeps=report["sleeps"],
        )

    def verify(self, size: int) -> Verification:
        """Have a product computed for real and compared with numpy's."""
        self.job.send("verify")
        said = self.job.expect("verified", GPU_READY_TIMEOUT)
        return Verification(size, said["groups"], said["max_relative_error"], said["device"])


class CpuJob:
    """The CPU job of one VM, ready."""

    def __init__(self, lab: Lab, vm: str, profile: Profile) -> None:
        self.vm = vm
        sizes = (profile.cpu_size, profile.cpu_parts, profile.cpu_warm_up)
        self.job = lab.cpu_job(vm, *map(str, sizes))
        self.parts = profile.cpu_parts
        try:
            self.job.expect("ready", COMMAND_TIMEOUT)
        except BaseException:
            self.job.stop()
            raise

    def go(self) -> None:
        """Begin to multiply."""
        self.job.send("go")

    def expect_warm(self, timeout: float) -> None:
        """Return when the warm-up is over."""
        self.job.expect("warm", timeout)

    def halt(self) -> None:
        """Stop multiplying; the report comes next."""
        self.job.send("stop")

    def report(self, timeout: float) -> CpuReport:
        """Return what was done between `go` and `halt`."""
        said = self.job.expect("report", timeout)
        micros = list(accumulate(said["steps"]))
        return CpuReport(self.vm, tuple(said["start"] + step / 1e6 for step in micros), self.parts)


class Jobs:
    """All jobs of a run in one lab, and the sampler."""

    def __init__(self, lab: Lab, profile: Profile) -> None:
        self._lab = lab
        self._profile = profile
        self._gpu: GpuJob | None = None
        self._own_gpu: OwnGpuJob | None = None
        self._cpus: dict[str, CpuJob | OwnCpuJob] = {}
        self._sampler: Sampler | None = None
        self._new = False
        self._lost: dict[str, str] = {}
        """Why a machine is given up, by its name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def gpu(self, environment: Mapping[str, str], size: int | None = None) -> GpuJob:
        """Return the GPU job under these settings of the driver; start it if need be."""
        if self._gpu is not None and self._gpu.environment != environment:
            self._stop_gpu()
        if self._gpu is None:
            rows = size or self._profile.gpu_size
            vm = self._lab.gpu_vm
            self._gpu = self._reaching(vm, lambda: GpuJob(self._lab, environment, rows))
            self._new = True
        return self._gpu

    def own_gpu(
        self, program: Program, environment: Mapping[str, str], options: Mapping[str, Any]
    ) -> OwnGpuJob:
        """Return an operator's program under gpusplit's options, to be started."""
        self._stop_gpu()
        start = partial(OwnGpuJob, self._lab, environment, program, options)
        self._own_gpu = self._reaching(self._lab.gpu_vm, start)
        self._new = True
        return self._own_gpu

    def cpus(self, vms: Collection[str]) -> dict[str, CpuJob | OwnCpuJob]:
        """Return the CPU jobs of these VMs; start those that are missing."""
        own = self._profile.cpu_program
        for vm in vms:
            if vm not in self._cpus:
                start: Callable[[], CpuJob | OwnCpuJob] = (
                    partial(OwnCpuJob, self._lab, vm, own)
                    if own
                    else partial(CpuJob, self._lab, vm, self._profile)
                )
                self._cpus[vm] = self._reaching(vm, start)
                self._new = True
        return {vm: self._cpus[vm] for vm in vms}

    def end_cpu(self, vm: str) -> None:
        """End the CPU job of a VM that runs, if it has one."""
        if vm in self._cpus:
            self._cpus.pop(vm).job.stop()

    def prepare_lab(self) -> None:
        """Return when every VM answers and has its programs: one may boot yet."""
        self._reaching(self._lab.host, self._lab.prepare)

    def sampler(self) -> Sampler:
        """Return what samples the accounting; start it if need be."""
        if self._sampler is None:
            self._sampler = self._reaching(self._lab.host, self._lab.sampler)
        return self._sampler

    def have_new(self) -> bool:
        """Say whether a job was started since this was asked last."""
        new, self._new = self._new, False
        return new

    def schedule(self, scheduling: Scheduling) -> Scheduling | None:
        """Have the host schedule so; return how it says that it does."""
        return self._reaching(self._lab.host, lambda: self._lab.schedule(scheduling))

    def arrange(self, running: Collection[str]) -> dict[str, str]:
        """Let exactly these VMs run; return their identities."""
        for vm in running:
            self._refuse_lost(vm)
        return self._reaching(self._lab.host, lambda: self._lab.arrange(running))

    def _reaching(self, machine: str, act: Callable[[], Done]) -> Done:
        """Do what needs a machine; give it up if it cannot be reached, even after a while.

        One that is gone would cost a time-out at every further point.
        """
        self._refuse_lost(machine)
        deadline = time.monotonic() + RECOVERY
        while True:
            try:
                return act()
            except (HostUnreachable, CommandTimedOut) as error:
                if time.monotonic() > deadline:
                    self._lost[machine] = error.what
                    raise
                time.sleep(min(RETRY_EVERY, RECOVERY))

    def _refuse_lost(self, machine: str) -> None:
        if machine in self._lost:
            raise GivenUp(
                f"{machine} was given up after it could not be reached: {self._lost[machine]}",
                "see its console in the run's logs",
            )

    def stop(self) -> None:
        """End everything; what is needed again starts anew. Never raises.

        All VMs are woken first, for a job in a paused one cannot end.
        """
        if self._lab.host not in self._lost:
            with suppress(HarnessError):
                self._lab.release()
        self._stop_gpu()
        while self._cpus:
            self._cpus.popitem()[1].job.stop()
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None

    def _stop_gpu(self) -> None:
        for gpu in (self._gpu, self._own_gpu):
            if gpu is not None:
                gpu.job.stop()
        self._gpu = self._own_gpu = None
