"""Which ways to reach a program work on this machine; each is tried with a small program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpusplit import running
from gpusplit.config import Config

_LAYERED = """
import ctypes
loader = ctypes.CDLL("libOpenCL.so.1")
loader.clGetPlatformIDs(0, None, ctypes.byref(ctypes.c_uint()))
print(open("/proc/self/maps").read())
"""

# Uses a queue, by which the library sees that no layer is there.
_DRIVEN = """
import ctypes
loader, pointer = ctypes.CDLL("libOpenCL.so.1"), ctypes.c_void_p
loader.clCreateContext.restype = loader.clCreateCommandQueue.restype = pointer
platform, device, every = pointer(), pointer(), ctypes.c_uint64(2**32 - 1)
loader.clGetPlatformIDs(1, ctypes.byref(platform), None)
if loader.clGetDeviceIDs(platform, every, 1, ctypes.byref(device), None):
    raise SystemExit("there is no device to try it with")
context = pointer(loader.clCreateContext(None, 1, ctypes.byref(device), None, None, None))
loader.clFinish(pointer(loader.clCreateCommandQueue(context, device, ctypes.c_uint64(0), None)))
below = ctypes.CDLL(None).gpusplit_below
below.restype = ctypes.c_bool
if below():
    print(open("/proc/self/maps").read())
"""


@dataclass(frozen=True)
class Way:
    """A way to reach programs: its name, and why it does not work (empty: it does)."""

    name: str
    trouble: str


def ways() -> list[Way]:
    """All ways, each tried."""
    if not os.path.exists(running.LIBRARY):
        return [
            Way("native library", "is not installed: install a C compiler, then gpusplit again")
        ]
    environ = running.environment(os.environ, Config(), False)
    preloaded = {**environ, "OPENCL_LAYERS": ""}
    layered = {**environ, "LD_PRELOAD": ""}
    python = [sys.executable, "-c", "print(open('/proc/self/maps').read())"]
    return [
        Way("CUDA in compiled programs and scripts, by LD_PRELOAD", _trouble(_maps(), preloaded)),
        Way("CUDA in this Python, by LD_PRELOAD", _trouble(python, preloaded)),
        Way(
            "OpenCL, by OPENCL_LAYERS",
            _trouble([sys.executable, "-c", _LAYERED], layered, "this loader takes no layers"),
        ),
        Way(
            "OpenCL without a layer, by LD_PRELOAD",
            _trouble(
                [sys.executable, "-c", _DRIVEN], preloaded, "not all drivers here are reached"
            ),
        ),
    ]


def everywhere(environ: Mapping[str, str]) -> bool:
    """Whether *environ* has the library below every program, without gpusplit run.

    >>> everywhere({"LD_PRELOAD": "/usr/local/lib/gpusplit/libgpusplit.so"})
    True
    """
    return os.path.basename(running.LIBRARY) in map(
        os.path.basename, environ.get("LD_PRELOAD", "").replace(" ", ":").split(":")
    )


def _maps() -> list[str]:
    return [shutil.which("cat") or "cat", "/proc/self/maps"]


def _trouble(
    command: Sequence[str], environ: Mapping[str, str], otherwise: str = "it was not loaded"
) -> str:
    """Why the program does not have the library in its memory; empty if it has."""
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if running.LIBRARY in done.stdout and done.returncode == 0:
        return ""
    return done.stderr.strip().rpartition("\n")[2] or otherwise
