"""What systemd, libvirt and QEMU do around the publisher, for the tests of it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from pathlib import Path

from gpusplit.count import Message, parse_message
from gpusplit.virtio import Lines

PROGRAM = Path(__file__).parents[2] / "roles/vm_count_publisher/files/gpusplit-publisher-kvm"
#: Debian's Python, which sees Debian's packages; the tests' own is that of a virtual environment.
PYTHON = "/usr/bin/python3"
HOST_PROGRAM = Path(__file__).with_name("libvirt_host.py")


def missing() -> list[str]:
    """What this machine lacks for the publisher."""
    done = subprocess.run([PYTHON, "-c", "import libvirt"], capture_output=True, check=False)
    return [] if done.returncode == 0 else ["python3-libvirt"]


class Guest:
    """QEMU's end of a port: what the host writes to it."""

    def __init__(self, path: Path, another_process: bool = True) -> None:
        """another_process: connect as a process of its own, as every QEMU is one."""
        self.socket = _connected_elsewhere(path) if another_process else _connected(path)
        self._lines = Lines()

    def is_told(self, seconds: float = 5.0) -> Message:
        """The last of what came, by the library's own parser; waits for the first."""
        message = self.hears(seconds)
        assert message is not None, f"no line within {seconds} s"
        return message

    def hears(self, seconds: float) -> Message | None:
        """The same, or None."""
        until = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.socket], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            received = self.socket.recv(1 << 16)
            assert received, "the publisher closed the connection"
            text = self._lines.feed(received)
            if text is not None:
                return parse_message(text)

    def is_told_count(self, count: int, seconds: float = 5.0) -> float:
        """The seconds until it was told *count*."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            message = self.hears(seconds - passed)
            if message is not None and message.count == count:
                return time.monotonic() - began
        raise AssertionError(f"not told {count} within {seconds} s")

    def writes_all_it_can(self, text: bytes) -> None:
        """*text* again and again, until nothing more is taken."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.send(text, socket.MSG_DONTWAIT)

    def is_cut_off(self, seconds: float = 5.0) -> bool:
        """Whether the publisher closes the connection."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self.socket], [], [], left)
            try:
                if ready and not self.socket.recv(1 << 16):
                    return True
            except ConnectionResetError:
                return True
        return False

    def goes(self) -> None:
        self.socket.close()


def _connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(str(path))
    return made


def _connected_elsewhere(path: Path) -> socket.socket:
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            made = _connected(path)
            socket.send_fds(theirs, [b"x"], [made.fileno()])
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, "could not connect"
    _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    theirs.close()
    return socket.socket(fileno=descriptors[0])


class Host:
    """A KVM host: the publisher's socket, and the publisher as often as it is started."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "count.sock"
        self._log = folder / "publisher.log"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._publisher: subprocess.Popen[str] | None = None
        self._guests: list[Guest] = []

    def starts_publisher(self, *options: str) -> None:
        """options: of libvirt_host.py."""
        descriptor = self._listener.fileno()
        with self._log.open("a") as log:
            self._publisher = subprocess.Popen(
                [PYTHON, HOST_PROGRAM, PROGRAM, str(descriptor), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                pass_fds=[descriptor],
            )

    def kills_publisher(self) -> None:
        if self._publisher is not None:
            self._publisher.kill()
            self._publisher.communicate()
            self._publisher = None

    @property
    def publisher(self) -> subprocess.Popen[str]:
        assert self._publisher is not None
        assert self._publisher.poll() is None, self._log.read_text()
        return self._publisher

    def orders(self, command: str) -> None:
        """Have libvirt do it; returns when it is done."""
        self.begins(command)
        self.ends_it()

    def begins(self, command: str) -> None:
        """The same, without waiting for its end."""
        stdin = self.publisher.stdin
        assert stdin is not None
        stdin.write(command + "\n")
        stdin.flush()

    def ends_it(self) -> None:
        stdout = self.publisher.stdout
        assert stdout is not None
        assert stdout.readline() == "done\n", self._log.read_text()

    def guest(self, another_process: bool = True) -> Guest:
        made = Guest(self.path, another_process)
        self._guests.append(made)
        return made

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.publisher.pid}/fd"))

    def comes_to_hold(self, open_files: int, seconds: float = 5.0) -> bool:
        """Whether the publisher has so many files open, now or soon."""
        until = time.monotonic() + seconds
        while self.open_files() != open_files:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.publisher.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ends(self) -> None:
        for guest in self._guests:
            guest.goes()
        self.kills_publisher()
        self._listener.close()
