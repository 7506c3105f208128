"""What the VMs of a lab share, and what each gets of it where a scheduler is fair: arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpusplit.planning import Host, Job, Prediction, predict
from harness.plan.conditions import Scheduling


@dataclass(frozen=True)
class Sharing:
    """The CPUs that all VMs share, and what decides on a VM's part of them."""

    cpus: int = 1
    vcpus: int = 1
    """Of each VM; the CPU job has as many threads, the GPU job waits with one."""
    cpu_weight: int = 256
    """A CPU VM's, which Xen gives each busy vCPU."""
    cpu_cap: int = 0
    """The most that a CPU VM gets, per cent of one CPU; 0: there is none."""
    gpu_weight: int = 256
    gpu_cap: int = 0

    def under(self, scheduling: Scheduling) -> Sharing:
        """Return it as a condition has it."""
        return replace(
            self,
            cpus=scheduling.cpus or self.cpus,
            vcpus=scheduling.vcpus or self.vcpus,
            gpu_weight=scheduling.gpu_weight or self.gpu_weight,
            gpu_cap=scheduling.gpu_cap or self.gpu_cap,
        )

    def limit(self, cpu_vms: int) -> float:
        """Return the largest possible gain of CPU throughput: if the GPU VM, which spins, did not.

        Of one CPU each of n VMs gets 1/n instead of 1/(n+1); a VM of two vCPUs counts twice.

        >>> Sharing().limit(4), Sharing(vcpus=2).limit(4), Sharing(cpus=2).limit(1)
        (0.25, 0.125, 0.0)
        """
        # What it says differs by a last digit from what it is.
        return round(self._predicted(cpu_vms).limit, 12)

    def fair_share(self, cpu_vms: int) -> float:
        """Return the CPUs that the GPU VM uses which spins.

        >>> Sharing().fair_share(3), Sharing(gpu_weight=768).fair_share(3)
        (0.25, 0.5)
        """
        return self._predicted(cpu_vms).unsplit.gpu_vm

    def busy(self, cpu_vms: int) -> float:
        """Return the CPUs that so many CPU VMs keep busy by themselves.

        >>> Sharing(cpus=4, vcpus=2).busy(1), Sharing(cpus=4, cpu_cap=50).busy(3)
        (2.0, 1.5)
        """
        return self._predicted(cpu_vms).undisturbed

    def _predicted(self, cpu_vms: int) -> Prediction:
        host = Host(
            pcpus=self.cpus,
            cpu_vms=cpu_vms,
            vcpus=self.vcpus,
            cpu_weight=self.cpu_weight,
            gpu_weight=self.gpu_weight,
            cpu_cap=self.cpu_cap / 100,
            gpu_cap=self.gpu_cap / 100,
        )
        return predict(host, Job())


ONE_CPU = Sharing()
"""One CPU, and VMs with one vCPU that are all alike."""
