"""Has CLBlast build its kernels: its routines in single and double precision, by their C names.

CLBLAST_LIBRARY names the shared library.  OpenCL itself is called by ctypes, too, so that nothing
needs to be installed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import byref, c_double, c_float, c_int, c_size_t, c_uint32, c_void_p

N = 64
ROW, PLAIN, UPPER, NON_UNIT, LEFT = 101, 111, 121, 131, 141


def main() -> int:
    """Call every routine once; their results are of no interest."""
    cl = ctypes.CDLL("libOpenCL.so.1")
    blas = ctypes.CDLL(os.environ["CLBLAST_LIBRARY"])
    platform, device, error = c_void_p(), c_void_p(), c_int()
    cl.clGetPlatformIDs(1, byref(platform), None)
    cl.clGetDeviceIDs(platform, ctypes.c_ulong(0xFFFFFFFF), 1, byref(device), None)
    cl.clCreateContext.restype = cl.clCreateCommandQueue.restype = c_void_p
    cl.clCreateBuffer.restype = c_void_p
    context = c_void_p(cl.clCreateContext(None, 1, byref(device), None, None, byref(error)))
    queue = c_void_p(cl.clCreateCommandQueue(context, device, ctypes.c_ulong(0), byref(error)))

    def buffer() -> c_void_p:
        size = c_size_t(4 * N * N * 16)
        return c_void_p(cl.clCreateBuffer(context, ctypes.c_ulong(1), size, None, byref(error)))

    a, b, c, x, y = (buffer() for _ in range(5))
    n, off, one = c_size_t(N), c_size_t(0), c_size_t(1)

    def matrix(memory: c_void_p) -> tuple[object, ...]:
        return memory, off, n

    def vector(memory: c_void_p) -> tuple[object, ...]:
        return memory, off, one

    for letter, scalar in (("S", c_float), ("D", c_double)):
        s = scalar(1.5)
        calls: dict[str, tuple[object, ...]] = {
            "swap": (n, *vector(x), *vector(y)),
            "scal": (n, s, *vector(x)),
            "copy": (n, *vector(x), *vector(y)),
            "axpy": (n, s, *vector(x), *vector(y)),
            "dot": (n, c, off, *vector(x), *vector(y)),
            "nrm2": (n, c, off, *vector(x)),
            "asum": (n, c, off, *vector(x)),
            "sum": (n, c, off, *vector(x)),
            "had": (n, s, *vector(x), *vector(y), s, *vector(c)),
            "gemv": (ROW, PLAIN, n, n, s, *matrix(a), *vector(x), s, *vector(y)),
            "symv": (ROW, UPPER, n, s, *matrix(a), *vector(x), s, *vector(y)),
            "trmv": (ROW, UPPER, PLAIN, NON_UNIT, n, *matrix(a), *vector(x)),
            "trsv": (ROW, UPPER, PLAIN, NON_UNIT, n, *matrix(a), *vector(x)),
            "ger": (ROW, n, n, s, *vector(x), *vector(y), *matrix(a)),
            "syr": (ROW, UPPER, n, s, *vector(x), *matrix(a)),
            "syr2": (ROW, UPPER, n, s, *vector(x), *vector(y), *matrix(a)),
            "gemm": (ROW, PLAIN, PLAIN, n, n, n, s, *matrix(a), *matrix(b), s, *matrix(c)),
            "symm": (ROW, LEFT, UPPER, n, n, s, *matrix(a), *matrix(b), s, *matrix(c)),
            "syrk": (ROW, UPPER, PLAIN, n, n, s, *matrix(a), s, *matrix(c)),
            "syr2k": (ROW, UPPER, PLAIN, n, n, s, *matrix(a), *matrix(b), s, *matrix(c)),
            "trmm": (ROW, LEFT, UPPER, PLAIN, NON_UNIT, n, n, s, *matrix(a), *matrix(b)),
            "trsm": (ROW, LEFT, UPPER, PLAIN, NON_UNIT, n, n, s, *matrix(a), *matrix(b)),
            "omatcopy": (ROW, PLAIN, n, n, s, *matrix(a), *matrix(b)),
            "im2col": (141, *(c_size_t(k) for k in (1, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1)),
                       x, off, y, off),
        }  # fmt: skip
        calls["amax"] = calls["amin"] = calls["asum"]
        for name, arguments in calls.items():
            prefix = f"i{letter}" if name.startswith("am") else letter
            function = getattr(blas, f"CLBlast{prefix}{name}")
            event = c_void_p()
            words = [c_uint32(v) if isinstance(v, int) else v for v in arguments]
            print(name, letter, function(*words, byref(queue), byref(event)))
            cl.clFinish(queue)
    return 0


if __name__ == "__main__":
    sys.exit(main())
