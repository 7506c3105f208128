"""How Xen schedules the guests, changed on a standing host and given back.

Time slice, rate limit, weight and cap by `xl sched-credit` and `sched-credit2`. Another scheduler
needs a CPU pool of its own: the guests' CPUs leave Xen's first pool, a pool with that scheduler
takes them, and the guests move there. Xen forgets their weights and their pinning on the way, both
ways, so they are set anew. vCPUs by `xl vcpu-set`, for which the guests' Linux does what is asked,
once it runs.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import LabUnsuitable, NotReady
from harness.lab.hosts import COMMAND_TIMEOUT, Host
from harness.lab.inventory import Guest
from harness.plan.conditions import Scheduling

FIRST_POOL = "Pool-0"
"""Where Xen puts every CPU and domain when it boots."""

OUR_POOL = "gpusplit"

COMMANDS = {"credit": "xl sched-credit", "credit2": "xl sched-credit2"}

Share = tuple[int, int]
"""A domain's weight, and its cap (0: none)."""

AS_CREATED: Share = (256, 0)
"""What a domain has that is new, to a host or to a pool."""


@dataclass(frozen=True)
class Pool:
    """What `xl sched-credit` or `sched-credit2` says of one pool."""

    slice_ms: int
    """0 under credit2, which has none."""
    ratelimit_us: int
    shares: Mapping[str, Share]

    def scheduling(self, gpu_vm: str, scheduler: str = "") -> Scheduling:
        """Return it as a condition has it. KeyError if the GPU VM is not there."""
        weight, cap = self.shares[gpu_vm]
        return Scheduling(self.slice_ms, self.ratelimit_us, weight, cap, scheduler)


def parse_pool(text: str) -> Pool:
    """Read what xl says of a pool; ValueError if it does not tell all of it.

    The first line has the time slice (credit) and the rate limit, then comes a line for every
    domain: name, ID, weight and cap.
    """
    head, *lines = text.splitlines() or [""]
    said = dict(word.split("=") for word in head.split() if "=" in word)
    rows = [line.rsplit(maxsplit=3) for line in lines[1:]]
    try:
        return Pool(
            int(said.get("tslice", "0ms").removesuffix("ms")),
            int(said["ratelimit"].removesuffix("us")),
            {name: (int(weight), int(cap)) for name, _, weight, cap in rows},
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"xl said {text!r} of its scheduler: {error}") from error


def parse_pools(text: str) -> dict[str, str]:
    """Read `xl cpupool-list -c`: every pool's CPUs, as xl writes them, by the pool's name."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {row[0]: "".join(row[1:]) for row in rows if row}


def parse_cpus(text: str) -> list[int]:
    """Read CPUs as xl writes them: `1`, `0,2-3`. ValueError for what names none, as `all`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def parse_vcpus(text: str) -> tuple[Counter[str], Counter[str]]:
    """Read `xl vcpu-list`: by domain the vCPUs that it may have, and those that it runs with."""
    most: Counter[str] = Counter()
    online: Counter[str] = Counter()
    for line in text.splitlines()[1:]:
        if match := re.match(r"(\S+)\s+\d+\s+\d+\s+\S+\s+(\S+)\s", line):
            most[match[1]] += 1
            # Of a paused domain too, `p` is the state of those alone that it does without.
            online[match[1]] += not match[2].endswith("p")
    return most, online


def parameters(
    scheduler: str, pool: str, wanted: Scheduling, usual: Scheduling, gpu_vm: str
) -> list[str]:
    """Return the commands that set a pool; where nothing is said, as the lab usually is."""
    xl = COMMANDS[scheduler]
    turns = f"-t {wanted.slice_ms or usual.slice_ms} " if scheduler == "credit" else ""
    limit = usual.ratelimit_us if wanted.ratelimit_us is None else wanted.ratelimit_us
    weight = wanted.gpu_weight or usual.gpu_weight
    return [
        f"{xl} -s -p {pool} {turns}-r {limit}",
        # A cap of 0 is none.
        f"{xl} -d {gpu_vm} -w {weight} -c {wanted.gpu_cap or usual.gpu_cap}",
    ]


def entering(scheduler: str, cpus: str, shares: Mapping[str, Share]) -> list[str]:
    """Return the commands that move domains, with their CPUs, into a pool of their own."""
    return [
        f"xl cpupool-cpu-remove {FIRST_POOL} {cpus}",
        f"""xl cpupool-create 'name="{OUR_POOL}"' 'sched="{scheduler}"' 'cpus="{cpus}"'""",
        *(f"xl cpupool-migrate {name} {OUR_POOL}" for name in shares),
        *_restored(scheduler, shares),
    ]


def leaving(cpus: str, pinned_to: str, shares: Mapping[str, Share]) -> list[str]:
    """Return the commands that undo that, under Xen's first scheduler, which is credit."""
    return [
        *(f"xl cpupool-migrate {name} {FIRST_POOL}" for name in shares),
        f"xl cpupool-destroy {OUR_POOL}",
        f"xl cpupool-cpu-add {FIRST_POOL} {cpus}",
        *(f"xl vcpu-pin {name} all {pinned_to}" for name in shares),
        *_restored("credit", shares),
    ]


def _restored(scheduler: str, shares: Mapping[str, Share]) -> Iterable[str]:
    return (
        f"{COMMANDS[scheduler]} -d {name} -w {weight} -c {cap}"
        for name, (weight, cap) in shares.items()
        if (weight, cap) != AS_CREATED
    )


class XenScheduling:
    """The scheduling of one host: how it was found is kept, and restored."""

    def __init__(self, dom0: Host, gpu_vm: str, guests: Mapping[str, Guest]) -> None:
        self._dom0 = dom0
        self._gpu_vm = gpu_vm
        self._guests = guests
        self._told: dict[str, int] = {}
        """The vCPUs of VMs that were told of another number, until they are seen to have it."""
        self._usual: Pool | None = None
        """How it was found, once it was changed."""
        self._wanted = Scheduling()
        self._is: Scheduling | None = None
        self._cpus = ""
        """Those of our pool."""

    def find(self) -> Scheduling:
        """Return how Xen's first pool schedules. LabUnsuitable if it does not say that."""
        self._tidy_pool()  # which has the guests otherwise
        return self._pool("credit", FIRST_POOL).scheduling(self._gpu_vm)

    def set(self, wanted: Scheduling) -> Scheduling | None:
        """Have it so, and return what Xen says; None while nothing was ever changed."""
        if self._usual is None:
            if wanted == Scheduling():
                return None
            self._usual = self._pool("credit", FIRST_POOL)
            self._is = self._usual.scheduling(self._gpu_vm)
        if wanted != self._wanted:
            self._change(wanted, self._usual)
        return self._is

    def tidy(self, paused: Collection[str]) -> None:
        """Give back pool and vCPUs that a run left behind that was killed.

        VMs that it left paused may not have done yet what they were told.
        """
        self._tidy_pool()
        self._told |= dict.fromkeys(paused, 0)  # nobody knows what
        self._tell({vm: its.vcpus for vm, its in self._guests.items()})

    def _tidy_pool(self) -> None:
        cpus = parse_pools(self._dom0.run("xl cpupool-list -c")).get(OUR_POOL)
        if cpus and self._wanted.pool == "":
            shares = {vm: (its.weight, its.cap) for vm, its in self._guests.items()}
            self._run(leaving(cpus, self._guests_cpus(), shares))

    def await_vcpus(
        self, running: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Wait until these VMs, which run, have the vCPUs that they were told of."""
        deadline = clock() + COMMAND_TIMEOUT
        while wrong := self._told.keys() & set(running):
            _, online = parse_vcpus(self._dom0.run("xl vcpu-list"))
            for vm in wrong:
                if online[vm] == self._told[vm]:
                    del self._told[vm]
                elif clock() > deadline:
                    raise NotReady(
                        f"{vm} was told to run with {self._told[vm]} vCPUs, and has {online[vm]}.",
                        "its kernel brings them up and down (udev's rule 80-gpusplit-vcpus.rules); "
                        "see its console in the run's logs",
                    )

    def _tell(self, vcpus: Mapping[str, int]) -> None:
        """Tell those VMs with how many vCPUs to run that do with others."""
        most, online = parse_vcpus(self._dom0.run("xl vcpu-list"))
        there = {vm: number for vm, number in vcpus.items() if vm in most}
        for vm, number in there.items():
            if number > most[vm]:
                raise LabUnsuitable(
                    f"{vm} can have {most[vm]} vCPUs, and is to run with {number}.",
                    "build the lab with a larger `guest_max_vcpus`",
                )
        # One that has not yet what it was told of last has to be told again.
        other = {vm: n for vm, n in there.items() if n != self._told.get(vm, online[vm])}
        if other:
            # There may be more of them than the host has CPUs.
            self._run([f"xl vcpu-set --ignore-host {vm} {n}" for vm, n in other.items()])
            self._told |= other

    def _change(self, wanted: Scheduling, usual: Pool) -> None:
        moves = (wanted.pool, wanted.cpus) != (self._wanted.pool, self._wanted.cpus)
        # What may be refused comes first.
        all_cpus = self._guests_cpus() if moves else ""
        cpus = self._first_cpus(all_cpus, wanted.cpus)
        self._tell({vm: wanted.vcpus or its.vcpus for vm, its in self._guests.items()})
        shares = {vm: usual.shares[vm] for vm in self._guests if vm in usual.shares}
        if moves and self._wanted.pool:
            self._run(leaving(self._cpus, all_cpus, shares))
        if moves and wanted.pool:
            self._cpus = cpus
            self._run(entering(wanted.pool, cpus, shares))
        scheduler, pool = wanted.pool or "credit", OUR_POOL if wanted.pool else FIRST_POOL
        as_usual = usual.scheduling(self._gpu_vm)
        self._run(parameters(scheduler, pool, wanted, as_usual, self._gpu_vm))
        self._wanted = wanted
        found = self._pool(scheduler, pool)
        self._is = replace(
            found.scheduling(self._gpu_vm, wanted.scheduler),
            vcpus=wanted.vcpus,
            cpus=wanted.cpus,
        )

    def _guests_cpus(self) -> str:
        """Return the CPUs that all guests are pinned to."""
        found = {its.cpus if isinstance(its.cpus, str) else "" for its in self._guests.values()}
        if len(found) == 1 and found.isdisjoint({"", "all"}):
            return found.pop()
        raise LabUnsuitable(
            f"The guests of {self._dom0.name} have no CPUs of their own to make a pool of: each "
            "is pinned in its own way, or none is.",
            "pin all guests to the same CPUs, which are not dom0's (`guest_cpus`)",
        )

    def _first_cpus(self, cpus: str, number: int) -> str:
        """Return the first so many of these CPUs; 0: all."""
        if not number or not cpus:
            return cpus
        found = parse_cpus(cpus)
        if number > len(found):
            raise LabUnsuitable(
                f"{self._dom0.name} has {len(found)} CPUs for its guests, and {number} are wanted.",
                "build the lab with more (`guest_pcpus`)",
            )
        return ",".join(map(str, found[:number]))

    def _pool(self, scheduler: str, pool: str) -> Pool:
        said = self._dom0.run(f"{COMMANDS[scheduler]} -p {pool}")
        try:
            found = parse_pool(said)
            found.scheduling(self._gpu_vm)
        except (ValueError, KeyError) as error:
            raise LabUnsuitable(
                f"{self._dom0.name} does not say how its scheduler {scheduler} is set: {error}.",
                "build the lab with `scheduler: credit`",
            ) from error
        return found

    def _run(self, commands: Sequence[str]) -> None:
        self._dom0.run(" && ".join(commands))
