"""The publisher on a KVM host, against libvirt's test driver, whose domain `test` runs at first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import kvm_host
import pytest
from kvm_host import Host

MISSING = kvm_host.missing()
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"missing: {', '.join(MISSING)} (make .venv/test-packages installs it)"
)
#: No heartbeat comes in a test's time; what a guest is told then, events have brought about.
NO_HEARTBEAT = ("--heartbeat", "600")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.ends()


def test_a_guest_is_told_the_count_when_it_connects(host: Host) -> None:
    host.starts_publisher(*NO_HEARTBEAT)
    assert host.guest().is_told().count == 1
    host.orders("create other")
    assert host.guest().is_told_count(2) < 2


def test_the_count_follows_domains_by_events(host: Host) -> None:
    host.starts_publisher(*NO_HEARTBEAT)
    guest = host.guest()
    guest.is_told_count(1)
    for command, count in [
        ("create a", 2),
        ("create b", 3),
        ("suspend a", 2),
        ("resume a", 3),
        ("destroy b", 2),
        ("shutdown a", 1),
    ]:
        host.orders(command)
        assert guest.is_told_count(count) < 2, command


def test_an_event_that_never_came_is_made_up_for_by_the_next_heartbeat(host: Host) -> None:
    host.starts_publisher("--deaf")
    guest = host.guest()
    guest.is_told_count(1)
    host.orders("create other")
    assert guest.is_told_count(2) < 5


def test_while_nothing_changes_the_heartbeat_does(host: Host) -> None:
    host.starts_publisher()
    guest = host.guest()
    beats = [guest.is_told().beat]
    began = time.monotonic()
    beats += [guest.is_told().beat for _ in range(3)]
    assert len(set(beats)) == 4
    assert 0.9 < time.monotonic() - began < 3, "three heartbeats of half a second"


def test_when_nothing_runs_guests_are_told_nothing_and_then_the_truth(host: Host) -> None:
    """QEMU connects before libvirt lets the guest run; 0 would be no possible count."""
    host.starts_publisher(*NO_HEARTBEAT)
    guest = host.guest()
    guest.is_told_count(1)
    host.orders("suspend test")
    assert guest.hears(0.3) is None
    assert host.guest().hears(0.3) is None
    host.orders("resume test")
    guest.is_told_count(1)


def test_what_guests_write_is_not_read_and_changes_nothing(host: Host) -> None:
    host.starts_publisher("--heartbeat", "0.1")
    forger, other = host.guest(), host.guest()
    forger.writes_all_it_can(b"77 999999999\n" * 100)
    for guest in (forger, other):
        guest.is_told()
        beat = guest.is_told().beat
        assert guest.is_told(2).count == 1
        assert beat is not None
        assert beat < 1000


def test_a_guest_that_does_not_read_delays_nobody_and_later_reads_the_newest(host: Host) -> None:
    host.starts_publisher("--heartbeat", "0.02")
    asleep, awake = host.guest(), host.guest()
    awake.is_told_count(1)
    time.sleep(1)  # fifty heartbeats: more than the sleeper's socket takes
    host.orders("heartbeat 600")
    host.orders("create other")
    awake.is_told_count(2)
    waiting = asleep.socket.recv(1 << 16)
    assert waiting.count(b"\n") < 20
    assert b"\n2 " not in waiting, "it was not full; the test shows nothing"
    assert asleep.is_told(1).count == 2


def test_a_guest_that_goes_is_forgotten(host: Host) -> None:
    host.starts_publisher("--heartbeat", "0.1")
    stays = host.guest()
    for _ in range(5):  # whatever is open for the start alone is closed by then
        stays.is_told()
    before = host.open_files()
    for _ in range(20):
        guest = host.guest()
        guest.is_told()
        guest.goes()
    assert host.comes_to_hold(before)
    stays.is_told()


def test_a_process_that_connects_again_and_again_holds_one_connection(host: Host) -> None:
    host.starts_publisher()
    other = host.guest()
    for _ in range(3):  # as above
        other.is_told()
    before = host.open_files()
    greedy = [host.guest(another_process=False) for _ in range(200)]
    assert greedy[-1].is_told().count == 1
    assert all(guest.is_cut_off() for guest in greedy[:-1])
    assert host.comes_to_hold(before + 1)
    assert other.is_told().count == 1


def test_domains_that_come_and_go_in_a_storm_do_not_disturb_it(host: Host) -> None:
    host.starts_publisher()
    guest = host.guest()
    guest.is_told_count(1)
    host.begins("storm 3000")
    began = time.monotonic()
    lines = 0
    while guest.is_told().beat is not None and time.monotonic() - began < 1.0:
        lines += 1
    assert lines <= 15, "counted ten times a second at most"
    host.ends_it()
    guest.is_told_count(1)
    host.orders("create other")
    assert guest.is_told_count(2) < 2
    cpu = host.cpu_seconds()
    time.sleep(0.5)
    assert host.cpu_seconds() - cpu < 0.25, "it rests after the storm"


def test_a_publisher_that_was_killed_tells_the_guests_that_waited_for_it(host: Host) -> None:
    host.starts_publisher()
    host.guest().is_told()
    host.kills_publisher()
    waits = host.guest()  # systemd keeps the socket, so that QEMU connects
    assert waits.hears(0.3) is None
    host.starts_publisher()
    assert waits.is_told().count == 1


def test_without_libvirt_it_is_silent_and_does_not_end(host: Host) -> None:
    host.starts_publisher("--uri", "qemu+unix:///system?socket=/nonexistent")
    guest = host.guest()
    assert guest.hears(1) is None
    assert host.publisher.poll() is None


def test_a_libvirt_that_comes_back_is_asked_again(host: Host) -> None:
    host.starts_publisher("--heartbeat", "0.1")
    guest = host.guest()
    guest.is_told()
    host.orders("lose 1")
    beats = (guest.hears(0.3) for _ in range(30))
    assert None in beats, "no heartbeat for a count that may be wrong by now"
    assert host.guest().hears(0.1) is None
    assert guest.is_told().count == 1
    host.orders("create other")
    assert guest.is_told_count(2) < 2
