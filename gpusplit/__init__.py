"""Split OpenCL kernel launches, so that a VM with a passed-through GPU is a good neighbour."""

from gpusplit.config import Config, ConfigError
from gpusplit.launch import enqueue_nd_range_kernel_n, wait
from gpusplit.telemetry import Launch, recording
from gpusplit.tenancy import TenancyWarning

__all__ = [
    "Config",
    "ConfigError",
    "Launch",
    "TenancyWarning",
    "enqueue_nd_range_kernel_n",
    "recording",
    "wait",
]
