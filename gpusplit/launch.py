"""One launch, top to bottom: ask the policy, slice, enqueue, wait between groups, one event."""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import pyopencl as cl

from gpusplit import devices, telemetry, tenancy, waiting
from gpusplit.config import Config
from gpusplit.ndrange import NDRange, NotAnNDRange, slices, steps
from gpusplit.policy import Decision, Situation

if TYPE_CHECKING:
    from pyopencl.typing import WaitList

# By keyword arguments nanobind is slow, and its stub allows nothing else.
_enqueue: Callable[..., cl.Event] = cl._cl.enqueue_nd_range_kernel

_predictor = waiting.Predictor()
#: Launches whose last group runs: when that began, and what is known of it.  By the event's
#: address; a stale entry can only make a wait look at the wrong moments.
_running: dict[int, tuple[float, Hashable]] = {}


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
    given.  Returns an event that is complete when the whole launch is.
    """
    if config is None:
        config = _config_from_environment()

    def whole() -> cl.Event:
        return _enqueue(
            queue,
            kernel,
            global_work_size,
            local_work_size,
            global_work_offset,
            wait_for,
            g_times_l,
            allow_empty_ndrange,
        )

    try:
        ndrange = NDRange.from_call(
            global_work_size, local_work_size, global_work_offset, g_times_l
        )
    except NotAnNDRange as error:
        _tell(kernel, (), 1, Decision(1, str(error)), None)
        return whole()

    decision, vm_count = _decide(queue, ndrange, config)
    if decision.groups > 1 and ndrange.local_size is None:
        decision = Decision(1, "the driver is to choose the local size")
    if decision.groups <= 1:
        event = whole()
        _tell(kernel, ndrange.global_size, 1, decision, vm_count)
        return event

    step = steps(ndrange.work_groups, decision.groups)
    parts = list(slices(ndrange, step))
    event = _enqueue_parts(queue, kernel, parts, wait_for, config)
    _tell(kernel, ndrange.global_size, len(parts), decision, vm_count)
    return event


def wait(event: cl.Event, config: Config | None = None) -> None:
    """Wait for *event* in the configured way; raises what Event.wait would."""
    if config is None:
        config = _config_from_environment()
    if config.wait == "cooperative":
        # A command that nobody flushed never starts, and asking for a status does not flush.
        queue = event.command_queue
        if queue is not None:
            queue.flush()
        began, key = _running.pop(event.int_ptr, (time.monotonic(), None))
        if waiting.wait_cooperatively(
            _completion(event), _predictor.expect(key), time.monotonic() - began
        ):
            _predictor.learn(key, time.monotonic() - began)
    event.wait()


@functools.cache
def _config_from_environment() -> Config:
    return Config.from_environment()


@functools.cache
def _tenancy(option: str) -> tenancy.Tenancy:
    return tenancy.from_option(option)


def _decide(
    queue: cl.CommandQueue, ndrange: NDRange, config: Config
) -> tuple[Decision, int | None]:
    """The policy's answer after the paper's exceptions, and the VM count that was used."""
    policy = config.make_policy()
    work_items = ndrange.work_items
    vm_count = _tenancy(config.vms).vm_count() if policy.needs_vm_count else None
    decision = policy.decide(Situation(work_items, vm_count))
    if decision.groups > 1:
        cores = config.cores or devices.cores(queue.device)
        if work_items < cores:
            decision = Decision(1, f"{work_items} work-items for {cores} cores")
    return decision, vm_count


def _completion(event: cl.Event) -> waiting.Status:
    """Whether *event* is over, well or badly (a negative status is an error)."""
    complete = cl.command_execution_status.COMPLETE

    def status() -> bool:
        return event.command_execution_status <= complete

    return status


def _enqueue_parts(
    queue: cl.CommandQueue,
    kernel: cl.Kernel,
    parts: Sequence[NDRange],
    wait_for: WaitList,
    config: Config,
) -> cl.Event:
    """Enqueue *parts* one after another, few at a time; the last one's event."""
    cooperative = config.wait == "cooperative"
    in_flight = config.in_flight or (2 if cooperative else 1)
    out_of_order = bool(
        queue.properties & cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
    )
    # Waiting here for a group that hangs on an event of this same thread would never end.
    may_block = not _unfinished(wait_for)
    name = kernel.function_name
    pending: deque[tuple[cl.Event, NDRange]] = deque()
    began = time.monotonic()
    event: cl.Event | None = None
    for part in parts:
        if may_block and len(pending) >= in_flight:
            oldest, slice_ = pending.popleft()
            key = (name, slice_.global_size)
            if cooperative:
                seen = waiting.wait_cooperatively(
                    _completion(oldest), _predictor.expect(key), time.monotonic() - began
                )
                now = time.monotonic()
                if seen:
                    _predictor.learn(key, now - began)
                began = now
            else:
                oldest.wait()
        follow = wait_for if event is None or not out_of_order else [event]
        event = _enqueue(queue, kernel, part.global_size, part.local_size, part.offset, follow)
        queue.flush()
        pending.append((event, part))
    assert event is not None
    if cooperative:
        if len(_running) >= 64:
            _running.clear()
        # What is queued before the last group has to end first.
        _running[event.int_ptr] = (began, (name, *(part.global_size for _, part in pending)))
    return event


def _unfinished(wait_for: WaitList) -> bool:
    return any(not _completion(event)() for event in wait_for or ())


def _tell(
    kernel: cl.Kernel,
    size: tuple[int, ...],
    groups: int,
    decision: Decision,
    vm_count: int | None,
) -> None:
    if telemetry.listening():
        telemetry.record(
            telemetry.Launch(
                kernel.function_name, size, groups, decision.groups, vm_count, decision.reason
            )
        )
