"""Putting launch.py and waiting.py under pyopencl.

pyopencl looks its functions up in its own C module when it calls them, so that replacing them
there reaches Kernel.__call__, ElementwiseKernel, reductions, scans and arrays.  What a program
imported by name *before* install() keeps calling the original.

Blocking transfers and maps: NVIDIA's driver spins until earlier commands are over, and for memory
that is not pinned it does so even in non-blocking calls (pyopencl issue 811).  So the wrappers
first sleep until a marker says that the queue is done, and only then transfer.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyopencl as cl

from gpusplit import events, hooks, queues, telemetry
from gpusplit.config import Config
from gpusplit.launch import Launcher, make_launcher

_raw: Any = cl._cl
_lock = threading.RLock()
#: (owner, name, original) of everything replaced, in order.
_replaced: list[tuple[Any, str, Any]] = []
_active: list[Launcher] = []
#: Functions that put out the summary and the timeline.
_reports: list[Callable[[], None]] = []

#: Blocking functions, and the position of their flag is_blocking.
_BLOCKING = {
    "_enqueue_read_buffer": 5,
    "_enqueue_write_buffer": 5,
    "_enqueue_read_buffer_rect": 9,
    "_enqueue_write_buffer_rect": 9,
    "_enqueue_read_image": 8,
    "_enqueue_write_image": 8,
    "_enqueue_svm_memcpy": 1,
    "_enqueue_svm_map": 1,
    "enqueue_map_buffer": 9,
    "enqueue_map_image": 10,
}
#: Where their wait list stands.
_WAIT_LIST = {
    "_enqueue_read_buffer": 4,
    "_enqueue_write_buffer": 4,
    "_enqueue_read_buffer_rect": 8,
    "_enqueue_write_buffer_rect": 8,
    "_enqueue_read_image": 7,
    "_enqueue_write_image": 7,
    "_enqueue_svm_memcpy": 4,
    "_enqueue_svm_map": 4,
    "enqueue_map_buffer": 8,
    "enqueue_map_image": 9,
}


def install(config: Config | None = None) -> None:
    """Split the launches of this process, and let its waits sleep, from now on.

    *config* is Config.from_environment() if not given.  Installed again, the new options hold.
    Raises ConfigError for options that make no sense.
    """
    launcher = make_launcher(Config.from_environment() if config is None else config)
    with _lock:
        uninstall()
        _active.append(launcher)
        for module in (cl, _raw):
            _put(module, "enqueue_nd_range_kernel", _kernel_function(launcher))
        if launcher.config.policy != "unsplit":
            _guard_other_commands()
        if launcher.config.cooperative:
            _put_waits()
        _put_transfers(launcher.config.cooperative)
        _reports.append(telemetry.report_at_exit(launcher.config.summary, launcher.config.timeline))


def uninstall() -> None:
    """Undo install(): pyopencl is as it was.  Does nothing where nothing is installed."""
    with _lock:
        while _replaced:
            owner, name, original = _replaced.pop()
            setattr(owner, name, original)
        _active.clear()
        while _reports:
            _reports.pop()()


def installed() -> Config | None:
    """The options that are installed, or None."""
    return _active[-1].config if _active else None


@contextmanager
def active(config: Config | None = None, **options: Any) -> Iterator[Config]:
    """Install for the length of a with block; what was installed before holds again afterwards.

    >>> with active(policy="fixed", groups=7) as config:
    ...     config.groups
    7
    """
    base = Config.from_environment() if config is None else config
    chosen = base.with_options(options, "active()")
    before = installed()
    install(chosen)
    try:
        yield chosen
    finally:
        if before is None:
            uninstall()
        else:
            install(before)


def _put(owner: Any, name: str, value: Any) -> None:
    _replaced.append((owner, name, hooks.put(owner, name, value)))


def _kernel_function(launcher: Launcher) -> Callable[..., cl.Event]:
    enqueue = launcher.enqueue

    def enqueue_nd_range_kernel(
        queue: cl.CommandQueue,
        kernel: cl.Kernel,
        global_work_size: Any,
        local_work_size: Any,
        global_work_offset: Any = None,
        wait_for: Any = None,
        g_times_l: bool = False,
        allow_empty_ndrange: bool = False,
    ) -> cl.Event:
        return enqueue(
            queue, kernel, global_work_size, local_work_size, global_work_offset, wait_for,
            g_times_l, allow_empty_ndrange,
        )  # fmt: skip

    return enqueue_nd_range_kernel


def _guard_other_commands() -> None:
    """Keep other threads' commands from coming between the slices of a launch."""
    for name in dir(_raw):
        if name.startswith(("_enqueue_", "enqueue_")) and name not in _BLOCKING:
            if name == "enqueue_nd_range_kernel":
                continue
            guarded = _guarded(getattr(_raw, name))
            _put(_raw, name, guarded)
            # Some of them are also members of pyopencl itself.
            if hasattr(cl, name) and not inspect.isfunction(getattr(cl, name)):
                _put(cl, name, guarded)


def _guarded(original: Callable[..., Any]) -> Callable[..., Any]:
    def enqueue(queue: cl.CommandQueue, *args: Any, **kwargs: Any) -> Any:
        with queues.state(queue).lock:
            return original(queue, *args, **kwargs)

    return enqueue


def _put_waits() -> None:
    _put(_raw.Event, "wait", _wait)
    _put(_raw.CommandQueue, "finish", _finish_function(_raw.CommandQueue.finish))
    waits = _wait_for_events_function(_raw.wait_for_events)
    _put(cl, "wait_for_events", waits)
    _put(_raw, "wait_for_events", waits)


def _put_transfers(cooperative: bool) -> None:
    for name, position in _BLOCKING.items():
        function = _transfer(getattr(_raw, name), position, _WAIT_LIST[name], cooperative)
        _put(_raw, name, function)
        if hasattr(cl, name):
            _put(cl, name, function)


def _wait(self: cl.Event) -> None:
    queues.wait_for(self)
    events.driver_wait(self)


def _finish_function(original: Callable[[cl.CommandQueue], None]) -> Callable[..., None]:
    def finish(self: cl.CommandQueue) -> None:
        queues.wait_for_queue(self)
        original(self)

    return finish


def _wait_for_events_function(original: Callable[[Any], None]) -> Callable[..., None]:
    def wait_for_events(arg: Any) -> None:
        arg = list(arg)
        for event in arg:
            queues.wait_for(event)
        original(arg)

    return wait_for_events


def _transfer(
    original: Callable[..., Any], position: int, wait_position: int, cooperative: bool
) -> Callable[..., Any]:
    """A transfer that comes before or after another thread's launch, as any other command does.

    One that blocks must not keep the queue from other threads meanwhile, since one of them may
    have to enqueue or set what it waits for.  So it is enqueued as one that does not block, and
    waited for.
    """

    def enqueue(queue: cl.CommandQueue, *args: Any, **kwargs: Any) -> Any:
        # The queue itself is argument 0 and not in args.
        blocking = args[position - 1] if len(args) >= position else kwargs.get("is_blocking", True)
        if blocking:
            if len(args) >= position:
                args = (*args[: position - 1], False, *args[position:])
            else:
                kwargs["is_blocking"] = False
            if cooperative:
                given = (
                    args[wait_position - 1]
                    if len(args) >= wait_position
                    else kwargs.get("wait_for")
                )
                _sleep_until_it_can_begin(queue, given)
        with queues.state(queue).lock:
            result = original(queue, *args, **kwargs)
        if blocking:
            events.driver_wait(result[1] if isinstance(result, tuple) else result)
        return result

    return enqueue


def _sleep_until_it_can_begin(queue: cl.CommandQueue, wait_for: Any) -> None:
    """Sleep until everything is over that the next command on *queue* would wait for."""
    for event in wait_for or ():
        queues.wait_for(event)
    # On an out-of-order queue a command waits for nothing but its list.
    if not queues.state(queue).out_of_order:
        queues.wait_for_queue(queue)
