"""What the inventories come to, by Ansible itself: guests' configurations, shares, packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import role_programs  # noqa: F401  (roles' modules are found by it)
import yaml
from ansible.module_utils.host_problems import XEN_OVERHEAD

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

GUESTS = ("gpu1", "cpu1", "cpu2", "cpu3", "cpu4", "cpu5")

# What a run would have found by the time that guests are created.
FOUND = {
    "gpu_functions": ["0000:01:00.0", "0000:01:00.1"],
    "guest_disks_paths": {name: f"/disks/{name}" for name in GUESTS},
    "role_path": str(ROOT / "roles/debian_images"),
    "debian_images_xen_dom0": {"xen_dom0_packages": ["the-roles-xen"]},
    # As the dry run's dom0 says it.
    "xen_dom0_state": {
        "command_line": "placeholder dom0_mem=1536M,max:1536M dom0_max_vcpus=1 dom0_vcpus_pin "
        "sched=credit com1=115200,8n1 console=com1 spec-ctrl=no bootscrub=0",
        "kernel_arguments": [
            "root=UUID=1",
            "ro",
            "console=hvc0",
            "nomodeset",
            "mitigations=off",
            "cryptomgr.notests",
            "systemd.default_timeout_start_sec=600",
        ],
    },
}
ROLES = ("xen_guests", "xen_scheduler", "xen_dom0", "debian_images", "guest_disks")
ASKED = (
    "xen_guests_configurations",
    "xen_scheduler_domains",
    "xen_dom0_command_line",
    "xen_dom0_as_wanted",
    "debian_images_driver",
    "guest_disks_devices",
)
OF_REAL_HOSTS = (
    "host_preflight_guest_memory",
    "host_preflight_disk",
    "host_preflight_bridge_address",
    "host_preflight_addresses",
    "guest_bridge_address",
    "ansible_host",
    "dom0_memory",
)


def ask(
    folder: Path, inventory: Path, roles: Sequence[str] = ROLES, asked: Sequence[str] = ASKED
) -> tuple[int, dict[str, Any], str]:
    """Ansible's status, what the variables come to, and what it said.

    The roles are the real ones without their tasks.
    """
    for role in roles:
        for part in ("defaults", "vars"):
            link = folder / "roles" / role / part
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(ROOT / "roles" / role / part)
    (folder / "templates").symlink_to(ROOT / "roles/xen_guests/templates")
    answer = folder / "answer.json"
    values = ", ".join(f"'{name}': {name}" for name in asked)
    copy = {"content": f"{{{{ {{{values}}} | to_json }}}}", "dest": str(answer)}
    play = {
        "hosts": "xen_hosts",
        "gather_facts": False,
        "connection": "local",
        "vars": FOUND,
        "roles": list(roles),
        "tasks": [{"copy": copy}],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [PLAYBOOK, "-i", inventory, folder / "play.yml"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    return done.returncode, json.loads(answer.read_text()) if answer.exists() else {}, done.stdout


@pytest.fixture(scope="module")
def dryrun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("dryrun")
    status, answer, said = ask(folder, ROOT / "inventory/dryrun/hosts.yml")
    assert status == 0, said
    return answer


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    roles, asked = (*ROLES, "host_preflight", "guest_bridge"), (*ASKED, *OF_REAL_HOSTS)
    status, answer, said = ask(folder, ROOT / "inventory/bench.example/hosts.yml", roles, asked)
    assert status == 0, said
    return answer


def test_the_dry_runs_guests_are_paravirtual_on_one_cpu(dryrun: dict[str, Any]) -> None:
    guests = dryrun["xen_guests_configurations"]
    assert tuple(guests) == GUESTS
    assert all('type = "pv"' in text and 'cpus = "1"' in text for text in guests.values())
    assert "memory = 896" in guests["gpu1"]
    assert "memory = 256" in guests["cpu1"]
    assert "ip=10.77.0.10::10.77.0.1:255.255.255.0:gpu1:eth0:off" in guests["gpu1"]
    assert 'kernel = "/var/lib/gpusplit/disks/vmlinuz"' in guests["gpu1"]
    assert 'mac=00:16:3e:67:70:0a,ip=10.77.0.10,script=/etc/xen/gpusplit/plug"]' in guests["gpu1"]


def test_only_the_gpu_vm_gets_the_card_and_gets_all_of_it(dryrun: dict[str, Any]) -> None:
    guests = dryrun["xen_guests_configurations"]
    assert 'pci = ["0000:01:00.0", "0000:01:00.1"]' in guests["gpu1"]
    assert not any("pci" in text for name, text in guests.items() if name != "gpu1")


def test_the_dry_runs_disks_are_devices_of_the_host(dryrun: dict[str, Any]) -> None:
    assert dryrun["guest_disks_devices"]["cpu2"] == "/dev/disk/by-id/virtio-cpu2"


def test_dom0_is_pinned_beside_the_guests(dryrun: dict[str, Any], bench: dict[str, Any]) -> None:
    assert dryrun["xen_scheduler_domains"]["Domain-0"] == {"vcpus": 1, "pcpus": ["0"]}
    assert bench["xen_scheduler_domains"]["Domain-0"]["pcpus"] == ["0", "1"]
    assert bench["xen_scheduler_domains"]["cpu1"]["pcpus"] == "2,3,4,5"


def test_a_real_gpu_vm_is_hvm_without_emulated_graphics(bench: dict[str, Any]) -> None:
    gpu = bench["xen_guests_configurations"]["gpu1"]
    assert 'type = "hvm"' in gpu
    assert 'vga = "none"' in gpu
    assert "type=vif," in gpu


def test_real_cpu_vms_are_pvh_of_the_papers_size(bench: dict[str, Any]) -> None:
    cpu = bench["xen_guests_configurations"]["cpu1"]
    assert 'type = "pvh"' in cpu
    assert "memory = 5632" in cpu
    assert "vcpus = 4" in cpu
    assert "type=vif," not in cpu


def test_a_real_hosts_preflight_counts_all_guests(bench: dict[str, Any]) -> None:
    assert int(bench["host_preflight_guest_memory"]) == 5 * 5632
    assert int(bench["host_preflight_disk"]) == 8 * 8192


def test_the_example_fits_the_papers_host_of_32_gb(bench: dict[str, Any]) -> None:
    guests = int(bench["host_preflight_guest_memory"])
    assert guests + int(bench["dom0_memory"]) + XEN_OVERHEAD < 31 * 1024, "firmware takes some too"


def test_the_example_says_where_the_server_is_in_one_place(bench: dict[str, Any]) -> None:
    assert bench["ansible_host"] == "192.0.2.10"
    folder = ROOT / "inventory/bench.example"
    files = [path for path in folder.rglob("*.yml") if "192.0.2.10" in path.read_text()]
    assert files == [folder / "group_vars/all.yml"]


def test_one_variable_is_the_bridges_address(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "group_vars").symlink_to(ROOT / "inventory/bench.example/group_vars")
    hosts = yaml.safe_load((ROOT / "inventory/bench.example/hosts.yml").read_text())
    hosts["all"]["children"]["xen_hosts"]["hosts"]["server1"] = {"bridge_address": "10.9.4.1/22"}
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    roles = (*ROLES, "host_preflight", "guest_bridge")
    asked = ("guest_bridge_address", "host_preflight_bridge_address", "xen_guests_configurations")
    status, answer, said = ask(tmp_path, inventory / "hosts.yml", roles, asked)
    assert status == 0, said
    assert answer["guest_bridge_address"] == "10.9.4.1/22"
    assert answer["host_preflight_bridge_address"] == "10.9.4.1/22"
    assert "::10.9.4.1:255.255.252.0:" in answer["xen_guests_configurations"]["cpu1"]


def test_two_hosts_are_not_given_the_same_guests(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "group_vars").symlink_to(ROOT / "inventory/bench.example/group_vars")
    hosts = yaml.safe_load((ROOT / "inventory/bench.example/hosts.yml").read_text())
    hosts["all"]["children"]["xen_hosts"]["hosts"]["server2"] = None
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    done = subprocess.run(
        [PLAYBOOK, "-i", inventory / "hosts.yml", ROOT / "playbooks/preflight.yml"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    assert done.returncode != 0
    assert "server1, server2" in done.stdout
    assert "inventory of its own" in " ".join(done.stdout.split())


def test_a_second_inventory_has_a_lab_of_its_own(tmp_path: Path) -> None:
    folders = []
    for name in ("bench", "bench2"):
        inventory = tmp_path / "inventory" / name
        shutil.copytree(ROOT / "inventory/bench.example", inventory)
        (tmp_path / name).mkdir()
        status, answer, said = ask(tmp_path / name, inventory / "hosts.yml", [], ["lab_dir"])
        assert status == 0, said
        folders.append(answer["lab_dir"])
    assert folders == [str(tmp_path / ".lab-bench"), str(tmp_path / ".lab-bench2")]


def test_xen_is_told_its_scheduler_and_dom0s_part(bench: dict[str, Any]) -> None:
    assert bench["xen_dom0_command_line"] == (
        "dom0_mem=2048M,max:2048M dom0_max_vcpus=2 dom0_vcpus_pin sched=credit console=vga"
    )


def test_a_host_that_runs_as_wanted_is_not_rebooted(
    dryrun: dict[str, Any], bench: dict[str, Any]
) -> None:
    assert dryrun["xen_dom0_as_wanted"] is True
    assert bench["xen_dom0_as_wanted"] is False


def test_arguments_of_a_running_xen_are_whole_words(tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    for path in (ROOT / "inventory/bench.example/group_vars").glob("*.yml"):
        (folder / "group_vars" / path.name).symlink_to(path)
    hosts = yaml.safe_load((ROOT / "inventory/bench.example/hosts.yml").read_text())
    host = {"xen_dom0_xen_arguments": "", "dom0_memory": 1536, "dom0_pcpus": 1}
    hosts["all"]["children"]["xen_hosts"]["hosts"]["server1"] = host
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    asked = ("xen_dom0_command_line", "xen_dom0_as_wanted")
    status, answer, said = ask(tmp_path, folder / "hosts.yml", ["xen_dom0"], asked)
    assert status == 0, said
    assert answer["xen_dom0_command_line"].endswith("sched=credit")
    assert answer["xen_dom0_as_wanted"] is True
    host["scheduler"] = "credi"
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    again = tmp_path / "again"
    again.mkdir()
    status, answer, said = ask(again, folder / "hosts.yml", ["xen_dom0"], asked)
    assert answer["xen_dom0_as_wanted"] is False, said


@pytest.mark.parametrize("driver", ["nvidia", "amd", "intel", "pocl"])
@pytest.mark.parametrize("suite", ["bookworm", "trixie", "noble"])
def test_every_driver_has_its_packages_in_every_release(suite: str, driver: str) -> None:
    text = (ROOT / "roles/debian_images/vars/main.yml").read_text()
    needs = yaml.safe_load(text)["debian_images_suites"][suite][driver]
    kernels = [name for name in needs["packages"] if name.startswith("linux-image-")]
    assert len(kernels) == 1
    assert driver == "pocl" or "cloud" not in kernels[0], "it has no drivers for GPUs"
    assert "main" in needs["components"]


@pytest.mark.parametrize(
    ("host", "suite", "packages"),
    [
        ({}, "bookworm", ["the-roles-xen"]),
        ({"host_release": "trixie", "xen_dom0_packages": ["my-xen"]}, "trixie", ["my-xen"]),
    ],
)
def test_images_are_what_the_inventory_asks_for(
    tmp_path: Path, host: dict[str, Any], suite: str, packages: list[str]
) -> None:
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "group_vars").symlink_to(ROOT / "inventory/dryrun/group_vars")
    hosts = yaml.safe_load((ROOT / "inventory/dryrun/hosts.yml").read_text())
    hosts["all"]["children"]["xen_hosts"]["hosts"]["xen1"] = host
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    asked = ("debian_images_suite", "debian_images_dom0_packages")
    status, answer, said = ask(tmp_path, inventory / "hosts.yml", ["debian_images"], asked)
    assert status == 0, said
    assert answer == dict(zip(asked, (suite, packages), strict=True))


def test_what_cannot_be_evaluated_is_an_error_and_not_one_guest_less(tmp_path: Path) -> None:
    hosts = yaml.safe_load((ROOT / "inventory/dryrun/hosts.yml").read_text())
    del hosts["all"]["children"]["guests"]["children"]["cpu_vms"]["hosts"]["cpu2"]["guest_address"]
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "group_vars").symlink_to(ROOT / "inventory/dryrun/group_vars")
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    status, _, said = ask(tmp_path, folder / "hosts.yml")
    assert status != 0
    assert "guest_address" in said
