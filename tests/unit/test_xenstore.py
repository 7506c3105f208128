"""Reading Xen's store through the guest's device: watches, nodes, and whatever may go wrong."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_fakes import DEVICE, ERROR, HEADER, READ, Xenstored, opening

from gpusplit.count import Message, TenancyError
from gpusplit.xenstore import XenStore

Connect = Callable[[Xenstored], XenStore]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """A guest's store whose device leads to a stand-in."""
    made: list[tuple[Xenstored, XenStore]] = []

    def make(stand_in: Xenstored) -> XenStore:
        monkeypatch.setattr(os, "open", opening(stand_in))
        made.append((stand_in, XenStore(DEVICE)))
        return made[-1][1]

    yield make
    for stand_in, store in made:
        store.close()
        stand_in.close()


def test_the_first_look_reads_both_nodes_at_once(connect: Connect) -> None:
    stand_in = Xenstored(running="3", heartbeat="17")
    began = time.monotonic()
    assert connect(stand_in).listen(30) == Message(3, 17)
    assert time.monotonic() - began < 10
    assert stand_in.asked == ["gpusplit/running", "gpusplit/heartbeat"]


def test_a_publisher_that_writes_only_the_count_will_do(connect: Connect) -> None:
    assert connect(Xenstored(running="3")).listen(30) == Message(3, None)


def test_a_change_is_heard_without_asking(connect: Connect) -> None:
    stand_in = Xenstored(running="3", heartbeat="17")
    store = connect(stand_in)
    store.listen(30)
    stand_in.write("running", "4")
    stand_in.write("heartbeat", "18")
    assert store.listen(30) == Message(4, 18)


def test_without_a_change_it_is_read_again_after_the_time_given(connect: Connect) -> None:
    store = connect(Xenstored(running="3", heartbeat="17"))
    store.listen(30)
    began = time.monotonic()
    assert store.listen(0.05) == Message(3, 17)
    assert time.monotonic() - began >= 0.05


def test_a_missing_node_is_an_error_that_leaves_the_watch_in_place(connect: Connect) -> None:
    stand_in = Xenstored()
    store = connect(stand_in)
    with pytest.raises(TenancyError, match="ENOENT"):
        store.listen(30)
    stand_in.write("running", "2")
    assert store.listen(30) == Message(2)


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "9" * 4000])
def test_an_absurd_count_is_an_error(connect: Connect, text: str) -> None:
    with pytest.raises(TenancyError):
        connect(Xenstored(running=text)).listen(30)


def test_an_absurd_heartbeat_is_an_error(connect: Connect) -> None:
    with pytest.raises(TenancyError):
        connect(Xenstored(running="3", heartbeat="soon")).listen(30)


def test_a_device_that_may_not_be_opened_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int, mode: int = 0) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match=DEVICE):
        XenStore(DEVICE).listen(1)


def test_a_store_that_went_away_is_an_error_and_its_return_is_noticed(connect: Connect) -> None:
    stand_in = Xenstored(running="3")
    store = connect(stand_in)
    store.listen(30)
    stand_in.close()
    with pytest.raises((TenancyError, OSError)):
        store.listen(30)
    assert store.listen(30) == Message(3)


def test_another_error_of_the_store_has_its_name(connect: Connect) -> None:
    class Refusing(Xenstored):
        def answer(self, connection: socket.socket, kind: int, request: int, name: str) -> None:
            if kind == READ:
                connection.sendall(HEADER.pack(ERROR, request, 0, 7) + b"EACCES\0")
            else:
                super().answer(connection, kind, request, name)

    with pytest.raises(TenancyError, match="EACCES"):
        connect(Refusing()).listen(30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_whatever_bytes_the_device_gives_the_answer_is_a_message_or_an_error(
    monkeypatch: pytest.MonkeyPatch, noise: bytes
) -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.sendall(noise)
    ours.shutdown(socket.SHUT_WR)
    descriptor = theirs.detach()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda *_: descriptor)
        store = XenStore(DEVICE)
        with pytest.raises((TenancyError, OSError)):
            store.listen(0.01)
        store.close()
    ours.close()
