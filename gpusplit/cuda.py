"""How CUDA's driver waits, by its driver interface alone: `python -m gpusplit.cuda` prints JSON.

A process of its own: whether the native library is below it is for its caller to say, and nothing
of the driver stays in the caller.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from typing import Any

from gpusplit.cpu_wanted import cpu_wanted

#: Seconds that a kernel takes, and how often it is waited for; the last time counts.
_LENGTHS = ((0.05, 4), (0.5, 2))

#: A kernel, `spin`, that takes as many nanoseconds as it is told; in PTX, for every GPU.
SPIN = b"""
.version 6.0
.target sm_50
.address_size 64
.visible .entry spin(.param .u64 ns)
{
    .reg .pred %p;
    .reg .u64 %now, %end, %ns;
    ld.param.u64 %ns, [ns];
    mov.u64 %now, %globaltimer;
    add.u64 %end, %now, %ns;
AGAIN:
    mov.u64 %now, %globaltimer;
    setp.lt.u64 %p, %now, %end;
    @%p bra AGAIN;
    ret;
}
"""


class CudaError(Exception):
    """A call of the driver failed; the message says which, and with what error."""


class Driver:
    """CUDA's driver.  OSError where there is none; CudaError where it has no device."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL("libcuda.so.1")
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; CudaError where it fails."""
        result = getattr(self._library, name)(*arguments)
        if result:
            raise CudaError(f"{name} fails with error {result}")

    def number(self, name: str) -> int:
        """What a function says that gives one number."""
        answer = ctypes.c_int()
        self.call(name, ctypes.byref(answer))
        return answer.value

    def name(self, device: int) -> str:
        """A device's name."""
        text = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", text, len(text), device)
        return text.value.decode("utf-8", "replace")

    def waits(self, device: int) -> list[tuple[float, float]]:
        """Some waits for a stream: seconds, and the part of a core that this process wanted."""
        context, module, kernel, stream = (ctypes.c_void_p() for _ in range(4))
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)
        self.call("cuModuleLoadData", ctypes.byref(module), SPIN)
        self.call("cuModuleGetFunction", ctypes.byref(kernel), module, b"spin")
        self.call("cuStreamCreate", ctypes.byref(stream), 1)
        measured = []
        for seconds, times in _LENGTHS:
            for _ in range(times):
                length = ctypes.c_uint64(int(seconds * 1e9))
                arguments = (ctypes.c_void_p * 1)(ctypes.addressof(length))
                self.call("cuLaunchKernel", kernel, *(1,) * 6, 0, stream, arguments, None)
                wall, cpu = time.perf_counter(), cpu_wanted()
                self.call("cuStreamSynchronize", stream)
                wall, cpu = time.perf_counter() - wall, cpu_wanted() - cpu
            measured.append((wall, min(1.0, cpu / wall)))
        return measured


def main() -> None:
    """Say everything, or what is in the way."""
    try:
        driver = Driver()
        version = driver.number("cuDriverGetVersion")
        count = driver.number("cuDeviceGetCount")
        said: dict[str, Any] = {
            "version": f"{version // 1000}.{version % 1000 // 10}",
            "devices": [[driver.name(n), driver.waits(n)] for n in range(count)],
        }
    except OSError:
        said = {"missing": "there is no libcuda.so.1 here"}
    except CudaError as error:
        said = {"missing": str(error)}
    print(json.dumps(said), flush=True)
    os._exit(0)  # some drivers end slowly


if __name__ == "__main__":
    main()
