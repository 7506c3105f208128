"""The lab, open: its hosts, its Xen, its programs, and the jobs that can be started in it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from harness import workloads
from harness.errors import LabUnsuitable
from harness.lab.deploy import deploy
from harness.lab.hosts import Event, Host, Job
from harness.lab.inventory import Inventory
from harness.lab.xen import SAMPLER, Sampler, Xen
from harness.workloads.gpu_matmul import package_digest

GPU_PROGRAM = Path(workloads.__file__).with_name("gpu_matmul.py")

OUR_GPUSPLIT = Path(workloads.__file__).parents[2] / "gpusplit"
"""The library in this checkout; not imported, for that would need OpenCL here."""

GUEST_GPUSPLIT = "/opt/gpusplit"
"""Where the playbooks put the library and the emulated GPU in the GPU VM."""

GPU_READY_TIMEOUT = 300.0
"""Seconds until the GPU job is ready: Python's imports take 10 s in the emulation, the first
kernel build of a new guest 13 s more."""


@dataclass
class Lab:
    """What measurements are made in."""

    inventory: Inventory
    host: Callable[[str], Host]
    """Returns a host by name."""
    cpu_program: Path
    """The CPU job's binary, on the controller."""
    gpusplit: Path = OUR_GPUSPLIT
    """The library that the GPU VM must hold too."""
    xen: Xen = field(init=False)

    def __post_init__(self) -> None:
        self.xen = Xen(self.host(self.inventory.host))
        self._put: dict[tuple[str, Path], str] = {}

    def prepare(self) -> None:
        """Wake all VMs, reach each over SSH once, and put the programs there."""
        self.wake_all()
        self._program(self.xen.dom0, SAMPLER)
        self._program(self.host(self.inventory.gpu_vm), GPU_PROGRAM)
        for name in self.inventory.cpu_vms:
            self._program(self.host(name), self.cpu_program)

    def wake_all(self) -> None:
        """Let all VMs run, as the lab was before."""
        self.xen.run_only(self.inventory.vms, among=self.inventory.vms)

    def gpu_job(self, environment: Mapping[str, str], *arguments: str) -> Job:
        """Start the GPU job; it is not ready yet."""
        host = self.host(self.inventory.gpu_vm)
        variables = {
            "PYTHONPATH": GUEST_GPUSPLIT,
            "OPENCL_LAYERS": f"{GUEST_GPUSPLIT}/libemugpu.so",
            **environment,
        }
        words = [f"{key}={value}" for key, value in variables.items()]
        words += ["python3", self._program(host, GPU_PROGRAM), *arguments]
        return Job(f"the GPU job on {host.name}", host.start(f"env {shlex.join(words)}"))

    def cpu_job(self, name: str, size: int, warm_up: int) -> Job:
        """Start the CPU job of one VM; it is not ready yet."""
        host = self.host(name)
        words = [self._program(host, self.cpu_program), str(size), str(warm_up)]
        return Job(f"the CPU job on {name}", host.start(shlex.join(words)))

    def sampler(self) -> AbstractContextManager[Sampler]:
        """Start sampling Xen's accounting."""
        return self.xen.sampler(self._program(self.xen.dom0, SAMPLER))

    def _program(self, host: Host, local: Path) -> str:
        """Return a program's path on a host; put it there the first time."""
        key = host.name, local
        if key not in self._put:
            self._put[key] = deploy(host, local)
        return self._put[key]

    def expect_gpu_ready(self, job: Job) -> Event:
        """Wait until the GPU job is ready, and check that it is what this tree would run."""
        ready = job.expect("ready", GPU_READY_TIMEOUT)
        self.check_device(ready["device"])
        ours = package_digest(self.gpusplit)
        if ready["gpusplit_digest"] != ours:
            raise LabUnsuitable(
                f"{self.inventory.gpu_vm} holds another version of gpusplit than this checkout.",
                "run `ansible-playbook site.yml`, which brings the guests up to date",
            )
        return ready

    def check_device(self, device: str) -> None:
        """Refuse a device that is not the kind of GPU that this lab is about."""
        if self.inventory.lab == "dryrun" and "emulated" not in device.lower():
            raise LabUnsuitable(
                f"The GPU job found {device!r}, which is not the emulated GPU.",
                f"see that {GUEST_GPUSPLIT}/libemugpu.so is in {self.inventory.gpu_vm}; "
                "`make lab` puts it there",
            )
