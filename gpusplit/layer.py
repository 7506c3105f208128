"""The native library below this very process (as an OpenCL layer, or preloaded): it and pyopencl's
mechanism both split, and a launch is split once; and waits are the library's, wherever it is.
"""

from __future__ import annotations

import ctypes
import functools
import os


@functools.cache
def _found(path: str) -> ctypes.CDLL:
    # Not to be loaded for this: where it is of use, it is there.
    return ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)


def _libraries() -> list[ctypes.CDLL]:
    """The library, where the environment names it and it is loaded."""
    named = f"{os.environ.get('OPENCL_LAYERS', '')}:{os.environ.get('LD_PRELOAD', '')}"
    found = []
    for path in dict.fromkeys(named.replace(" ", ":").split(":")):
        if os.path.basename(path) == "libgpusplit.so":
            try:
                found.append(_found(path))
            except OSError:
                continue
    return found


def step_aside() -> None:
    """Have the library split nothing more in this process, if it is there; waits go on to sleep."""
    for library in _libraries():
        library.gpusplit_step_aside()


def waits() -> bool:
    """Whether the library lets the waits of this process sleep; asked by who is about to wait."""
    return any(library.gpusplit_waits() for library in _libraries())
