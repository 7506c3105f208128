"""Split OpenCL kernel launches, so that a VM with a passed-through GPU is a good neighbour.

docs/gpusplit.md has a tutorial.  What does it is the native library, below OpenCL; this package
tells it what to do, and hears what it has to say.  To import it does nothing: install(), active()
or enqueue_nd_range_kernel_n() put the library below this process, and `gpusplit run` below another.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # typing's own is the same, and takes every program's start longer
if TYPE_CHECKING:
    from typing import Any

    from gpusplit.config import Config, ConfigError
    from gpusplit.count import TenancyWarning
    from gpusplit.hearing import JudgeWarning
    from gpusplit.inprocess import (
        active,
        enqueue_nd_range_kernel_n,
        install,
        installed,
        uninstall,
    )
    from gpusplit.library import NotInstalled
    from gpusplit.telemetry import Launch, recording

__all__ = [
    "Config",
    "ConfigError",
    "JudgeWarning",
    "Launch",
    "NotInstalled",
    "TenancyWarning",
    "active",
    "enqueue_nd_range_kernel_n",
    "install",
    "installed",
    "recording",
    "uninstall",
]

#: Where the names are: the command, and who wants one of them, need not import the others.
_HOMES = {
    "Config": "config",
    "ConfigError": "config",
    "JudgeWarning": "hearing",
    "Launch": "telemetry",
    "NotInstalled": "library",
    "TenancyWarning": "count",
    "active": "inprocess",
    "enqueue_nd_range_kernel_n": "inprocess",
    "install": "inprocess",
    "installed": "inprocess",
    "recording": "telemetry",
    "uninstall": "inprocess",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"gpusplit.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
