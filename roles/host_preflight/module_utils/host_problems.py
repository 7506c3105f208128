"""What stands between a host and the lab: a pure function over what the host says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ansible.module_utils.host_facts import Facts, network_of
from ansible.module_utils.kernel_versions import by_version
from ansible.module_utils.pci_card import the_card, warnings
from ansible.module_utils.pci_devices import VENDORS, Device
from ansible.module_utils.ssh_problems import ssh

DISTRIBUTIONS = ("debian 12", "debian 13", "ubuntu 24.04")

XEN_OVERHEAD = 384
"""MiB that Xen, its page tables and the guests' device models take beside dom0 and the guests."""

KERNEL_OPTIONS = ("XEN_DOM0", "XEN_PCIDEV_BACKEND", "XEN_BLKDEV_BACKEND", "XEN_NETDEV_BACKEND")

UNWRITABLE = ("diskfilter", "lvm", "cryptodisk", "btrfs", "zfs")
"""What GRUB cannot write to, and therefore cannot forget a trial boot on."""


@dataclass(frozen=True)
class Plan:
    """What the lab will take of the host. Sizes are in MiB."""

    gpu: str
    """Its address, or `find`."""
    vendor: str
    dom0_memory: int
    guest_memory: int
    """All guests' together."""
    cpus: int
    disk: int
    bridge: str
    bridge_address: str
    folder: str
    addresses: dict[str, str] = field(default_factory=dict)
    """By guest, its address on the bridge."""
    driver: str = "pocl"
    """The GPU VM's OpenCL driver."""
    driver_lacks: dict[str, list[str]] = field(default_factory=dict)
    """By vendor id, ranges of device ids that the driver's package does not know: `2900-ffff`."""


@dataclass(frozen=True)
class Problem:
    """Something that would stop the lab or harm the host."""

    id: str
    """By which it can be accepted."""
    text: str
    """What is wrong, and the remedy."""


def problems(facts: Facts, plan: Plan) -> list[Problem]:
    """Everything at once, in the order in which a person would mend it."""
    found = [
        *_system(facts),
        *_hardware(facts),
        *_gpu(facts, plan),
        *_others(facts),
        *_resources(facts, plan),
        *_software(facts),
        *ssh(facts.sshd, plan.addresses.values()),
        *_network(facts, plan),
    ]
    return [Problem(name, text) for name, text in found]


def notes(facts: Facts, plan: Plan) -> list[str]:
    """What does not stop the lab, but should be known."""
    said = []
    lost = {*facts.boot_abstraction.split(), facts.boot_file_system} & set(UNWRITABLE)
    if lost:
        said.append(
            f"/boot/grub is on {', '.join(sorted(lost))}, which GRUB cannot write to: Xen is made "
            "the default at once, without a trial. Should it not come up, choose the entry without "
            "Xen in GRUB's menu, on the console."
        )
    if facts.groups_made_up:
        said.append(
            "What shares the GPU's IOMMU group cannot be seen, and was not checked: Linux was "
            "started with pcie_acs_override, and shows groups that the hardware does not keep "
            "apart. Boot once without it and check again, to know."
        )
    elif not _groups_seen(facts):
        remedy = (
            "It was not looked at under Xen, which does not show it: boot without Xen"
            if facts.xen
            else "Linux does not run the IOMMU now: boot once"
        )
        said.append(
            f"What shares the GPU's IOMMU group cannot be seen, and was not checked. {remedy} with "
            "intel_iommu=on (or amd_iommu=on) and check again, to know."
        )
    return said + _notes_of_card(facts, plan)


def _groups_seen(facts: Facts) -> bool:
    return not facts.groups_made_up and any(device.group for device in facts.devices.values())


def _notes_of_card(facts: Facts, plan: Plan) -> list[str]:
    try:
        card = the_card(facts.devices, plan.gpu, plan.vendor, facts.known_card)
    except LookupError:
        return []  # a problem
    said = []
    if facts.known_card and facts.known_card.bdf not in {device.bdf for device in card}:
        said.append(f"The card was at {facts.known_card.bdf}, and is at {card[0].bdf} now.")
    twins = [device for device in facts.devices.values() if device.ids == card[0].ids]
    if len(twins) > 1 and not (card[0].serial or card[0].slot_name):
        said.append(
            f"{card[0]} has a twin that only its address tells it from: when a card is added or "
            "taken out, see that gpu_bdf is still the right one."
        )
    if not _groups_seen(facts):
        port = card[0].bridges[:1]
        beside = [
            str(device)
            for device in facts.devices.values()
            if port and device.bridges[:1] == port and device not in card and not device.is_bridge
        ]
        if beside:
            said.append(
                f"Behind the same port of the board as {card[0]} are {'; '.join(beside)}: they are "
                "likely in its IOMMU group, and then a guest with the card could reach them."
            )
    if any(
        device.vendor == "10de" and device.class_ == "0680" for device in facts.devices.values()
    ):
        said.append(
            f"{card[0]} may be joined with others by NVSwitch: in a guest that has it alone, CUDA "
            "may start only after the switches were told to leave it out (Fabric Manager's "
            "partitions), or with NVreg_NvLinkDisable=1 in the guest."
        )
    return said + list(warnings(card, facts.tables.reserved))


Found = Iterator[tuple[str, str]]


def _system(facts: Facts) -> Found:
    if facts.user != 0:
        yield "root", "This is not root: set ansible_user: root, or ansible_become: true."
    if facts.machine != "x86_64":
        yield "machine", f"The host is {facts.machine}; the lab is made for x86-64."
    if facts.proxmox:
        yield (
            "distribution",
            "The host runs Proxmox VE, whose own QEMU cannot stand beside Xen's: the packages "
            "would remove Proxmox. Install one of "
            f"{', '.join(DISTRIBUTIONS)}.",
        )
    elif facts.distribution not in DISTRIBUTIONS:
        yield (
            "distribution",
            f"The host runs {facts.distribution.strip() or 'an unknown system'}; the roles are "
            f"written for {', '.join(DISTRIBUTIONS)}: install one of these.",
        )


def _hardware(facts: Facts) -> Found:
    if facts.xen:
        # dom0 itself is not shown the flags.
        capable = "hvm" in facts.xen.get("virt_caps", "").split()
        iommu = "hvm_directio" in facts.xen.get("virt_caps", "").split()
    else:
        capable = bool(facts.cpu_flags & {"svm", "vmx"})
        iommu = bool(facts.tables.kind)
    if not capable:
        yield (
            "cpu-virtualisation",
            "The CPU's virtualisation is off or missing: switch on VT-x (Intel) or SVM (AMD) in "
            "the firmware's setup.",
        )
    if not iommu:
        yield (
            "iommu",
            "There is no IOMMU, without which no device can be passed through: switch on VT-d "
            "(Intel) or AMD-Vi/IOMMU (AMD) in the firmware's setup; the board must have one.",
        )
    if facts.tables.remapping is False:
        yield (
            "interrupt-remapping",
            "The firmware does not let interrupts be remapped, so a guest with a device could send "
            "dom0 any interrupt: switch on x2APIC or Interrupt Remapping in the firmware's setup; "
            "or accept that, for guests that you trust: "
            "host_preflight_accept: [interrupt-remapping].",
        )
    if facts.secure_boot:
        yield (
            "secure-boot",
            "Secure Boot is on, and the distribution's Xen is not signed, so it would not boot: "
            "switch Secure Boot off in the firmware's setup.",
        )


def _gpu(facts: Facts, plan: Plan) -> Found:
    try:
        card = the_card(facts.devices, plan.gpu, plan.vendor, facts.known_card)
    except LookupError as error:
        yield "gpu", str(error)
        return
    gpu = card[0]
    if not gpu.is_gpu:
        yield "gpu", f"{gpu} is not a GPU: set gpu_bdf to one of class 03xx or 1200, or to `find`."
    if gpu.physical:
        yield (
            "gpu-virtual",
            f"{gpu} is a virtual function of {gpu.physical}, and is there only after that one's "
            "driver has made it: pass the physical one through.",
        )
    for device in card:
        if device.mediated_devices:
            yield (
                "gpu-virtual",
                f"{device} has {device.mediated_devices} mediated devices (vGPU), which go when it "
                "goes: end what uses them, and remove each (`mdevctl list`, `mdevctl stop -u`).",
            )
        if device.virtual_functions:
            yield (
                "gpu-virtual",
                f"{device} has {device.virtual_functions} virtual functions, which go when it "
                "goes: end what uses them, and write 0 into "
                f"/sys/bus/pci/devices/{device.bdf}/sriov_numvfs.",
            )
    if plan.driver in VENDORS and gpu.is_gpu and gpu.vendor != VENDORS[plan.driver]:
        yield (
            "gpu-driver",
            f"{gpu} is not {plan.driver}'s, and opencl_driver is: set gpu_vendor: {plan.driver} "
            "to look for such a card, or opencl_driver to this one's.",
        )
    elif not _knows(plan, gpu):
        yield (
            "gpu-driver",
            f"The driver that opencl_driver ({plan.driver}) installs in the guest does not know "
            f"{gpu}: choose a distribution for the guests (debian_images_suite) that has another "
            "version of it, another card, or opencl_driver: pocl.",
        )
    mine = {device.bdf for device in card}
    if mine & facts.disks_behind:
        yield "gpu-disk", f"A mounted file system's disk is behind {gpu}: name another device."
    if mine & facts.network_behind:
        yield "gpu-network", f"The host's default route goes through {gpu}: name another device."
    if gpu.boot_display:
        yield (
            "boot-display",
            f"{gpu} is the host's boot display: its console would go dark under Xen. Make another "
            "card, or the board's own, the first one in the firmware's setup; or, where nobody "
            "looks at it, accept that: host_preflight_accept: [boot-display].",
        )
    if users := facts.gpu_users.get(gpu.bdf):
        yield "gpu-in-use", f"{gpu} is in use by {', '.join(users)}: end that first."
    if others := list(_group_mates(facts, card)):
        yield (
            "iommu-group",
            f"{gpu} shares its IOMMU group with {'; '.join(map(str, others))}, which a guest that "
            "has the GPU could reach: put the card into another slot, or switch on ACS in the "
            "firmware's setup.",
        )


def _knows(plan: Plan, gpu: Device) -> bool:
    """Whether a driver's package knows a card, as far as that is known of the package."""
    pairs = (part.split("-") for part in plan.driver_lacks.get(gpu.vendor, []))
    return not any(int(first, 16) <= int(gpu.device, 16) <= int(last, 16) for first, last in pairs)


def _others(facts: Facts) -> Found:
    if facts.other_vms:
        yield (
            "other-vms",
            f"VMs that are not the lab's run here: {', '.join(facts.other_vms)}. The reboot into "
            "Xen would end them, and they would disturb what is measured: move or end them first.",
        )


def _group_mates(facts: Facts, card: list[Device]) -> Iterator[Device]:
    """Devices in the card's groups that are neither its own functions nor bridges."""
    if facts.groups_made_up:
        return  # they prove nothing, which is noted
    groups = {device.group for device in card if device.group}
    for device in facts.devices.values():
        if device.group in groups and device not in card and not device.is_bridge:
            yield device


def _resources(facts: Facts, plan: Plan) -> Found:
    memory = plan.dom0_memory + plan.guest_memory + XEN_OVERHEAD
    if facts.memory < memory:
        yield (
            "memory",
            f"The host has {facts.memory} MiB of memory; dom0 ({plan.dom0_memory}), the guests "
            f"({plan.guest_memory}) and Xen ({XEN_OVERHEAD}) need {memory}: lower guest_memory, "
            "cpu_vms or xen_dom0_memory.",
        )
    if facts.cpus < plan.cpus:
        yield (
            "cpus",
            f"The host has {facts.cpus} CPUs; dom0 and the guests are to have {plan.cpus}: lower "
            "dom0_pcpus or guest_pcpus.",
        )
    # What is there already need not fit again.
    disk = max(plan.disk - facts.disk_ours, 512)
    if facts.disk_free < disk:
        yield (
            "disk",
            f"{facts.disk_free} MiB of disk are free at {plan.folder}, {disk} MiB are needed: free "
            "some, mount a larger disk there, or lower guest_disks_size or cpu_vms.",
        )


def _software(facts: Facts) -> Found:
    if missing := sorted(name for name, version in facts.packages.items() if not version):
        yield (
            "packages",
            f"No version of {', '.join(missing)} can be installed: run `apt-get update`, and see "
            "that the archive's component (main; Ubuntu: universe) is enabled.",
        )
    if facts.removals:
        yield (
            "packages-conflict",
            f"To install Xen, apt would remove {', '.join(facts.removals)}: see what they are for "
            "(`apt-get -s install xen-system-amd64 qemu-system-xen`), and remove them yourself.",
        )
    if facts.boot_loader and not facts.boot_loader.startswith("GRUB"):
        yield (
            "grub",
            f"The host is booted by {facts.boot_loader}, which Xen's entry in GRUB's menu would "
            "not reach: make GRUB its boot loader (grub-efi-amd64, and grub-install); or, where "
            "it starts GRUB, accept that: host_preflight_accept: [grub].",
        )
    elif not facts.update_grub:
        yield (
            "grub",
            "There is no update-grub, or no /boot/grub/grub.cfg: the host does not boot by GRUB, "
            "and Xen's entry could not be made. Install grub-efi-amd64 (UEFI) or grub-pc (BIOS).",
        )
    if facts.grub_password:
        yield (
            "grub-password",
            "GRUB has users (superusers), and would wait for a password before it boots Xen: put "
            "--unrestricted into CLASS in /etc/grub.d/20_linux_xen, as in 10_linux, and run "
            "update-grub.",
        )
    # The new initramfs is written beside the old one. Under Xen that was done.
    if not facts.xen and facts.boot_free is not None and facts.boot_free < facts.initrd + 16:
        yield (
            "boot-space",
            f"{facts.boot_free} MiB are free in /boot, and Xen and an initramfs to take the old "
            f"one's place need {facts.initrd + 16}: remove old kernels (`apt-get autoremove`).",
        )
    if facts.dracut:
        yield (
            "initramfs",
            "dracut makes this host's initramfs, and the card is hidden by one that "
            "initramfs-tools makes: install initramfs-tools in its place.",
        )
    if not facts.kernels:
        yield "kernel", "No kernel's configuration is in /boot: install linux-image-amd64."
        return
    # The one that GRUB takes.
    newest = max(facts.kernels, key=by_version)
    if lost := [name for name in KERNEL_OPTIONS if name not in facts.kernels[newest]]:
        yield (
            "kernel",
            f"The newest kernel, {newest}, cannot be a dom0 ({', '.join(lost)} is off): install "
            "linux-image-amd64 (Ubuntu: linux-image-generic) and remove the other; kernels made "
            "for clouds cannot.",
        )


def _network(facts: Facts, plan: Plan) -> Found:
    if plan.bridge in facts.interfaces and not facts.our_bridge:
        yield (
            "bridge",
            f"There is an interface {plan.bridge} that the lab has not made: give the lab's bridge "
            "another name (bridge_name).",
        )
    if not re.fullmatch(r"[\w.-]{1,15}", plan.bridge):
        yield (
            "bridge",
            f"No interface can be called {plan.bridge!r}: bridge_name must be a word of at most 15 "
            "letters.",
        )
    try:
        wanted = network_of(plan.bridge_address)
    except ValueError:  # a typing error
        wanted = None
    if wanted is None or wanted.version != 4 or wanted.prefixlen > 30:
        yield (
            "bridge-address",
            f"bridge_address is {plan.bridge_address!r}: it must be an IPv4 address with the "
            "length of its network's prefix, and room for the guests (10.77.0.1/24).",
        )
        return
    taken = {plan.bridge_address.partition("/")[0].rpartition(".")[2]: "dom0"}
    for guest, address in plan.addresses.items():
        # A guest's hardware address ends with the last number of this one.
        last = address.rpartition(".")[2]
        try:
            inside = network_of(address).network_address in wanted
        except ValueError:  # a typing error
            inside = False
        if not inside or last in taken:
            yield (
                "guest-address",
                f"{guest} cannot have {address}: it must be in bridge_address's network {wanted}, "
                f"and differ from every other in its last number ({taken.get(last, 'free')}).",
            )
        taken[last] = guest
    for interface, address in facts.networks:
        if interface != plan.bridge and network_of(address).overlaps(wanted):
            yield (
                "network",
                f"The guests' network {wanted} is already {interface}'s ({address}): set "
                "bridge_address and the guests' guest_address to another.",
            )
