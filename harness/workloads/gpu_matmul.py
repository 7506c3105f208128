"""The GPU job: the paper's matrix product in OpenCL, launched through gpusplit.

A program of its own, run in the GPU VM. It stays for many measurements, because Python's imports
alone take 10 s in the emulation; how kernels are split and waited for is told to it each time.
gpusplit's library goes above what OPENCL_LAYERS names already: the emulated GPU is a layer, too.

Commands on standard input, answers on standard output, a line of JSON each:
    (start)  {"event": "ready", "device": ..., "gpusplit_digest": ..., "versions": ...}
    time     {"event": "time", "time": T}
    set {...}   takes gpusplit's options (those of gpusplit.Config) and does the first launch with
                them, which may be slow: {"event": "set"}
    go N     launches N products: {"event": "report", "start", "end", "launches": [...]}
    verify   computes one product, compares it with numpy's:
             {"event": "verified", "max_relative_error", "groups", "device"}
Times are seconds of the monotonic clock, set to CLOCK_REALTIME when this started: a clock that is
set meanwhile moves nothing.
The end of the input ends it at once, even amid a kernel: a lost connection leaves no job
behind.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

TILE = 16
"""Rows and columns of a tile, and so of a work-group."""

WARM_UP_SIZE = 1024
"""Size of the product before the measured ones: enough work to be split, little in time."""

KERNEL = """
#define TILE 16

/* Each work-group computes one tile of c. IDs come from get_global_id and get_local_id only;
 * size is a multiple of TILE. */
__kernel __attribute__((reqd_work_group_size(TILE, TILE, 1)))
void matmul(const int size, __global const float *a, __global const float *b, __global float *c)
{
    __local float tile_a[TILE][TILE];
    __local float tile_b[TILE][TILE];
    const int x = get_global_id(0), y = get_global_id(1);
    const int lx = get_local_id(0), ly = get_local_id(1);
    float sum = 0.0f;

    for (int t = 0; t < size; t += TILE) {
        tile_a[ly][lx] = a[y * size + t + lx];
        tile_b[ly][lx] = b[(t + ly) * size + x];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < TILE; k++)
            sum += tile_a[ly][k] * tile_b[k][lx];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    c[y * size + x] = sum;
}
"""


def package_digest(folder: Path) -> str:
    """Return a hash of a Python package and its libraries: are guest and controller of one mind?"""
    digest = hashlib.sha256()
    for source in sorted([*folder.rglob("*.py"), *folder.rglob("*.so")]):
        digest.update(str(source.relative_to(folder)).encode() + b"\0")
        digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


AHEAD = time.time() - time.monotonic()


def now() -> float:
    """Return the time: see the module's text."""
    return AHEAD + time.monotonic()


def say(event: str, **content: Any) -> None:
    """Tell the harness something."""
    print(json.dumps({"event": event, **content}), flush=True)


def listen() -> SimpleQueue[str]:
    """Return a queue of the commands from standard input; its end ends the program.

    A thread of its own listens, for the main thread may be waiting for a kernel. It
    sleeps in read() and so costs nothing.
    """
    commands: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            commands.put(line.strip())
        os._exit(3)

    threading.Thread(target=read, daemon=True).start()
    return commands


class MatrixProduct:
    """The kernel with its buffers, on the first device."""

    def __init__(self, size: int) -> None:
        import pyopencl as cl

        if size % TILE:
            raise SystemExit(f"the size must be a multiple of {TILE}, not {size}")
        self.size = size
        self.context = cl.create_some_context(interactive=False)
        self.device = self.context.devices[0]
        self.queue = cl.CommandQueue(self.context)
        self.program = cl.Program(self.context, KERNEL).build()
        self.in_use: list[Any] = []
        """Buffers that kernels work on: set_args does not keep them alive."""

    def kernel(self, size: int, contents: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
        """Return the kernel with its arguments set, and the buffer of the product.

        Without contents the matrices are whatever memory holds: the time of a product
        does not depend on its numbers, and the guest's memory would not hold them filled.
        """
        import numpy
        import pyopencl as cl

        flags = cl.mem_flags
        if contents is None:
            nbytes = size * size * 4
            a, b, c = (cl.Buffer(self.context, flags.READ_WRITE, nbytes) for _ in range(3))
        else:
            read = flags.READ_ONLY | flags.COPY_HOST_PTR
            a, b = (cl.Buffer(self.context, read, hostbuf=matrix) for matrix in contents)
            c = cl.Buffer(self.context, flags.READ_WRITE, contents[0].nbytes)
        kernel = cl.Kernel(self.program, "matmul")
        kernel.set_args(numpy.int32(size), a, b, c)
        self.in_use += [a, b, c]
        return kernel, c

    def launch(self, kernel: Any, size: int) -> None:
        """Launch one product and wait for it, as is installed."""
        import gpusplit

        gpusplit.enqueue_nd_range_kernel_n(self.queue, kernel, (size, size), (TILE, TILE)).wait()


def verify(product: MatrixProduct) -> None:
    """Compute a product for real, and compare it with numpy's."""
    import numpy
    import pyopencl as cl

    import gpusplit

    size = product.size
    random = numpy.random.default_rng(1)
    a, b = (random.random((size, size), dtype=numpy.float32) for _ in range(2))
    kernel, c = product.kernel(size, (a, b))
    # Not a number until computed: a work-item left out cannot pass for a right one.
    result = numpy.full((size, size), numpy.nan, dtype=numpy.float32)
    cl.enqueue_copy(product.queue, c, result)
    with gpusplit.recording() as launches:
        product.launch(kernel, size)
    cl.enqueue_copy(product.queue, result, c)
    expected = a.astype(numpy.float64) @ b.astype(numpy.float64)
    error = float(numpy.max(numpy.abs(result - expected)) / numpy.max(numpy.abs(expected)))
    say(
        "verified",
        max_relative_error=error if numpy.isfinite(error) else None,
        groups=launches[0].groups,
        device=product.device.name,
    )


def measure(product: MatrixProduct, kernel: Any, launches: int) -> None:
    """Run all launches, and report when each started and ended."""
    import gpusplit

    slept = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    times = [now()]
    with gpusplit.recording() as recorded:
        for _ in range(launches):
            product.launch(kernel, product.size)
            times.append(now())
    say(
        "report",
        start=times[0],
        end=times[-1],
        sleeps=resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - slept,
        launches=[
            {
                "start": start,
                "end": end,
                "groups": launch.groups,
                "wanted": launch.wanted,
                "vm_count": launch.vm_count,
                "reason": launch.reason,
            }
            for launch, (start, end) in zip(recorded, pairwise(times), strict=True)
        ],
    )


def serve(product: MatrixProduct) -> None:
    """Do what the commands say until there are no more."""
    import pyopencl

    import gpusplit

    kernel, _ = product.kernel(product.size)
    # Whatever is slow only the first time is done before anything is measured, in every mode:
    # building, and what gpusplit does when it first splits a kernel.
    warm_up_size = min(WARM_UP_SIZE, product.size)
    warm_up, _ = product.kernel(warm_up_size)

    commands = listen()
    say(
        "ready",
        device=product.device.name,
        gpusplit_digest=package_digest(Path(gpusplit.__file__).parent),
        versions={
            "python": platform.python_version(),
            "pyopencl": pyopencl.VERSION_TEXT,
            "opencl_platform": product.device.platform.version,
            "opencl_driver": product.device.driver_version,
            "kernel": platform.release(),
        },
    )
    while True:
        word, _, argument = commands.get().partition(" ")
        if word == "time":
            say("time", time=now())
        elif word == "set":
            # The verdict is among what is slow only the first time, see above.
            config = gpusplit.Config(judge="wait", **json.loads(argument))
            gpusplit.install(config)
            product.launch(warm_up, warm_up_size)
            # Every run is a program's first: what launches took is forgotten, and found out anew,
            # or a point would depend on which points were measured before it.
            gpusplit.install(config)
            say("set")
        elif word == "go":
            measure(product, kernel, int(argument))
        elif word == "verify":
            verify(product)
        else:
            raise SystemExit(f"unknown command: {word!r}")


def main() -> None:
    """Run the job as the command line says."""
    import gpusplit

    parser = argparse.ArgumentParser(description="matrix products on the GPU")
    parser.add_argument("--size", type=int, default=5120, help="rows of the square matrices")
    size = parser.parse_args().size
    # Before OpenCL is started, whose loader takes layers only then.
    gpusplit.install(gpusplit.Config(policy="unsplit", wait="driver"))
    serve(MatrixProduct(size))


if __name__ == "__main__":
    main()
