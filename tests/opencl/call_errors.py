"""Calls that OpenCL refuses; each says with what, as does the driver alone.

Not among them: a NULL kernel, event or list of events, of which PoCL 3.1 dies; and a list of no
events, or events of another context, which it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

#: Of a call_runner.Runner, a queue and a buffer: the results of some calls.
Refused = Callable[[Any, Any, Any], list[int]]


def _sized(values: Any) -> Any:
    return None if values is None else (c_size_t * len(values))(*values)


def _launch(
    r: Any, queue: Any, kernel: Any, dimensions: int = 1, size: Any = (64,), local: Any = (8,),
    offset: Any = None,
) -> int:  # fmt: skip
    return r.cl.clEnqueueNDRangeKernel(
        queue, kernel, dimensions, _sized(offset), _sized(size), _sized(local),
        0, None, None,
    )  # fmt: skip


def _ready(r: Any, memory: Any) -> Any:
    """A kernel with its arguments, kept by the runner."""
    kernel = r.made("Kernel", r.cl.clCreateKernel(r.program, b"add_zero", None))
    r.cl.clSetKernelArg(kernel, 0, 8, byref(c_void_p(memory)))
    r.cl.clSetKernelArg(kernel, 1, 4, byref(c_uint(3)))
    return kernel


def _read(r: Any, queue: Any, memory: Any, at: int, size: int, to: bool = True) -> int:
    into = (c_uint * 4096)()
    return r.cl.clEnqueueReadBuffer(
        queue, memory, 1, at, size, into if to else None, 0,
        None, None,
    )  # fmt: skip


def _unset(r: Any, queue: Any, memory: Any) -> list[int]:
    kernel = r.made("Kernel", r.cl.clCreateKernel(r.program, b"add_zero", None))
    r.cl.clSetKernelArg(kernel, 1, 4, byref(c_uint(3)))
    return [_launch(r, queue, kernel)]


def _arguments(r: Any, queue: Any, memory: Any) -> list[int]:
    kernel = _ready(r, memory)

    def give(index: int, size: int, value: Any) -> int:
        found: int = r.cl.clSetKernelArg(kernel, index, size, value)
        return found

    return [
        give(7, 4, byref(c_uint(1))),
        give(1, 3, byref(c_uint(1))),
        give(1, 4, None),
        give(0, 4, byref(c_void_p(memory))),
    ]


def _sizes(r: Any, queue: Any, memory: Any) -> list[int]:
    kernel = _ready(r, memory)
    return [
        _launch(r, queue, kernel, 0),
        _launch(r, queue, kernel, 4, (8, 1, 1, 1), (8, 1, 1, 1)),
        _launch(r, queue, kernel, size=(60,), local=(8,)),
        _launch(r, queue, kernel, local=(1 << 20,), size=(1 << 20,)),
        _launch(r, queue, kernel, size=None),
    ]


def _objects(r: Any, queue: Any, memory: Any) -> list[int]:
    kernel = _ready(r, memory)
    return [
        _launch(r, None, kernel),
        _launch(r, r.elsewhere["queue"], kernel),
        r.cl.clRetainKernel(None),
        r.cl.clReleaseKernel(None),
        r.cl.clReleaseEvent(None),
        r.cl.clReleaseCommandQueue(None),
        r.cl.clReleaseMemObject(None),
        r.cl.clFinish(None),
    ]


def _transfers(r: Any, queue: Any, memory: Any) -> list[int]:
    error = c_int()
    r.cl.clEnqueueMapBuffer(
        queue, memory, 1, 1, 4000, 4000, 0, None,
        None, byref(error),
    )  # fmt: skip
    return [
        _read(r, queue, memory, 1 << 12, 4),
        _read(r, queue, memory, 4, 1 << 12),
        _read(r, queue, memory, 0, 4, to=False),
        _read(r, queue, r.elsewhere["memory"], 0, 4),
        r.cl.clEnqueueCopyBuffer(
            queue, memory, memory, 0, 4, 64, 0, None, None
        ),
        r.cl.clEnqueueFillBuffer(
            queue, memory, byref(c_uint(1)), 3, 0, 12, 0,
            None, None,
        ),
        r.cl.clEnqueueFillBuffer(
            queue, memory, byref(c_uint(1)), 4, 2, 12, 0,
            None, None,
        ),
        error.value,
    ]  # fmt: skip


def _blocking(r: Any, queue: Any, memory: Any) -> list[int]:
    """Transfers that block, each with something wrong: no pointer, or beyond the end."""
    cl, into, none = r.cl, (c_uint * 4096)(), (0, None, None)
    origin, beyond, region = (_sized(values) for values in ((0, 0, 0), (4000, 0, 0), (64, 8, 1)))
    pixels, error = _sized((8, 8, 1)), c_int()
    image = r.made("MemObject", r.image())
    found = [
        cl.clEnqueueReadBuffer(queue, memory, 1, 0, 4, None, *none),
        cl.clEnqueueWriteBuffer(queue, memory, 1, 4, 1 << 12, into, *none),
        cl.clEnqueueReadImage(queue, image, 1, origin, _sized((9, 8, 1)), 0, 0, into, *none),
        cl.clEnqueueWriteImage(queue, image, 1, beyond, pixels, 0, 0, into, *none),
        cl.clEnqueueSVMMemcpy(queue, 1, None, None, 4, *none),
        cl.clEnqueueSVMMap(queue, 1, 1, None, 4, *none),
    ]
    for name in ("ReadBufferRect", "WriteBufferRect"):
        for at, host in ((beyond, into), (origin, None)):
            given = queue, memory, 1, at, origin, region, 64, 0, 64, 0, host, *none
            found.append(getattr(cl, f"clEnqueue{name}")(*given))
    cl.clEnqueueMapBuffer(queue, memory, 1, 1, 4000, 4000, *none, byref(error))
    found.append(error.value)
    row = c_size_t()
    given = queue, image, 1, 1, beyond, pixels, byref(row), None, *none, byref(error)
    cl.clEnqueueMapImage(*given)
    return [*found, error.value]


def _lists(r: Any, queue: Any, memory: Any) -> list[int]:
    """Waits for lists that no driver takes; what is in them is never over."""
    user = r.made("Event", r.cl.clCreateUserEvent(r.context, None))
    return [
        r.cl.clWaitForEvents(2, (c_void_p * 2)(user, None)),
        r.cl.clWaitForEvents(2, (c_void_p * 2)(None, user)),
        r.cl.clSetUserEventStatus(user, 0),
    ]


def _events(r: Any, queue: Any, memory: Any) -> list[int]:
    user = r.made("Event", r.cl.clCreateUserEvent(r.context, None))
    value = c_uint64()
    one = (c_void_p * 1)(user)
    return [
        r.cl.clGetEventProfilingInfo(user, 0x1282, 8, byref(value), None),
        r.cl.clGetEventInfo(user, 0x11D3, 1, byref(value), None),
        r.cl.clSetUserEventStatus(user, 2),
        r.cl.clSetUserEventStatus(user, 0),
        r.cl.clSetUserEventStatus(user, 0),
        r.cl.clWaitForEvents(0, None),
        r.cl.clWaitForEvents(1, one),
        r.cl.clWaitForEvents(1, (c_void_p * 1)()),
    ]


def _making(r: Any, queue: Any, memory: Any) -> list[int]:
    found = []
    for name in (b"nobody", b"add_zero"):
        error = c_int()
        kernel = r.cl.clCreateKernel(None if name != b"nobody" else r.program, name, byref(error))
        found += [error.value, bool(kernel)]
    error = c_int()
    r.cl.clCreateCommandQueue(r.context, r.device, 1 << 40, byref(error))
    return [*found, error.value]


#: By what is wrong with them.
ERRORS: list[Refused] = [
    _unset, _arguments, _sizes, _objects, _transfers, _events, _making, _blocking, _lists,
]  # fmt: skip
