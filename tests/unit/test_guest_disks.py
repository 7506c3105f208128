"""Disks of guests: copied, grown, and each with a host key of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import role_programs

guest_disks = role_programs.load("guest_disks/library/guest_disks.py")

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nof gpu1\n-----END OPENSSH PRIVATE KEY-----"
OTHER = KEY.replace("gpu1", "cpu1")
PATH_IN_GUEST = "/etc/ssh/ssh_host_ed25519_key"


def debugfs(disk: Path, command: str) -> str:
    done = subprocess.run(
        ["debugfs", "-R", command, str(disk)], capture_output=True, text=True, check=True
    )
    return done.stdout


class Host:
    """A Xen host's folders, with real e2fsprogs."""

    def __init__(self, folder: Path) -> None:
        self.disks, self.image = folder / "disks", folder / "guest.img"
        root = folder / "root/etc/ssh"
        root.mkdir(parents=True)
        (root / "sshd_config").write_text("HostKey\n")
        self.boot = folder / "root/boot"
        self.boot.mkdir()
        (self.boot / "vmlinuz-6.1.0-18-cloud-amd64").write_bytes(bytes(range(256)) * 999)
        (self.boot / "initrd.img-6.1.0-18-cloud-amd64").write_text("initramfs\n" * 999)
        (self.boot / "config-6.1.0-18-cloud-amd64").write_text("CONFIG_XEN=y\n")
        self.make_image("1")

    def make_image(self, key: str) -> None:
        self.image.unlink(missing_ok=True)
        root = str(self.image.parent / "root")
        subprocess.run(["mkfs.ext4", "-q", "-d", root, str(self.image), "8M"], check=True)
        self.image.with_name("guest.img.key").write_text(key)

    def device(self) -> Path:
        """A device that holds a copy of the image already."""
        path = self.image.with_name("device")
        path.write_bytes(self.image.read_bytes())
        return path

    def wants(self, check: bool = False, prune: bool = False, **arguments: Any) -> dict[str, Any]:
        return role_programs.call(
            guest_disks,
            check=check,
            folder=str(self.disks),
            image=str(self.image),
            prune=prune,
            **{"size": 16, **arguments},
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}:/usr/sbin:/sbin")
    return Host(tmp_path)


def test_every_guest_gets_a_disk_with_its_own_key(host: Host) -> None:
    told = host.wants(keys={"gpu1": KEY, "cpu1": OTHER})
    assert told["changed"]
    assert told["made"] == ["gpu1", "cpu1"]
    for name, key in (("gpu1", KEY), ("cpu1", OTHER)):
        disk = Path(told["paths"][name])
        assert debugfs(disk, f"cat {PATH_IN_GUEST}").strip() == key
        assert disk.stat().st_mode & 0o777 == 0o600


def test_the_key_is_roots_and_nobody_elses(host: Host) -> None:
    disk = Path(host.wants(keys={"gpu1": KEY})["paths"]["gpu1"])
    inode = debugfs(disk, f"stat {PATH_IN_GUEST}")
    assert "Mode:  0600" in inode
    assert "User:     0   Group:     0" in inode


def test_the_file_system_stays_whole_and_fills_the_disk(host: Host) -> None:
    disk = Path(host.wants(keys={"gpu1": KEY})["paths"]["gpu1"])
    subprocess.run(["e2fsck", "-fn", str(disk)], check=True, capture_output=True)
    assert disk.stat().st_size == 16 * 1024**2
    assert "HostKey" in debugfs(disk, "cat /etc/ssh/sshd_config")
    subprocess.run(["e2fsck", "-fn", str(host.image)], check=True, capture_output=True)


def test_a_disk_that_is_there_is_left_alone(host: Host) -> None:
    disk = Path(host.wants(keys={"gpu1": KEY})["paths"]["gpu1"])
    disk.write_text("what the guest has written")
    assert not host.wants(keys={"gpu1": KEY})["changed"]
    assert disk.read_text() == "what the guest has written"


@pytest.mark.parametrize("news", ["image", "key", "size"])
def test_what_a_disk_is_made_from_makes_a_new_one_beside_the_old(host: Host, news: str) -> None:
    old = Path(host.wants(keys={"gpu1": KEY})["paths"]["gpu1"])
    if news == "image":
        host.make_image("2")
    wanted = {
        "keys": {"gpu1": OTHER if news == "key" else KEY},
        "size": 20 if news == "size" else 16,
    }
    told = host.wants(**wanted)
    assert told["changed"]
    new = Path(told["paths"]["gpu1"])
    assert new != old
    assert told["stale"] == [old.name]
    assert old.exists(), "a guest may still run on it"
    assert host.wants(prune=True, **wanted)["removed"] == [old.name]
    assert list(host.disks.glob("*.img")) == [new]
    assert not host.wants(prune=True, **wanted)["changed"]
    assert not host.wants(**wanted)["changed"]


def test_a_device_is_given_its_key_once_and_never_read_again(host: Host) -> None:
    device = host.device()
    wanted = {"keys": {"gpu1": KEY}, "devices": {"gpu1": str(device)}}
    told = host.wants(**wanted)
    assert told["paths"] == {"gpu1": str(device)}
    assert debugfs(device, f"cat {PATH_IN_GUEST}").strip() == KEY
    device.write_text("what the guest has made of it")
    assert not host.wants(prune=True, **{**wanted, "keys": {}})["changed"]
    assert not host.wants(**wanted)["changed"]


def test_the_key_of_a_guest_that_runs_is_not_touched(host: Host) -> None:
    xl = host.image.parent / "bin/xl"
    xl.parent.mkdir()
    xl.write_text("#!/bin/sh\n")
    xl.chmod(0o755)
    told = host.wants(keys={"gpu1": KEY}, devices={"gpu1": str(host.device())})
    assert told["failed"]
    assert "xl destroy gpu1" in told["msg"]


def test_an_interrupted_copy_is_made_anew(host: Host) -> None:
    disk = Path(host.wants(keys={"gpu1": KEY})["paths"]["gpu1"])
    disk.write_text("half")
    disk.with_suffix(".made").unlink()
    assert host.wants(keys={"gpu1": KEY})["changed"]
    assert debugfs(disk, f"cat {PATH_IN_GUEST}").strip() == KEY


def test_a_disk_that_takes_no_key_is_an_error(host: Host) -> None:
    device = host.image.with_name("empty")
    device.write_bytes(b"\0" * 1024**2)
    told = host.wants(keys={"gpu1": KEY}, devices={"gpu1": str(device)})
    assert told["failed"]
    assert "gpu1" in told["msg"]
    assert not list(host.disks.glob("*.made"))


def test_without_an_image_there_is_no_disk(host: Host) -> None:
    host.image.with_name("guest.img.key").unlink()
    told = host.wants(keys={"gpu1": KEY})
    assert told["failed"]
    assert "debian_images" in told["msg"]


def test_check_mode_says_what_is_missing_and_makes_nothing(host: Host) -> None:
    told = host.wants(check=True, keys={"gpu1": KEY})
    assert told["changed"]
    assert told["made"] == ["gpu1"]
    assert not host.disks.exists()


def test_no_key_is_repeated_in_what_the_module_says(host: Host) -> None:
    told = host.wants(keys={"gpu1": KEY}, devices={})
    assert "PRIVATE" not in str(told)
    assert told["paths"]["gpu1"].startswith(str(host.disks))


def test_what_guests_boot_is_taken_from_the_first_disk_before_a_guest_has_it(host: Host) -> None:
    device = host.device()
    wanted: dict[str, Any] = {"keys": {"gpu1": KEY}, "devices": {"gpu1": str(device)}}
    host.wants(**wanted)
    assert not (host.disks / "vmlinuz").exists(), "unasked"
    (host.disks / next(host.disks.glob("*.made")).name).unlink()
    host.wants(boot_files=True, **wanted)
    for name, original in (("vmlinuz", "vmlinuz-"), ("initrd", "initrd.img-")):
        (source,) = host.boot.glob(f"{original}*")
        assert (host.disks / name).read_bytes() == source.read_bytes()
    debugfs_writes = ["debugfs", "-w", "-R", f"rm /boot/{source.name}", str(device)]
    subprocess.run(debugfs_writes, check=True, capture_output=True)
    more = {"keys": {"gpu1": KEY, "cpu1": OTHER}, "devices": {"gpu1": str(device), "cpu1": ""}}
    assert host.wants(boot_files=True, **more)["made"] == ["cpu1"], "and not looked for again"


@pytest.mark.parametrize("kernels", [0, 2])
def test_what_guests_boot_must_be_one_kernel(host: Host, kernels: int) -> None:
    for path in host.boot.glob("vmlinuz-*"):
        path.unlink()
    for number in range(kernels):
        (host.boot / f"vmlinuz-{number}").write_text("kernel")
    host.make_image("2")
    told = host.wants(keys={"gpu1": KEY}, boot_files=True)
    assert "vmlinuz-*" in told["msg"]
    assert not list(host.disks.glob("*.made"))
