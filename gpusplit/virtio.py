"""The VM count on a KVM guest's virtio-serial port, which the host writes lines to.

A line is a message of count.py and a newline.  Reasons: docs/decisions/count-channel.md.
"""

from __future__ import annotations

import errno
import os
import select
import time

from gpusplit.count import LONGEST_MESSAGE, Message, TenancyError, parse_message

#: The name that the host gives the port; the guest's udev makes a link of it.
PORT_NAME = "org.gpusplit.count"
PORT = f"/dev/virtio-ports/{PORT_NAME}"


def port() -> str | None:
    """The path of this guest's port, or None where the host gave it none."""
    return PORT if os.path.exists(PORT) else None


class Lines:
    """Cuts a stream of bytes into lines and keeps the last; never more than one line of it."""

    def __init__(self) -> None:
        """Begin at the start of a line."""
        self._part = b""
        self._overlong = False

    def feed(self, received: bytes) -> str | None:
        """The last line that *received* completes; TenancyError for one that is too long."""
        *complete, part = received.split(b"\n")
        last: bytes | None = None
        overlong = False
        for line in complete:
            last = self._part + line
            overlong = self._overlong or len(last) > LONGEST_MESSAGE
            self._part, self._overlong = b"", False
        if not self._overlong:
            self._part += part
        if len(self._part) > LONGEST_MESSAGE:
            self._part, self._overlong = b"", True
        if last is None:
            return None
        if overlong:
            raise TenancyError(f"a line of more than {LONGEST_MESSAGE} bytes")
        return last.decode("ascii", "replace").rstrip("\r")


class VirtioPort:
    """The messages that the host writes to the port, as a Channel."""

    CHUNK = 4096
    #: A backlog of more than so many chunks is not read in one go.
    MOST_CHUNKS = 64
    #: On opening the port, what has piled up is old; the newest follows within so many seconds.
    SETTLING = 0.1

    def __init__(self, path: str = PORT) -> None:
        """path: of the port's device.  Nothing is opened yet."""
        self.source = f"kvm: virtio-serial port {path}"
        self._path = path
        self._descriptor = -1
        self._process = 0
        self._lines = Lines()

    def listen(self, seconds: float) -> Message | None:
        """The last message that came within *seconds*; None where none did."""
        try:
            opened = self._open()
            message = self._listen(time.monotonic() + seconds)
            if opened and message is not None:
                # The host could write no more lines; now that there is room it does.
                return self._listen(time.monotonic() + self.SETTLING) or message
            return message
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Give the port back; listening opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> bool:
        """Whether it was not open before."""
        # A forked child would take away what its parent waits for.
        if self._descriptor >= 0 and self._process == os.getpid():
            return False
        self.close()
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise TenancyError("another program holds the port, which takes one") from error
            raise
        self._process = os.getpid()
        self._lines = Lines()
        return True

    def _listen(self, until: float) -> Message | None:
        waiter = select.poll()
        waiter.register(self._descriptor, select.POLLIN)
        while True:
            left = until - time.monotonic()
            events = waiter.poll(max(0.0, left) * 1000)
            if not events:
                return None
            text, ended = self._drain()
            if text is not None:
                return parse_message(text)
            if ended or left <= 0:
                # Nobody has the host's end open: poll would return at once, again and again.
                return None

    def _drain(self) -> tuple[str | None, bool]:
        """The last line of what is there, and whether nobody is at the other end."""
        last: str | None = None
        for _ in range(self.MOST_CHUNKS):
            try:
                received = os.read(self._descriptor, self.CHUNK)
            except BlockingIOError:
                return last, False
            if not received:
                return last, True
            text = self._lines.feed(received)
            last = text if text is not None else last
        return last, False
