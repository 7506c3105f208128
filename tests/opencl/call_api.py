"""OpenCL's functions by ctypes, as the loader exports them, and what sequences of calls share."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from call_kernels import source

_TYPES = {"p": c_void_p, "i": c_int, "u": c_uint, "l": c_uint64, "z": c_size_t}
#: Results and parameters, a letter each.  p: a handle or a pointer; W: a wait list and an event.
_FUNCTIONS = {
    "clGetPlatformIDs": "iupp", "clGetDeviceIDs": "iplupp", "clCreateContext": "ppupppp",
    "clCreateCommandQueue": "ppplp", "clCreateBuffer": "pplzpp",
    "clCreateImage": "pplpppp", "clCreateSubBuffer": "pplupp",
    "clCreateProgramWithSource": "ppuppp", "clBuildProgram": "ipupppp", "clCreateKernel": "pppp",
    "clCloneKernel": "ppp", "clCreateUserEvent": "ppp", "clSetUserEventStatus": "ipi",
    "clSetKernelArg": "ipuzp", "clGetEventInfo": "ipuzpp", "clGetEventProfilingInfo": "ipuzpp",
    "clSetEventCallback": "ipipp", "clWaitForEvents": "iup", "clFlush": "ip", "clFinish": "ip",
    "clEnqueueNDRangeKernel": "ippupppW", "clEnqueueTask": "ippW",
    "clEnqueueReadBuffer": "ippuzzpW", "clEnqueueWriteBuffer": "ippuzzpW",
    "clEnqueueReadBufferRect": "ippupppzzzzpW", "clEnqueueWriteBufferRect": "ippupppzzzzpW",
    "clEnqueueCopyBuffer": "ipppzzzW", "clEnqueueCopyBufferRect": "ipppppp" "zzzzW",
    "clEnqueueFillBuffer": "ipppzzzW", "clEnqueueMapBuffer": "pppulzzWp",
    "clEnqueueReadImage": "ippuppzzpW", "clEnqueueWriteImage": "ippuppzzpW",
    "clEnqueueMapImage": "pppulppppWp", "clEnqueueSVMMemcpy": "ipuppzW",
    "clEnqueueSVMMap": "ipulpzW",
    "clEnqueueUnmapMemObject": "ipppW", "clEnqueueMarkerWithWaitList": "ipW",
    "clEnqueueBarrierWithWaitList": "ipW", "clEnqueueMarker": "ipp", "clEnqueueBarrier": "ip",
    **{f"cl{verb}{kind}": "ip" for verb in ("Retain", "Release")
       for kind in ("Event", "Kernel", "CommandQueue", "MemObject", "Program")},
}  # fmt: skip


def opencl() -> Any:
    """The loader."""
    found = ctypes.CDLL("libOpenCL.so.1")
    for name, letters in _FUNCTIONS.items():
        result, *parameters = (_TYPES[letter] for letter in letters.replace("W", "upp"))
        function = getattr(found, name)
        function.restype, function.argtypes = result, parameters
    return found


class World:
    """A context and its built program, and another context."""

    def __init__(self) -> None:
        """On the first device."""
        self.cl = opencl()
        platform, device = c_void_p(), c_void_p()
        self.cl.clGetPlatformIDs(1, byref(platform), None)
        self.cl.clGetDeviceIDs(platform, 0xFFFFFFFF, 1, byref(device), None)
        self.device = device
        self.context = self._new_context()
        self.program = self.build(0)
        other = self._new_context()
        self.elsewhere = {
            "queue": self.cl.clCreateCommandQueue(other, device, 0, None),
            "memory": self.cl.clCreateBuffer(other, 1, 64, None, None),
        }

    def _new_context(self) -> int:
        made: int = self.cl.clCreateContext(None, 1, byref(self.device), None, None, None)
        return made

    def build(self, number: int) -> int:
        """Another program."""
        text = ctypes.c_char_p(source(number).encode())
        program: int = self.cl.clCreateProgramWithSource(self.context, 1, byref(text), None, None)
        assert not self.cl.clBuildProgram(program, 0, None, b"", None, None)
        return program
