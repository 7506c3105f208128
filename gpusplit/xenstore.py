"""The VM count in Xen's store, told by a watch on the kernel's xenbus device.

Source of the wire format: xen/include/public/io/xs_wire.h and, for what the device does with it,
Linux' drivers/xen/xenbus/xenbus_dev_frontend.c.  A request and its answer are a header of four
32-bit words (type, request id, transaction id, length) and a payload.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time

from gpusplit.count import Message, TenancyError, parse_beat, parse_count

#: Relative to this guest's own folder, /local/domain/<domid>/, where dom0 alone may write.
FOLDER = "gpusplit"
COUNT_NODE = f"{FOLDER}/running"
BEAT_NODE = f"{FOLDER}/heartbeat"
#: The store's device in a guest; the second name is the older one.
DEVICES = ("/dev/xen/xenbus", "/proc/xen/xenbus")


def device() -> str | None:
    """The path of this guest's xenbus device, or None where this is no Xen guest."""
    return next((path for path in DEVICES if os.path.exists(path)), None)


class XenStore:
    """The count and the heartbeat that dom0 publishes, as a Channel."""

    def __init__(self, path: str | None = None) -> None:
        """path: the xenbus device; found if not given.  Nothing is opened yet."""
        self.source = f"xenstore: node {COUNT_NODE}"
        self._bus = XenBus(path or device() or DEVICES[0])

    def listen(self, seconds: float) -> Message:
        """What the store says after its next change, or after *seconds* without one.

        It is read in both cases, so that a change whose event was lost is seen a little later.
        """
        self._bus.wait_for_change(FOLDER, seconds)
        count = parse_count(self._bus.read(COUNT_NODE))
        try:
            return Message(count, parse_beat(self._bus.read(BEAT_NODE)))
        except NoNode:
            return Message(count)

    def close(self) -> None:
        """Give the device back; listening opens it again."""
        self._bus.close()


class StoreError(TenancyError):
    """The store answered, and the answer is an error; the connection is as good as before."""


class NoNode(StoreError):
    """There is no such node."""


class XenBus:
    """A connection to the store: watches one folder and reads nodes."""

    HEADER = struct.Struct("=IIII")
    XS_READ = 2
    XS_WATCH = 4
    XS_WATCH_EVENT = 15
    XS_ERROR = 16
    #: The most that the protocol allows (XENSTORE_PAYLOAD_MAX).
    LONGEST_PAYLOAD = 4096
    #: xenstored answers in well under a millisecond; one that hangs is left alone.
    TIMEOUT = 1.0

    def __init__(self, path: str) -> None:
        """path: of the xenbus device, opened when it is first needed."""
        self._path = path
        self._descriptor = -1
        self._process = 0
        self._request = 0
        self._changed = False

    def close(self) -> None:
        """Give the device back, and the watch with it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, node: str) -> str:
        """The value of *node*; NoNode where there is none, TenancyError or OSError otherwise."""
        self._open()
        return self._ask(self.XS_READ, node.encode("ascii") + b"\0").decode("ascii", "replace")

    def wait_for_change(self, folder: str, seconds: float) -> bool:
        """Sleep until something in *folder* changes; False if nothing did within *seconds*.

        The first call returns at once, since the store fires a new watch once.
        """
        if self._open():
            self._changed = False
            watch = folder.encode("ascii")
            self._ask(self.XS_WATCH, watch + b"\0" + watch + b"\0")
        until = time.monotonic() + seconds
        try:
            while not self._changed:
                if not self._readable(until - time.monotonic()):
                    return False
                self._receive_message()
            # Writers often change several nodes at once: one reading serves them all.
            while self._readable(0):
                self._receive_message()
        except (TenancyError, OSError):
            self.close()
            raise
        self._changed = False
        return True

    def _open(self) -> bool:
        """Open the device unless it is; True if it was opened now."""
        # A forked child shares the parent's connection, and answers would mix.
        if self._descriptor >= 0 and self._process == os.getpid():
            return False
        self.close()
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._process = os.getpid()
        return True

    def _ask(self, kind: int, payload: bytes) -> bytes:
        self._request = (self._request + 1) & 0xFFFFFFFF
        message = self.HEADER.pack(kind, self._request, 0, len(payload)) + payload
        try:
            if os.write(self._descriptor, message) != len(message):
                raise TenancyError("the xenbus device took only a part of the question")
            while True:
                answer, request, value = self._receive_message()
                # Linux answers for a watch itself, and leaves the request's number out.
                if answer == kind and (request == self._request or kind == self.XS_WATCH):
                    return value
                if answer == self.XS_ERROR and request == self._request:
                    break
                if answer not in (self.XS_WATCH_EVENT, self.XS_READ, self.XS_ERROR):
                    raise TenancyError(f"an answer of type {answer}")
        except (TenancyError, OSError):
            # Whatever is left in the device belongs to the failed question: start afresh.
            self.close()
            raise
        name = value.rstrip(b"\0").decode("ascii", "replace")[:40]
        raise (NoNode if name == errno.errorcode[errno.ENOENT] else StoreError)(name)

    def _receive_message(self) -> tuple[int, int, bytes]:
        """One message: its type, its request's number and its payload; events are noted."""
        kind, request, _, length = self.HEADER.unpack(self._receive(self.HEADER.size))
        if length > self.LONGEST_PAYLOAD:
            raise TenancyError(f"an answer of {length} bytes")
        value = self._receive(length)
        self._changed |= kind == self.XS_WATCH_EVENT
        return kind, request, value

    def _receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            if not self._readable(self.TIMEOUT):
                raise TenancyError(f"xenstored did not answer within {self.TIMEOUT:g} s")
            try:
                part = os.read(self._descriptor, count - len(received))
            except BlockingIOError:
                continue
            if not part:
                raise TenancyError("the xenbus device ended")
            received += part
        return received

    def _readable(self, seconds: float) -> bool:
        # poll, not select: a program with more than 1024 open files is not unusual.
        waiter = select.poll()
        waiter.register(self._descriptor, select.POLLIN)
        return bool(waiter.poll(max(0.0, seconds) * 1000))
