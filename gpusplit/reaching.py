"""Which ways to reach a program work on this machine; each is tried with a small program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpusplit import running
from gpusplit.config import Config

_SYSTEMS_LOADER = "libOpenCL.so.1"

# Both programs are told which loader.
_LAYERED = """
import ctypes, sys
loader = ctypes.CDLL(sys.argv[1])
loader.clGetPlatformIDs(0, None, ctypes.byref(ctypes.c_uint()))
print(open("/proc/self/maps").read())
"""

# Uses a queue, by which the library sees that no layer is there.
_DRIVEN = """
import ctypes, sys
loader, pointer = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p
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


_SYSTEMS_FOLDERS = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/usr/local/lib/")


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
    loaders = {"": _SYSTEMS_LOADER} | {f" ({path})": path for path in own_loaders()}
    preloaded = {**environ, "OPENCL_LAYERS": ""}
    layered = {**environ, "LD_PRELOAD": ""}
    python = [sys.executable, "-c", "print(open('/proc/self/maps').read())"]
    return [
        Way("CUDA in compiled programs and scripts, by LD_PRELOAD", _trouble(_maps(), preloaded)),
        Way("CUDA in this Python, by LD_PRELOAD", _trouble(python, preloaded)),
        *(
            Way(
                f"OpenCL{which}, by OPENCL_LAYERS",
                _trouble(
                    [sys.executable, "-c", _LAYERED, loader],
                    layered,
                    "this loader takes no layers",
                ),
            )
            for which, loader in loaders.items()
        ),
        *(
            Way(
                f"OpenCL{which} without a layer, by LD_PRELOAD",
                _trouble(
                    [sys.executable, "-c", _DRIVEN, loader],
                    preloaded,
                    "not all drivers here are reached",
                ),
            )
            for which, loader in loaders.items()
        ),
    ]


def own_loaders(maps: str | None = None) -> list[str]:
    """The loaders of OpenCL in this process (or in *maps*) that lie elsewhere than the system's.

    A package may bring one along, as pyopencl's wheels do.

    >>> own_loaders("7f00-7f01 r-xp 0 08:01 1 /opt/venv/pyopencl/libOpenCL-5519.so.1.0.0")
    ['/opt/venv/pyopencl/libOpenCL-5519.so.1.0.0']
    >>> own_loaders("7f00-7f01 r-xp 0 08:01 1 /usr/lib/libc.so.6")
    []
    """
    text = Path("/proc/self/maps").read_text() if maps is None else maps
    found = {line.split(maxsplit=5)[-1] for line in text.splitlines() if "/libOpenCL" in line}
    return sorted(path for path in found if not path.startswith(_SYSTEMS_FOLDERS))


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
