"""The native library as an OpenCL layer below this very process: it and pyopencl's mechanism both
split, and a launch is split once.
"""

from __future__ import annotations

import ctypes
import os


def step_aside() -> None:
    """Have the layer split nothing more in this process, if it is there; waits go on to sleep."""
    for path in os.environ.get("OPENCL_LAYERS", "").split(":"):
        if os.path.basename(path) != "libgpusplit.so":
            continue
        try:
            # Not to be loaded for this: once it is a layer, it is there.
            library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        except OSError:
            continue
        library.gpusplit_step_aside()
