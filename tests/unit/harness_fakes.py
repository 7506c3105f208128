"""A lab that is not there: hosts that answer the harness's commands from a small model.

The model is the paper's problem in a few lines: whoever computes shares one CPU equally.
It has one clock, which moves when a job is asked to do something.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.errors import CommandFailed, HostUnreachable, JobFailed
from harness.lab.inventory import Inventory
from harness.lab.xen_lab import XenLab
from harness.workloads.gpu_matmul import package_digest

ALONE = 450.0
"""Multiplications per second of a CPU VM that has the CPU to itself."""

GPU_SECONDS = 65.0
"""The GPU job's time at scale 1: of four launches."""


@dataclass
class FakeVm:
    domid: int
    paused: bool = False
    cpu_seconds: float = 0.0
    ends: list[float] = field(default_factory=list)
    computing: bool = False
    carried: float = 0.0
    """The part of a multiplication that is done."""
    began: float = 0.0
    """When it began to compute."""


@dataclass
class World:
    """The state of the lab, and what is broken in it."""

    cpu_vms: int = 4
    time: float = 1_000_000.0
    split_speedup_lost: float = 0.01
    """Relative time that the GPU job loses by being split."""
    blocking_cpu_share: float = 0.001
    """Share of a CPU that the GPU job uses under a driver whose waits block."""
    split_cpu_share: float = 0.02
    """What a cooperative GPU VM still uses of the CPU."""
    commands: list[tuple[str, str]] = field(default_factory=list)
    """Every (host, command) that was run to its end."""
    started: list[str] = field(default_factory=list)
    """The host of every process that was started."""
    running: set[FakeProcess] = field(default_factory=set)
    """Every process that was started and has not ended."""
    slice_ms: int = 30
    ratelimit_us: int = 1000
    gpu_weight: int = 256
    gpu_cap: int = 0
    """How the scheduler is set."""
    scheduler: str = "credit"
    """Which one the guests have; another than Xen's first, in a CPU pool of their own."""
    pool: str = "Pool-0"
    """The CPU pool of the guests, and of their CPU."""
    pinned: set[str] = field(default_factory=set)
    """The VMs that are pinned to the guests' CPU; all of them, to begin with."""
    comings: list[str] = field(default_factory=list)
    """Commands by which VMs were created and destroyed."""
    files: set[tuple[str, str]] = field(default_factory=set)
    folders: set[tuple[str, str]] = field(default_factory=set)
    """What was unpacked where."""
    count_offset: int = 0
    """What the published VM count is off by."""
    clock_offset: dict[str, float] = field(default_factory=dict)
    """Seconds by which a machine's clock is off, by name."""
    slow_clock: dict[str, float] = field(default_factory=dict)
    """Seconds that a machine takes to tell its time, by name."""
    unreachable: set[str] = field(default_factory=set)
    device: str = "AMD Radeon HD 6570 (emulated)"
    number_error: float | None = 1e-7
    digest: str | None = None
    """Of the gpusplit in the GPU VM; None: it is the lab's own."""
    on_gpu_go: Callable[[], None] = lambda: None
    """Called when the GPU job starts to run: the moment at which things go wrong."""
    on_cpu_go: Callable[[], None] = lambda: None
    """Called when a CPU job starts to compute."""
    on_list: Callable[[], None] = lambda: None
    """Called when Xen is asked for its domains."""

    def __post_init__(self) -> None:
        names = ["gpu1", *(f"cpu{n}" for n in range(1, self.cpu_vms + 1))]
        self.vms = {name: FakeVm(domid) for domid, name in enumerate(names, start=1)}
        self.last_domid = len(names)
        self.pinned = set(names)
        self.names = tuple(names)
        self.gpu_share: float | None = None
        self.gpu_job: FakeGpuJob | None = None
        """The one whose kernels run."""
        self.samples: list[tuple[float, dict[int, int]]] = []

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass: whoever computes gets an equal share of the CPU."""
        end = self.time + seconds
        while self.time < end - 1e-9:
            length = min(step, end - self.time)
            if self.gpu_job is not None:
                length = min(length, self.gpu_job.left)
            computing = [vm for vm in self.vms.values() if vm.computing and not vm.paused]
            gpu_share = self._gpu_share(len(computing))
            self.vms["gpu1"].cpu_seconds += gpu_share * length
            for vm in computing:
                share = (1 - gpu_share) / len(computing)
                vm.cpu_seconds += share * length
                self._multiply(vm, length, share * ALONE)
            self.time += length
            self.sample()
            if self.gpu_job is not None:
                self.gpu_job.ran(length)

    def _gpu_share(self, computing: int) -> float:
        if self.gpu_share is None:
            return 0.0
        return self.gpu_share if self.gpu_share < 1 else 1 / (computing + 1)

    def _multiply(self, vm: FakeVm, length: float, rate: float) -> None:
        done = vm.carried + rate * length
        vm.ends += [self.time + (k - vm.carried) / rate for k in range(1, int(done) + 1)]
        vm.carried = done % 1

    def sample(self) -> None:
        used = {vm.domid: int(vm.cpu_seconds * 1e9) for vm in self.vms.values()}
        self.samples.append((self.time, used))

    def running_vms(self) -> int:
        return sum(not vm.paused for vm in self.vms.values())

    def inventory(self, folder: Path) -> Inventory:
        return Inventory(
            folder=folder,
            lab="dryrun",
            clock="deterministic",
            host="xen1",
            gpu_vm="gpu1",
            cpu_vms=tuple(name for name in self.names if name.startswith("cpu")),
            emulator_pid=None,
        )

    def lab(self, folder: Path) -> XenLab:
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "cpu_matmul"
        program.write_text("the CPU job")
        # A library of its own: the real one may be edited while tests run.
        library = folder / "gpusplit"
        library.mkdir()
        (library / "__init__.py").write_text("the library")
        if self.digest is None:
            self.digest = package_digest(library)
        return XenLab(self.inventory(folder), lambda name: FakeHost(name, self), program, library)


@dataclass
class FakeHost:
    """One machine of the world."""

    name: str
    world: World

    def run(self, command: str, timeout: float = 0) -> str:
        self._reach()
        self.world.commands.append((self.name, command))
        if match := re.fullmatch(r"if test -e (\S+); then .*", command):
            places = {(self.name, match[1]), (self.name, match[1].rpartition("/")[0])}
            return "there\n" if places & (self.world.files | self.world.folders) else ""
        if match := re.fullmatch(r"rm -rf .* && mv -T \S+ (\S+)", command):
            self.world.folders.add((self.name, match[1]))
            return ""
        if command.startswith("mkdir -p "):
            return ""
        if self.name == "xen1":
            return self._dom0(command)
        raise CommandFailed(f"{self.name}: no such command: {command}", "fix the test")

    def start(self, command: str) -> FakeProcess:
        self._reach()
        words = shlex.split(command)
        program = next(word for word in words if word.startswith("/opt/gpusplit-harness"))
        assert (self.name, program) in self.world.files, f"{program} was never put on {self.name}"
        return KINDS[program.rpartition("/")[2]](self, words)

    def put(self, local: Path, remote: str) -> None:
        self._reach()
        self.world.files.add((self.name, remote))

    def _reach(self) -> None:
        if self.name in self.world.unreachable:
            raise HostUnreachable(f"{self.name} cannot be reached over SSH.", "plug it in")
        vm = self.world.vms.get(self.name)
        if vm is None and self.name != "xen1":
            raise HostUnreachable(f"{self.name} cannot be reached over SSH.", "create it")
        assert vm is None or not vm.paused, f"{self.name} is paused and would never answer"

    def _dom0(self, command: str) -> str:
        world = self.world
        if command == "xl list":
            world.on_list()
            lines = ["Name    ID   Mem VCPUs\tState\tTime(s)", "Domain-0  0 2048 1 r----- 33.5"]
            for name, vm in world.vms.items():
                state = "--p---" if vm.paused else "-b----"
                lines.append(f"{name} {vm.domid} 512 1 {state} {vm.cpu_seconds:.1f}")
            return "\n".join(lines) + "\n"
        if command.startswith(("xl sched-", "xl cpupool-", "xl vcpu-")):
            return "".join(map(self._scheduling, command.split(" && ")))
        if command == "xl info":
            return "release : 6.1.0\nxen_version : 4.17.6\nxen_scheduler : credit\n"
        if command.startswith("xenstore-read "):
            assert command == "xenstore-read /local/domain/1/gpusplit/running"
            return f"{world.running_vms() + world.count_offset}\n"
        if command.startswith(("xl pause", "xl unpause")):
            for change in command.split(" && "):
                _, verb, name = change.split()
                vm = world.vms[name]
                assert vm.paused is (verb == "unpause"), f"{change}: Xen would count this twice"
                vm.paused = verb == "pause"
            return ""
        if match := re.fullmatch(r"xl destroy (\S+)", command):
            del world.vms[match[1]]
            world.comings.append(command)
            return ""
        if match := re.fullmatch(r"xl create /etc/xen/gpusplit/(\S+)\.cfg", command):
            assert match[1] not in world.vms, f"{match[1]} is there already"
            world.last_domid += 1
            world.vms[match[1]] = FakeVm(world.last_domid)
            world.comings.append(command)
            return ""
        if command.startswith("ls -1 /var/log/xen/console"):
            return "guest-cpu1.log\n"
        return f"output of {command}\n"

    def _scheduling(self, command: str) -> str:
        """Do what one command says of schedulers, pools and pinning, as Xen does it."""
        world = self.world
        if command == f"xl sched-{world.scheduler} -p {world.pool}":
            turns = f"tslice={world.slice_ms}ms " if world.scheduler == "credit" else ""
            lines = [f"Cpupool {world.pool}: {turns}ratelimit={world.ratelimit_us}us"]
            lines += ["Name   ID Weight  Cap", f"gpu1  1  {world.gpu_weight}  {world.gpu_cap}"]
            lines += [f"{name} {vm.domid} 256 0" for name, vm in world.vms.items() if vm.domid > 1]
            return "\n".join(lines) + "\n"
        if match := re.fullmatch(
            rf"xl sched-{world.scheduler} -s -p {world.pool}(?: -t (\d+))? -r (\d+)", command
        ):
            world.slice_ms = int(match[1] or world.slice_ms)
            world.ratelimit_us = int(match[2])
        elif match := re.fullmatch(
            rf"xl sched-{world.scheduler} -d gpu1 -w (\d+) -c (\d+)", command
        ):
            world.gpu_weight, world.gpu_cap = int(match[1]), int(match[2])
        elif command == "xl vcpu-list":
            rows = (f"{name} 1 0 1 -b- 5.1 {'1' if name in world.pinned else 'all'} / all"
                    for name in world.vms)  # fmt: skip
            return "\n".join(["Name ID VCPU CPU State Time(s) Affinity (Hard / Soft)", *rows])
        elif command == "xl cpupool-list -c":
            ours = "Pool-0 0\ngpusplit 1" if world.pool == "gpusplit" else "Pool-0 0,1"
            return f"Name CPU list\n{ours}\n"
        elif command == "xl cpupool-cpu-remove Pool-0 1":
            assert world.pool == "Pool-0", "the CPU is not there"
        elif match := re.match(r"xl cpupool-create .*sched=\"(\w+)\"' 'cpus=\"1\"'$", command):
            world.pool, world.scheduler = "gpusplit", match[1]
        elif match := re.fullmatch(r"xl cpupool-migrate (\w+) (\S+)", command):
            world.pinned.discard(match[1])
            if match[1] == "gpu1":
                world.gpu_weight, world.gpu_cap = 256, 0
        elif command == "xl cpupool-destroy gpusplit":
            assert world.pool == "gpusplit", "there is no such pool"
            world.pool, world.scheduler = "Pool-0", "credit"
        elif match := re.fullmatch(r"xl vcpu-pin (\w+) all 1", command):
            world.pinned.add(match[1])
        elif command != "xl cpupool-cpu-add Pool-0 1":
            raise CommandFailed(f"xl does not know: {command}", "fix the test")
        return ""


class FakeProcess:
    """A job of the world: commands in, events out."""

    def __init__(self, host: FakeHost, words: list[str]) -> None:
        self.host = host
        self.world = host.world
        self.words = words
        self.said: list[str] = []
        self.world.running.add(self)
        self.world.started.append(host.name)
        self.begin()

    def begin(self) -> None: ...

    def command(self, word: str, argument: str) -> None: ...

    def ended(self) -> None: ...

    def send(self, line: str) -> None:
        if self.host.name in self.world.unreachable:
            raise HostUnreachable(f"The connection to {self.host.name} was lost.", "plug it in")
        word, _, argument = line.partition(" ")
        if word == "time":
            self.world.advance(self.world.slow_clock.get(self.host.name, 0.001))
            self.say("time", time=self.clock())
        else:
            self.command(word, argument)

    def clock(self) -> float:
        return self.world.time + self.world.clock_offset.get(self.host.name, 0.0)

    def say(self, event: str, **content: Any) -> None:
        self.said.append(json.dumps({"event": event, **content}))

    def read_line(self, timeout: float) -> str:
        if self.host.name in self.world.unreachable:
            raise HostUnreachable(f"The connection to {self.host.name} was lost.", "plug it in")
        if not self.said:
            raise JobFailed(f"{self.host.name}: the job ended", "fix the test")
        return self.said.pop(0)

    def stop(self) -> None:
        self.world.running.discard(self)
        self.ended()


class FakeCpuJob(FakeProcess):
    def begin(self) -> None:
        size, parts, warm_up = map(int, self.words[1:4])
        self.warm_up = warm_up
        self.vm = self.world.vms[self.host.name]
        self.say("ready", size=size, parts=parts)

    def command(self, word: str, argument: str) -> None:
        if word == "go":
            self.world.on_cpu_go()
            self.vm.ends.clear()
            self.vm.began = self.clock()
            self.vm.computing = True
        elif word == "stop":
            self.vm.computing = False
            offset = self.world.clock_offset.get(self.host.name, 0.0)
            moments = [self.vm.began, *(end + offset for end in self.vm.ends)]
            micros = [round(moment * 1e6) for moment in moments]
            steps = [after - before for before, after in pairwise(micros)]
            self.say("report", start=round(self.vm.began, 6), steps=steps)

    def read_line(self, timeout: float) -> str:
        if not self.said:
            while len(self.vm.ends) < self.warm_up:
                self.world.advance(0.05)
            self.say("warm")
        return super().read_line(timeout)

    def ended(self) -> None:
        self.vm.computing = False


class FakeSampler(FakeProcess):
    def begin(self) -> None:
        self.say("ready")

    def command(self, word: str, argument: str) -> None:
        if word == "begin":
            self.world.samples.clear()
            self.world.sample()
            self.say("begun")
        elif word == "until":
            self.world.advance(max(0.0, float(argument) - self.world.time) + 0.1)
            self.say("time", time=self.clock())
        elif word == "end":
            self.say("report", samples=self.world.samples)


class FakeGpuJob(FakeProcess):
    def begin(self) -> None:
        self.environment = dict(word.split("=", 1) for word in self.words if "=" in word)
        self.options: dict[str, Any] = {}
        self.say(
            "ready",
            device=self.world.device,
            gpusplit_digest=self.world.digest,
            versions={"python": "3.11.2"},
        )

    def groups(self) -> tuple[int, str]:
        match self.options["policy"]:
            case "unsplit":
                return 1, "policy unsplit"
            case "fixed":
                return self.options["groups"], "fixed"
            case "adaptive":
                return 1, "policy adaptive: waits use next to no CPU, there is none to give"
            case _:
                counted = self.world.running_vms() + self.world.count_offset
                return self.options["alpha"] * counted, "vms x alpha"

    def command(self, word: str, argument: str) -> None:
        if word == "set":
            self.options = json.loads(argument)
            self.say("set")
        elif word == "verify":
            assert self.environment["EMUGPU_EXEC"] == "full"
            error, device = self.world.number_error, self.world.device
            groups = self.groups()[0]
            self.say("verified", max_relative_error=error, groups=groups, device=device)
        else:
            assert word == "go"
            assert self.environment["EMUGPU_EXEC"] == "none"
            self.launch(int(argument))

    def launch(self, launches: int) -> None:
        self.world.on_gpu_go()
        self.launches = launches
        self.records: list[dict[str, Any]] = []
        spins = self.options["wait"] == "driver"
        way = self.environment.get("EMUGPU_WAIT", "spin")
        blocks = way == "interrupt"
        self.world.gpu_share = (
            self.world.blocking_cpu_share
            if blocks
            else self.mostly_blocked()
            if spins and way == "interrupt-then-spin"
            else 1.0
            if spins
            else self.world.split_cpu_share
        )
        self.begin_launch()
        self.world.gpu_job = self

    def mostly_blocked(self) -> float:
        """Of each group's time what comes after the threshold is spun, for an equal share."""
        length = GPU_SECONDS / 4 * float(self.environment["EMUGPU_SCALE"]) / self.groups()[0]
        spun = max(0.0, 1 - float(self.environment["EMUGPU_THEN_AFTER_US"]) / 1e6 / length)
        return spun / self.world.running_vms()

    def begin_launch(self) -> None:
        groups, reason = self.groups()
        self.left = GPU_SECONDS / 4 * float(self.environment["EMUGPU_SCALE"])
        if groups > 1:
            self.left *= 1 + self.world.split_speedup_lost
        self.records.append(
            {
                "start": self.clock(),
                "end": self.clock(),
                "groups": groups,
                "wanted": groups,
                "vm_count": self.world.running_vms(),
                "reason": reason,
            }
        )

    def ran(self, seconds: float) -> None:
        """The kernel ran for so long."""
        self.left -= seconds
        if self.left > 1e-9:
            return
        self.records[-1]["end"] = self.clock()
        if len(self.records) < self.launches:
            self.begin_launch()
            return
        self.world.gpu_share = self.world.gpu_job = None
        start, end = self.records[0]["start"], self.records[-1]["end"]
        self.say("report", start=start, end=end, launches=self.records, sleeps=len(self.records))

    def read_line(self, timeout: float) -> str:
        while not self.said and self.world.gpu_job is self:
            self.world.advance(0.05)
        return super().read_line(timeout)

    def ended(self) -> None:
        self.world.gpu_share = self.world.gpu_job = None


KINDS: dict[str, type[FakeProcess]] = {
    "cpu_matmul": FakeCpuJob,
    "gpu_matmul.py": FakeGpuJob,
    "xen_sampler.py": FakeSampler,
}
"""What answers for each program that is started."""
