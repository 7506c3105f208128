"""Split OpenCL kernel launches, so that a VM with a passed-through GPU is a good neighbour.

docs/gpusplit.md has a tutorial.  From the import of this module on kernels' arguments and programs'
sources are remembered (arguments.py, programs.py), as soon as pyopencl is there; nothing is split
before install(), active() or an explicit enqueue_nd_range_kernel_n().
"""

from __future__ import annotations

import importlib

from gpusplit import lazily

TYPE_CHECKING = False  # as in lazily.py
if TYPE_CHECKING:
    from typing import Any

    from gpusplit.config import Config, ConfigError
    from gpusplit.count import TenancyWarning
    from gpusplit.launch import enqueue_nd_range_kernel_n, wait
    from gpusplit.patch import active, install, installed, uninstall
    from gpusplit.telemetry import Launch, recording

__all__ = [
    "Config",
    "ConfigError",
    "Launch",
    "TenancyWarning",
    "active",
    "enqueue_nd_range_kernel_n",
    "install",
    "installed",
    "recording",
    "uninstall",
    "wait",
]

#: Where the names are: every Python program that gpusplit runs starts with this module.
_HOMES = {"Config": "config", "ConfigError": "config", "TenancyWarning": "count"}

#: Those that need pyopencl: a program without it, and the command, do without them.
_NEED_PYOPENCL = {
    "enqueue_nd_range_kernel_n": "launch",
    "wait": "launch",
    "active": "patch",
    "install": "patch",
    "installed": "patch",
    "uninstall": "patch",
    "Launch": "telemetry",
    "recording": "telemetry",
}

lazily.when_imported("pyopencl", lambda: importlib.import_module("gpusplit.patch"))


def __getattr__(name: str) -> Any:
    if name in _NEED_PYOPENCL:
        # What follows its import is done before a module of ours is halfway through its own.
        importlib.import_module("pyopencl")
    home = _HOMES.get(name) or _NEED_PYOPENCL.get(name)
    if home is not None:
        return getattr(importlib.import_module(f"gpusplit.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
