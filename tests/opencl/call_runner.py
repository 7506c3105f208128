"""Makes the calls of call_maker.py by the loader's functions, and says what came of them.

A process of its own, since what it tries may kill it: `python call_runner.py` reads sequences as
JSON, one a line, and answers each with what was seen: every call's result, what was read, and at
the end all buffers, events, times and callbacks.  Two that agree on all of it did the same.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import random
import sys
import threading
import time
import zlib
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from call_api import World
from call_errors import ERRORS
from call_kernels import ITEMS, SUB_AT, SUB_ITEMS

#: Seconds after which a sequence hangs: most take some milliseconds, a few the judge.
PATIENCE = 240
BYTES = 4 * ITEMS
#: Buffers as rectangles: bytes of a row.
ROW = 64
NOTIFY = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)
TYPE, STATUS = 0x11D1, 0x11D3

Waits = list[str]


class Pair(ctypes.Structure):
    _fields_ = (("x", c_uint), ("y", c_uint))


def sizes(values: Any) -> Any:
    return None if values is None else (c_size_t * len(values))(*values)


def noise(seed: object, size: int) -> bytes:
    return random.Random(str(seed)).randbytes(size)


def rectangle(at: int, size: int) -> tuple[Any, Any]:
    """Where one begins and how large it is, of at most half of the rows."""
    rows = BYTES // ROW
    width, height = 4 + size % (ROW // 2), 1 + size % (rows // 2)
    return sizes((at % (ROW // 2), at // ROW % (rows // 2), 0)), sizes((width, height, 1))


class Runner:
    """One sequence."""

    def __init__(self, world: World, own: int) -> None:
        """own: the number of a program that is built for it; 0: it takes everybody's."""
        self.cl, self.context, self.device = world.cl, world.context, world.device
        self.elsewhere = world.elsewhere
        self.program = world.build(own) if own else world.program
        self.own = bool(own)
        #: By the program's names; and what nobody names again.
        self.handles: dict[str, int | None] = {}
        self.held: list[tuple[str, int]] = []
        self.hosts: dict[str, Any] = {}
        self.mapped: dict[str, tuple[int, int]] = {}
        #: Callbacks that were asked for, and those that came.
        self.asked: list[str] = []
        self.called: list[tuple[str, int]] = []
        self.notify = NOTIFY(
            lambda event, status, at: self.called.append((self.asked[at - 1], status))
        )

    def made(self, kind: str, handle: int) -> int:
        """Something that is released at the end."""
        self.held.append((kind, handle))
        return handle

    def image(self) -> int:
        """An image of 8 x 8 numbers."""
        kind = (c_uint * 2)(0x10B0, 0x10DA)  # CL_R, CL_UNSIGNED_INT32
        shape = (c_size_t * 9)(0x10F1, 8, 8, 1, 1)  # CL_MEM_OBJECT_IMAGE2D; as cl_image_desc lies
        found: int = self.cl.clCreateImage(self.context, 1, kind, shape, None, None)
        return found

    def _new(self, name: str, handle: int | None) -> bool:
        self.handles[name] = handle
        return bool(handle)

    def _list(self, waits: Waits) -> tuple[int, Any]:
        return len(waits), (c_void_p * len(waits))(*(self.handles[w] for w in waits)) or None

    def _command(self, name: str, queue: str, *given: Any) -> int:
        """Enqueue something; the last two are its wait list and the name of its event, or None."""
        *before, waits, event = given
        made = c_void_p()
        function = getattr(self.cl, f"clEnqueue{name}")
        result: int = function(
            self.handles[queue], *before, *self._list(waits), byref(made) if event else None
        )
        if event:
            self._new(event, made.value)
        return result

    # Objects.

    def do_queue(self, name: str, kind: int) -> bool:
        return self._new(name, self.cl.clCreateCommandQueue(self.context, self.device, kind, None))

    def do_buffer(self, name: str, bits: int) -> bool:
        content = noise(bits, BYTES)
        return self._new(name, self.cl.clCreateBuffer(self.context, 0x21, BYTES, content, None))

    def do_part(self, name: str, of: str) -> bool:
        region = sizes((4 * SUB_AT, 4 * SUB_ITEMS))
        return self._new(name, self.cl.clCreateSubBuffer(self.handles[of], 0, 0x1220, region, None))

    def do_kernel(self, name: str) -> bool:
        kind = name.split(".")[-1].encode()
        return self._new(name, self.cl.clCreateKernel(self.program, kind, None))

    def do_clone(self, name: str, kernel: str) -> bool:
        return self._new(name, self.cl.clCloneKernel(self.handles[kernel], None))

    def do_argument(self, kernel: str, at: int, what: str) -> int:
        value: Any = None
        number = int(what[1:])
        if what[0] == "v":
            value = c_uint(number)
        elif what[0] == "x":
            value = Pair(number * 2 + 1, 5)
        elif what[0] != "s":
            value = c_void_p(self.handles[what])
        size = 4 * number if value is None else ctypes.sizeof(value)
        found: int = self.cl.clSetKernelArg(
            self.handles[kernel], at, size, None if value is None else byref(value)
        )
        return found

    def do_retain(self, kind: str, name: str) -> Any:
        return getattr(self.cl, f"clRetain{kind}")(self.handles[name])

    def do_release(self, kind: str, name: str) -> Any:
        return getattr(self.cl, f"clRelease{kind}")(self.handles[name])

    # Commands.

    def do_launch(self, queue: str, kernel: str, offset: Any, size: Any, local: Any,
                  *rest: Any) -> int:  # fmt: skip
        return self._command(
            "NDRangeKernel", queue, self.handles[kernel], len(size), sizes(offset), sizes(size),
            sizes(local), *rest,
        )  # fmt: skip

    def do_task(self, queue: str, kernel: str, *rest: Any) -> int:
        return self._command("Task", queue, self.handles[kernel], *rest)

    def do_read(self, queue: str, memory: str, host: str, blocking: bool, at: int, size: int,
                *rest: Any) -> list[int]:  # fmt: skip
        into = self.hosts[host] = ctypes.create_string_buffer(size)
        found = self._command(
            "ReadBuffer", queue, self.handles[memory], blocking, at, size, into, *rest
        )
        return [found, zlib.crc32(into) if blocking else 0]

    def do_write(self, queue: str, memory: str, host: str, blocking: bool, at: int, size: int,
                 *rest: Any) -> int:  # fmt: skip
        given = self.hosts[host] = ctypes.create_string_buffer(noise(host, size), size)
        found = self._command(
            "WriteBuffer", queue, self.handles[memory], blocking, at, size, given, *rest
        )
        if blocking:
            ctypes.memset(given, 0xEE, size)
        return found

    def _rectangles(self, name: str, queue: str, memory: str, blocking: bool, at: int, size: int,
                    host: Any, *rest: Any) -> int:  # fmt: skip
        origin, region = rectangle(at, size)
        return self._command(
            name, queue, self.handles[memory], blocking, origin, sizes((0, 0, 0)), region, ROW, 0,
            ROW, 0, host, *rest,
        )  # fmt: skip

    def do_read_rect(self, queue: str, memory: str, host: str, blocking: bool, at: int, size: int,
                     *rest: Any) -> list[int]:  # fmt: skip
        into = self.hosts[host] = ctypes.create_string_buffer(BYTES)
        found = self._rectangles("ReadBufferRect", queue, memory, blocking, at, size, into, *rest)
        return [found, zlib.crc32(into) if blocking else 0]

    def do_write_rect(self, queue: str, memory: str, host: str, blocking: bool, at: int, size: int,
                      *rest: Any) -> int:  # fmt: skip
        given = self.hosts[host] = ctypes.create_string_buffer(noise(host, BYTES), BYTES)
        return self._rectangles("WriteBufferRect", queue, memory, blocking, at, size, given, *rest)

    def do_copy(self, queue: str, memory: str, other: str, at: int, to: int, size: int,
                *rest: Any) -> int:  # fmt: skip
        both = self.handles[memory], self.handles[other]
        return self._command("CopyBuffer", queue, *both, at, to, size, *rest)

    def do_copy_rect(self, queue: str, memory: str, other: str, at: int, to: int, size: int,
                     *rest: Any) -> int:  # fmt: skip
        origin, region = rectangle(at, size)
        there, _ = rectangle(to, size)
        both = self.handles[memory], self.handles[other]
        return self._command(
            "CopyBufferRect", queue, *both, origin, there, region, ROW, 0, ROW, 0, *rest
        )

    def do_fill(self, queue: str, memory: str, width: int, at: int, size: int, *rest: Any) -> int:
        pattern = bytes(range(1, width + 1))
        return self._command(
            "FillBuffer", queue, self.handles[memory], pattern, width, at, size, *rest
        )

    def do_map(self, queue: str, memory: str, host: str, blocking: bool, flags: int, at: int,
               size: int, waits: Waits, event: str) -> int:  # fmt: skip
        error, made = c_int(), c_void_p()
        found = self.cl.clEnqueueMapBuffer(
            self.handles[queue], self.handles[memory], blocking, flags, at, size,
            *self._list(waits), byref(made), byref(error),
        )  # fmt: skip
        self._new(event, made.value)
        self.mapped[host] = (found, size)
        return error.value

    def do_touch(self, host: str, flags: int) -> int:
        address, size = self.mapped[host]
        seen = zlib.crc32(ctypes.string_at(address, size)) if flags & 1 else 0
        if flags & 6:
            ctypes.memmove(address, noise(host, size), size)
        return seen

    def do_unmap(self, queue: str, memory: str, host: str, *rest: Any) -> int:
        return self._command(
            "UnmapMemObject", queue, self.handles[memory], self.mapped[host][0], *rest
        )

    # Order.

    def do_marker(self, queue: str, *rest: Any) -> int:
        return self._command("MarkerWithWaitList", queue, *rest)

    def do_barrier(self, queue: str, *rest: Any) -> int:
        return self._command("BarrierWithWaitList", queue, *rest)

    def do_old_marker(self, queue: str, waits: Waits, event: str) -> int:
        made = c_void_p()
        found: int = self.cl.clEnqueueMarker(self.handles[queue], byref(made))
        self._new(event, made.value)
        return found

    def do_old_barrier(self, queue: str, waits: Waits, event: None) -> Any:
        return self.cl.clEnqueueBarrier(self.handles[queue])

    def do_flush(self, queue: str) -> Any:
        return self.cl.clFlush(self.handles[queue])

    def do_finish(self, queue: str) -> Any:
        return self.cl.clFinish(self.handles[queue])

    def do_wait(self, waits: Waits) -> Any:
        return self.cl.clWaitForEvents(*self._list(waits))

    def do_user(self, name: str) -> bool:
        return self._new(name, self.cl.clCreateUserEvent(self.context, None))

    def do_set(self, name: str, status: int) -> Any:
        return self.cl.clSetUserEventStatus(self.handles[name], status)

    def _info(self, name: str, what: int) -> int:
        value = c_int(-77)
        result: int = self.cl.clGetEventInfo(self.handles[name], what, 4, byref(value), None)
        return result or value.value

    def do_waits(self, name: str) -> bool:
        return self._info(name, STATUS) > 0

    def do_over(self, name: str) -> list[Any]:
        """What the event says of itself; of its times whether they make sense, or why not."""
        told: list[Any] = [self._info(name, TYPE), self._info(name, STATUS)]
        times = []
        for what in (0x1280, 0x1281, 0x1282, 0x1283):
            value = c_uint64()
            given = self.handles[name], what, 8, byref(value), None
            if result := self.cl.clGetEventProfilingInfo(*given):
                return [*told, result]
            times.append(value.value)
        return [*told, times == sorted(times) and times[3] - times[0] < PATIENCE * 10**9]

    def do_callback(self, name: str, status: int) -> Any:
        self.asked.append(name)
        return self.cl.clSetEventCallback(self.handles[name], status, self.notify, len(self.asked))

    def do_error(self, which: int, queue: str, memory: str) -> Any:
        return ERRORS[which](self, self.handles[queue], self.handles[memory])

    def do_fails(self) -> list[Any]:
        """A launch that waits for a user event that fails: it fails, too, and writes nothing."""
        queue, memory, user, event, kernel = "q0", "b0", "u0", "e0", "k.add_zero"
        self.do_queue(queue, 0)
        self.do_buffer(memory, 1)
        self.do_kernel(kernel)
        self.do_argument(kernel, 0, memory)
        self.do_argument(kernel, 1, "v3")
        self.do_user(user)
        found: list[Any] = [
            self.do_launch(queue, kernel, None, (64,), (8,), [user], event),
            self.do_flush(queue),
            self.do_set(user, -5),
            self.do_wait([event]),
            self._info(event, STATUS) < 0,
        ]
        # A command that failed keeps PoCL's queue from ever being finished.
        self.do_queue("other", 0)
        found.append(self.do_read("other", memory, "h0", True, 0, BYTES, [], None))
        return found

    # All of it.

    def run(self, phases: list[list[list[list[Any]]]]) -> list[Any]:
        """What came of every call, phase by phase and thread by thread."""

        def work(calls: list[list[Any]], found: list[Any]) -> None:
            for kind, *given in calls:
                found.append(getattr(self, f"do_{kind.replace(' ', '_')}")(*given))

        seen: list[Any] = []
        for phase in phases:
            results: list[list[Any]] = [[] for _ in phase]
            first, *others = zip(phase, results, strict=True)
            busy = [threading.Thread(target=work, args=one) for one in others if one[0]]
            for thread in busy:
                thread.start()
            work(*first)
            for thread in busy:
                thread.join()
            seen.append(results)
        return seen

    def end(self, left: dict[str, str]) -> dict[str, Any]:
        """What is there when all is over; left: what the program still holds, and its kind."""

        def of(kind: str) -> list[str]:
            return [name for name, its in left.items() if its == kind]

        for queue in of("CommandQueue"):
            self.do_finish(queue)
        events = of("Event")
        found: dict[str, Any] = {"waited": self.do_wait(events) if events else 0}
        found["events"] = {name: self.do_over(name) for name in events}
        self.do_queue("last", 0)
        for name in of("MemObject"):
            self.do_read("last", name, f"{name} at the end", True, 0, BYTES, [], None)
        found["hosts"] = {name: zlib.crc32(host) for name, host in self.hosts.items()}
        until = time.monotonic() + PATIENCE / 4
        while len(self.called) < len(self.asked) and time.monotonic() < until:
            time.sleep(0.001)
        found["called"] = sorted(self.called)
        for name, kind in (*left.items(), ("last", "CommandQueue")):
            self.do_release(kind, name)
        for kind, handle in self.held:
            getattr(self.cl, f"clRelease{kind}")(handle)
        if self.own:
            self.cl.clReleaseProgram(self.program)
        return found


def main() -> None:
    faulthandler.enable()
    world = World()
    for line in sys.stdin:
        given = json.loads(line)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        runner = Runner(world, given["own"])
        seen = {"seen": runner.run(given["phases"]), **runner.end(given["left"])}
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    main()
