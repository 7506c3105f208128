"""The Vagrantfile: it is valid, and its machine is the dry run's."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_inventories import GUESTS, ask

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles/virtual_host"
POWER_DOMAIN = ROLE / "files/power-domain"
BUILD_BOX = ROOT / "roles/vagrant_box/files/build-box"

needs_vagrant = pytest.mark.skipif(
    not shutil.which("vagrant"), reason="vagrant is not installed; make test does that"
)


@pytest.fixture(scope="module")
def settings() -> dict[str, list[Any]]:
    """By name, the arguments of each time that something was set."""
    done = subprocess.run(
        ["ruby", ROOT / "tests/vagrant/settings.rb", ROOT / "Vagrantfile"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The dry run's QEMU and its arguments, as the role virtual_host has them."""
    folder = tmp_path_factory.mktemp("dryrun")
    status, answer, said = ask(
        folder, ROOT / "inventory/dryrun/hosts.yml", ["virtual_host"], ["virtual_host_argv"]
    )
    assert status == 0, said
    return list(answer["virtual_host_argv"])


def values(argv: list[str], option: str) -> list[str]:
    return [after for word, after in itertools.pairwise(argv) if word == option]


def as_words(device: str) -> str:
    """QEMU's -device, which may be JSON, in the short form."""
    if not device.startswith("{"):
        return device
    properties = json.loads(device)
    words = [properties.pop("driver")]
    words += [f"{name}={value}" for name, value in properties.items()]
    return ",".join(words)


@needs_vagrant
def test_vagrant_finds_it_valid(tmp_path: Path) -> None:
    done = subprocess.run(
        ["vagrant", "validate"],
        cwd=ROOT,
        env={
            **os.environ,
            "VAGRANT_HOME": str(tmp_path / "home"),
            "VAGRANT_DOTFILE_PATH": str(tmp_path / "dotfile"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_vagrant
class TestTheMachineIsTheDryRuns:
    @pytest.fixture
    def arguments(self, settings: dict[str, list[Any]]) -> list[str]:
        return [named["value"] for [named] in settings["libvirt.qemuargs"]]

    def test_in_size(self, settings: dict[str, list[Any]], dry_run: list[str]) -> None:
        assert [str(settings["libvirt.memory"][-1][0])] == values(dry_run, "-m")
        assert [str(settings["libvirt.cpus"][-1][0])] == values(dry_run, "-smp")

    def test_in_what_libvirt_has_no_words_for(
        self, settings: dict[str, list[Any]], arguments: list[str], dry_run: list[str]
    ) -> None:
        if settings["libvirt.driver"] == [["kvm"]]:
            pytest.skip("with KVM it has this machine's CPU and IOMMU")
        for option in ("-machine", "-cpu", "-accel", "-icount"):
            assert values(arguments, option) == values(dry_run, option), option
        assert "-no-reboot" in arguments
        devices = [as_words(device) for device in values(arguments, "-device")]
        assert set(devices) <= set(values(dry_run, "-device"))
        assert any(device.startswith("ati-vga") for device in devices), "the stand-in for a GPU"
        assert any(device.startswith("amd-iommu") for device in devices)

    def test_which_gets_an_address_from_libvirts_network(
        self, settings: dict[str, list[Any]]
    ) -> None:
        [[mac]] = settings["libvirt.management_network_mac"]
        image = ROOT / "roles/debian_images/files/host/etc/systemd/network/20-libvirt.network"
        assert f"MACAddress={mac}\n" in image.read_text()


def test_the_guests_are_the_dry_runs_each_on_a_disk_of_the_box(tmp_path: Path) -> None:
    def guests(name: str) -> dict[str, Any]:
        hosts = yaml.safe_load((ROOT / "inventory" / name / "hosts.yml").read_text())
        return dict(hosts["all"]["children"]["guests"])

    assert guests("vagrant") == guests("dryrun")
    status, answer, said = ask(tmp_path, ROOT / "inventory/vagrant/hosts.yml")
    assert status == 0, said
    disks = dict(
        zip(
            GUESTS,
            ("/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde", "/dev/vdf", "/dev/vdg"),
            strict=True,
        )
    )
    assert answer["guest_disks_devices"] == disks


class TestBox:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("host", "guest"):
            (tmp_path / f"{name}.img").write_text(f"image of a {name}")
            (tmp_path / f"{name}.img.key").write_text(f"key of a {name}")
        converter = tmp_path / "bin/qemu-img"
        converter.parent.mkdir()
        converter.write_text('#!/bin/sh\nshift $(($# - 2))\nexec cp "$1" "$2"\n')
        converter.chmod(0o755)
        return tmp_path

    def build(self, folder: Path, *guests: str) -> str:
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            [BUILD_BOX, folder / "xen.box", folder, *guests],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def test_has_the_hosts_disk_and_one_for_each_guest(self, folder: Path) -> None:
        assert self.build(folder, "gpu1", "cpu1") == "built"
        with tarfile.open(folder / "xen.box") as box:
            described = box.extractfile("metadata.json")
            assert described
            disks = json.load(described)["disks"]
            assert {disk["path"] for disk in disks} <= set(box.getnames())
        assert [disk["name"] for disk in disks] == ["host", "gpu1", "cpu1"]
        assert [disk["path"] for disk in disks] == ["host.qcow2", "guest.qcow2", "guest.qcow2"]

    def test_is_made_again_only_for_new_images_or_guests(self, folder: Path) -> None:
        self.build(folder, "gpu1")
        assert self.build(folder, "gpu1") == "unchanged"
        assert self.build(folder, "gpu1", "cpu1") == "built"
        (folder / "host.img.key").write_text("another")
        assert self.build(folder, "gpu1", "cpu1") == "built"


class TestPowerSupply:
    """power-domain, one life of a domain, with a libvirt that tells a story."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        virsh = tmp_path / "virsh"
        virsh.write_text(
            '#!/bin/sh\ncd "$(dirname "$0")" || exit\n'
            'if [ "$1" = --quiet ]; then echo "$@" >>started; exit; fi\n'
            "head -n 1 story; sed -i 1d story\n"
        )
        sleep = tmp_path / "sleep"
        sleep.write_text("#!/bin/sh\n")
        for program in (virsh, sleep):
            program.chmod(0o755)
        return tmp_path

    def live(self, folder: Path, *states: str) -> int:
        (folder / "story").write_text("".join(f"{state}\n" for state in states))
        return subprocess.run(
            [POWER_DOMAIN, "xen1"],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
            timeout=60,
            check=False,
        ).returncode

    def test_starts_what_has_reset(self, folder: Path) -> None:
        assert self.live(folder, "running (booted)", "shut off (shutdown)") == 0
        assert (folder / "started").read_text() == "--quiet start xen1\n"

    def test_waits_for_a_domain_that_is_being_made(self, folder: Path) -> None:
        told = ("", "", "shut off (unknown)", "running (booted)", "shut off (shutdown)")
        assert self.live(folder, *told) == 0

    def test_leaves_off_what_somebody_has_stopped(self, folder: Path) -> None:
        assert self.live(folder, "running (booted)", "shut off (destroyed)", "") == 1
        assert not (folder / "started").exists()

    def test_ends_with_the_domain(self, folder: Path) -> None:
        assert self.live(folder, "running (booted)", "") == 1
