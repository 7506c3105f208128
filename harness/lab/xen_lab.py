"""A Xen host as a lab, emulated (`dryrun`) or real (`bench`): VMs over SSH, accounting in dom0."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import workloads
from harness.errors import LabUnsuitable
from harness.lab.deploy import deploy
from harness.lab.hosts import Event, Host, Job
from harness.lab.inventory import Inventory
from harness.lab.logs import collect_logs
from harness.lab.programs import PLAIN, OwnPrograms, put_folder, words_of
from harness.lab.xen import SAMPLER, Xen, XenSampler
from harness.lab.xen_scheduling import XenScheduling
from harness.plan.conditions import Scheduling
from harness.plan.profiles import Profile
from harness.plan.programs import Program, Work
from harness.workloads.gpu_matmul import package_digest

GPU_PROGRAM = Path(workloads.__file__).with_name("gpu_matmul.py")

ACCOUNTING_TOLERANCE = 0.03
"""Xen counts a domain's CPU time to the microsecond. A real host's CPUs must hold their clock rate
for it, or points are invalid."""

OUR_GPUSPLIT = Path(workloads.__file__).parents[2] / "gpusplit"
"""The library in this checkout; not imported, for that would need OpenCL here."""

GUEST_GPUSPLIT = "/opt/gpusplit"
"""Where the playbooks put the library and the emulated GPU in the GPU VM."""

WITHOUT = "-u LD_PRELOAD -u OPENCL_LAYERS"
"""Where a whole VM has gpusplit (the role gpu_waits), the GPU job has its own alone."""

XEN_FACTS = ("xen_version", "xen_scheduler", "virt_caps", "nr_cpus", "release", "xen_commandline")


@dataclass
class XenLab:
    """One Xen host with its guests."""

    inventory: Inventory
    connect: Callable[[str], Host]
    """Returns a host by name."""
    cpu_program: Path
    """The CPU job's binary, on the controller."""
    gpusplit: Path = OUR_GPUSPLIT
    """The library that the GPU VM must hold too."""
    own: OwnPrograms | None = None
    """What starts an operator's own programs; None where there are none."""
    xen: Xen = field(init=False)

    def __post_init__(self) -> None:
        self.xen = Xen(self.connect(self.inventory.host))
        self._put: dict[tuple[str, Path], str] = {}
        self._scheduling = XenScheduling(self.xen.dom0, self.gpu_vm, self.inventory.vms)
        self._domids: dict[str, int] = {}
        """The domid of every VM, as last seen."""

    @property
    def kind(self) -> str:
        return self.inventory.lab

    @property
    def clock(self) -> str:
        return self.inventory.clock

    @property
    def host(self) -> str:
        return self.inventory.name or self.inventory.host

    @property
    def gpu_vm(self) -> str:
        return self.inventory.gpu_vm

    @property
    def cpu_vms(self) -> tuple[str, ...]:
        return self.inventory.cpu_vms

    @property
    def shared_cpus(self) -> int:
        return self.inventory.shared_cpus

    @property
    def emulated_gpu(self) -> bool:
        return self.kind == "dryrun"

    @property
    def accounting_tolerance(self) -> float:
        return ACCOUNTING_TOLERANCE

    def prepare(self) -> None:
        """Wake all VMs, reach each over SSH once, and put the programs there.

        CPU VMs that are gone come back: a run that was killed may have had one destroyed.
        """
        self._scheduling.tidy()
        there = self.xen.domains()
        for name in self.cpu_vms:
            if name not in there:
                self.create(name)
        self.release()
        self._program(self.xen.dom0, SAMPLER)
        self._program(self.connect(self.gpu_vm), GPU_PROGRAM)
        for name in self.cpu_vms:
            self._program(self.connect(name), self.cpu_program)

    def arrange(self, running: Collection[str]) -> dict[str, str]:
        """Let exactly these VMs run; the others are paused, which Xen does not count as running.

        Returns their domids: Xen gives a new one to a domain that is created or rebooted.
        """
        # A VM that is gone keeps its name in what was sampled of it.
        self._domids |= self.xen.run_only(running, among=self.inventory.vms)
        if self.gpu_vm in running:
            # The GPU VM reads this count at every launch. While it is paused nobody reads it.
            self.xen.wait_for_count(self._domids[self.gpu_vm], len(running))
        return {name: f"domid {self._domids[name]}" for name in running}

    def schedule(self, scheduling: Scheduling) -> Scheduling | None:
        return self._scheduling.set(scheduling)

    def conditions(self) -> dict[str, str]:
        found = {"scheduler": self.xen.info().get("xen_scheduler", "unknown")}
        if found["scheduler"] == "credit":
            said = asdict(self._scheduling.find())
            found |= {name: str(value) for name, value in said.items() if value != ""}
        return found

    def destroy(self, vm: str) -> None:
        self.xen.destroy(vm)
        # Its files may not have reached its disk.
        self._put = {key: path for key, path in self._put.items() if key[0] != vm}

    def create(self, vm: str) -> None:
        self.xen.create(vm)

    def identities(self, vms: Collection[str]) -> dict[str, str]:
        domains = self.xen.domains()
        return {name: f"domid {domains[name].domid}" for name in vms if name in domains}

    def vms_option(self, running: int) -> str:
        # The agent of the GPU VM listens to it, and tells all programs there.
        return "xenstore"

    def release(self) -> None:
        """Let all VMs run, as the lab was before."""
        self.schedule(Scheduling())
        self._domids |= self.xen.run_only(self.inventory.vms, among=self.inventory.vms)

    def launches(self, profile: Profile) -> int:
        return profile.gpu_launches

    def gpu_job(self, environment: Mapping[str, str], *arguments: str) -> Job:
        host = self.connect(self.gpu_vm)
        variables = {"PYTHONPATH": GUEST_GPUSPLIT, **environment, **self._layer()}
        words = [f"{key}={value}" for key, value in variables.items()]
        words += ["python3", self._program(host, GPU_PROGRAM), *arguments]
        return Job(f"the GPU job on {host.name}", host.start(f"env {WITHOUT} {shlex.join(words)}"))

    def check_gpu_job(self, ready: Event) -> None:
        device = ready["device"]
        if self.emulated_gpu and "emulated" not in device.lower():
            raise LabUnsuitable(
                f"The GPU job found {device!r}, which is not the emulated GPU.",
                f"see that {GUEST_GPUSPLIT}/libemugpu.so is in {self.gpu_vm}; "
                "`make lab` puts it there",
            )
        if ready["gpusplit_digest"] != package_digest(self.gpusplit):
            raise LabUnsuitable(
                f"{self.gpu_vm} holds another version of gpusplit than this checkout.",
                "run `ansible-playbook site.yml`, which brings the guests up to date",
            )

    def cpu_job(self, vm: str, *arguments: str) -> Job:
        host = self.connect(vm)
        words = [self._program(host, self.cpu_program), *arguments]
        return Job(f"the CPU job on {vm}", host.start(shlex.join(words)))

    def start_gpu_program(
        self, program: Program, environment: Mapping[str, str], options: Mapping[str, Any]
    ) -> Job:
        assert self.own is not None
        host = self.connect(self.gpu_vm)
        root = str(Path(self._folder(host, self.own.gpusplit)).parent)
        words = words_of(program, "python3", root, options)
        way = "once" if program.work is Work.TIME else "lines"
        plain = PLAIN if words == list(program.words) else {}
        variables = {**environment, **self._layer(), **plain}
        return self._keep(f"the GPU program `{program.command}`", host, way, words, variables)

    def start_cpu_program(self, vm: str, program: Program) -> Job:
        way = "again" if program.work is Work.TIME else "lines"
        name = f"the CPU program `{program.command}` on {vm}"
        return self._keep(name, self.connect(vm), way, program.words, {})

    def sampler(self) -> XenSampler:
        return self.xen.sampler(self._program(self.xen.dom0, SAMPLER), self._names)

    def describe(self) -> dict[str, str]:
        info = self.xen.info()
        return {name: info[name] for name in XEN_FACTS if name in info}

    def collect_logs(self, into: Path) -> list[str]:
        return collect_logs(self.inventory.folder, self.xen.dom0, into)

    def _names(self) -> dict[int, str]:
        return {domid: name for name, domid in self._domids.items()}

    def _layer(self) -> dict[str, str]:
        """Return what makes OpenCL find the emulated GPU, where it is to."""
        layer = f"{GUEST_GPUSPLIT}/libemugpu.so"
        return {"OPENCL_LAYERS": layer} if self.emulated_gpu else {}

    def _keep(
        self,
        name: str,
        host: Host,
        way: str,
        words: Sequence[str],
        environment: Mapping[str, str],
    ) -> Job:
        assert self.own is not None
        keeper = self._program(host, self.own.keeper)
        folder = self._folder(host, self.own.folder) if self.own.folder else "."
        variables = [f"{key}={value}" for key, value in environment.items()]
        line = shlex.join([*variables, keeper, way, folder, *words])
        return Job(name, host.start(f"env {line}"))

    def _folder(self, host: Host, local: Path) -> str:
        """Return a folder's path on a host; put it there the first time."""
        key = host.name, local
        if key not in self._put:
            self._put[key] = put_folder(host, local)
        return self._put[key]

    def _program(self, host: Host, local: Path) -> str:
        """Return a program's path on a host; put it there the first time."""
        key = host.name, local
        if key not in self._put:
            self._put[key] = deploy(host, local)
        return self._put[key]
