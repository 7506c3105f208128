"""How much is measured: the sizes of the jobs, and which points are taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.plan.conditions import Condition, hypotheses, polls
from harness.plan.programs import Program, Programs, Work

PAPER_GPU_SECONDS = 65.0
"""The time of the paper's GPU job alone; a profile's scale shortens it."""

LAUNCHES = 4
"""Kernel launches in it."""


@dataclass(frozen=True)
class Profile:
    """How large the jobs are and which points are taken."""

    name: str
    cpu_vms: tuple[int, ...]
    """The numbers of CPU VMs of Fig. 6, each above 0."""
    gpu_scale: float
    """Multiplies every time of the emulated GPU; 1 is the paper's card. A real GPU ignores it."""
    fig2_vms: tuple[int, ...] = ()
    """The numbers n of CPU VMs of Fig. 2; one CPU VM more is needed."""
    sweep_vms: tuple[int, ...] = ()
    """The numbers of CPU VMs of Fig. 4 and Fig. 5."""
    sweep_groups: tuple[int, ...] = (2, 4, 10, 20)
    g500_vms: tuple[int, ...] = ()
    """The numbers of CPU VMs beside `many_groups` groups."""
    many_groups: int = 500
    ablation_vms: tuple[int, ...] = ()
    """The numbers of CPU VMs at which splitting and waiting are told apart."""
    adaptive_vms: tuple[int, ...] = ()
    """The numbers of CPU VMs, of Fig. 6's, at which the policy adaptive is compared."""
    timeline_vms: tuple[int, ...] = ()
    """How many CPU VMs run, one number after the other, while the GPU job of the timeline runs;
    one more, without a job, is destroyed before them and created after them."""
    timeline_launches: int = 28
    """Kernel launches in that job."""
    alpha: int = 2
    """Groups per running VM (the paper's Eq. 1) where it is not searched for."""
    alphas: tuple[int, ...] = (2,)
    """What the calibration of Fig. 6 tries; holds `alpha`."""
    slow_down_bound: float = 0.05
    """Relative GPU slow-down over the unsplit job that the calibration allows (Eq. 2)."""
    least_repetitions: int = 1
    """How often every point is measured."""
    real_repetitions: int = 3
    """The same where time is real, and a measurement has its noise."""
    fig6_repetitions: int = 1
    """How often the points that Fig. 6 shows are measured: no GPU, unsplit, the best alpha."""
    repeat_unsplit: tuple[int, ...] = ()
    """The numbers of CPU VMs at which the unsplit point is measured at least twice."""
    blocking_driver: tuple[int, ...] = ()
    """The numbers of CPU VMs at which the emulated driver is measured with blocking waits too."""
    gpu_size: int = 5120
    """Rows and columns of the GPU job's square matrices."""
    conditions: tuple[Condition, ...] = ()
    """Beside the standard one, in the experiment `conditions`; on the emulated host only."""
    condition_vms: tuple[int, ...] = ()
    """The numbers of CPU VMs there; one CPU VM more is needed."""
    condition_groups: tuple[int, ...] = (2, 10, 20)
    """Into how many groups the paper's method cuts there; gpusplit into the last but one."""
    waits: tuple[Condition, ...] = ()
    """Conditions under which only what an unsplit job's wait takes from its neighbours counts."""
    gpu_launches: int = LAUNCHES
    """Matrix products, one kernel launch each, in one GPU job; a real GPU is given more."""
    cpu_size: int = 64
    """Rows and columns of the CPU job's square matrices."""
    cpu_parts: int = 1
    """Parts of one multiplication whose ends are recorded: a large one outlasts the window."""
    cpu_warm_up: int = 20
    """Parts that each CPU VM does before the GPU job may start."""
    verify_size: int = 144
    """Matrix size of the check against numpy: 9 tile rows, so that 4 groups leave a remainder."""
    verify_groups: int = 4
    """Groups into which the check against numpy is split."""
    programs: Programs | None = None
    """An operator's own; then what they do to each other is all that is measured."""
    program_vms: tuple[int, ...] = ()
    """The numbers of CPU VMs beside which they are measured."""
    program_window: float = 20.0
    """Seconds over which the lines of a GPU program are counted that runs on."""

    @property
    def most_cpu_vms(self) -> int:
        """CPU VMs that the lab must have."""
        fig2 = [n + 1 for n in (*self.fig2_vms, *self.condition_vms)]
        # Beside those that compute, the timeline has one that comes and goes.
        timeline = [n + 1 for n in self.timeline_vms]
        return max([*self.cpu_vms, *fig2, *self.sweep_vms, *timeline, *self.program_vms])

    @property
    def gpu_program(self) -> Program | None:
        """An operator's program in the GPU job's place."""
        return self.programs.gpu if self.programs else None

    @property
    def cpu_program(self) -> Program | None:
        """An operator's program in the CPU jobs' place."""
        return self.programs.cpu if self.programs else None

    @property
    def counts_gpu_lines(self) -> bool:
        """Whether the GPU job runs on: no end of it bounds the window."""
        return self.gpu_program is not None and self.gpu_program.work is Work.LINES

    def with_programs(self, programs: Programs) -> Profile:
        """Return the profile that measures these programs, beside as many CPU VMs, and no more."""
        return replace(
            self,
            programs=programs,
            program_vms=self.cpu_vms,
            alphas=(self.alpha,),
            cpu_vms=(),
            fig2_vms=(),
            sweep_vms=(),
            g500_vms=(),
            ablation_vms=(),
            adaptive_vms=(),
            timeline_vms=(),
            repeat_unsplit=(),
            blocking_driver=(),
            conditions=(),
            condition_vms=(),
            waits=(),
        )

    def for_lab(self, kind: str, clock: str, wanted: int | None = None) -> Profile:
        """Return the profile with as many repetitions as are wanted, or as a lab's clock asks for.

        On the deterministic clock repetitions agree within a fraction of a percent, and one does.
        What checks the emulated driver is left to the emulated host: a real driver has no such
        setting. A timeline needs a host that tells the VM count while it changes. An operator's
        programs vary by themselves, whatever the clock.
        """
        varies = clock == "real" or self.programs is not None
        least = wanted or (self.real_repetitions if varies else self.least_repetitions)
        blocking = self.blocking_driver if kind == "dryrun" else ()
        timeline = self.timeline_vms if kind != "local" else ()
        conditions = self.conditions if kind == "dryrun" else ()
        return replace(
            self,
            least_repetitions=least,
            blocking_driver=blocking,
            timeline_vms=timeline,
            conditions=conditions,
            condition_vms=self.condition_vms if conditions else (),
            waits=self.waits if conditions else (),
        )


WAITS = tuple(polls())
HYPOTHESES = tuple(hypotheses(PAPER_GPU_SECONDS / LAUNCHES))

PROFILES = {
    profile.name: profile
    for profile in (
        # A window of 8 s: 260 time slices of the credit scheduler, so that one more or less for
        # a VM moves nothing by more than 1 %.
        Profile(
            "smoke",
            cpu_vms=(1, 2),
            gpu_scale=0.12,
            fig2_vms=(1,),
            ablation_vms=(1,),
            adaptive_vms=(1,),
            repeat_unsplit=(1,),
            blocking_driver=(1,),
        ),
        Profile(
            "quick",
            cpu_vms=(1, 4),
            gpu_scale=0.1,
            fig2_vms=(1, 4),
            sweep_vms=(1, 4),
            sweep_groups=(2, 10, 20),
            g500_vms=(4,),
            ablation_vms=(1, 4),
            adaptive_vms=(1, 4),
            timeline_vms=(1, 2, 4, 1),
            # What the hypothesis needs, a control, and credit2, at one number of CPU VMs.
            conditions=tuple(HYPOTHESES[i] for i in (0, 3, 5, 8, 9)),
            condition_vms=(4,),
            alphas=(1, 2, 5),
            fig6_repetitions=3,
            repeat_unsplit=(1,),
            blocking_driver=(1,),
        ),
        # A first taste on a machine's own CPU, in two minutes: what was measured once on a real
        # clock is known too little to decide anything. A native CPU multiplies a hundred times
        # faster than the emulated one, so the product is larger.
        Profile(
            "demo",
            cpu_vms=(1, 2),
            gpu_scale=0.05,
            ablation_vms=(1,),
            real_repetitions=2,
            cpu_size=256,
        ),
        # The paper's own sizes.
        Profile(
            "full",
            cpu_vms=(1, 2, 3, 4),
            gpu_scale=1.0,
            fig2_vms=(1, 2, 3, 4),
            sweep_vms=(1, 2, 3, 4),
            g500_vms=(4,),
            ablation_vms=(1, 2, 3, 4),
            adaptive_vms=(1, 2, 3, 4),
            timeline_vms=(1, 2, 4, 1),
            timeline_launches=21,
            conditions=HYPOTHESES,
            condition_vms=(1, 4),
            condition_groups=(2, 4, 10, 20, 500),
            waits=WAITS,
            alphas=(1, 2, 5),
            fig6_repetitions=3,
            repeat_unsplit=(1,),
            blocking_driver=(1,),
            cpu_size=1600,
            cpu_parts=16000,  # 7 ms of a CPU that is the emulated host's
        ),
    )
}

DEFAULT_PROFILE = "quick"
