"""Telling the native library below this very process what to do.

It has to be there when OpenCL starts: as a layer it is called by the loader, which asks the
environment for layers once.  `gpusplit run` names it there; here it is done by install(), which
then starts OpenCL.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gpusplit import hearing, library, running
from gpusplit.config import PREFIX, Config, ConfigError
from gpusplit.library import NotInstalled

if TYPE_CHECKING:
    import pyopencl as cl
    from pyopencl.typing import WaitList

_LAYERS = "OPENCL_LAYERS"
#: The library does nothing.
_OFF = Config(policy="unsplit", wait="driver")

_TOO_LATE = (
    "OpenCL was started before gpusplit could be put below it: start the program with "
    "`gpusplit run`, or call gpusplit.install() before the first use of OpenCL (in a notebook: in "
    "its first cell, after restarting the kernel)"
)


def _at_the_start() -> Config | None:
    """The options that hold since the process began, where it began above the library."""
    named = (os.environ.get(name, "") for name in (_LAYERS, "LD_PRELOAD"))
    if running.LIBRARY not in ":".join(named).replace(" ", ":").split(":"):
        return None
    try:
        return Config.from_environment({PREFIX + "POLICY": "unsplit"} | dict(os.environ))
    except ConfigError:
        return None  # which the library says, too


class State:
    """What is installed in this process."""

    def __init__(self, config: Config | None) -> None:
        """config: what installed() says."""
        self.lock = threading.RLock()
        self.config = config
        #: Timelines that were begun for this process; they are added to when named again.
        self.begun = {os.path.abspath(config.timeline)} if config and config.timeline else set()


_state = State(_at_the_start())


def install(config: Config | None = None) -> None:
    """Split the launches of this process, and let its waits sleep, from now on.

    *config* is Config.from_environment() if not given.  Installed again, the new options hold, and
    what was learnt of launches is forgotten.  Raises ConfigError for options that make no sense,
    NotInstalled where OpenCL was started before, the native library was not built, or there is no
    pyopencl, and OSError where the timeline cannot be written.
    """
    config = Config.from_environment() if config is None else config
    with _state.lock:
        native = library.load()
        hearing.hear(native, config)
        _set(native, config)
        try:
            if not native.below():
                _start_above()
            if (reason := native.ended()) is not None:
                raise NotInstalled(f"no launch of this process can be split any more: {reason}")
            if not native.below():
                raise NotInstalled(_TOO_LATE)
        except BaseException:
            _set(native, _OFF)
            raise
        _state.config = config


def uninstall() -> None:
    """Undo install(): launches stay whole, and waits are the driver's."""
    with _state.lock:
        if _state.config is not None:
            _set(library.load(), _OFF)
            _state.config = None


def installed() -> Config | None:
    """The options that are installed, or None; under `gpusplit run`, those that it was given."""
    return _state.config


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


def enqueue_nd_range_kernel_n(
    queue: cl.CommandQueue,
    kernel: cl.Kernel,
    global_work_size: Sequence[int],
    local_work_size: Sequence[int] | None,
    global_work_offset: Sequence[int] | None = None,
    wait_for: WaitList = None,
    g_times_l: bool = False,
    allow_empty_ndrange: bool = False,
) -> cl.Event:
    """Enqueue *kernel* in groups: the paper's clEnqueueNDRangeKernel_N().

    Takes what pyopencl.enqueue_nd_range_kernel takes, sizes in work-items (in work-groups with
    *g_times_l*), and raises what that raises.  Installs what the environment says where nothing is
    installed, and raises what install() raises then.  Returns an event that is complete when the
    whole launch is; its profiling times are the start of the first group and the end of the last
    (OpenCL 1.2, section 5.12).
    """
    import pyopencl as cl

    with _state.lock:
        if _state.config is None:
            install()
    wait_for = None if wait_for is None else list(wait_for)  # it may be gone through once
    sizes = (global_work_size, local_work_size, global_work_offset)
    if not g_times_l and not allow_empty_ndrange:
        # Not pyopencl's own way, which holds the interpreter's lock: with the driver's waits the
        # call is back when the launch is nearly over, and other threads are to go on meanwhile.
        event = library.load().enqueue(queue.int_ptr, kernel.int_ptr, *sizes, wait_for or ())
        if event is not None:
            return cl.Event.from_int_ptr(event, retain=False)
    # What is wrong with it, pyopencl says.
    enqueue: Any = cl.enqueue_nd_range_kernel  # its types are narrower than what it takes
    launched: cl.Event = enqueue(queue, kernel, *sizes, wait_for, g_times_l, allow_empty_ndrange)
    return launched


def _set(native: library.Library, config: Config) -> None:
    if config.timeline:
        config = replace(config, timeline=os.path.abspath(config.timeline))
        if config.timeline not in _state.begun:
            running.begin_timeline(config.timeline)
            _state.begun.add(config.timeline)
    options = config.environment()
    # Which asks the judge for the library; it may be another environment's than this one.
    options[PREFIX + "PYTHON"] = os.environ.get(PREFIX + "PYTHON", sys.executable)
    if file := os.environ.get(PREFIX + "COUNT_FILE"):
        options[PREFIX + "COUNT_FILE"] = file
    native.set([f"{name}={value}" for name, value in options.items()])


def _start_above() -> None:
    """Have OpenCL started above the library, if it was not started yet."""
    before = os.environ.get(_LAYERS)
    named = before.split(":") if before else []
    if running.LIBRARY not in named:
        # The last one named is the first that a program's calls come to.
        os.environ[_LAYERS] = ":".join([*named, running.LIBRARY])
    try:
        import pyopencl as cl

        # Where there is no driver, that is for the program to find out; the loader has started.
        with suppress(cl.Error):
            cl.get_platforms()
    except ImportError as error:
        raise NotInstalled(f"pyopencl cannot be imported: {error}") from None
    finally:
        # Children of this process are not to have it: nobody installed it there.
        if before is None:
            os.environ.pop(_LAYERS, None)
        else:
            os.environ[_LAYERS] = before


def _after_fork() -> None:
    # A thread that this child has not may have held it.
    _state.lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
