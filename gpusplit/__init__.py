"""Split OpenCL kernel launches, so that a VM with a passed-through GPU is a good neighbour.

docs/gpusplit.md has a tutorial.  Importing this module begins to remember kernels' arguments and
programs' sources (arguments.py, programs.py); nothing is split before install(), active() or an
explicit enqueue_nd_range_kernel_n().
"""

from gpusplit.config import Config, ConfigError
from gpusplit.launch import enqueue_nd_range_kernel_n, wait
from gpusplit.patch import active, install, installed, uninstall
from gpusplit.telemetry import Launch, recording
from gpusplit.tenancy import TenancyWarning

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
