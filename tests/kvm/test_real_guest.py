"""End to end: a guest under QEMU reads by the library what the publisher writes.

Real are QEMU, the guest's kernel and its virtio-serial port, the library and the publisher; the
domains that are counted are those of libvirt's test driver.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import kvm_host
import pytest
import tiny_guest
from kvm_host import Host
from tiny_guest import TinyGuest

from gpusplit import virtio

MISSING = [*kvm_host.missing(), *tiny_guest.missing()]
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"missing: {', '.join(MISSING)} (make .venv/test-packages installs it)",
    ),
]
#: Emulated, on a machine that may be busy.
BOOT_SECONDS = 300.0
READY = {"ready": virtio.PORT}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"))
    made.starts_publisher()
    yield made
    made.ends()


@pytest.fixture(scope="module")
def booted(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyGuest]:
    folder = tmp_path_factory.mktemp("guest")
    made = TinyGuest(tiny_guest.build(folder), host.path, folder / "console.log")
    try:
        assert made.says(BOOT_SECONDS) == READY
        yield made
    finally:
        made.ends()


@pytest.fixture
def guest(booted: TinyGuest) -> Iterator[TinyGuest]:
    """The guest, with nobody at its port."""
    yield booted
    booted.orders("rest")
    booted.says(10, rests=True)


def test_the_guest_follows_the_count_live(host: Host, guest: TinyGuest) -> None:
    guest.orders("watch")
    guest.says(10, first=1)
    for command, count in [("create a", 2), ("suspend a", 1), ("resume a", 2), ("destroy a", 1)]:
        began = time.monotonic()
        host.orders(command)
        guest.says(10, count=count)
        assert time.monotonic() - began < 2, command


def test_a_program_that_starts_later_sees_the_newest_count_first(
    host: Host, guest: TinyGuest
) -> None:
    host.orders("heartbeat 0.05")
    time.sleep(1)  # while nobody has the port open, what QEMU does not take piles up
    host.orders("create a")
    host.orders("heartbeat 600")
    time.sleep(0.3)
    guest.orders("watch")
    guest.says(10, first=2)
    host.orders("heartbeat 0.5")
    host.orders("destroy a")
    guest.says(10, count=1)


def test_the_guest_can_write_to_its_port_what_it_likes(host: Host, guest: TinyGuest) -> None:
    guest.orders("forge")
    assert guest.says(10)["forged"] > 100_000, "as much as QEMU and the socket take"
    guest.orders("watch")
    guest.says(10, first=1)
    host.orders("create a")
    guest.says(10, count=2)
    assert host.guest().is_told().count == 2
    host.orders("destroy a")
    guest.says(10, count=1)


def test_a_publisher_that_dies_is_noticed_and_one_that_comes_back_believed(
    host: Host, guest: TinyGuest
) -> None:
    guest.orders("watch")
    guest.says(10, first=1)
    host.kills_publisher()
    unknown = guest.says(20, count=None)
    assert "silent" in unknown["trouble"]
    host.starts_publisher()
    guest.says(10, count=1)


def test_a_guest_that_reboots_is_told_again(host: Host, guest: TinyGuest) -> None:
    guest.orders("reboot")
    host.orders("create a")
    guest.says(BOOT_SECONDS, **READY)
    guest.orders("watch")
    guest.says(10, first=2)
