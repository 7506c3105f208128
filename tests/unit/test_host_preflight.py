"""What a preflight finds on a real host, shown on a host that is a folder of files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import role_programs
from ansible.module_utils import host_facts
from ansible.module_utils.host_problems import Plan, Problem, notes, problems
from host_folder import DOM0, HostFolder, dmar, ivrs

host_preflight = role_programs.load("host_preflight/library/host_preflight.py")

PLAN = Plan(
    gpu="find",
    vendor="any",
    dom0_memory=4096,
    guest_memory=5 * 4096,
    cpus=4,
    disk=100,
    bridge="xenbr0",
    bridge_address="10.77.0.1/24",
    folder="/var/lib/gpusplit",
)
UNDER_XEN = """nr_cpus                : 4
total_memory           : 32500
virt_caps              : pv hvm hvm_directio pv_directio hap
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFolder:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host_facts.platform, "machine", lambda: "x86_64")
    folder = HostFolder(tmp_path)
    folder.package("xen", "4.17")
    return folder


def found(host: HostFolder, plan: Plan = PLAN) -> list[Problem]:
    facts = host_facts.gather(host.root, host.run, plan.folder, ["xen"])
    return list(problems(facts, plan))


def the_one(host: HostFolder, name: str, plan: Plan = PLAN) -> str:
    """The text of the only problem, which has this id."""
    all_found = found(host, plan)
    assert [problem.id for problem in all_found] == [name]
    return str(all_found[0].text)


def test_nothing_is_wrong_with_a_suitable_host(host: HostFolder) -> None:
    assert found(host) == []


def test_the_gpu_is_found_beside_the_boards_own_display(host: HostFolder) -> None:
    assert found(host, replace(PLAN, gpu="0000:01:00.0")) == []


def test_root_is_needed(host: HostFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "ansible_become" in the_one(host, "root")


def test_the_lab_is_for_one_architecture(host: HostFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_facts.platform, "machine", lambda: "aarch64")
    assert "aarch64" in the_one(host, "machine")


@pytest.mark.parametrize(
    "release",
    [
        "ID=debian\nVERSION_ID=12\n",
        'ID=debian\nVERSION_ID="13"\n',
        'ID=ubuntu\nVERSION_ID="24.04"\n',
    ],
)
def test_these_releases_are_supported(host: HostFolder, release: str) -> None:
    host.write("etc/os-release", release)
    assert found(host) == []


def test_another_release_is_told_by_its_name(host: HostFolder) -> None:
    host.write("etc/os-release", "ID=fedora\nVERSION_ID=41\n")
    assert "fedora 41" in the_one(host, "distribution")


@pytest.mark.parametrize("flag", ["vmx", "svm"])
def test_intel_and_amd_name_their_virtualisation_differently(host: HostFolder, flag: str) -> None:
    host.write("proc/cpuinfo", f"processor\t: 0\nflags\t\t: fpu {flag}\n\n" * 4)
    assert found(host) == []


def test_virtualisation_that_is_off_is_told(host: HostFolder) -> None:
    host.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu\n\n" * 4)
    assert "VT-x" in the_one(host, "cpu-virtualisation")


def test_an_iommu_is_what_the_firmware_describes(host: HostFolder) -> None:
    (host.root / "sys/firmware/acpi/tables/DMAR").unlink()
    assert "VT-d" in the_one(host, "iommu")
    host.table("IVRS", ivrs())
    assert found(host) == []


def test_under_xen_it_is_xen_that_knows_what_the_hardware_can(host: HostFolder) -> None:
    host.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu\n\n")  # dom0 has one vCPU
    host.write("proc/meminfo", "MemTotal:  4000000 kB\n")
    (host.root / "sys/firmware/acpi/tables/DMAR").unlink()
    host.commands["xl", "info"] = UNDER_XEN
    assert found(host) == []
    host.commands["xl", "info"] = UNDER_XEN.replace("hvm_directio pv_directio", "")
    assert the_one(host, "iommu")


def test_secure_boot_must_be_off(host: HostFolder) -> None:
    path = host.write(host_facts.SECURE_BOOT)
    path.write_bytes(b"\x06\0\0\0\0")
    assert found(host) == []
    path.write_bytes(b"\x06\0\0\0\1")
    assert "not signed" in the_one(host, "secure-boot")


def test_a_wrong_address_is_told_with_the_right_ones(host: HostFolder) -> None:
    text = the_one(host, "gpu", replace(PLAN, gpu="0000:09:00.0"))
    assert "no PCI device 0000:09:00.0" in text
    assert "0000:01:00.0 (10de:1c82" in text


def test_what_is_no_gpu_is_not_passed_through(host: HostFolder) -> None:
    host.device("0000:06:00.0", "1b21:0612", "010601", "ahci", group=6)
    assert "0000:06:00.0" in the_one(host, "gpu", replace(PLAN, gpu="0000:06:00.0"))


def test_of_several_gpus_one_must_be_named(host: HostFolder) -> None:
    host.device("0000:02:00.0", "1002:67df", "030000", "amdgpu", group=2)
    text = the_one(host, "gpu")
    assert "0000:01:00.0" in text
    assert "0000:02:00.0" in text
    assert found(host, replace(PLAN, vendor="amd")) == []
    assert found(host, replace(PLAN, gpu="0000:01:00.0")) == []


def test_a_vendor_without_a_card_is_told(host: HostFolder) -> None:
    assert "vendor intel): none" in the_one(host, "gpu", replace(PLAN, vendor="intel"))


def test_of_two_gpus_the_one_that_is_not_the_boot_display_is_meant(host: HostFolder) -> None:
    host.device("0000:00:02.0", "8086:3e92", "030000", "i915", group=7, boot_vga=True)
    assert found(host) == []


def test_the_boot_display_is_not_passed_through_unasked(host: HostFolder) -> None:
    host.write("sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n")
    assert "accept" in the_one(host, "boot-display")


def test_what_shares_the_iommu_group_is_named(host: HostFolder) -> None:
    host.device("0000:02:00.0", "1b21:1142", "0c0330", "xhci_hcd", group=1)
    text = the_one(host, "iommu-group")
    assert "0000:02:00.0 (1b21:1142, class 0c03, driver xhci_hcd)" in text
    assert "0000:01:00.1" not in text, "the card's own function"
    assert "0000:00:01.0" not in text, "a bridge"


def test_a_device_with_the_hosts_disk_behind_it_is_refused(host: HostFolder) -> None:
    host.mapped("md0", "9:0", over="nvme0n1")
    ids = [problem.id for problem in found(host, replace(PLAN, gpu="0000:04:00.0"))]
    assert ids == ["gpu", "gpu-disk"]


def test_a_disk_without_a_mounted_file_system_is_no_hindrance(host: HostFolder) -> None:
    host.disk("0000:01:00.1", "sdz", "8:0", mounted=False)
    assert found(host) == []
    host.mount("0:31", "/dev/sdz")  # btrfs
    assert the_one(host, "gpu-disk")


def test_a_device_with_the_default_route_behind_it_is_refused(host: HostFolder) -> None:
    host.bridge("br0", over="eno1")
    host.default_route("br0")
    ids = [problem.id for problem in found(host, replace(PLAN, gpu="0000:05:00.0"))]
    assert ids == ["gpu", "gpu-network"]


def test_programs_that_use_the_gpu_are_named(host: HostFolder) -> None:
    (host.root / "sys/class/drm/card1").mkdir(parents=True)
    host.link("sys/class/drm/card1/device", host.folder_of("0000:01:00.0"))
    host.program(4711, "Xorg", opens="/dev/dri/card1")
    host.program(4712, "bash", opens="/dev/pts/0")
    assert "in use by Xorg (4711)" in the_one(host, "gpu-in-use")


def test_nvidias_own_driver_has_other_device_files(host: HostFolder) -> None:
    host.write("proc/driver/nvidia/gpus/0000:01:00.0/information", "Device Minor: \t 0\n")
    host.program(4711, "python3", opens="/dev/nvidia0")
    assert "in use by python3 (4711)" in the_one(host, "gpu-in-use")


def test_memory_is_for_dom0_the_guests_and_xen(host: HostFolder) -> None:
    text = the_one(host, "memory", replace(PLAN, guest_memory=32 * 1024))
    assert "32768 MiB" in text
    assert "cpu_vms" in text


def test_memory_under_xen_is_the_machines_and_not_dom0s(host: HostFolder) -> None:
    host.write("proc/meminfo", "MemTotal:  4000000 kB\n")
    assert the_one(host, "memory")
    host.commands["xl", "info"] = UNDER_XEN
    assert found(host) == []


def test_cpus_are_for_dom0_and_the_guests(host: HostFolder) -> None:
    assert "4 CPUs" in the_one(host, "cpus", replace(PLAN, cpus=5))


def test_cpus_that_linux_leaves_alone_count_too(host: HostFolder) -> None:
    host.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx\n\n")  # maxcpus=1
    assert found(host) == []
    host.write("sys/devices/system/cpu/present", "0,2\n")
    assert "2 CPUs" in the_one(host, "cpus")


def test_disk_is_needed_only_for_what_is_not_there_yet(
    host: HostFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_facts, "_free", lambda folder: 6000)
    plan = replace(PLAN, disk=10000)
    assert "6000 MiB of disk are free at /var/lib/gpusplit" in the_one(host, "disk", plan)
    monkeypatch.setattr(host_facts, "_taken", lambda folder: 4500)
    assert found(host, plan) == []


@pytest.mark.parametrize("candidate", ["", "(none)"])
def test_a_package_that_cannot_be_had_is_told(host: HostFolder, candidate: str) -> None:
    host.package("xen", candidate)
    assert "xen" in the_one(host, "packages")


def test_a_host_that_does_not_boot_by_grub_is_told(host: HostFolder) -> None:
    (host.root / "usr/sbin/update-grub").unlink()
    assert the_one(host, "grub")


def test_it_is_the_newest_kernel_that_must_be_able_to_be_a_dom0(host: HostFolder) -> None:
    host.write("boot/config-6.1.0-9-cloud-amd64", "# CONFIG_XEN_DOM0 is not set\n")
    assert found(host) == []
    host.write("boot/config-6.1.0-20-cloud-amd64", DOM0.replace("XEN_DOM0=m", "XEN_DOM0=n"))
    text = the_one(host, "kernel")
    assert "6.1.0-20-cloud-amd64" in text
    assert "XEN_DOM0 is off" in text


def test_a_host_without_a_kernel_of_its_own_is_told(host: HostFolder) -> None:
    for path in (host.root / "boot").glob("config-*"):
        path.unlink()
    assert the_one(host, "kernel")


def test_the_guests_network_must_not_be_there_already(host: HostFolder) -> None:
    addresses = host.commands["ip", "-4", "-o", "addr"]
    host.commands["ip", "-4", "-o", "addr"] = f"{addresses}3: xenbr0    inet 10.77.0.1/24 x\n"
    assert found(host) == [], "the lab's own bridge"
    host.commands["ip", "-4", "-o", "addr"] = f"{addresses}3: vpn0    inet 10.77.3.1/16 x\n"
    assert "vpn0" in the_one(host, "network")


def test_what_is_likely_in_a_group_that_cannot_be_seen_is_named(host: HostFolder) -> None:
    host.device("0000:02:00.0", "1b21:1142", "0c0330", "xhci_hcd", below="0000:00:01.0")
    facts = host_facts.gather(host.root, host.run, PLAN.folder, [])
    without = {bdf: replace(device, group="") for bdf, device in facts.devices.items()}
    _, beside = notes(replace(facts, devices=without), PLAN)
    assert "0000:02:00.0 (1b21:1142" in beside
    assert "0000:01:00.1" not in beside, "the card's own function"


def test_a_bridge_of_the_operators_own_is_seen(host: HostFolder) -> None:
    host.bridge("xenbr0", over="eno1")
    assert "bridge_name" in the_one(host, "bridge")
    host.write(host_facts.BRIDGE_UNIT)
    assert found(host) == []


def test_guests_are_on_the_bridge_each_at_its_own_address(host: HostFolder) -> None:
    plan = replace(PLAN, addresses={"gpu1": "10.77.0.10", "cpu1": "10.77.0.11"})
    assert found(host, plan) == []
    assert "10.77.0.300" in the_one(
        host, "guest-address", replace(PLAN, addresses={"gpu1": "10.77.0.300"})
    )
    plan = replace(PLAN, addresses={"gpu1": "10.78.0.10"})
    assert "gpu1 cannot have 10.78.0.10" in the_one(host, "guest-address", plan)
    plan = replace(PLAN, addresses={"gpu1": "10.77.0.10", "cpu1": "10.77.0.10"})
    assert "(gpu1)" in the_one(host, "guest-address", plan)
    assert "(dom0)" in the_one(host, "guest-address", replace(PLAN, addresses={"g": "10.77.0.1"}))


def test_guests_of_others_are_named(host: HostFolder) -> None:
    host.program(900, "qemu-system-x86", "/usr/bin/qemu-system-x86_64", "-name", "guest=mail,x=on")
    host.program(901, "kvm-nx-lpage-re")  # the kernel's own
    libvirt = ("virsh", "--connect", "qemu:///system", "list", "--name")
    host.commands[libvirt] = "mail\nwiki\n\n"
    assert "mail, wiki" in the_one(host, "other-vms")


def test_under_xen_the_labs_own_guests_are_no_hindrance(host: HostFolder) -> None:
    host.commands["xl", "info"] = UNDER_XEN
    host.commands["xl", "list"] = (Path(__file__).parents[1] / "data/xl-list.txt").read_text()
    for name in ("gpu1", "cpu1"):
        host.write(f"etc/xen/gpusplit/{name}.cfg")
    assert "run here: someone's own VM." in the_one(host, "other-vms")


def test_ssh_must_lead_through_the_server_to_its_guests(host: HostFolder) -> None:
    host.commands["sshd", "-T"] = "port 22\nallowtcpforwarding local\n"
    assert found(host) == []
    host.commands["sshd", "-T"] = "port 22\nallowtcpforwarding no\n"
    assert "AllowTcpForwarding" in the_one(host, "ssh-forwarding")


SSHD = """port 22
hostkey /etc/ssh/ssh_host_rsa_key
hostkey /etc/ssh/ssh_host_ed25519_key
hostkeyalgorithms ssh-ed25519,rsa-sha2-512
maxsessions 10
allowtcpforwarding yes
subsystem sftp internal-sftp
"""


@pytest.mark.parametrize(
    ("usual", "hardened", "name"),
    [
        ("hostkey /etc/ssh/ssh_host_ed25519_key\n", "", "ssh-host-key"),
        ("ssh-ed25519,rsa-sha2-512", "rsa-sha2-512", "ssh-host-key"),
        ("subsystem sftp internal-sftp\n", "", "ssh-sftp"),
        ("maxsessions 10", "maxsessions 2", "ssh-sessions"),
        ("allowtcpforwarding yes", "allowtcpforwarding no", "ssh-forwarding"),
    ],
)
def test_the_setting_of_a_hardened_sshd_that_is_in_the_way_is_named(
    host: HostFolder, usual: str, hardened: str, name: str
) -> None:
    host.commands["sshd", "-T"] = SSHD
    assert found(host) == []
    host.commands["sshd", "-T"] = SSHD.replace(usual, hardened)
    assert the_one(host, name)


def test_settings_are_those_of_who_logs_in(
    host: HostFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardened sshd may forward for him alone (Match User)."""
    monkeypatch.setenv("SUDO_USER", "admin")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.10 22")
    host.commands["sshd", "-T"] = SSHD.replace("forwarding yes", "forwarding no")
    host.commands["sshd", "-T", "-C", "user=admin,host=192.0.2.7,addr=192.0.2.7"] = SSHD
    assert found(host) == []


def test_a_host_that_systemd_boots_is_not_grubs(host: HostFolder) -> None:
    loader = host.write(host_facts.LOADER)
    loader.write_bytes(b"\6\0\0\0" + "GRUB 2.12\0".encode("utf-16-le"))
    assert found(host) == []
    loader.write_bytes(b"\6\0\0\0" + "systemd-boot 252.4\0".encode("utf-16-le"))
    assert "systemd-boot 252.4" in the_one(host, "grub")


def test_interrupts_must_be_remapped_where_the_firmware_says_that_they_are_not(
    host: HostFolder,
) -> None:
    host.table("DMAR", dmar(remapping=False))
    assert "any interrupt" in the_one(host, "interrupt-remapping")


@pytest.mark.parametrize(("device", "known"), [("1340", True), ("2684", True), ("2f04", False)])
def test_the_drivers_package_must_know_the_card(host: HostFolder, device: str, known: bool) -> None:
    host.write("sys/bus/pci/devices/0000:01:00.0/device", f"0x{device}\n")
    plan = replace(PLAN, driver="nvidia", driver_lacks={"10de": ["0000-133f", "2900-ffff"]})
    assert [problem.id for problem in found(host, plan)] == ([] if known else ["gpu-driver"])


def test_where_grub_cannot_try_that_is_noted(host: HostFolder) -> None:
    facts = host_facts.gather(host.root, host.run, PLAN.folder, [])
    assert notes(facts, PLAN) == []
    host.commands["grub-probe", "--target=abstraction", "/boot/grub"] = "lvm\n"
    host.link("sys/class/block/dm-0", "sys/devices/virtual/block/dm-0")
    facts = host_facts.gather(host.root, host.run, PLAN.folder, [])
    (note,) = notes(facts, PLAN)
    assert "lvm" in note


def test_groups_that_cannot_be_seen_are_noted(host: HostFolder) -> None:
    facts = host_facts.gather(host.root, host.run, PLAN.folder, [])
    without = {bdf: replace(device, group="") for bdf, device in facts.devices.items()}
    (note,) = notes(replace(facts, devices=without), PLAN)
    assert "was not checked" in note
    assert "boot once with intel_iommu=on" in note
    (note,) = notes(replace(facts, devices=without, xen={"nr_cpus": "4"}), PLAN)
    assert "boot without Xen" in note


ARGUMENTS: dict[str, Any] = {
    "gpu": "find",
    "dom0_memory": 4096,
    "guest_memory": 8192,
    "cpus": 4,
    "disk": 10,
    "folder": "/var/lib/gpusplit",
    "bridge": "xenbr0",
    "bridge_address": "10.77.0.1/24",
    "packages": [],
}


def test_every_problem_is_told_at_once_each_on_a_line(host: HostFolder) -> None:
    arguments = {**ARGUMENTS, "gpu": "0000:09:00.0", "cpus": 64}
    told = role_programs.call(host_preflight, root=str(host.root), **arguments)
    assert told["failed"]
    assert told["problems"] == ["gpu", "cpus"]
    assert "Nothing was changed: the host has 2 problems.\n- [gpu] There is no" in told["msg"]


def test_a_problem_can_be_accepted_by_its_name(host: HostFolder) -> None:
    arguments = {**ARGUMENTS, "cpus": 64, "accept": ["cpus"]}
    told = role_programs.call(host_preflight, root=str(host.root), **arguments)
    assert not told["failed"]
    assert any("Accepted (cpus)" in str(warning) for warning in told["warnings"])
