"""The roles on an emulated host that is treated as a real one, from bare to bare.

`make test-roles` runs these in order (25 to 55 minutes on two CPUs). The GPU VM is HVM and the CPU
VM PVH here, as on real hosts; `make lab` has both paravirtual.
"""

from __future__ import annotations

import re

import pytest
from emulated import EmulatedHost

pytestmark = pytest.mark.roles

XENS_PACKAGES = (
    "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' "
    "'xen-hypervisor*' 'xen-system*' 'xen-utils*'"
)
"""Lists them, in whatever version they are; with not-installed, those that others speak of."""

OURS = (
    "/etc/default/grub.d/50-gpusplit-xen.cfg",
    "/etc/modprobe.d/gpusplit-passthrough.conf",
    "/etc/modules-load.d/gpusplit-passthrough.conf",
    "/etc/systemd/system/gpusplit-bridge.service",
    "/etc/systemd/system/gpusplit-publisher.service",
    "/etc/systemd/system/var-log-xen-console.mount",
    "/usr/local/sbin/gpusplit-publisher",
    "/etc/xen/gpusplit",
    "/var/lib/gpusplit",
)
"""What the roles put on a host."""

TEARDOWN = {"teardown_confirmed": "yes", "teardown_emulator": "keep"}
"""The emulated host stays, to be looked at."""


def test_a_host_is_delivered_without_xen(host: EmulatedHost) -> None:
    run = host.playbook(
        *(
            f"playbooks/{name}.yml"
            for name in ("preflight", "controller", "images", "virtual_host")
        ),
        real=False,
    )
    assert run.status == 0, run.said
    assert host.exists("/proc/xen/capabilities", *OURS) == []


def test_a_preflight_says_all_problems_at_once_and_changes_nothing(host: EmulatedHost) -> None:
    run = host.playbook(
        "site.yml", gpu_bdf="0000:00:1f.0", dom0_memory=64000, gpu_pci_id="1002:5159"
    )
    assert run.status != 0
    run = host.playbook("playbooks/preflight.yml", scheduler_timeslice=1, scheduler_ratelimit=5000)
    assert run.status != 0
    assert "longer than the time slice" in run.said
    run = host.playbook("playbooks/preflight.yml", dom0_memory=64000, dom0_pcpus=2)
    assert run.status != 0
    assert "the host has 2 problems" in run.said
    assert "[memory]" in run.said
    assert "[cpus]" in run.said
    assert host.exists("/proc/xen/capabilities", *OURS) == []


def test_the_roles_make_it_a_lab(host: EmulatedHost) -> None:
    run = host.playbook("site.yml")
    assert run.status == 0, run.said
    assert "Accepted (boot-display)" in run.said


def test_a_second_run_changes_nothing(host: EmulatedHost) -> None:
    run = host.playbook("site.yml")
    assert run.status == 0, run.said
    assert set(run.changed.values()) == {0}, run.what_changed


def test_check_mode_says_that_nothing_would_change(host: EmulatedHost) -> None:
    run = host.playbook("--check", "--diff", "playbooks/dom0.yml", "playbooks/guests.yml")
    assert run.status == 0, run.said
    assert set(run.changed.values()) == {0}, run.what_changed


def test_the_card_is_hidden_at_boot_by_what_it_is(host: EmulatedHost) -> None:
    assert host.ssh("xen1", "cat /sys/module/xen_pciback/parameters/hide") == "(0000:00:10.0)"
    assert '"ids": "1002:5159"' in host.ssh("xen1", "cat /var/lib/gpusplit/gpu.json")


def test_a_configuration_of_grub_that_is_out_of_date_is_made_again(host: EmulatedHost) -> None:
    """As after an update-grub that failed: nothing that is written changes any more."""
    host.ssh("xen1", "sed -i s/sched=credit/sched=credit2/ /boot/grub/grub.cfg")
    run = host.playbook("playbooks/dom0.yml")
    assert run.status == 0, run.said
    assert run.changed["xen1"] == 1, run.what_changed
    assert "sched=credit2" not in host.ssh("xen1", "cat /boot/grub/grub.cfg")


def test_xen_schedules_as_asked(host: EmulatedHost) -> None:
    assert re.search(r"xen_scheduler\s*: credit\n", host.ssh("xen1", "xl info"))
    credit = host.ssh("xen1", "xl sched-credit")
    assert "tslice=10ms ratelimit=500us" in credit
    assert re.search(r"^cpu1 +\d+ +512 +50$", credit, re.MULTILINE)
    assert re.search(r"^gpu1 +\d+ +256 +0$", credit, re.MULTILINE)


def test_guests_are_pinned_beside_dom0(host: EmulatedHost) -> None:
    vcpus = host.ssh("xen1", "xl vcpu-list")
    affinity = dict(re.findall(r"^(\S+) .* ([\d,-]+) / \S+$", vcpus, re.MULTILINE))
    assert affinity == {"Domain-0": "0", "gpu1": "1", "cpu1": "1"}


def test_the_gpu_vm_is_a_whole_machine_with_the_card_in_it(host: EmulatedHost) -> None:
    assert host.ssh("gpu1", "cat /sys/hypervisor/guest_type") == "HVM"
    assert host.ssh("gpu1", "lspci -n -d 1002:5159").startswith("00:03.0 0300: 1002:5159")
    assert host.ssh("gpu1", "lspci -n -d ::0300").count("\n") == 0, "and no other display"


def test_the_cpu_vm_is_pvh_without_a_card(host: EmulatedHost) -> None:
    assert host.ssh("cpu1", "cat /sys/hypervisor/guest_type") == "PVH"
    assert "1002:5159" not in host.ssh("cpu1", "lspci -n 2>/dev/null || true")


def test_every_machine_has_a_host_key_of_its_own(host: EmulatedHost) -> None:
    key = "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key"
    prints = {name: host.ssh(name, key).split()[1] for name in ("xen1", "gpu1", "cpu1")}
    assert len(set(prints.values())) == 3, prints


def test_nobody_logs_in_by_password(host: EmulatedHost) -> None:
    for name in ("xen1", "gpu1", "cpu1"):
        assert "passwordauthentication no" in host.ssh(name, "sshd -T")


def test_a_guest_cannot_fill_dom0s_disk_by_its_console(host: EmulatedHost) -> None:
    kind, size = host.ssh("xen1", "stat -f -c '%T %s*%b' /var/log/xen/console").split()
    block, blocks = map(int, size.split("*"))
    assert (kind, block * blocks) == ("tmpfs", 64 << 20)
    assert "guest-cpu1.log" in host.ssh("xen1", "ls /var/log/xen/console")


def test_the_gpu_vm_is_told_how_many_vms_run(host: EmulatedHost) -> None:
    assert host.ssh("gpu1", "xenstore-read gpusplit/running") == "2"
    # And its programs by the agent: the lower 16 bits of the second word of page.py's file.
    assert host.ssh("gpu1", "od -An -tu2 -j8 -N2 /run/gpusplit/count").strip() == "2"


def test_xen_is_the_default_only_since_it_came_up(host: EmulatedHost) -> None:
    variables = host.ssh("xen1", "grub-editenv - list")
    assert re.search(r"^saved_entry=xen-gnulinux-simple-\S+$", variables, re.MULTILINE)
    assert not re.search(r"^next_entry=.+$", variables, re.MULTILINE)
    assert "GRUB_DEFAULT=saved" in host.ssh("xen1", f"cat {OURS[0]}")
    assert re.search(r"'gnulinux-simple-", host.ssh("xen1", "cat /boot/grub/grub.cfg"))


def test_another_share_is_set_without_touching_a_guest(host: EmulatedHost) -> None:
    before = host.ssh("xen1", "xl domid cpu1")
    run = host.playbook("playbooks/guests.yml", scheduler_timeslice=5)
    assert run.status == 0, run.said
    assert run.changed["xen1"] == 1, run.what_changed
    assert "tslice=5ms" in host.ssh("xen1", "xl sched-credit")
    assert host.ssh("xen1", "xl domid cpu1") == before


def test_what_xen_cannot_do_is_said_and_nothing_is_set(host: EmulatedHost) -> None:
    run = host.playbook("playbooks/guests.yml", scheduler_timeslice=1, scheduler_ratelimit=5000)
    assert run.status != 0
    assert "longer than the time slice" in run.said
    assert "tslice=5ms" in host.ssh("xen1", "xl sched-credit")


def test_logs_are_one_folder_for_each_host(host: EmulatedHost) -> None:
    run = host.playbook("playbooks/collect_logs.yml", logs_dir=str(host.folder / "logs"))
    assert run.status == 0, run.said
    folders = {path.name for path in (host.folder / "logs").iterdir()}
    assert folders >= {"localhost", "xen1", "gpu1", "cpu1"}
    assert "xen_version" in (host.folder / "logs/xen1/xl-info.txt").read_text()
    assert "1002:5159" in (host.folder / "logs/gpu1/lspci.txt").read_text()
    assert (host.folder / "logs/xen1/guest-cpu1.log").exists()


def test_without_a_yes_nothing_is_torn_down(host: EmulatedHost) -> None:
    run = host.playbook("playbooks/teardown.yml", teardown_confirmed="no")
    assert run.status != 0
    assert "Nothing was changed" in run.said
    assert set(run.changed.values()) == {0}
    assert len(host.ssh("xen1", "xl list").splitlines()) == 4


def test_a_teardown_leaves_nothing_behind(host: EmulatedHost) -> None:
    # The image came with Xen's packages; a real host would have got them from the role.
    host.ssh("xen1", f"{XENS_PACKAGES} | cut -d' ' -f1 >/var/lib/gpusplit/installed-packages")
    run = host.playbook("playbooks/teardown.yml", **TEARDOWN)
    assert run.status == 0, run.said
    assert host.exists("/proc/xen/capabilities", "/sys/class/net/xenbr0", *OURS) == []
    assert host.ssh("xen1", "cat /proc/cmdline").startswith("BOOT_IMAGE=/boot/vmlinuz")
    # GRUB leaves a trial's name in place, empty.
    assert not re.search(r"_entry=.", host.ssh("xen1", "grub-editenv - list"))
    assert " installed" not in host.ssh("xen1", f"{XENS_PACKAGES} || true")


def test_a_second_teardown_changes_nothing(host: EmulatedHost) -> None:
    run = host.playbook("playbooks/teardown.yml", **TEARDOWN)
    assert run.status == 0, run.said
    assert run.changed["xen1"] == 0, run.what_changed
