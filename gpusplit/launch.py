"""One launch, top to bottom: ask the policy, judge the kernel, slice, enqueue, one event.

Launcher.enqueue is the whole story.  Two rules hold everywhere in it.  A launch that gpusplit does
not fully understand is handed to OpenCL exactly as it came.  And nothing here waits for a command
that has not begun: it may hang on a user event that the calling thread is yet to set.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

import pyopencl as cl

from gpusplit import (
    arguments,
    events,
    history,
    judging,
    layer,
    pocl,
    programs,
    queues,
    telemetry,
    tenancy,
    variant,
)
from gpusplit.config import Config
from gpusplit.interrupts import Deferred
from gpusplit.lanes import Lanes, enqueue
from gpusplit.ndrange import NDRange, NotAnNDRange
from gpusplit.plan import (
    Plan,
    Whole,
    beyond_limits,
    cut,
    cut_without_local_size,
    fix_local_size,
    least_groups,
    probe,
)
from gpusplit.policy import Decision, Observer, Situation
from gpusplit.queues import QueueState
from gpusplit.sending import Sending

if TYPE_CHECKING:
    from pyopencl.typing import WaitList

    from gpusplit.arguments import KernelState
    from gpusplit.judge.verdict import Verdict
    from gpusplit.programs import Program
    from gpusplit.variant import Form

log = logging.getLogger("gpusplit")

#: Ways to cut that are remembered per kernel; a program has few, each used again and again.
MOST_PLANS = 16
_WORK_GROUP_SIZE = cl.kernel_work_group_info.WORK_GROUP_SIZE


def enqueue_nd_range_kernel_n(
    queue: cl.CommandQueue,
    kernel: cl.Kernel,
    global_work_size: Sequence[int],
    local_work_size: Sequence[int] | None,
    global_work_offset: Sequence[int] | None = None,
    wait_for: WaitList = None,
    g_times_l: bool = False,
    allow_empty_ndrange: bool = False,
    *,
    config: Config | None = None,
) -> cl.Event:
    """Enqueue *kernel* in groups: the paper's clEnqueueNDRangeKernel_N().

    Takes what pyopencl.enqueue_nd_range_kernel takes, sizes in work-items (in work-groups with
    *g_times_l*), and raises what that raises.  *config* is Config.from_environment() if not
    given.  Returns an event that is complete when the whole launch is; its profiling times are
    the start of the first group and the end of the last (OpenCL 1.2, section 5.12).
    """
    launcher = default_launcher() if config is None else make_launcher(config)
    return launcher.enqueue(
        queue, kernel, global_work_size, local_work_size, global_work_offset, wait_for, g_times_l,
        allow_empty_ndrange,
    )  # fmt: skip


def wait(event: cl.Event, config: Config | None = None) -> None:
    """Wait for *event* in the configured way; raises what Event.wait would."""
    launcher = default_launcher() if config is None else make_launcher(config)
    if launcher.config.cooperative:
        queues.wait_for(event)
    events.driver_wait(event)


class Launcher:
    """Launches kernels by one Config."""

    def __init__(self, config: Config) -> None:
        """Make the policy and the source of the VM count that *config* names."""
        layer.step_aside()
        self.config = config
        self.policy = config.make_policy()
        self.tenancy = tenancy.from_option(config.vms)
        if self.policy.needs_vm_count:
            # By the first launch the count is known, and nobody waits for it.
            self.tenancy.start()
        self._cores = config.cores
        self._lanes = config.lanes
        self._most_in_flight = config.most_in_flight
        self._decisions: dict[int | None, Decision] = {}
        self._splits = config.policy != "unsplit"
        self._waits_for_verdicts = config.judge == "wait"
        self._cooperative = config.cooperative
        self._observes = self.policy.observes
        #: Whether anybody wants to know how long launches take.
        self._timed = self._cooperative or self._observes
        if isinstance(self.policy, Observer):
            history.tell(self.policy)

    def enqueue(
        self,
        queue: cl.CommandQueue,
        kernel: cl.Kernel,
        global_work_size: Sequence[int],
        local_work_size: Sequence[int] | None,
        global_work_offset: Sequence[int] | None = None,
        wait_for: WaitList = None,
        g_times_l: bool = False,
        allow_empty_ndrange: bool = False,
    ) -> cl.Event:
        """See enqueue_nd_range_kernel_n."""
        try:
            # Small launches are to be fast: the paper's second exception comes before all else.
            known: KernelState = kernel._gpusplit  # type: ignore[attr-defined]
            state: QueueState = queue._gpusplit  # type: ignore[attr-defined]
            items = prod(map(index, global_work_size))
            small = (
                not g_times_l and items < (self._cores or state.cores) and not state.one_at_a_time
            )
        except (AttributeError, TypeError):
            small = False
        if small and not telemetry.listening():
            with state.lock:
                event = enqueue(
                    queue, kernel, global_work_size, local_work_size, global_work_offset, wait_for,
                    g_times_l, allow_empty_ndrange,
                )  # fmt: skip
            if not known.sticky:
                known.calls.clear()
            return event
        if wait_for is not None and not isinstance(wait_for, (list, tuple)):
            # Anything that can be gone through will do for pyopencl, but perhaps only once.
            wait_for = list(wait_for) if isinstance(wait_for, Iterable) else wait_for
        call = (
            queue, kernel, global_work_size, local_work_size, global_work_offset, wait_for,
            g_times_l, allow_empty_ndrange,
        )  # fmt: skip
        if not isinstance(queue, cl.CommandQueue) or not isinstance(kernel, cl.Kernel):
            return enqueue(*call)
        known = arguments.state(kernel)
        if self._splits and queues.state(queue).one_at_a_time:
            with self._use(call, known).lock:
                return self._launch(call, known)
        return self._launch(call, known)

    def _launch(self, call: tuple[Any, ...], known: KernelState) -> cl.Event:
        queue, kernel = call[:2]
        try:
            plan = self._plan(call, known)
            if known.use is not None and known.use.elsewhere(queues.state(queue)):
                raise refused(plan, "PoCL before version 6 cannot run it on two queues at once")
            # One launch of a kernel at a time: its slices share the variant's arguments.
            with known.lock:
                target, form = self._target(call, known, plan)
                event = self._enqueue_slices(queue, target, form, known, plan, call[5])
        except Whole as reason:
            return self._enqueue_whole(call, known, reason)
        arguments.launched(known)
        if telemetry.listening():
            tell(kernel, plan.whole.global_size, plan.groups, plan.decision, plan.vm_count)
        return event

    # What to do.

    def _plan(self, call: tuple[Any, ...], known: KernelState) -> Plan:
        """The slices of this launch; Whole says why there are none."""
        try:
            return self._recall(call, known) or self._make_plan(call, known)
        except Whole:
            raise
        except Exception as error:
            # A mistake in gpusplit must not become the program's; nothing has been enqueued yet.
            log.warning("gpusplit could not judge a launch; it stays whole", exc_info=True)
            raise Whole(Decision(1, f"gpusplit failed: {error!r}"), refused=True) from None

    def _make_plan(self, call: tuple[Any, ...], known: KernelState) -> Plan:
        queue, kernel, global_size, local_size, offset, _, g_times_l, _ = call
        try:
            whole = NDRange.from_call(global_size, local_size, offset, g_times_l)
        except NotAnNDRange as error:
            raise Whole(Decision(1, str(error))) from None
        size = whole.global_size
        if not self._splits:
            raise Whole(Decision(1, "policy unsplit"), size)
        state = queues.state(queue)
        if not state.modern:
            raise Whole(Decision(1, "the device has no OpenCL 1.2"), size)
        cores = self._cores or state.cores
        work_items = whole.work_items
        if work_items < cores:
            raise Whole(Decision(1, f"{work_items} work-items for {cores} cores"), size)
        vm_count = self.tenancy.vm_count() if self.policy.needs_vm_count else None
        if known.key is None:
            arguments.identify(kernel, known)
        if self._observes:
            state.tidy(unseen=not self._cooperative)
        decision = self._decide(known, work_items, vm_count)
        if decision.groups <= 1:
            raise Whole(decision, size, vm_count)

        def refuse(reason: str) -> Whole:
            return Whole(Decision(decision.groups, reason), size, vm_count, refused=True)

        verdict = self._judge(kernel, known, state, refuse)
        wanted = (self, state.device_address, whole, decision.groups)
        found = known.plans.get(wanted)
        if found is None:
            if len(known.plans) >= MOST_PLANS:
                known.plans.clear()
            found = self._cut(kernel, state, verdict, whole, decision.groups, refuse)
            known.plans[wanted] = found
        whole, parts, least = found
        if len(parts) == 1:
            raise Whole(Decision(decision.groups, "one slice fills the device"), size, vm_count)
        if decision.probe and whole.local_size is None:
            raise refuse("no good local size divides its global size")
        plan = Plan(whole, parts, least, decision, vm_count, verdict)
        if not g_times_l and not decision.probe:
            self._remember(call, known, state, plan)
        return plan

    def _remember(
        self, call: tuple[Any, ...], known: KernelState, state: QueueState, plan: Plan
    ) -> None:
        try:
            known.recent[(self, *call[2:5])] = (state, call[1].num_args, plan)
        except TypeError:  # sizes in a list have no hash
            return
        if len(known.recent) > MOST_PLANS:
            known.recent.clear()

    def _recall(self, call: tuple[Any, ...], known: KernelState) -> Plan | None:
        """The plan of the same launch made before, if nothing that it went by has changed.

        A GPU that waits for Python is a GPU that does nothing: a program's launches are much the
        same again and again, and making a plan takes longer than finding it.
        """
        try:
            state, arguments_count, plan = known.recent[(self, *call[2:5])]
        except (KeyError, TypeError):
            return None
        vm_count = self.tenancy.vm_count() if self.policy.needs_vm_count else None
        if self._observes:
            state.tidy(unseen=not self._cooperative)
            decision: Decision | None = self._decide(known, plan.whole.work_items, vm_count)
        else:
            decision = self._decisions.get(vm_count)
        if (
            call[6]
            or queues.state(call[0]) is not state
            or decision is not plan.decision
            or plan.verdict.still  # whose arguments are looked at each time
            or arguments.count(known) < arguments_count
            or arguments.any_of_type(known, cl.SVMPointer)
        ):
            return None
        return plan

    def _decide(self, known: KernelState, work_items: int, vm_count: int | None) -> Decision:
        if self.policy.needs_history:
            rate = history.seconds_per_item(known.key)
            return self.policy.decide(Situation(work_items, vm_count, rate))
        if self._observes:
            return self.policy.decide(Situation(work_items, vm_count, kernel=known.key))
        # The other policies go by the count alone, which seldom changes.
        decision = self._decisions.get(vm_count)
        if decision is None:
            decision = self.policy.decide(Situation(work_items, vm_count))
            self._decisions[vm_count] = decision
        return decision

    def _cut(
        self, kernel: cl.Kernel, state: QueueState, verdict: Verdict, whole: NDRange, groups: int,
        refuse: Callable[[str], Whole],
    ) -> tuple[NDRange, tuple[NDRange, ...], int]:  # fmt: skip
        """The NDRange with its local size fixed, its slices, and the least work-groups of one."""
        problem = beyond_limits(whole, state.address_bits, state.is_nvidia)
        if problem is not None:
            raise refuse(problem)
        # Cores that the user names stand for the whole device.
        units = state.compute_units if state.is_gpu and not self._cores else 1
        cores = self._cores or state.cores
        if whole.local_size is None:
            if verdict.shows_work_group:
                raise refuse("it sees the local size, which the driver is to choose")
            limit: Any = kernel.get_work_group_info(_WORK_GROUP_SIZE, state.device)
            fixed = fix_local_size(whole, limit, tuple(state.device.max_work_item_sizes))
            if fixed is None:
                return whole, tuple(cut_without_local_size(whole, groups, cores, units)), 1
            whole = fixed
        least = least_groups(whole, cores, units)
        return whole, tuple(cut(whole, groups, least)), least

    def _judge(
        self,
        kernel: cl.Kernel,
        known: KernelState,
        state: QueueState,
        refuse: Callable[[str], Whole],
    ) -> Verdict:
        program = self._program(kernel, known, state)
        answer = judging.answer(program, kernel, state.device, self._waits_for_verdicts)
        if answer is None:
            raise refuse("its verdict is being looked for")
        verdict = answer.verdict(kernel.function_name)
        if verdict.refusal is not None:
            raise refuse(verdict.refusal)
        if arguments.count(known) < kernel.num_args:
            raise refuse("its arguments were set before gpusplit could see them")
        if arguments.any_of_type(known, cl.SVMPointer):
            raise refuse("it works on shared virtual memory")
        if verdict.still and (
            arguments.aliased(kernel)
            or arguments.share_memory(known, verdict.still, verdict.changed)
        ):
            raise refuse("it may change what it reads to find the end of a loop")
        return verdict

    def _program(self, kernel: cl.Kernel, known: KernelState, state: QueueState) -> Program:
        if known.program is None:
            known.program = programs.of_kernel(kernel, state.device)
        return known.program

    def _target(
        self, call: tuple[Any, ...], known: KernelState, plan: Plan
    ) -> tuple[cl.Kernel, Form | None]:
        """The kernel to launch in slices: the caller's, or its variant with its arguments set.

        And in which form its slices are launched.
        """
        queue: cl.CommandQueue = call[0]
        kernel: cl.Kernel = call[1]
        if not plan.verdict.asks:
            return kernel, None
        if arguments.aliased(kernel):
            raise refused(plan, "another object stands for the same kernel and may set arguments")
        if max(*plan.whole.end, plan.whole.work_items) > variant.LARGEST:
            raise refused(plan, "IDs beyond 32 bits")
        state = queues.state(queue)
        program = self._program(kernel, known, state)
        parts = None if plan.decision.probe else plan.parts
        bits = variant.POCLS_BITS if state.is_pocl else variant.OFFSET_BITS
        form = variant.form(plan.whole, parts, plan.verdict.asks, bits)
        try:
            found = variant.find(
                kernel, known, program, program.answers[state.device_address], form, state.device,
                self._waits_for_verdicts,
            )  # fmt: skip
            arguments.replay(known, found)
        except (variant.NoVariant, cl.Error) as error:
            raise refused(plan, str(error)) from None
        return found, form

    def _use(self, call: tuple[Any, ...], known: KernelState) -> pocl.Use:
        """Who runs the kernel, where slices must not run beside it."""
        if known.use is None:
            source = ""
            with suppress(Exception):  # such a kernel is not split either, and that is logged
                source = self._program(call[1], known, queues.state(call[0])).raw_source
            known.use = pocl.use(source, call[1].function_name)
        return known.use

    # Doing it.

    def _enqueue_whole(self, call: tuple[Any, ...], known: KernelState, reason: Whole) -> cl.Event:
        state = queues.state(call[0])
        slices = known.use.slices(state) if known.use is not None else None
        if slices:
            call = (*call[:5], [*(call[5] or ()), *slices], *call[6:])
        # Between two slices of another thread's launch there is no place for this one.
        with state.lock:
            event = enqueue(*call)
        if known.use is not None:
            known.use.add(state, event)
        arguments.launched(known)
        if self._timed and reason.size:
            arguments.identify(call[1], known)
            key = (known.key, reason.size, 1)
            state.enqueued(event, key, prod(reason.size))
        if telemetry.tracing() and reason.size:
            arguments.identify(call[1], known)
            telemetry.sliced(known.key[1] if known.key is not None else "", event, None, 0)
        if reason.refused:
            warn_once(known, reason.decision.reason)
        if telemetry.listening():
            tell(call[1], reason.size, 1, reason.decision, reason.vm_count)
        return event

    def _enqueue_slices(
        self, queue: cl.CommandQueue, kernel: cl.Kernel, form: Form | None, known: KernelState,
        plan: Plan, wait_for: WaitList,
    ) -> cl.Event:  # fmt: skip
        """Enqueue the slices of *plan*; the event that stands for all of them.

        Whole if not even the first can be enqueued: nothing has happened then, and OpenCL is to
        say what is wrong.  An error at a later slice is the caller's, as OpenCL raised it.
        """
        state = queues.state(queue)
        tracing = telemetry.tracing()
        companions: list[cl.CommandQueue] = []
        if not state.out_of_order:
            count = self._lanes if tracing else self._lanes - 1
            companions = state.companions(queue, count, profiled=tracing or state.profiled)
        # Waiting for a slice that hangs on an event which this thread is to set would not end.
        may_hold = not wait_for or all(map(events.complete, wait_for))
        parts = plan.parts
        with state.lock, Deferred() as deferred:
            probing = plan.decision.probe and may_hold
            prober = state.prober(queue) if probing else None
            try:
                lanes = Lanes(
                    queue, companions, state.out_of_order, kernel, wait_for,
                    form.shape if form is not None and form.carried else None, prober, tracing,
                    state.one_at_a_time,
                )  # fmt: skip
            except cl.Error as error:
                raise refused(plan, f"no slice could be enqueued: {error}") from None
            try:
                sending = Sending(
                    lanes, state, known, self._most_in_flight if may_hold else None,
                    self._cooperative, deferred,
                )  # fmt: skip
                if probing:
                    parts = self._probe(sending, known, plan)
                sending.send(parts)
            except BaseException as error:
                if not lanes.sent and isinstance(error, cl.Error):
                    raise refused(plan, f"a slice was refused: {error}") from None
                # What is enqueued cannot be taken back, but what comes next waits for it.
                self._join(lanes, state, known)
                raise
            plan.groups = len(lanes.sent)
            event = self._join(lanes, state, known)
        if self._timed:
            key = (known.key, plan.whole.global_size, plan.groups)
            state.enqueued(event, key, plan.whole.work_items)
        if sending.interruption is not None:
            raise sending.interruption
        return event

    def _join(self, lanes: Lanes, state: QueueState, known: KernelState) -> cl.Event:
        event = lanes.join(keep_all=state.is_pocl)
        if known.use is not None:
            known.use.add(state, event, lanes.after())
        return event

    def _probe(self, sending: Sending, known: KernelState, plan: Plan) -> Sequence[NDRange]:
        """Send one small slice, measure it, and cut the rest by what the policy says then."""
        first, rest = probe(plan.whole, plan.least)
        event, _ = sending.lanes.send(first, probing=True)
        if rest is None:
            return ()
        if sending.hold(event, None):
            seconds = events.seconds(event)
            if seconds is not None:
                history.measured(known.key, first.work_items, seconds, rough=True)
        rate = history.seconds_per_item(known.key)
        if rate is None:
            return cut(rest, self.config.groups, plan.least)
        plan.decision = self.policy.decide(Situation(rest.work_items, plan.vm_count, rate))
        return cut(rest, plan.decision.groups, plan.least)


@functools.lru_cache(maxsize=32)
def make_launcher(config: Config) -> Launcher:
    """The launcher for *config*; the same one each time, since it keeps the VM count."""
    return Launcher(config)


@functools.cache
def default_launcher() -> Launcher:
    """The launcher for what the environment says; ConfigError if that makes no sense."""
    return make_launcher(Config.from_environment())


def refused(plan: Plan, reason: str) -> Whole:
    """*plan* cannot be carried out, for *reason*."""
    return Whole(
        Decision(plan.decision.groups, reason), plan.whole.global_size, plan.vm_count, refused=True
    )


def warn_once(known: KernelState, reason: str) -> None:
    """Log, once per kernel and reason, why a kernel stays whole though the policy wants groups."""
    if reason not in known.told:
        known.told.add(reason)
        log.info("kernel %s stays whole: %s", known.key[1] if known.key else "?", reason)


def tell(
    kernel: cl.Kernel, size: tuple[int, ...], groups: int, decision: Decision, vm_count: int | None
) -> None:
    """Tell those who record launches."""
    launch = telemetry.Launch(
        kernel.function_name, size, groups, decision.groups, vm_count, decision.reason
    )
    telemetry.record(launch)
