"""How Xen schedules the guests, changed on a standing host and given back.

Time slice, rate limit, weight and cap by `xl sched-credit` and `sched-credit2`. Another scheduler
needs a CPU pool of its own: the guests' CPUs leave Xen's first pool, a pool with that scheduler
takes them, and the guests move there. Xen forgets their weights and their pinning on the way, both
ways, so they are set anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import LabUnsuitable
from harness.lab.hosts import Host
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


def parse_pinning(text: str) -> dict[str, set[str]]:
    """Read `xl vcpu-list`: by domain the CPUs that its vCPUs are pinned to, as xl writes them."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines()[1:]:
        if match := re.match(r"(\S+)\s.*\s(\S+) / \S+$", line):
            found.setdefault(match[1], set()).add(match[2])
    return found


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


def leaving(cpus: str, shares: Mapping[str, Share]) -> list[str]:
    """Return the commands that undo that, under Xen's first scheduler, which is credit."""
    return [
        *(f"xl cpupool-migrate {name} {FIRST_POOL}" for name in shares),
        f"xl cpupool-destroy {OUR_POOL}",
        f"xl cpupool-cpu-add {FIRST_POOL} {cpus}",
        *(f"xl vcpu-pin {name} all {cpus}" for name in shares),
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

    def __init__(self, dom0: Host, gpu_vm: str, vms: Sequence[str]) -> None:
        self._dom0 = dom0
        self._gpu_vm = gpu_vm
        self._vms = vms
        self._usual: Pool | None = None
        """How it was found, once it was changed."""
        self._wanted = Scheduling()
        self._is: Scheduling | None = None
        self._cpus = ""
        """The guests' CPUs."""

    def find(self) -> Scheduling:
        """Return how Xen's first pool schedules. LabUnsuitable if it does not say that."""
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

    def tidy(self) -> None:
        """Give back a pool that a run left behind that was killed; weights are as created."""
        cpus = parse_pools(self._dom0.run("xl cpupool-list -c")).get(OUR_POOL)
        if cpus and self._wanted.scheduler == "":
            self._run(leaving(cpus, dict.fromkeys(self._vms, AS_CREATED)))

    def _change(self, wanted: Scheduling, usual: Pool) -> None:
        shares = {vm: usual.shares[vm] for vm in self._vms if vm in usual.shares}
        if wanted.scheduler != self._wanted.scheduler:
            if self._wanted.scheduler:
                self._run(leaving(self._cpus, shares))
            if wanted.scheduler:
                self._cpus = self._guests_cpus()
                self._run(entering(wanted.scheduler, self._cpus, shares))
        scheduler, pool = wanted.scheduler or "credit", OUR_POOL if wanted.scheduler else FIRST_POOL
        as_usual = usual.scheduling(self._gpu_vm)
        self._run(parameters(scheduler, pool, wanted, as_usual, self._gpu_vm))
        self._wanted = wanted
        found = self._pool(scheduler, pool)
        self._is = found.scheduling(self._gpu_vm, wanted.scheduler)

    def _guests_cpus(self) -> str:
        pinning = parse_pinning(self._dom0.run("xl vcpu-list"))
        found = set().union(*(pinning.get(vm, set()) for vm in self._vms))
        if len(found) != 1 or found == {"all"}:
            raise LabUnsuitable(
                f"The guests of {self._dom0.name} have no CPUs of their own to make a pool of: "
                f"they are pinned to {', '.join(sorted(found)) or 'none'}.",
                "pin all guests to the same CPUs, which are not dom0's (`guest_cpus`)",
            )
        return found.pop()

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
