"""The publisher in dom0: counts running VMs and tells those with a passed-through device."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import role_programs
from hypothesis import given
from hypothesis import strategies as st


class StoreError(Exception):
    """What xen.lowlevel.xs raises."""


def _bindings() -> dict[str, ModuleType]:
    xs = ModuleType("xen.lowlevel.xs")
    xs.Error = StoreError  # type: ignore[attr-defined]
    lowlevel = ModuleType("xen.lowlevel")
    lowlevel.xs, lowlevel.xc = xs, ModuleType("xen.lowlevel.xc")  # type: ignore[attr-defined]
    return {"xen": ModuleType("xen"), "xen.lowlevel": lowlevel}


# Xen's bindings exist in a dom0 only; the publisher must not find these elsewhere later.
with pytest.MonkeyPatch.context() as patch:
    for module, stand_in in _bindings().items():
        patch.setitem(sys.modules, module, stand_in)
    publisher = role_programs.load("vm_count_publisher/files/gpusplit-publisher-xen")


def domain(domid: int, handle: int | None = None, **states: int) -> dict[str, Any]:
    """A domain as xc.domain_getinfo tells of it; by default it waits for something to do."""
    flags = {"running": 0, "blocked": 1, "paused": 0, "shutdown": 0, "dying": 0, "crashed": 0}
    return {"domid": domid, "handle": [handle or domid] * 16} | flags | states


DOM0 = domain(0)
NODE = "/local/domain/{}/gpusplit/running"
HEARTBEAT = "/local/domain/{}/gpusplit/heartbeat"


class Store:
    """Xenstore: nodes, and who may do what with them."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.permissions: dict[str, list[dict[str, int | bool]]] = {}
        self.writes = 0

    def builds(self, domid: int, device: bool = False) -> None:
        """What a toolstack writes for a new domain; what was there before goes."""
        self.removes(domid)
        self.nodes[f"/local/domain/{domid}/name"] = f"guest {domid}"
        if device:
            self.nodes[f"/local/domain/0/backend/pci/{domid}/0/num_devs"] = "1"

    def removes(self, domid: int) -> None:
        for path in list(self.nodes):
            if path.startswith(
                (f"/local/domain/{domid}/", f"/local/domain/0/backend/pci/{domid}/")
            ):
                del self.nodes[path]

    # What the bindings offer; the first argument is the transaction, none.

    def read(self, transaction: str, path: str) -> str | None:
        return self.nodes.get(path)

    def ls(self, transaction: str, path: str) -> list[str] | None:
        inside = [node[len(path) + 1 :] for node in self.nodes if node.startswith(path + "/")]
        return sorted({node.split("/")[0] for node in inside}) or None

    def write(self, transaction: str, path: str, text: str) -> None:
        self.writes += 1
        self.nodes[path] = text

    def set_permissions(self, transaction: str, path: str, permissions: list[Any]) -> None:
        if self.ls(transaction, path) is None and path not in self.nodes:
            raise StoreError(2, "No such file or directory")
        self.permissions[path] = permissions


class Host:
    """A Xen host, and the publisher's memory between one count and the next."""

    def __init__(self) -> None:
        self.store = Store()
        self.domains = [DOM0]
        self.told: dict[Any, int] = {}
        self.heart = publisher.Heart()

    def domain_getinfo(self) -> list[dict[str, Any]]:
        return self.domains

    def counts(self, *domains: dict[str, Any]) -> None:
        self.domains = [DOM0, *domains]
        self.told = publisher.recount(self, self.store, self.told)

    def beats(self, now: float) -> None:
        self.heart.beat(self.store, self.told, now)

    def heartbeat_of(self, domid: int) -> str | None:
        return self.store.nodes.get(HEARTBEAT.format(domid))

    def told_to(self, domid: int) -> str | None:
        return self.store.nodes.get(NODE.format(domid))


@pytest.fixture
def host() -> Host:
    return Host()


def test_a_guest_that_waits_for_work_runs_and_one_that_computes_does() -> None:
    assert publisher.is_running(domain(1))
    assert publisher.is_running(domain(1, running=1, blocked=0))


@pytest.mark.parametrize("state", ["paused", "shutdown", "dying", "crashed"])
def test_a_guest_that_cannot_use_the_cpu_does_not_run(state: str) -> None:
    assert not publisher.is_running(domain(1, **{state: 1}))


def test_dom0_is_not_a_vm() -> None:
    assert not publisher.is_running(domain(0, running=1))


def test_the_gpu_vm_is_told_how_many_run_itself_included(host: Host) -> None:
    host.store.builds(1, device=True)
    host.counts(domain(1), domain(2), domain(3, paused=1))
    assert host.told_to(1) == "2"


def test_a_guest_without_a_device_is_told_nothing(host: Host) -> None:
    host.store.builds(1, device=True)
    host.store.builds(2)
    host.counts(domain(1), domain(2))
    assert host.told_to(1) == "2"
    assert host.told_to(2) is None


def test_a_device_of_domain_11_is_not_one_of_domain_1(host: Host) -> None:
    host.store.builds(1)
    host.store.builds(11, device=True)
    host.counts(domain(1), domain(11))
    assert host.told_to(1) is None


def test_a_guest_can_read_its_count_and_nobody_but_dom0_can_write_it(host: Host) -> None:
    host.store.builds(7, device=True)
    host.counts(domain(7))
    # The first entry is the owner, and what others may: nothing.
    only_read = [{"dom": 0}, {"dom": 7, "read": True}]
    assert host.store.permissions[NODE.format(7)] == only_read
    assert host.store.permissions["/local/domain/7/gpusplit"] == only_read


def test_the_count_follows_guests_that_come_go_and_are_paused(host: Host) -> None:
    host.store.builds(1, device=True)
    counts = []
    for others in ([], [domain(2)], [domain(2), domain(3)], [domain(2, paused=1), domain(3)], []):
        host.counts(domain(1), *others)
        counts.append(host.told_to(1))
    assert counts == ["1", "2", "3", "2", "1"]


def test_a_count_that_did_not_change_is_not_written_again(host: Host) -> None:
    host.store.builds(1, device=True)
    for _ in range(3):
        host.counts(domain(1), domain(2))
    assert host.store.writes == 1


def test_a_guest_created_again_under_the_same_id_is_told_again(host: Host) -> None:
    host.store.builds(1, device=True)
    host.counts(domain(1, handle=0xA))
    host.store.builds(1, device=True)
    assert host.told_to(1) is None
    host.counts(domain(1, handle=0xB))
    assert host.told_to(1) == "1"


def test_a_restarted_guest_keeps_its_handle_and_is_told_under_its_new_id(host: Host) -> None:
    host.store.builds(1, device=True)
    host.counts(domain(1, handle=0xA))
    host.store.removes(1)
    host.store.builds(2, device=True)
    host.counts(domain(2, handle=0xA))
    assert host.told_to(2) == "1"
    assert host.told_to(1) is None


def test_a_guest_whose_folder_is_not_built_yet_is_told_once_it_is(host: Host) -> None:
    host.store.builds(1, device=True)
    del host.store.nodes["/local/domain/1/name"]
    host.counts(domain(1, paused=1))
    assert host.told_to(1) is None, "a write would have made the folder"
    host.store.builds(1, device=True)
    host.counts(domain(1))
    assert host.told_to(1) == "1"


@pytest.mark.parametrize("operation", ["ls", "read", "write", "set_permissions"])
def test_a_guest_that_vanishes_meanwhile_disturbs_nobody(
    host: Host,
    operation: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host.store.builds(1, device=True)
    host.store.builds(2, device=True)
    work = getattr(host.store, operation)

    def fail_for_domain_1(transaction: str, path: str, *rest: Any) -> Any:
        if path.startswith(("/local/domain/1/", "/local/domain/0/backend/pci/1")):
            raise StoreError(2, "No such file or directory")
        return work(transaction, path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(host.store, operation, fail_for_domain_1)
        host.counts(domain(1), domain(2))
    assert host.told_to(2) == "2"
    assert "domain 1: " in capsys.readouterr().out

    host.counts(domain(1), domain(2))
    assert host.told_to(1) == "2", "what failed is tried again"


def test_a_guest_that_is_gone_is_forgotten(host: Host) -> None:
    host.store.builds(1, device=True)
    host.counts(domain(1))
    host.counts()
    assert host.told == {}


def test_the_heartbeat_changes_every_two_seconds_and_no_more_often(host: Host) -> None:
    host.store.builds(1, device=True)
    host.counts(domain(1))
    seen = []
    for tenths in range(0, 100, 3):
        host.beats(1000 + tenths / 10)
        seen.append(host.heartbeat_of(1))
    assert None not in seen
    assert 4 <= len(set(seen)) <= 5


def test_the_heartbeat_goes_to_those_who_know_the_count(host: Host) -> None:
    host.store.builds(1, device=True)
    host.store.builds(2)
    host.counts(domain(1), domain(2))
    host.beats(1.0)
    assert host.heartbeat_of(1) is not None
    assert host.heartbeat_of(2) is None


def test_a_guest_can_read_the_heartbeat_and_not_write_it(host: Host) -> None:
    host.store.builds(7, device=True)
    host.counts(domain(7))
    host.beats(1.0)
    only_read = [{"dom": 0}, {"dom": 7, "read": True}]
    assert host.store.permissions[HEARTBEAT.format(7)] == only_read


def test_a_guest_that_vanished_gets_no_heartbeat_and_stops_none(host: Host) -> None:
    for domid in (1, 2):
        host.store.builds(domid, device=True)
    host.counts(domain(1), domain(2))
    host.store.removes(1)
    host.beats(1.0)
    assert host.heartbeat_of(1) is None, "a write would have made its folder again"
    assert host.heartbeat_of(2) is not None


STEPS = st.sampled_from(["create", "create paused", "unpause", "begin to destroy", "destroy"])


@given(st.lists(st.tuples(st.integers(1, 4), STEPS)))
def test_domains_that_come_and_go_in_a_storm_do_not_disturb_it(
    steps: list[tuple[int, str]],
) -> None:
    host = Host()
    domains: dict[int, dict[str, Any]] = {}
    for number, (domid, step) in enumerate(steps):
        if step.startswith("create"):
            host.store.builds(domid, device=True)
            domains[domid] = domain(domid, handle=number + 1, paused=int(step == "create paused"))
        elif step == "destroy":
            domains.pop(domid, None)  # the toolstack removes its folder later
        elif domid in domains and step == "unpause":
            domains[domid]["paused"] = 0
        elif domid in domains:
            domains[domid]["dying"] = 1
            host.store.removes(domid)
        host.counts(*domains.values())
        host.beats(number * 2.0)
    running = sum(publisher.is_running(guest) for guest in domains.values())
    alive = [domid for domid, guest in domains.items() if not guest["dying"]]
    assert [host.told_to(domid) for domid in alive] == [str(running)] * len(alive)
