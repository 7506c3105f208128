"""This machine as a lab, without a hypervisor: each "VM" is an equal share of one CPU.

What it can show is what a GPU job's waiting does to its neighbours under Linux's scheduler, on a
real GPU where there is one. It says nothing of Xen's scheduler.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import workloads
from harness.errors import LabUnsuitable
from harness.lab.hosts import COMMAND_TIMEOUT, Event, Job
from harness.lab.local_process import LocalProcess
from harness.lab.local_sampler import LocalSampler, now
from harness.lab.programs import PLAIN, OwnPrograms, words_of
from harness.lab.samples import CpuSample
from harness.lab.shares import Shares, make_shares
from harness.plan.conditions import Scheduling
from harness.plan.profiles import PAPER_GPU_SECONDS, Profile
from harness.plan.programs import Program, Work

ROOT = Path(workloads.__file__).parents[2]

GPU_PROGRAM = Path(workloads.__file__).with_name("gpu_matmul.py")

GPU_VM = "gpu1"

CPU_VMS = ("cpu1", "cpu2", "cpu3", "cpu4", "cpu5")

TRIAL_LAUNCHES = 10
"""Launches by which a real GPU's speed is found."""

# Asked in a process of its own: the loader reads OPENCL_LAYERS only once.
FIND_GPUS = """
import json, pyopencl as cl
try:
    platforms = cl.get_platforms()
except cl.LogicError:
    platforms = []
devices = [d for p in platforms for d in p.get_devices()]
print(json.dumps([d.name for d in devices if d.type & cl.device_type.GPU]))
"""


def find_gpus() -> list[str]:
    """Return the names of the real OpenCL GPUs of this machine."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENCL_LAYERS"}
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIND_GPUS],
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        env=environment,
        check=False,
    )
    if asked.returncode != 0:
        raise LabUnsuitable(
            f"OpenCL does not work on this machine: {asked.stderr.strip()[-400:]}",
            "see `gpusplit doctor`",
        )
    return [str(name) for name in json.loads(asked.stdout)]


@dataclass
class LocalLab:
    """This machine, its CPU shared by a GPU job and CPU jobs."""

    cpu_program: Path
    shares: Shares
    cpu: int
    """The CPU that all jobs share."""
    emugpu: Path | None
    """The emulated GPU's library; None where there is a real GPU."""
    own: OwnPrograms | None = None
    """What starts an operator's own programs; None where there are none."""

    kind = "local"
    clock = "real"
    gpu_vm = GPU_VM
    cpu_vms = CPU_VMS
    shared_cpus = 1
    # Nobody holds the clock rate of this machine's CPUs: what a second of CPU time is worth differs
    # by a tenth (docs/results, h200-local-quick: repetitions were up to 10.2 % apart).
    accounting_tolerance = 0.1

    @property
    def host(self) -> str:
        return platform.node() or "localhost"

    @property
    def emulated_gpu(self) -> bool:
        return self.emugpu is not None

    def prepare(self) -> None:
        """Everything is here already."""

    def arrange(self, running: Collection[str]) -> dict[str, str]:
        """Nothing to arrange: a VM without a job that computes does not run."""
        return self.identities(running)

    def destroy(self, vm: str) -> None:
        raise _no_vms()

    def create(self, vm: str) -> None:
        raise _no_vms()

    def identities(self, vms: Collection[str]) -> dict[str, str]:
        return dict.fromkeys(vms, "this machine")

    def vms_option(self, running: int) -> str:
        return f"static:{running}"

    def launches(self, profile: Profile) -> int:
        """Return how many launches make the GPU job as long as the profile's card would take.

        A real GPU does the paper's product in milliseconds, so its speed is measured first.
        """
        if self.emugpu is not None or profile.gpu_program is not None:
            return profile.gpu_launches
        with self.gpu_job({}, "--size", str(profile.gpu_size)) as job:
            job.expect("ready", COMMAND_TIMEOUT)
            job.send('set {"policy": "unsplit", "wait": "driver"}')
            job.expect("set", COMMAND_TIMEOUT)
            for _ in range(2):  # the first one also wakes the GPU up
                job.send(f"go {TRIAL_LAUNCHES}")
                report = job.expect("report", COMMAND_TIMEOUT)
        one = float(report["end"] - report["start"]) / TRIAL_LAUNCHES
        return math.ceil(PAPER_GPU_SECONDS * profile.gpu_scale / one)

    def gpu_job(self, environment: Mapping[str, str], *arguments: str) -> Job:
        # Before what is set already: that may be where pyopencl lies.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        variables = {**environment, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"} | self._layer()
        argv = [sys.executable, str(GPU_PROGRAM), *arguments]
        return self._start("the GPU job", GPU_VM, argv, variables)

    def check_gpu_job(self, ready: Event) -> None:
        emulated = "emulated" in str(ready["device"]).lower()
        if emulated != self.emulated_gpu:
            raise LabUnsuitable(
                f"The GPU job found {ready['device']!r}, which is not what this lab found.",
                "see `gpusplit doctor` for the devices; unset OPENCL_LAYERS",
            )

    def cpu_job(self, vm: str, *arguments: str) -> Job:
        return self._start(f"the CPU job of {vm}", vm, [str(self.cpu_program), *arguments], {})

    def start_gpu_program(
        self, program: Program, environment: Mapping[str, str], options: Mapping[str, Any]
    ) -> Job:
        assert self.own is not None
        words = words_of(program, sys.executable, str(self.own.gpusplit.parent), options)
        way = "once" if program.work is Work.TIME else "lines"
        plain = PLAIN if words == list(program.words) else {}
        variables = {**environment, **self._layer(), **plain}
        return self._keep(f"the GPU program `{program.command}`", GPU_VM, way, words, variables)

    def start_cpu_program(self, vm: str, program: Program) -> Job:
        way = "again" if program.work is Work.TIME else "lines"
        name = f"the CPU program `{program.command}` of {vm}"
        return self._keep(name, vm, way, program.words, {})

    def sampler(self) -> LocalSampler:
        return LocalSampler(self._sample)

    def describe(self) -> dict[str, str]:
        return {
            "hypervisor": "none",
            "kernel": platform.release(),
            "processor": processor_name(Path("/proc/cpuinfo").read_text()),
            "cpus": str(os.cpu_count()),
            "shared_cpu": str(self.cpu),
            "shares": self.shares.description,
        }

    def schedule(self, scheduling: Scheduling) -> Scheduling | None:
        if scheduling != Scheduling():
            raise LabUnsuitable(
                "This machine has no hypervisor whose scheduler could be set.",
                "measure the experiment `conditions` in the dry run",
            )
        return None

    def conditions(self) -> dict[str, str]:
        return {"shares": self.shares.description}

    def release(self) -> None:
        """There is nothing to release."""

    def collect_logs(self, into: Path) -> list[str]:
        """The jobs' last words are in the points' incidents; there are no other logs."""
        return []

    def _start(
        self, name: str, vm: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> Job:
        pinned = ["taskset", "--cpu-list", str(self.cpu), *argv]
        process = LocalProcess(name, self.shares.command(vm, pinned), environment)
        self.shares.started(vm, process.pid)
        return Job(name, process)

    def _layer(self) -> dict[str, str]:
        """Return what makes OpenCL find the emulated GPU, where it is to."""
        return {} if self.emugpu is None else {"OPENCL_LAYERS": str(self.emugpu)}

    def _keep(
        self, name: str, vm: str, way: str, words: Sequence[str], environment: Mapping[str, str]
    ) -> Job:
        assert self.own is not None
        folder = str(self.own.folder or Path.cwd())
        return self._start(name, vm, [str(self.own.keeper), way, folder, *words], environment)

    def _sample(self) -> CpuSample:
        before = now()
        used = self.shares.cpu_seconds()
        return CpuSample((before + now()) / 2, used)


def _no_vms() -> LabUnsuitable:
    return LabUnsuitable(
        "Without a hypervisor there are no VMs that could come and go.",
        "measure the timeline in the dry run or on a Xen host",
    )


def processor_name(cpuinfo: str) -> str:
    """Return the processor's name from /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


@contextmanager
def open_local_lab(
    cpu_program: Path, emugpu: Path | None, own: OwnPrograms | None = None
) -> Iterator[LocalLab]:
    """Open this machine as a lab, and leave it as it was.

    The jobs get the last CPU that this process may use; the harness keeps to the others.
    """
    allowed = os.sched_getaffinity(0)
    cpu = max(allowed)
    shares = make_shares((GPU_VM, *CPU_VMS))
    try:
        os.sched_setaffinity(0, allowed - {cpu} or allowed)
        yield LocalLab(cpu_program, shares, cpu, emugpu, own)
    finally:
        shares.remove()
        os.sched_setaffinity(0, allowed)
