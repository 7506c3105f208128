"""What a preflight says of hosts as operators really have them, after public reports.

tests/data/hosts has a record of each, as `make host-facts` makes one, with what must be said.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import role_programs
import yaml
from ansible.module_utils import host_facts
from ansible.module_utils.host_problems import Plan, notes, problems
from ansible.module_utils.host_record import anonymous, record, unfold
from ansible.module_utils.pci_card import the_card
from host_folder import HostFolder

host_record = role_programs.load("host_preflight/library/host_record.py")

HOSTS = sorted((Path(__file__).parents[1] / "data/hosts").glob("*.yml"))

SUITES = yaml.safe_load((role_programs.ROLES / "debian_images/vars/main.yml").read_text())
LACKS = {
    driver: needs.get("lacks", {})
    for driver, needs in SUITES["debian_images_suites"]["bookworm"].items()
}

PLAN = Plan(
    gpu="find",
    vendor="any",
    dom0_memory=2048,
    guest_memory=5 * 5632,
    cpus=4,
    disk=100,
    bridge="xenbr0",
    bridge_address="10.77.0.1/24",
    folder="/var/lib/gpusplit",
)


@pytest.fixture(autouse=True)
def as_root_on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host_facts.platform, "machine", lambda: "x86_64")


@pytest.mark.parametrize("path", HOSTS, ids=lambda path: path.stem)
def test_a_reported_host_is_told_what_stands_in_its_way(path: Path, tmp_path: Path) -> None:
    host: dict[str, Any] = yaml.safe_load(path.read_text())
    facts = host_facts.gather(tmp_path, unfold(host, tmp_path), PLAN.folder, [])
    asks = host["asks"]
    plan = replace(PLAN, **asks, driver_lacks=LACKS[asks.get("driver", "pocl")])
    assert [problem.id for problem in problems(facts, plan)] == host["says"]
    said = "\n".join(notes(facts, plan))
    assert [note for note in host["notes"] if note not in said] == [], said
    if host["card"]:
        card = the_card(facts.devices, plan.gpu, plan.vendor, facts.known_card)
        assert [device.bdf for device in card] == host["card"]


def test_there_is_a_dozen_of_them() -> None:
    assert len(HOSTS) >= 12


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    host = HostFolder(tmp_path / "host")
    host.commands["xl info"] = "nr_cpus : 4\ntotal_memory : 32500\nvirt_caps : hvm hvm_directio\n"
    (host.root / "sys/class/drm/card1").mkdir(parents=True)
    host.link("sys/class/drm/card1/device", host.folder_of("0000:01:00.0"))
    host.program(4711, "Xorg", "/usr/bin/Xorg", opens="/dev/dri/card1")
    host.program(4712, "qemu-system-x86", "/usr/bin/qemu-system-x86_64", "-name", "secret")
    host.slot("7", "0000:01:00.0")
    host.write("etc/xen/gpusplit/gpu1.cfg", "memory = 1")
    return host


def answers(host: HostFolder) -> host_facts.Run:
    return lambda *argv: host.commands.get(argv, host.commands.get(" ".join(argv), ""))


def test_an_unfolded_record_is_the_host_as_far_as_a_preflight_sees(
    host: HostFolder, tmp_path: Path
) -> None:
    asked = host_facts.gather(host.root, answers(host), PLAN.folder, [])
    recorded = record(host.root, answers(host), "myhost")
    (tmp_path / "again").mkdir()
    run = unfold(recorded, tmp_path / "again")
    again = host_facts.gather(tmp_path / "again", run, PLAN.folder, [])
    # How full this machine's disk is, is no fact of the record.
    assert replace(again, disk_free=asked.disk_free) == asked


def test_a_record_does_not_say_whose_host_it_is(host: HostFolder) -> None:
    host.write("proc/self/mountinfo", "1 1 259:0 / /home/alice rw - ext4 /dev/nvme0n1 rw\n")
    host.write("boot/grub/grub.cfg", "\tlinux /vmlinuz root=/dev/mapper/myhost-vg-root\nset x=1\n")
    host.commands["lspci -Dnnk"] = "0000:05:00.0 Ethernet\n\tdevice aa:bb:cc:dd:ee:ff of myhost\n"
    host.commands["xl list"] = "Name ID Mem VCPUs State Time(s)\nbob's mail 7 512 2 -b---- 3.0\n"
    host.commands["virsh --connect qemu:///system list --name"] = "carol\n"
    host.commands["sshd -T"] = "allowtcpforwarding yes\nallowusers dave\n"
    text = str(record(host.root, answers(host), "myhost"))
    assert "vm1" in text
    for secret in ("bob", "carol", "dave"):
        assert secret not in text
    for secret in ("myhost", "alice", "aa:bb:cc", "secret", "set x"):
        assert secret not in text


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("inet 192.168.7.5/24", "inet 192.168.7.5/24"),
        ("inet 8.8.4.4/24", "inet 192.0.2.1/24"),
        ("inet 172.32.0.1", "inet 192.0.2.1"),
        ("on myhost.example", "on host.example"),
        ("enx001122334455", "enx020000000000"),
        ("UUID=37dd7812-64c7-45b5-9a12-d3c0ff3d8887", "UUID=00000000"),
        ("0000:01:00.0 10de:1c82", "0000:01:00.0 10de:1c82"),
    ],
)
def test_what_is_personal_is_replaced(said: str, left: str) -> None:
    assert anonymous(said, "myhost") == left


def test_the_module_hands_the_record_to_the_controller(host: HostFolder) -> None:
    told = role_programs.call(host_record, root=str(host.root))
    assert not told["changed"]
    assert told["record"]["files"]["sys/bus/pci/slots/7/address"] == "0000:01:00"
