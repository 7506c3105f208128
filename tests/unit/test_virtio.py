"""Reading the count from a KVM guest's virtio-serial port; a FIFO stands in for the port.

Both give what the other end wrote, end of file while nobody is there, and can be polled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpusplit.count import LONGEST_MESSAGE, MOST_VMS, Message, TenancyError
from gpusplit.virtio import Lines, VirtioPort


class Host:
    """The host's end of the port."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.port = VirtioPort(str(path))
        self._descriptor = -1

    def connect(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def writes(self, text: str) -> None:
        if self._descriptor < 0:
            self.connect()
        os.write(self._descriptor, text.encode())

    def goes(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path / "org.gpusplit.count")
    yield made
    made.port.close()
    made.goes()


def test_a_line_is_a_message(host: Host) -> None:
    host.writes("3 17\n")
    assert host.port.listen(10) == Message(3, 17)


def test_of_a_backlog_the_last_line_counts(host: Host) -> None:
    host.writes("".join(f"{count} {count}\n" for count in range(1, 3000)))
    assert host.port.listen(10) == Message(2999, 2999)


def test_what_piled_up_before_the_port_was_opened_gives_way_to_what_follows(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host could write no more while nobody read, and goes on as soon as somebody does."""
    host.writes("2 5\n")
    threading.Timer(0.03, host.writes, ["3 17\n"]).start()
    assert host.port.listen(10) == Message(3, 17)
    host.writes("4 18\n")
    monkeypatch.setattr(VirtioPort, "SETTLING", 5.0)
    began = time.monotonic()
    assert host.port.listen(10) == Message(4, 18)
    assert time.monotonic() - began < 5.0, "later lines are not waited upon"


def test_a_line_in_pieces_is_put_together(host: Host) -> None:
    host.writes("3 1")
    assert host.port.listen(0.05) is None
    host.writes("7\n4")
    assert host.port.listen(10) == Message(3, 17)
    host.writes(" 18\r\n")
    assert host.port.listen(10) == Message(4, 18)


def test_silence_is_no_message(host: Host) -> None:
    host.connect()
    began = time.monotonic()
    assert host.port.listen(0.05) is None
    assert time.monotonic() - began >= 0.05


def test_without_a_host_at_the_other_end_nobody_spins(host: Host) -> None:
    host.writes("3 17\n")
    host.port.listen(10)
    host.goes()
    cpu = time.process_time()
    assert host.port.listen(0.2) is None
    assert time.process_time() - cpu < 0.1


def test_nonsense_is_an_error_and_the_next_line_is_read(host: Host) -> None:
    for line in ("three\n", "0 1\n", "x" * 10_000 + "\n"):
        host.writes(line)
        with pytest.raises(TenancyError):
            host.port.listen(10)
        host.writes("2 5\n")
        assert host.port.listen(10) == Message(2, 5)


def test_a_port_that_another_program_holds_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: str, flags: int, mode: int = 0) -> int:
        raise OSError(errno.EBUSY, "Device or resource busy", path)

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(TenancyError, match="another program holds the port"):
        VirtioPort().listen(1)


def test_a_missing_port_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        VirtioPort(str(tmp_path / "none")).listen(1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=500) | st.from_regex(rb"[0-9 \-\n\r\x00]{0,80}"))
def test_whatever_bytes_come_the_answer_is_a_message_or_an_error_and_then_the_next_line(
    host: Host, raw: bytes
) -> None:
    host.port.SETTLING = 0.0
    host.connect()
    os.write(host._descriptor, raw + b"\n2 5\n3 x\n")
    with pytest.raises(TenancyError):
        host.port.listen(10)
    os.write(host._descriptor, raw + b"\n")
    with contextlib.suppress(TenancyError):
        message = host.port.listen(10)
        assert message is not None
        assert 1 <= message.count <= MOST_VMS
    host.writes("2 5\n")
    assert host.port.listen(10) == Message(2, 5)
    host.goes()
    host.port.close()


@given(st.lists(st.binary(max_size=300) | st.sampled_from([b"3 1", b"\n", b"x" * 65]), max_size=40))
def test_any_stream_in_any_pieces_gives_the_lines_that_are_in_it(pieces: list[bytes]) -> None:
    """The reference: split the whole stream.  Memory stays within one line."""
    lines = Lines()
    stream = b""
    for piece in pieces:
        already = stream.count(b"\n")
        stream += piece
        complete = stream.split(b"\n")[already:-1]
        expected = complete[-1] if complete else None
        if expected is not None and len(expected) > LONGEST_MESSAGE:
            with pytest.raises(TenancyError):
                lines.feed(piece)
        else:
            got = lines.feed(piece)
            want = None if expected is None else expected.decode("ascii", "replace").rstrip("\r")
            assert got == want
        assert len(lines._part) <= LONGEST_MESSAGE
