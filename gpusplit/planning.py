"""What gpusplit would bring on a host that nobody has measured: arithmetic, from first principles.

A scheduler that is fair by weight and leaves no CPU idle (Xen's credit and credit2, Linux' CFS)
gives each VM its weight's part of the CPUs, and shares among the others what a VM cannot use: water
filling.  A GPU VM whose driver spins wants one whole CPU for as long as its kernel runs; one that
sleeps wants almost none.  Everything else follows.  docs/planning.md has the formulas, and what was
compared with measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Seconds that a scheduler lets a VM run while others wait.  credit: sched_credit_tslice_ms;
#: credit2: CSCHED2_MAX_TIMER; cfs: sysctl_sched_base_slice on 8 CPUs and more.
TIME_SLICES = {"credit": 0.030, "credit2": 0.010, "cfs": 0.003}
#: What the OpenCL driver does while it waits, and what gpusplit does.
DRIVER_WAITS = ("spin", "block")
WAITS = ("cooperative", "driver")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one VM asks of the scheduler.

    Attributes
    ----------
    limit: CPUs that it can use at most: its busy virtual CPUs, or its cap.
    weight: its part relative to others'.
    """

    limit: float
    weight: float = 256.0


def fair_shares(cpus: float, claims: Sequence[Claim]) -> list[float]:
    """CPUs that each claim gets of *cpus*, by weight, with no CPU idle that anybody could use.

    >>> fair_shares(1, [Claim(1), Claim(1), Claim(0.02)])
    [0.49, 0.49, 0.02]
    """
    shares = [0.0] * len(claims)
    left = cpus
    # In the order in which the rising water fills them: each takes its part of what is left, or all
    # it can use, and the others share the rest.
    order = sorted(range(len(claims)), key=lambda i: claims[i].limit / claims[i].weight)
    weights = sum(claim.weight for claim in claims)
    for i in order:
        shares[i] = min(claims[i].limit, left * claims[i].weight / weights)
        left -= shares[i]
        weights -= claims[i].weight
    return shares


def wake_delay(share: float, time_slice: float) -> float:
    """Mean seconds that pass before a spinning vCPU runs again after its kernel has ended.

    It runs a *time_slice* in each time_slice / share; a kernel ends at any moment of that.  If the
    vCPU is off its CPU then, which happens with probability 1 - share, half the others' turn is
    still to come on average.

    >>> wake_delay(0.5, 0.030)
    0.0075
    """
    others = time_slice * (1 - share) / share
    return (1 - share) * others / 2


@dataclass(frozen=True, slots=True)
class Host:
    """One host and its VMs; CPUs are those that guests may use.

    Attributes
    ----------
    pcpus: physical CPUs.
    cpu_vms, vcpus: VMs that compute on CPUs, and the virtual CPUs of each.
    gpu_vms: VMs that each have a GPU and one thread that waits for it.
    load: the part of the time that a CPU VM's virtual CPUs have work for, above 0 to 1.
    scheduler: a key of TIME_SLICES.
    cpu_weight, gpu_weight: the scheduler's weights.  Xen gives each busy virtual CPU its VM's
        weight (credit.c: "Make weight per-vcpu"; credit2.c: svc->weight), Linux each VM.
    cpu_cap, gpu_cap: CPUs that a VM may use at most; 0 for no cap.
    """

    pcpus: int = 1
    cpu_vms: int = 1
    vcpus: int = 1
    gpu_vms: int = 1
    load: float = 1.0
    scheduler: str = "credit"
    cpu_weight: float = 256.0
    gpu_weight: float = 256.0
    cpu_cap: float = 0.0
    gpu_cap: float = 0.0

    @property
    def time_slice(self) -> float:
        """Seconds that a VM runs while others wait."""
        return TIME_SLICES[self.scheduler]


@dataclass(frozen=True, slots=True)
class Job:
    """The GPU VM's job, launch for launch.

    Attributes
    ----------
    kernel_seconds: device time of one launch.
    driver_wait: spin or block, what the driver does.
    wait: cooperative or driver, what gpusplit does.
    groups: into how many groups gpusplit cuts a launch.
    group_seconds: device time that each further group costs (python -m bench.split_overhead).
    wait_cpu: the part of a CPU that a sleeping wait uses; docs/gpusplit.md has 0.4 % for an H200.
    """

    kernel_seconds: float = 1.0
    driver_wait: str = "spin"
    wait: str = "cooperative"
    groups: int = 10
    group_seconds: float = 0.0
    wait_cpu: float = 0.004


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one way of running the GPU job goes.

    Attributes
    ----------
    cpu_vms: CPUs that all CPU VMs together get.
    gpu_vm: CPUs that one GPU VM uses.
    launch_seconds: one launch, from its enqueue to the program's going on.
    """

    cpu_vms: float
    gpu_vm: float
    launch_seconds: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is to be expected of one host.

    Attributes
    ----------
    undisturbed: CPUs that the CPU VMs would get with the GPU VMs idle.
    unsplit: with the GPU jobs as programs run them today.
    split: with the GPU jobs under gpusplit.
    """

    undisturbed: float
    unsplit: Outcome
    split: Outcome

    @property
    def gain(self) -> float:
        """By how much faster the CPU VMs get: 0.2 is 20 %."""
        return self.split.cpu_vms / self.unsplit.cpu_vms - 1

    @property
    def limit(self) -> float:
        """The most that any way of waiting could bring: as if the GPU VMs used no CPU at all."""
        return self.undisturbed / self.unsplit.cpu_vms - 1

    @property
    def cost(self) -> float:
        """By how much longer a launch takes under gpusplit than unsplit; negative: shorter."""
        return self.split.launch_seconds / self.unsplit.launch_seconds - 1

    @property
    def freed(self) -> float:
        """CPUs that go over to the CPU VMs."""
        return self.split.cpu_vms - self.unsplit.cpu_vms


def predict(host: Host, job: Job) -> Prediction:
    """What *host* is to expect of *job* in each of its GPU VMs."""
    undisturbed = sum(fair_shares(host.pcpus, _cpu_claims(host)))
    unsplit = _outcome(host, job, job.driver_wait == "spin", waits=1, groups=1)
    if job.wait == "cooperative":
        # All groups are on their way before the one wait begins.
        split = _outcome(host, job, spins=False, waits=1, groups=job.groups)
    else:
        spins = job.driver_wait == "spin"
        split = _outcome(host, job, spins, waits=job.groups, groups=job.groups)
    return Prediction(undisturbed, unsplit, split)


def _cpu_claims(host: Host) -> list[Claim]:
    limit = min(host.vcpus * host.load, host.cpu_cap or float("inf"), host.pcpus)
    heavy = host.cpu_weight if host.scheduler == "cfs" else host.cpu_weight * host.vcpus
    return [Claim(limit, heavy)] * host.cpu_vms


def _outcome(host: Host, job: Job, spins: bool, waits: int, groups: int) -> Outcome:
    wanted = 1.0 if spins else job.wait_cpu
    claim = Claim(min(wanted, host.gpu_cap or wanted), host.gpu_weight)
    shares = fair_shares(host.pcpus, [claim] * host.gpu_vms + _cpu_claims(host))
    gpu_vm = shares[0] if host.gpu_vms else 0.0
    # A vCPU that has slept is let in at once (credit: BOOST), one that has spun waits for its turn.
    delay = wake_delay(gpu_vm, host.time_slice) if spins and host.gpu_vms else 0.0
    seconds = job.kernel_seconds + (groups - 1) * job.group_seconds + waits * delay
    return Outcome(sum(shares[host.gpu_vms :]), gpu_vm, seconds)
