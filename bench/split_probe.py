"""One process of bench.split_overhead: python split_probe.py [N ...] [--calls]; prints JSON.

The layer is below this process, as its environment says.  What it does is compared with the driver
in turn, in the same process, so that clocks and heat meet both alike: the driver's own functions
are called through the dispatch table that each of its objects begins with (Khronos' cl_khr_icd
extension), past the loader and its layers.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl

TILE = 16
SOURCE = """
kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void product(global const float *a, global const float *b, global float *c, int n)
{
    local float ta[16][16], tb[16][16];
    const int x = get_local_id(0), y = get_local_id(1);
    const int col = get_global_id(0), row = get_global_id(1);
    float sum = 0;
    for (int t = 0; t < n; t += 16) {
        ta[y][x] = a[row * n + t + x];
        tb[y][x] = b[(t + y) * n + col];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int k = 0; k < 16; k++)
            sum += ta[y][k] * tb[k][x];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    c[row * n + col] = sum;
}
kernel void little(global float *a) { a[get_global_id(0)] += 1; }
"""
#: Launches of one kind before the other has its turn; the first of them is not counted, since a
#: program is not with and without gpusplit by turns.
BLOCK = 4
#: Short calls of one kind before the other's turn, few enough that no queue is full.
CALLS = 50
#: Slices of a little launch, and work-items in one.
LITTLE, ITEMS = 100, 64

handle = ctypes.c_void_p
sizes3 = ctypes.c_size_t * 3
SIGNATURES: dict[str, list[Any]] = {
    "clFinish": [handle],
    "clCreateKernel": [handle, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)],
    "clReleaseKernel": [handle],
    "clSetKernelArg": [handle, ctypes.c_uint, ctypes.c_size_t, handle],
    "clEnqueueNDRangeKernel": [handle, handle, ctypes.c_uint, *[handle] * 3, ctypes.c_uint]
    + [handle] * 2,
}
#: Where a function stands in a dispatch table (struct _cl_icd_dispatch of Khronos' cl_icd.h).
PLACES = {
    "clCreateKernel": 34,
    "clReleaseKernel": 37,
    "clSetKernelArg": 38,
    "clFinish": 47,
    "clEnqueueNDRangeKernel": 59,
}


class Api:
    """OpenCL's functions, those of a driver or those of the loader with its layers."""

    def __init__(self, functions: dict[str, Any]) -> None:
        self.finish = functions["clFinish"]
        self.create = functions["clCreateKernel"]
        self.release = functions["clReleaseKernel"]
        self.set_arg = functions["clSetKernelArg"]
        self._enqueue = functions["clEnqueueNDRangeKernel"]

    def enqueue(self, queue: int, kernel: int, offset: Any, shape: Any, local: Any) -> None:
        """A launch in two dimensions."""
        error = self._enqueue(queue, kernel, 2, offset, shape, local, 0, None, None)
        if error:
            raise SystemExit(f"clEnqueueNDRangeKernel gave {error}")


def driver(queue: int) -> Api:
    """The driver's own functions, from the table of one of its objects."""
    table = ctypes.cast(
        ctypes.cast(queue, ctypes.POINTER(handle))[0], ctypes.POINTER(ctypes.c_void_p)
    )
    return Api({name: _function(name)(table[place]) for name, place in PLACES.items()})


def loader() -> Api:
    """The functions of the OpenCL loader that pyopencl has loaded."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    found = re.search(r"/\S*libOpenCL\S*", maps)
    if found is None:
        raise SystemExit("pyopencl has loaded no libOpenCL")
    library = ctypes.CDLL(found[0])
    return Api({name: _function(name)((name, library)) for name in PLACES})


def _function(name: str) -> Any:
    result = handle if name == "clCreateKernel" else ctypes.c_int
    return ctypes.CFUNCTYPE(result, *SIGNATURES[name])


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Bench:
    """A queue, a program, and the two ways to call OpenCL."""

    queue: cl.CommandQueue
    program: cl.Program
    driver: Api
    layer: Api

    def product(self, n: int, blocks: int) -> dict[str, Any]:
        """Launches of the n x n product, waited for, in turn; n: a multiple of 16."""
        host = np.random.default_rng(1).random((n, n), np.float32)
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        buffers = [cl.Buffer(self.queue.context, flags, hostbuf=host) for _ in range(3)]
        kernel = cl.Kernel(self.program, "product")
        kernel.set_args(*buffers, np.int32(n))
        queue, shape, local = self.queue.int_ptr, sizes3(n, n), sizes3(TILE, TILE)
        times: dict[str, list[list[float]]] = {"driver": [], "layer": []}
        used: dict[str, list[float]] = {"driver": [], "layer": []}
        for turn in range(blocks + 1):
            for way, api in (("driver", self.driver), ("layer", self.layer)):
                took = []
                for _ in range(BLOCK):
                    began, start = cpu(), time.perf_counter()
                    api.enqueue(queue, kernel.int_ptr, None, shape, local)
                    api.finish(queue)
                    took.append(time.perf_counter() - start)
                    spent = cpu() - began
                    if turn and len(took) > 1:
                        used[way].append(spent)
                if turn:  # the first one teaches the prediction
                    times[way].append(took[1:])
        return {
            way: {"seconds": [statistics.median(took) for took in blocks_of]}
            | {"cpu": sum(used[way]) / sum(map(sum, blocks_of))}
            for way, blocks_of in times.items()
        }

    def calls(self, blocks: int) -> dict[str, dict[str, float]]:
        """Microseconds of calls: the driver's, and what the layer adds to them."""
        buffer = cl.Buffer(self.queue.context, cl.mem_flags.READ_WRITE, 4 * LITTLE * ITEMS)
        kernel = cl.Kernel(self.program, "little")
        kernel.set_args(buffer)
        memory = handle(buffer.int_ptr)
        queue, program = self.queue.int_ptr, self.program.int_ptr
        local, one = sizes3(ITEMS, 1), sizes3(1, 1)
        part, all_of_it = sizes3(ITEMS, 1), sizes3(LITTLE * ITEMS, 1)
        offsets = [sizes3(ITEMS * at, 0) for at in range(LITTLE)]

        def enqueue(api: Api) -> None:
            api.enqueue(queue, kernel.int_ptr, None, one, one)

        def new_kernel(api: Api) -> None:
            again = api.create(program, b"little", None)
            api.set_arg(again, 0, 8, ctypes.byref(memory))
            api.enqueue(queue, again, None, one, one)
            api.release(again)

        def sliced(api: Api) -> None:
            if api is self.layer:
                api.enqueue(queue, kernel.int_ptr, None, all_of_it, local)
            else:
                for offset in offsets:
                    api.enqueue(queue, kernel.int_ptr, offset, part, local)

        return {
            "enqueue_us": self._compared(enqueue, CALLS, blocks),
            "new_kernel_us": self._compared(new_kernel, CALLS, blocks),
            "slice_us": {
                way: found / LITTLE for way, found in self._compared(sliced, 1, blocks).items()
            },
        }

    def _compared(self, call: Callable[[Api], None], times: int, blocks: int) -> dict[str, float]:
        found: dict[str, list[float]] = {"driver": [], "layer": []}
        for turn in range(blocks + 1):
            for way, api in (("driver", self.driver), ("layer", self.layer)):
                start = time.perf_counter()
                for _ in range(times):
                    call(api)
                took = time.perf_counter() - start
                api.finish(self.queue.int_ptr)
                if turn:
                    found[way].append(took / times * 1e6)
        added = [ours - plain for plain, ours in zip(*found.values(), strict=True)]
        return {"driver": statistics.median(found["driver"]), "added": statistics.median(added)}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--calls", action="store_true")
    options = parser.parse_args()
    context = cl.create_some_context(interactive=False)
    device = context.devices[0]
    queue = cl.CommandQueue(context)
    program = cl.Program(context, SOURCE).build()
    bench = Bench(queue, program, driver(queue.int_ptr), loader())
    found: dict[str, Any] = {
        "device": device.name.strip(),
        "driver": device.driver_version,
        "is_gpu": bool(device.type & cl.device_type.GPU),
    }
    for n in options.sizes:
        # As long for each size, since a launch takes time by the third power of it.
        found[str(n)] = bench.product(n, options.blocks * (max(options.sizes) // n) ** 2)
    if options.calls:
        found |= bench.calls(20 * options.blocks)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
