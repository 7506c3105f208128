"""Xen, as seen and steered from dom0."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import CommandFailed, LabUnsuitable, NotReady
from harness.lab.hosts import COMMAND_TIMEOUT, Host, Job
from harness.lab.samples import CpuSample

SAMPLER = Path(__file__).with_name("xen_sampler.py")

COUNT_NODE = "gpusplit/running"
"""Where the lab's monitor publishes the number of running VMs, below the GPU VM's own node."""


GUEST_CONFIGS = "/etc/xen/gpusplit"
"""Where the role xen_guests keeps the xl configuration of every guest, in dom0."""

CREATE_TIMEOUT = 300.0
"""Seconds that `xl create` may take; in the emulation about ten."""


@dataclass(frozen=True)
class Domain:
    """One line of `xl list`."""

    name: str
    domid: int
    paused: bool


def parse_xl_list(text: str) -> list[Domain]:
    """Read the output of `xl list`."""
    domains = []
    for line in text.splitlines()[1:]:
        # From the right, for the name is the user's; (null) is a domain that is going away.
        fields = line.rsplit(maxsplit=5)
        if len(fields) == 6:
            name, domid, _memory, _vcpus, state, _time = fields
            domains.append(Domain(name, int(domid), paused="p" in state))
    return domains


def parse_xl_info(text: str) -> dict[str, str]:
    """Read the output of `xl info`: lines of `key : value`."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


class Xen:
    """The hypervisor of one host."""

    def __init__(self, dom0: Host) -> None:
        self.dom0 = dom0

    def domains(self) -> dict[str, Domain]:
        """Return all domains by name."""
        return {domain.name: domain for domain in parse_xl_list(self.dom0.run("xl list"))}

    def run_only(self, wanted: Collection[str], among: Collection[str]) -> dict[str, int]:
        """Let the wanted VMs run and pause the others among those named; return their domids.

        Idle VMs are paused and not only left idle, because a paused VM is not counted as
        running, and does nothing at all. One that is not there need not be paused.
        """
        domains = self.domains()
        changes = []
        # Pauses first: at no time do more VMs run than before or after.
        for name in sorted(among, key=lambda name: name in wanted):
            if name not in domains:
                if name not in wanted:
                    continue
                raise LabUnsuitable(
                    f"The VM {name} does not exist on the host.",
                    "`make lab` creates what is missing; the consoles are in the run's logs",
                )
            # Xen counts pauses: pausing twice would need two unpauses.
            if domains[name].paused is (name in wanted):
                changes.append(f"xl {'unpause' if name in wanted else 'pause'} {name}")
        if changes:
            self.dom0.run(" && ".join(changes))
        return {name: domains[name].domid for name in among if name in domains}

    def destroy(self, name: str) -> None:
        """End a domain at once."""
        self.dom0.run(f"xl destroy {shlex.quote(name)}")

    def create(self, name: str) -> None:
        """Create a domain as its configuration says, unless it is there."""
        if name not in self.domains():
            config = shlex.quote(f"{GUEST_CONFIGS}/{name}.cfg")
            self.dom0.run(f"xl create {config}", CREATE_TIMEOUT)

    def published_count(self, gpu_domid: int) -> int | None:
        """Return the number of running VMs that the GPU VM can read; None if there is none."""
        try:
            return int(self.dom0.run(f"xenstore-read /local/domain/{gpu_domid}/{COUNT_NODE}"))
        except (CommandFailed, ValueError):
            return None

    def wait_for_count(
        self, gpu_domid: int, expected: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Wait until the published number of running VMs is the expected one."""
        deadline = clock() + COMMAND_TIMEOUT
        while (count := self.published_count(gpu_domid)) != expected:
            if clock() > deadline:
                raise NotReady(
                    f"{expected} VMs run, but the published count stays at {count}.",
                    "see the VM count publisher's log in dom0: "
                    "`journalctl` there, or the run's logs",
                )

    def info(self) -> dict[str, str]:
        """Return what `xl info` says."""
        return parse_xl_info(self.dom0.run("xl info"))

    def sampler(
        self, script: str, names: Callable[[], Mapping[int, str]], period: float = 0.25
    ) -> XenSampler:
        """Start what samples Xen's accounting, every period in seconds of dom0's clock.

        `script` is where SAMPLER was put in dom0; `names` gives the VMs' names by domid.
        """
        process = self.dom0.start(f"python3 {script} --period {period}")
        return XenSampler(Job(f"Xen's accounting on {self.dom0.name}", process), names)


class XenSampler:
    """Xen's accounting, sampled in dom0 by a program that stays for a whole run."""

    def __init__(self, job: Job, names: Callable[[], Mapping[int, str]]) -> None:
        self._job = job
        self._names = names
        try:
            job.expect("ready", COMMAND_TIMEOUT)
        except BaseException:
            job.stop()
            raise

    def clock(self) -> float:
        """Return dom0's CLOCK_REALTIME, in seconds."""
        return self._job.clock()

    def begin(self) -> None:
        self._job.send("begin")
        self._job.expect("begun", COMMAND_TIMEOUT)

    def wait_until(self, moment: float, timeout: float) -> None:
        self._job.send(f"until {moment!r}")
        self._job.expect("time", timeout)

    def end(self) -> tuple[CpuSample, ...]:
        self._job.send("end")
        samples = self._job.expect("report", COMMAND_TIMEOUT)["samples"]
        names = self._names()
        return tuple(
            CpuSample(
                time,
                {names[int(domid)]: ns / 1e9 for domid, ns in used.items() if int(domid) in names},
            )
            for time, used in samples
        )

    def stop(self) -> None:
        self._job.stop()
