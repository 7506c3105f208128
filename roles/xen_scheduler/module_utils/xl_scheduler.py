"""What `xl` says of Xen's CPU scheduler, and what is told to it; pure, no host is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

COMMANDS = {"credit": "sched-credit", "credit2": "sched-credit2"}
"""xl's command for each scheduler that has weights and caps."""

MOST_CPUS = 4095
"""More than any host has: Xen's own limit."""


@dataclass(frozen=True)
class Share:
    """A domain's part: weight against the others', cap in % of one CPU (0: none)."""

    weight: int
    cap: int


@dataclass(frozen=True)
class Schedule:
    """What `xl sched-credit` or `sched-credit2` lists of one pool."""

    timeslice: int | None
    """Milliseconds; credit2 has none."""
    ratelimit: int
    """Microseconds that a vCPU runs at least."""
    shares: Mapping[str, Share]


@dataclass(frozen=True)
class Placement:
    """Where a domain's vCPUs may run: for each vCPU the physical CPUs of its hard affinity."""

    vcpus: tuple[frozenset[int], ...]


@dataclass(frozen=True)
class Host:
    """How Xen schedules now."""

    scheduler: str
    cpus: int
    schedule: Schedule | None
    """None for schedulers without weights."""
    placements: Mapping[str, Placement]


@dataclass(frozen=True)
class Wanted:
    """What a domain is to get; None leaves as it is."""

    vcpus: int | None = None
    pcpus: tuple[frozenset[int], ...] = ()
    """Hard affinity: one for all vCPUs, or one for each; empty leaves as it is."""
    weight: int | None = None
    cap: int | None = None

    def affinities(self, vcpus: int) -> tuple[frozenset[int], ...]:
        """The hard affinity of each of so many vCPUs."""
        return self.pcpus * vcpus if len(self.pcpus) == 1 else self.pcpus


@dataclass(frozen=True)
class Request:
    """How Xen is to schedule; None leaves as it is."""

    scheduler: str
    timeslice: int | None = None
    ratelimit: int | None = None
    domains: Mapping[str, Wanted] = field(default_factory=dict)


def parse_cpus(text: str, cpus: int) -> frozenset[int]:
    """Read a list of CPUs as xl writes it (`all`, `1`, `0,2-3`) on a host of so many.

    Raises ValueError for anything else.
    """
    if text.strip() == "all":
        return frozenset(range(cpus))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        found |= set(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)


def show_cpus(cpus: Iterable[int]) -> str:
    """Write CPUs as xl takes them."""
    return ",".join(map(str, sorted(cpus)))


def parse_schedule(text: str) -> Schedule:
    """Read `xl sched-credit` or `xl sched-credit2`: the pool's line, then one line for each domain.

    Raises ValueError where that is not what it is.
    """
    values = dict(re.findall(r"(tslice|ratelimit)=(\d+)(?=ms|us)", text))
    if "ratelimit" not in values:
        raise ValueError(f"no scheduler's parameters in {text[:200]!r}")
    shares = {}
    for line in text.splitlines():
        # From the right, for a name may hold blanks.
        fields = line.rsplit(maxsplit=3)
        if len(fields) == 4 and all(map(str.isdigit, fields[1:])):
            shares[fields[0]] = Share(weight=int(fields[2]), cap=int(fields[3]))
    timeslice = values.get("tslice")
    return Schedule(int(timeslice) if timeslice else None, int(values["ratelimit"]), shares)


def parse_vcpu_list(text: str, cpus: int) -> dict[str, Placement]:
    """Read `xl vcpu-list`: name, domid, vCPU, CPU, state, seconds, hard / soft affinity."""
    pattern = re.compile(r"(.*\S)\s+\d+\s+\d+\s+(?:\d+|-)\s+\S+\s+[\d.]+\s+(\S+)\s*/\s*\S+")
    vcpus: dict[str, list[frozenset[int]]] = {}
    for line in text.splitlines()[1:]:
        if found := pattern.fullmatch(line.strip()):
            vcpus.setdefault(found[1], []).append(parse_cpus(found[2], cpus))
    return {name: Placement(tuple(each)) for name, each in vcpus.items()}


def parse_info(text: str) -> tuple[str, int]:
    """Read the scheduler's name and the number of CPUs from `xl info`."""
    facts = dict(re.findall(r"^(\w+)\s*:\s*(.*?)\s*$", text, re.MULTILINE))
    return facts["xen_scheduler"], int(facts["nr_cpus"])


def planned(request: Request) -> Host:
    """A host on which everything runs that is asked for: what is impossible there, is anywhere."""
    return Host(
        scheduler=request.scheduler,
        cpus=MOST_CPUS,
        schedule=Schedule(None, 0, dict.fromkeys(request.domains, Share(256, 0)))
        if request.scheduler in COMMANDS
        else None,
        placements={
            name: Placement((frozenset(),) * (wanted.vcpus or 1))
            for name, wanted in request.domains.items()
        },
    )


def impossible(request: Request, host: Host) -> list[str]:
    """What no command can bring about: one sentence each, with the remedy."""
    found = []
    if request.scheduler != host.scheduler:
        return [
            f"Xen runs the scheduler {host.scheduler}, not {request.scheduler}: it is chosen at "
            "boot; run playbooks/dom0.yml, which sets it and reboots."
        ]
    if request.timeslice is not None and host.scheduler != "credit":
        found.append(
            f"{host.scheduler} has no time slice: leave scheduler_timeslice empty, or take credit."
        )
    if host.schedule is None and request.ratelimit is not None:
        found.append(f"{host.scheduler} has no rate limit: leave scheduler_ratelimit empty.")
    if host.schedule is not None:
        found += _outside("scheduler_timeslice", request.timeslice, 1, 1000, "ms")
        # Zero is no limit.
        found += _outside("scheduler_ratelimit", request.ratelimit or None, 100, 500_000, "us")
    if request.timeslice and request.ratelimit and request.ratelimit > request.timeslice * 1000:
        found.append(
            f"A rate limit of {request.ratelimit} us is longer than the time slice of "
            f"{request.timeslice} ms: lower the one or raise the other."
        )
    for name, wanted in request.domains.items():
        if name not in host.placements:
            found.append(f"{name} does not run: run playbooks/guests.yml.")
            continue
        has = len(host.placements[name].vcpus)
        if wanted.vcpus is not None and has != wanted.vcpus:
            found.append(
                f"{name} has {has} vCPUs, not {wanted.vcpus}: a domain gets them when it is "
                f"created; destroy it and run playbooks/guests.yml (dom0: playbooks/dom0.yml)."
            )
        if len(wanted.pcpus) not in (0, 1, has):
            found.append(
                f"{name} has {has} vCPUs, but {len(wanted.pcpus)} lists of CPUs to run on: "
                "give one list for all of them, or one for each."
            )
        found += _outside(f"guest_weight of {name}", wanted.weight, 1, 65535, "")
        found += _outside(f"guest_cap of {name}", wanted.cap, 0, 100 * has, "%, 100 for each vCPU")
        if outside := frozenset().union(*wanted.pcpus) - frozenset(range(host.cpus)):
            found.append(
                f"{name} is to run on CPU {show_cpus(outside)}, but the host has {host.cpus} "
                "(0 is the first): lower guest_pcpus or dom0_pcpus, or name others."
            )
        if host.schedule is None and (wanted.weight is not None or wanted.cap is not None):
            found.append(f"{host.scheduler} has no weights and caps: leave those of {name} empty.")
    return found


def _outside(name: str, value: int | None, least: int, most: int, unit: str) -> list[str]:
    """The sentence, if there is a value and Xen does not take it."""
    if value is None or least <= value <= most:
        return []
    return [f"{name} is {value}, and Xen takes {least} to {most} {unit}".rstrip() + "."]


def commands(request: Request, host: Host) -> list[list[str]]:
    """The calls of xl, without the word xl, that make the host schedule as requested."""
    calls: list[list[str]] = []
    if host.schedule is not None:
        command = COMMANDS[host.scheduler]
        calls += _pool_commands(command, request, host.schedule)
        for name, wanted in request.domains.items():
            share = host.schedule.shares[name]
            pairs = (("-w", wanted.weight, share.weight), ("-c", wanted.cap, share.cap))
            if words := _words(pairs):
                calls.append([command, "-d", name, *words])
    for name, wanted in request.domains.items():
        has = host.placements[name].vcpus
        for vcpu, cpus in enumerate(wanted.affinities(len(has))):
            if has[vcpu] != cpus:
                calls.append(["vcpu-pin", name, str(vcpu), show_cpus(cpus)])
    return calls


def _pool_commands(command: str, request: Request, has: Schedule) -> list[list[str]]:
    pairs = (
        ("-t", request.timeslice, has.timeslice),
        ("-r", request.ratelimit, has.ratelimit),
    )
    # Both in one call: Xen refuses a rate limit above the slice, also for a moment.
    return [[command, "-s", *words]] if (words := _words(pairs)) else []


def _words(pairs: Sequence[tuple[str, int | None, int | None]]) -> list[str]:
    """Options whose wanted value is set and is not the one that there is."""
    return [
        word
        for option, wanted, has in pairs
        if wanted is not None and wanted != has
        for word in (option, str(wanted))
    ]


def as_requested(request: Request, host: Host) -> Host:
    """How the host will schedule once the commands were given."""
    placements = dict(host.placements)
    shares = dict(host.schedule.shares) if host.schedule else {}
    for name, wanted in request.domains.items():
        if cpus := wanted.affinities(len(placements[name].vcpus)):
            placements[name] = Placement(cpus)
        if name in shares:
            weight, cap = wanted.weight, wanted.cap
            shares[name] = Share(
                shares[name].weight if weight is None else weight,
                shares[name].cap if cap is None else cap,
            )
    schedule = host.schedule and replace(
        host.schedule,
        timeslice=request.timeslice or host.schedule.timeslice,
        ratelimit=host.schedule.ratelimit if request.ratelimit is None else request.ratelimit,
        shares=shares,
    )
    return replace(host, schedule=schedule, placements=placements)


def describe(host: Host, names: Iterable[str]) -> str:
    """How the host schedules, a line for each fact; for diffs."""
    lines = [f"scheduler {host.scheduler}"]
    if host.schedule:
        lines += [f"timeslice {host.schedule.timeslice} ms"] if host.schedule.timeslice else []
        lines += [f"ratelimit {host.schedule.ratelimit} us"]
    for name in names:
        pins = " | ".join(map(show_cpus, host.placements[name].vcpus))
        line = f"{name}: vCPUs on {pins}"
        if host.schedule:
            share = host.schedule.shares[name]
            line += f", weight {share.weight}, cap {share.cap}"
        lines.append(line)
    return "\n".join(lines) + "\n"
