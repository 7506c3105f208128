"""The VM count: read from Xen's store, cached, and never trusted blindly."""

from __future__ import annotations

import os
import socket
import struct
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from gpusplit import tenancy
from gpusplit.tenancy import TenancyError, TenancyWarning, XenBus, XenStore


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_store_is_asked_at_most_every_tenth_of_a_second() -> None:
    clock = Clock()
    answers = iter(["2", "3"])
    store = XenStore(lambda: next(answers), clock)
    assert store.vm_count() == 2
    clock.now = 0.09
    assert store.vm_count() == 2
    clock.now = 0.11
    assert store.vm_count() == 3


def test_a_missing_node_warns_once_and_means_unknown_until_it_appears() -> None:
    clock = Clock()
    present: list[str] = []

    def read() -> str:
        if not present:
            raise TenancyError("ENOENT")
        return present[0]

    store = XenStore(read, clock)
    with pytest.warns(TenancyWarning, match="ENOENT"):
        assert store.vm_count() is None
    clock.now = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.vm_count() is None
        present.append("4\n")
        clock.now = 2.0
        assert store.vm_count() == 4


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1.5", "99999999", "9" * 5000, "²", "1 2"])
def test_nonsense_is_no_count(text: str) -> None:
    with pytest.raises(TenancyError):
        tenancy.parse_count(text)


@pytest.mark.parametrize("option", ["", "static", "static:", "static:0", "static:x", "kvm9"])
def test_an_option_that_names_no_source_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="vms"):
        tenancy.from_option(option)


HEADER = struct.Struct("=IIII")


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[bytes], bytes]], XenBus]]:
    """A XenBus whose device is a socket; the test plays xenstored."""
    ends: list[socket.socket] = []
    real_open = os.open

    def make(answer: Callable[[bytes], bytes]) -> XenBus:
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))
        ours.setblocking(False)

        def serve() -> None:
            while question := theirs.recv(4096):
                theirs.sendall(answer(question))

        threading.Thread(target=serve, daemon=True).start()

        def fake_open(path: str, flags: int, mode: int = 0o777) -> int:
            return os.dup(ours.fileno()) if path == "/test/xenbus" else real_open(path, flags, mode)

        monkeypatch.setattr(os, "open", fake_open)
        return XenBus("/test/xenbus", "gpusplit/running")

    yield make
    for end in ends:
        end.close()


def test_the_wire_carries_the_relative_node_and_the_answer(
    bus: Callable[[Callable[[bytes], bytes]], XenBus],
) -> None:
    asked: list[bytes] = []

    def answer(question: bytes) -> bytes:
        kind, request, transaction, length = HEADER.unpack(question[:16])
        asked.append(question[16:])
        assert (kind, transaction, length) == (2, 0, len(question) - 16)
        # An event of a watch, which nobody asked for, comes first.
        return HEADER.pack(15, 0, 0, 3) + b"a\0b" + HEADER.pack(2, request, 0, 1) + b"5"

    read = bus(answer)
    assert read() == "5"
    assert read() == "5"
    assert asked == [b"gpusplit/running\0"] * 2
    read.close()


def test_an_error_of_the_store_is_reported_by_its_name(
    bus: Callable[[Callable[[bytes], bytes]], XenBus],
) -> None:
    def answer(question: bytes) -> bytes:
        return HEADER.pack(16, HEADER.unpack(question[:16])[1], 0, 7) + b"ENOENT\0"

    with pytest.raises(TenancyError, match="ENOENT"):
        bus(answer)()
