"""What a lab is to the harness: VMs that can be arranged, jobs in them, an accounting, a clock.

`XenLab` (xen_lab.py) is a Xen host, emulated or real; `LocalLab` is this machine, with a cgroup
for every "VM". `measure` knows only what stands here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.lab.hosts import Event, Job
from harness.lab.samples import CpuSample
from harness.plan.conditions import Scheduling
from harness.plan.profiles import Profile
from harness.plan.programs import Program


class Sampler(Protocol):
    """The accounting of CPU time by VM, sampled in the background; also the reference clock."""

    def clock(self) -> float:
        """Return the reference clock's time, in seconds."""

    def begin(self) -> None:
        """Begin to sample, the first time at once."""

    def wait_until(self, moment: float, timeout: float) -> None:
        """Return when the reference clock has passed a moment and a sample was taken after it.

        CommandTimedOut after `timeout` seconds of the controller's clock.
        """

    def end(self) -> tuple[CpuSample, ...]:
        """End the sampling and return all samples since `begin`, ascending; it may begin anew."""

    def stop(self) -> None:
        """Let go of whatever samples; never raises. Stopping twice is fine."""


class Lab(Protocol):
    """What measurements are made in. Everything raises HarnessError's kinds when it fails."""

    @property
    def kind(self) -> str:
        """`dryrun`, `bench` or `local`."""

    @property
    def clock(self) -> str:
        """`deterministic`, `fast` or `real`."""

    @property
    def host(self) -> str:
        """The name of the machine that all its VMs share."""

    @property
    def gpu_vm(self) -> str:
        """The name of the VM with the GPU."""

    @property
    def cpu_vms(self) -> tuple[str, ...]:
        """The names of the CPU VMs, in the order in which they are used."""

    @property
    def shared_cpus(self) -> int:
        """Physical CPUs that all VMs share."""

    @property
    def emulated_gpu(self) -> bool:
        """Whether the GPU is the emulated one."""

    @property
    def accounting_tolerance(self) -> float:
        """Relative difference allowed between the CPU jobs' own account and the lab's."""

    def prepare(self) -> None:
        """See that everything is reached and ready; put programs where they are needed."""

    def arrange(self, running: Collection[str]) -> dict[str, str]:
        """Let exactly these VMs run, and gpusplit's VM count be theirs.

        Returns an identity for each of them, which changes when the VM is restarted.
        """

    def schedule(self, scheduling: Scheduling) -> Scheduling | None:
        """Have the host schedule so; return how it says that it does. None: its own way, as it was.

        LabUnsuitable where that cannot be.
        """

    def conditions(self) -> dict[str, str]:
        """Say under which scheduler the lab stands, by name: runs that differ in it differ."""

    def destroy(self, vm: str) -> None:
        """Have a VM that runs no job end at once, as if its power was cut.

        LabUnsuitable where VMs cannot come and go.
        """

    def create(self, vm: str) -> None:
        """Have a VM that was destroyed again; it boots. Does nothing if it is there.

        LabUnsuitable where VMs cannot come and go.
        """

    def identities(self, vms: Collection[str]) -> dict[str, str]:
        """Return the identities of these VMs now; a VM that is gone is left out."""

    def vms_option(self, running: int) -> str:
        """Return gpusplit's option `vms`: where the GPU job finds the number of running VMs."""

    def launches(self, profile: Profile) -> int:
        """Return how many kernel launches a GPU job of this profile has here."""

    def gpu_job(self, environment: Mapping[str, str], *arguments: str) -> Job:
        """Start the GPU job in the GPU VM; it is not ready yet."""

    def check_gpu_job(self, ready: Event) -> None:
        """Refuse a GPU job that is not what this lab is about, by what it said of itself.

        LabUnsuitable for another kind of device, or another gpusplit than this checkout's.
        """

    def cpu_job(self, vm: str, *arguments: str) -> Job:
        """Start the CPU job in one VM; it is not ready yet."""

    def start_gpu_program(
        self, program: Program, environment: Mapping[str, str], options: Mapping[str, Any]
    ) -> Job:
        """Start what keeps an operator's program in the GPU VM (workloads/keeper.c).

        The program runs with gpusplit's *options*; not yet.
        """

    def start_cpu_program(self, vm: str, program: Program) -> Job:
        """Start what keeps an operator's program in a CPU VM; it does not run yet."""

    def sampler(self) -> Sampler:
        """Start what samples; it does not sample yet."""

    def describe(self) -> dict[str, str]:
        """Say what the host is: hypervisor, kernel, CPUs, by name."""

    def release(self) -> None:
        """Leave the lab as it was found: every VM runs."""

    def collect_logs(self, into: Path) -> list[str]:
        """Copy every log within reach into a folder; return what could not be had. Never raises."""
