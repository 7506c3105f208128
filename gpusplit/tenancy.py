"""How many VMs run on this host, as the hypervisor tells this guest.

The count includes this VM; dom0 is not counted.  Sources: a fixed number, or Xen's store, where
a monitor in dom0 publishes it.  A source never raises while kernels are launched: what is missing
or makes no sense is reported once as a warning and counts as unknown, and unknown is not split.
"""

from __future__ import annotations

import os
import select
import shutil
import struct
import threading
import time
import warnings
from collections.abc import Callable
from typing import Protocol

#: Relative to this guest's own folder, /local/domain/<domid>/, where dom0 alone may write.
NODE = "gpusplit/running"
#: The store's device in a guest; the second name is the older one.
XENBUS_DEVICES = ("/dev/xen/xenbus", "/proc/xen/xenbus")
#: A new count is looked for at most this often, in seconds.
MAX_AGE = 0.1
#: More VMs than any Xen host runs: such a number is a mistake of whoever wrote it.
MOST_VMS = 10_000


class TenancyWarning(UserWarning):
    """The VM count is missing or makes no sense; launches stay whole."""


class TenancyError(Exception):
    """The VM count could not be read this time."""


class Tenancy(Protocol):
    """A source of the VM count."""

    def vm_count(self) -> int | None:
        """Running VMs including this one, or None where that is unknown."""
        ...

    def describe(self) -> str:
        """One line for people: what the source is and where it reads."""
        ...


class Static:
    """A number somebody wrote down."""

    def __init__(self, count: int) -> None:
        """count: running VMs including this one, at least 1."""
        self._count = count

    def vm_count(self) -> int | None:
        """That number."""
        return self._count

    def describe(self) -> str:
        """One line for people."""
        return f"static: {self._count} VMs"


class Unknown:
    """No source: not a Xen guest, and nobody gave a number."""

    def vm_count(self) -> int | None:
        """Unknown."""
        return None

    def describe(self) -> str:
        """One line for people."""
        return "none found: no Xen store in this system and no static count given"


class XenStore:
    """The count that dom0 publishes in Xen's store, read at most every MAX_AGE seconds."""

    def __init__(
        self,
        read: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        source: str = "xenstore",
    ) -> None:
        """read: returns the node's text or raises; clock: seconds, never backwards."""
        self._read = read if read is not None else default_reader()
        self._clock = clock
        self._source = source
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._count: int | None = None
        self._warned = False

    def vm_count(self) -> int | None:
        """The published count, or None with one warning where it is missing or absurd."""
        now = self._clock()
        if now - self._read_at < MAX_AGE:
            return self._count
        with self._lock:
            if now - self._read_at < MAX_AGE:
                return self._count
            try:
                self._count = parse_count(self._read())
            except (TenancyError, OSError, ValueError) as error:
                self._count = None
                if not self._warned:
                    self._warned = True
                    warnings.warn(
                        f"gpusplit: the VM count in {self._source} node {NODE} cannot be used "
                        f"({error}); kernels are not split until it can",
                        TenancyWarning,
                        stacklevel=2,
                    )
            self._read_at = now
            return self._count

    def describe(self) -> str:
        """One line for people."""
        return f"{self._source}: node {NODE}"


def parse_count(text: str) -> int:
    """The count that *text*, an ASCII integer, stands for; TenancyError where it is none.

    >>> parse_count("3")
    3
    """
    digits = text.strip().strip("\0")
    if not (digits.isascii() and digits.isdigit()):
        raise TenancyError(f"not a number: {text[:40]!r}")
    # Before int(): thousands of digits are refused by Python itself with another message.
    if len(digits) > 9 or not 1 <= int(digits) <= MOST_VMS:
        raise TenancyError(f"not a possible number of VMs: {digits[:40]}")
    return int(digits)


class XenBus:
    """Reads one node through the kernel's xenbus device.

    Source: xen/include/public/io/xs_wire.h.  A request and its answer are a header of four
    32-bit words (type, request id, transaction id, length) and a payload; the node's name ends
    with a NUL, the value does not.
    """

    HEADER = struct.Struct("=IIII")
    XS_READ = 2
    XS_ERROR = 16
    XS_WATCH_EVENT = 15
    #: xenstored answers in well under a millisecond; one that hangs must not hang a launch.
    TIMEOUT = 1.0

    def __init__(self, device: str, node: str = NODE) -> None:
        """device: path of the xenbus device; node: name, relative to this guest's folder."""
        self._device = device
        self._node = node
        self._descriptor = -1
        self._process = 0
        self._request = 0

    def __call__(self) -> str:
        """The node's value; TenancyError or OSError where there is none."""
        try:
            return self._ask()
        except (TenancyError, OSError):
            # Whatever is left in the device belongs to the failed question: start afresh.
            self.close()
            raise

    def close(self) -> None:
        """Give the device back; the next reading opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _ask(self) -> str:
        # A forked child shares the parent's connection, and answers would mix.
        if self._descriptor < 0 or self._process != os.getpid():
            self._descriptor = os.open(self._device, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            self._process = os.getpid()
        payload = self._node.encode("ascii") + b"\0"
        self._request = (self._request + 1) & 0xFFFFFFFF
        message = self.HEADER.pack(self.XS_READ, self._request, 0, len(payload)) + payload
        sent = os.write(self._descriptor, message)
        if sent != len(message):
            raise TenancyError("the xenbus device took only a part of the question")
        while True:
            kind, request, _, length = self.HEADER.unpack(self._receive(self.HEADER.size))
            if length > 4096:
                raise TenancyError(f"an answer of {length} bytes")
            value = self._receive(length)
            if kind == self.XS_WATCH_EVENT or request != self._request:
                continue
            if kind == self.XS_ERROR:
                raise TenancyError(value.rstrip(b"\0").decode("ascii", "replace"))
            if kind != self.XS_READ:
                raise TenancyError(f"an answer of type {kind}")
            return value.decode("ascii", "replace")

    def _receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            # poll, not select: a program with more than 1024 open files is not unusual.
            waiter = select.poll()
            waiter.register(self._descriptor, select.POLLIN)
            if not waiter.poll(self.TIMEOUT * 1000):
                raise TenancyError(f"xenstored did not answer within {self.TIMEOUT:g} s")
            try:
                part = os.read(self._descriptor, count - len(received))
            except BlockingIOError:
                continue
            if not part:
                raise TenancyError("the xenbus device ended")
            received += part
        return received


def _read_by_program() -> str:
    """The node's value from the program xenstore-read; slower, for kernels without a device."""
    import subprocess  # only where the device is missing; it takes long to import

    try:
        done = subprocess.run(
            ["xenstore-read", NODE], capture_output=True, text=True, timeout=2, check=False
        )
    except subprocess.SubprocessError as error:
        raise TenancyError(str(error)) from error
    if done.returncode:
        raise TenancyError(done.stderr.strip() or f"xenstore-read ended with {done.returncode}")
    return done.stdout


def xenbus_device() -> str | None:
    """The path of this guest's xenbus device, or None where this is no Xen guest."""
    return next((path for path in XENBUS_DEVICES if os.path.exists(path)), None)


def default_reader() -> Callable[[], str]:
    """How this system reads the store: the device, or else the program."""
    device = xenbus_device()
    if device is not None or shutil.which("xenstore-read") is None:
        return XenBus(device if device is not None else XENBUS_DEVICES[0])
    return _read_by_program


def from_option(option: str) -> Tenancy:
    """The source that the option vms names: auto, xenstore, static:N.

    ValueError says what is wrong with any other text.

    >>> from_option("static:3").vm_count()
    3
    """
    if option == "auto":
        return XenStore() if xenbus_device() is not None else Unknown()
    if option == "xenstore":
        return XenStore()
    kind, _, number = option.partition(":")
    if kind == "static":
        try:
            return Static(parse_count(number))
        except TenancyError as error:
            raise ValueError(f"vms=static:N needs a number of VMs: {error}") from error
    raise ValueError(f"vms must be auto, xenstore or static:N, not {option!r}")
