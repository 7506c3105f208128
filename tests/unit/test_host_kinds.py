"""Kinds of hosts whose one fact is in the way: each was approved once, or crashed the preflight."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import role_programs
import yaml
from ansible.module_utils import host_facts
from ansible.module_utils.host_problems import Plan, Problem, notes, problems
from ansible.module_utils.host_record import record
from ansible.module_utils.kernel_versions import by_version
from ansible.module_utils.pci_card import the_card
from host_folder import HostFolder, ivrs, table
from test_host_layouts import PLAN

SUITES = yaml.safe_load((role_programs.ROLES / "debian_images/vars/main.yml").read_text())


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFolder:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host_facts.platform, "machine", lambda: "x86_64")
    return HostFolder(tmp_path)


def found(host: HostFolder, plan: Plan = PLAN, packages: tuple[str, ...] = ()) -> list[Problem]:
    facts = host_facts.gather(host.root, host.run, plan.folder, packages)
    return list(problems(facts, plan))


def names(host: HostFolder, plan: Plan = PLAN) -> list[str]:
    return [problem.id for problem in found(host, plan)]


def noted(host: HostFolder) -> str:
    return "\n".join(notes(host_facts.gather(host.root, host.run, PLAN.folder, []), PLAN))


def loaded_by(host: HostFolder, name: str) -> None:
    loader = host.write(host_facts.LOADER)
    loader.write_bytes(b"\6\0\0\0" + f"{name}\0".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("program", "words", "is_vm"),
    [
        ("qemu-kvm", ["/usr/libexec/qemu-kvm", "-name", "guest=ns_vm"], True),  # KubeVirt's
        ("windows-11", ["/usr/bin/qemu-system-x86_64", "-name", "w,process=w"], True),  # Quickemu's
        ("firecracker", ["/usr/bin/firecracker", "--id", "a"], True),
        ("crosvm", ["crosvm", "run"], True),
        ("VirtualBoxVM", ["/usr/lib/virtualbox/VirtualBoxVM", "--startvm", "x"], True),
        ("vmware-vmx", ["/usr/lib/vmware/bin/vmware-vmx"], True),
        ("qemu-ga", ["/usr/sbin/qemu-ga"], False),
        ("qemu-nbd", ["/usr/bin/qemu-nbd", "-c", "/dev/nbd0"], False),
    ],
)
def test_a_vm_is_seen_by_its_program_and_a_helper_is_none(
    host: HostFolder, program: str, words: list[str], is_vm: bool
) -> None:
    host.program(911, program, *words)
    assert names(host) == (["other-vms"] if is_vm else [])


def test_a_name_with_blanks_is_one_vm(host: HostFolder) -> None:
    host.commands["virsh", "--connect", "qemu:///system", "list", "--name"] = "my mail\n\n"
    assert "run here: my mail." in found(host)[0].text


def test_every_address_of_an_interface_counts(host: HostFolder) -> None:
    host.commands["ip", "-4", "-o", "addr"] = (
        "2: eno1    inet 10.77.0.5/24 scope global eno1\n"
        "2: eno1    inet 192.168.7.5/24 scope global secondary eno1\n"
    )
    assert names(host) == ["network"]


@pytest.mark.parametrize(
    ("permitted", "told"),
    [
        ("none", True),
        ("any", False),
        ("*:22", False),
        ("10.77.0.10:22 10.77.0.11:*", False),
        ("10.77.0.10:22", True),
        ("10.77.0.10:22 10.77.0.11:80", True),
    ],
)
def test_forwarding_must_be_permitted_to_the_guests(
    host: HostFolder, permitted: str, told: bool
) -> None:
    host.commands["sshd", "-T"] = f"allowtcpforwarding yes\npermitopen {permitted}\n"
    plan = replace(PLAN, addresses={"gpu1": "10.77.0.10", "cpu1": "10.77.0.11"})
    assert names(host, plan) == (["ssh-forwarding"] if told else [])


def test_settings_are_asked_for_the_port_that_was_connected_to(
    host: HostFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration with Match LocalPort is an error where no port is told."""
    monkeypatch.setenv("SUDO_USER", "admin")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.10 2222")
    asked = "user=admin,host=192.0.2.7,addr=192.0.2.7,laddr=192.0.2.10,lport=2222"
    host.commands["sshd", "-T", "-C", asked] = "allowtcpforwarding no\n"
    assert names(host) == ["ssh-forwarding"]


@pytest.mark.parametrize("linux", ["", " --unrestricted"])
@pytest.mark.parametrize("xen", ["", " --unrestricted"])
def test_xens_entry_must_boot_without_a_password(host: HostFolder, linux: str, xen: str) -> None:
    entry = f"menuentry 'Debian'{linux} $menuentry_id_option 'gnulinux-simple-1' {{\n}}\n"
    host.write("boot/grub/grub.cfg", entry)
    assert names(host) == []
    host.write("boot/grub/grub.cfg", f'set superusers="admin"\n{entry}')
    host.write("etc/grub.d/20_linux_xen", f'CLASS="--class xen{xen}"\n')
    assert names(host) == ([] if xen else ["grub-password"])
    there = f"menuentry 'Xen'{xen} $menuentry_id_option 'xen-gnulinux-simple-1' {{\n}}\n"
    host.write("boot/grub/grub.cfg", f'set superusers="admin"\n{entry}{there}')
    (host.root / "etc/grub.d/20_linux_xen").unlink()
    assert names(host) == ([] if xen else ["grub-password"])


@pytest.mark.parametrize("loader", ["rEFInd 0.14.2", "Limine 8.0.3", "systemd-boot 257.7"])
def test_a_grub_that_was_left_behind_boots_nothing(host: HostFolder, loader: str) -> None:
    loaded_by(host, "GRUB 2.12")
    assert names(host) == []
    loaded_by(host, loader)
    (problem,) = found(host)
    assert problem.id == "grub"
    assert loader in problem.text


def test_boot_must_have_room_for_another_initramfs(host: HostFolder) -> None:
    head = "Filesystem 1048576-blocks Used Available Capacity Mounted on\n"
    host.commands[host_facts.INITRDS] = "75497472\n73400320\n"  # 72 MiB
    host.commands[host_facts.BOOT_SPACE] = f"{head}/dev/nvme0n1p2 704 616 88 88% /boot\n"
    assert names(host) == []
    host.commands[host_facts.BOOT_SPACE] = f"{head}/dev/nvme0n1p2 704 617 87 88% /boot\n"
    (problem,) = found(host)
    assert problem.id == "boot-space"
    assert "87 MiB" in problem.text
    host.commands["xl", "info"] = (
        "nr_cpus : 4\ntotal_memory : 32768\nvirt_caps : hvm hvm_directio\n"
    )
    assert names(host) == [], "it has been built"


def test_the_card_is_hidden_by_an_initramfs_of_initramfs_tools(host: HostFolder) -> None:
    host.write(host_facts.DRACUT)
    assert names(host) == ["initramfs"]
    host.write(host_facts.INITRAMFS_TOOLS)
    assert names(host) == []


def test_proxmox_calls_itself_debian(host: HostFolder) -> None:
    host.write(host_facts.PROXMOX)
    (problem,) = found(host)
    assert problem.id == "distribution"
    assert "Proxmox" in problem.text


def test_what_apt_would_remove_is_named(host: HostFolder) -> None:
    host.commands["apt-cache", "policy", "xen"] = "xen:\n  Installed: (none)\n  Candidate: 4.17\n"
    asked = ("apt-get", "-s", "--no-install-recommends", "install", "xen")
    host.commands[asked] = "Inst xen (4.17 Debian:12)\nConf xen (4.17 Debian:12)\n"
    assert found(host, packages=("xen",)) == []
    host.commands[asked] = "Remv pve-qemu-kvm [8.1]\nInst xen (4.17 Debian:12)\n"
    (problem,) = found(host, packages=("xen",))
    assert problem.id == "packages-conflict"
    assert "pve-qemu-kvm" in problem.text
    host.commands["apt-cache", "policy", "xen"] = "xen:\n  Installed: 4.17\n  Candidate: 4.17\n"
    assert found(host, packages=("xen",)) == [], "nothing is left to install"


def test_xen_that_can_do_nothing_with_the_hardware_is_told(host: HostFolder) -> None:
    host.commands["xl", "info"] = (
        "nr_cpus                : 8\nvirt_caps              :\ntotal_memory           : 65405\n"
    )
    assert names(host) == ["cpu-virtualisation", "iommu"]


def test_a_cpu_without_flags_is_told_of(host: HostFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_facts.platform, "machine", lambda: "aarch64")
    host.write("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n")
    assert names(host) == ["machine", "cpu-virtualisation"]


def test_the_newest_of_two_kernels_of_one_version_is_grubs(host: HostFolder) -> None:
    host.write("boot/config-6.1.0-18-cloud-amd64", "# CONFIG_XEN_DOM0 is not set\n")
    (problem,) = found(host)
    assert problem.id == "kernel"
    assert "6.1.0-18-cloud-amd64" in problem.text
    pair = ["6.1.0-9-cloud-amd64", "6.1.0-18-amd64"]
    assert max(pair, key=by_version) == "6.1.0-18-amd64"


@pytest.mark.parametrize(
    ("suite", "driver", "ids", "known"),
    [
        ("bookworm", "amd", "1002:75a3", False),  # MI355X
        ("noble", "amd", "1002:75a0", False),
        ("bookworm", "amd", "1002:1586", False),  # Strix Halo
        ("bookworm", "amd", "1002:73bf", True),
        ("bookworm", "intel", "8086:0412", False),  # Haswell
        ("trixie", "intel", "8086:4905", False),  # DG1
        ("noble", "intel", "8086:0bd5", False),  # Data Center GPU Max
        ("bookworm", "intel", "8086:1912", True),  # Skylake
        ("bookworm", "nvidia", "1002:73bf", False),  # another maker's
        ("bookworm", "amd", "10de:2684", False),
        ("bookworm", "pocl", "1002:73bf", True),
    ],
)
def test_a_driver_is_for_some_cards(
    host: HostFolder, suite: str, driver: str, ids: str, known: bool
) -> None:
    vendor, device = ids.split(":")
    host.write("sys/bus/pci/devices/0000:01:00.0/vendor", f"0x{vendor}\n")
    host.write("sys/bus/pci/devices/0000:01:00.1/vendor", f"0x{vendor}\n")
    host.write("sys/bus/pci/devices/0000:01:00.0/device", f"0x{device}\n")
    lacks = SUITES["debian_images_suites"][suite][driver].get("lacks", {})
    plan = replace(PLAN, driver=driver, driver_lacks=lacks)
    assert names(host, plan) == ([] if known else ["gpu-driver"])


def test_an_address_that_yaml_took_for_a_number_is_explained(host: HostFolder) -> None:
    read = str(yaml.safe_load("gpu_bdf: 0000:01:00.0")["gpu_bdf"])
    (problem,) = found(host, replace(PLAN, gpu=read))
    assert problem.id == "gpu"
    assert "in quotes" in problem.text


def test_an_empty_slot_is_no_name(host: HostFolder) -> None:
    assert names(host, replace(PLAN, gpu="slot=")) == ["gpu"]


def test_memory_may_be_reserved_for_every_device(host: HostFolder) -> None:
    (host.root / "sys/firmware/acpi/tables/DMAR").unlink()
    host.table("IVRS", ivrs())
    assert noted(host) == ""
    every = b"\x20\x08" + (32).to_bytes(2, "little") + bytes(28)
    host.table("IVRS", table(b"IVRS", b"", every))
    assert "reserved memory for 0000:01:00.0" in noted(host)


def test_a_card_that_cannot_be_reset_is_noted_before_anything_is_changed(host: HostFolder) -> None:
    host.write("sys/bus/pci/devices/0000:01:00.0/reset_method", "\n")
    assert "no way to reset 0000:01:00.0" in noted(host)


@pytest.mark.parametrize("typed", ["10.77.0.1", "10.77.0.1/33", "10.77.0/24", "fd00::1/64", ""])
def test_an_address_of_the_bridge_that_is_none_is_told(host: HostFolder, typed: str) -> None:
    plan = replace(PLAN, bridge_address=typed, addresses={"gpu1": "10.77.0.10"})
    (problem,) = found(host, plan)
    assert problem.id == "bridge-address"
    assert repr(typed) in problem.text


def test_a_name_that_linux_takes_for_no_interface_is_told(host: HostFolder) -> None:
    assert names(host, replace(PLAN, bridge="xenbr-of-the-lab")) == ["bridge"]
    assert names(host, replace(PLAN, bridge="xenbr-of-my-lab")) == []


@pytest.mark.parametrize(
    "asked",
    ["0000:0A:00.0", "10DE:2206", "serial=48-B0-2D-FF-FE-00-00-01"],
)
def test_a_card_is_found_however_its_name_is_written(host: HostFolder, asked: str) -> None:
    host.device("0000:0a:00.0", "10de:2206", "030000", "nvidia", group=9)
    host.serial("0000:0a:00.0", "48-b0-2d-ff-fe-00-00-01")
    facts = host_facts.gather(host.root, host.run, PLAN.folder, [])
    assert [device.bdf for device in the_card(facts.devices, asked)] == ["0000:0a:00.0"]


def test_domains_are_recorded_where_xl_ends_with_an_empty_line(host: HostFolder) -> None:
    listed = "Name ID Mem VCPUs State Time(s)\nmail 7 512 2 -b---- 3.0\n\n"
    host.commands["xl", "list"] = listed
    assert "vm1" in record(host.root, host.run, "myhost")["commands"]["xl list"]
