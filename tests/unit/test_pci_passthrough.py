"""The card reaches the guest: hidden at boot by what it is, in the initramfs, and as Xen allows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import role_programs
from ansible.module_utils.pci_card import hiding_rules, the_card
from ansible.module_utils.pci_devices import read_devices
from host_folder import HostFolder, dmar

gpu_assignable = role_programs.load("pci_passthrough/library/gpu_assignable.py")
initramfs = role_programs.load("pci_passthrough/library/initramfs.py")

TEMPLATE = role_programs.ROLES / "pci_passthrough/templates/modprobe.conf.j2"


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    return HostFolder(tmp_path / "host")


def configuration(host: HostFolder, bdf: str = "0000:01:00.0") -> str:
    """What the role writes for modprobe on a host."""
    devices = read_devices(host.root / "sys")
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["unique"] = lambda items: list(dict.fromkeys(items))
    return environment.from_string(TEMPLATE.read_text()).render(
        ansible_managed="by Ansible",
        gpu_hiding=hiding_rules(devices, the_card(devices, bdf)),
        gpu_modules=["nouveau", "ucsi_ccg"],
        pci_passthrough_host_drivers=["nouveau", "xhci_pci"],
    )


def hidden(host: HostFolder, text: str) -> str:
    """What modprobe would be told to hide on a host, by the installation line of its file."""
    joined = text.replace("\\\n", "")
    (line,) = [line for line in joined.splitlines() if line.startswith("install xen-pciback ")]
    command = line.removeprefix("install xen-pciback ")
    command = command.replace("/sys/", f"{host.root}/sys/").replace("/sbin/modprobe", "echo")
    said = subprocess.run(
        ["sh", "-euc", command],
        capture_output=True,
        text=True,
        check=True,
        env={"CMDLINE_OPTS": ""},
    )
    assert said.stderr == ""
    return said.stdout.strip().removeprefix("--ignore-install xen-pciback hide=")


def test_all_functions_of_the_card_are_hidden_and_nothing_else(host: HostFolder) -> None:
    assert hidden(host, configuration(host)) == "(0000:01:00.0)(0000:01:00.1)"


def test_what_took_the_cards_address_is_not_hidden(host: HostFolder) -> None:
    text = configuration(host)
    devices = host.root / "sys/bus/pci/devices"
    (devices / "0000:01:00.0").rename(devices / "0000:09:00.0")
    (devices / "0000:01:00.1").rename(devices / "0000:09:00.1")
    host.device("0000:01:00.0", "144d:a80a", "010802", "nvme")
    assert hidden(host, text) == "(0000:09:00.0)(0000:09:00.1)"


def test_of_twins_only_the_one_at_the_address_is_hidden(host: HostFolder) -> None:
    host.device("0000:02:00.0", "10de:1c82", "030000", "nouveau")
    text = configuration(host, "0000:02:00.0")
    assert hidden(host, text) == "(0000:02:00.0)"
    devices = host.root / "sys/bus/pci/devices"
    (devices / "0000:02:00.0").rename(devices / "0000:09:00.0")
    assert hidden(host, text) == "", "rather nothing than the wrong one"


def test_pciback_comes_before_every_driver_that_a_function_has(host: HostFolder) -> None:
    lines = configuration(host).splitlines()
    assert [line for line in lines if line.startswith("softdep")] == [
        f"softdep {module} pre: xen-pciback" for module in ("nouveau", "xhci_pci", "ucsi_ccg")
    ]


INFO = "virt_caps              : pv hvm hvm_directio pv_directio hap\n"
BOOTED = "(XEN) I/O virtualisation enabled\n(XEN) Interrupt remapping enabled\n"

XL = """#!/bin/sh
cd "$(dirname "$0")" || exit
case $1 in
    info | dmesg) cat "$1" ;;
    pci-assignable-list) cat list ;;
    pci-assignable-add) echo "$2" >>added ;;
esac
"""


class XenHost:
    """A host under Xen."""

    def __init__(self, host: HostFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.bin = host, host.root / "bin"
        self.bin.mkdir()
        (self.bin / "xl").write_text(XL)
        (self.bin / "xl").chmod(0o755)
        (self.bin / "modprobe").write_text('#!/bin/sh\necho "$1" >"$(dirname "$0")/loaded"\n')
        (self.bin / "modprobe").chmod(0o755)
        self.says()
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        monkeypatch.setattr(gpu_assignable, "SYS", host.root / "sys")

    def says(self, info: str = INFO, dmesg: str = BOOTED, assignable: str = "") -> None:
        for name, text in (("info", info), ("dmesg", dmesg), ("list", assignable)):
            (self.bin / name).write_text(text)

    def ask(self, check: bool = False, accept: tuple[str, ...] = ()) -> dict[str, Any]:
        folder = str(self.host.root / "var/lib/gpusplit")
        return role_programs.call(
            gpu_assignable, check=check, bdf="find", folder=folder, accept=list(accept)
        )

    @property
    def added(self) -> list[str]:
        path = self.bin / "added"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def xen(host: HostFolder, monkeypatch: pytest.MonkeyPatch) -> XenHost:
    return XenHost(host, monkeypatch)


def test_each_function_has_a_driver_of_its_own_to_leave(xen: XenHost) -> None:
    """The GPU alone was pciback's; its sound still had dom0's driver, and the guest failed."""
    driver = xen.host.root / xen.host.folder_of("0000:01:00.0") / "driver"
    driver.unlink()
    (xen.host.root / "sys/bus/pci/drivers/pciback").mkdir()
    driver.symlink_to(xen.host.root / "sys/bus/pci/drivers/pciback")
    assert xen.ask()["changed"]
    assert xen.added == ["0000:01:00.1"]


def test_pciback_is_loaded_where_the_boot_has_not(xen: XenHost) -> None:
    xen.ask()
    assert (xen.bin / "loaded").read_text() == "xen-pciback\n"
    assert xen.added == ["0000:01:00.0", "0000:01:00.1"]


def test_what_is_assignable_already_is_left_alone(xen: XenHost) -> None:
    xen.says(assignable="0000:01:00.0\n0000:01:00.1\n")
    assert not xen.ask()["changed"]
    assert xen.added == []


def test_the_card_is_found_anew_since_its_address_may_have_changed(xen: XenHost) -> None:
    assert xen.ask()["ansible_facts"] == {"gpu_functions": ["0000:01:00.0", "0000:01:00.1"]}


def test_check_mode_assigns_nothing(xen: XenHost) -> None:
    assert xen.ask(check=True)["added"] == ["0000:01:00.0", "0000:01:00.1"]
    assert xen.added == []


def test_a_xen_without_an_iommu_passes_nothing_through(xen: XenHost) -> None:
    xen.says(info="virt_caps : pv hvm hap\n")
    told = xen.ask()
    assert told["problems"] == ["iommu"]
    assert "hvm_directio" in told["msg"]
    assert xen.added == []


def test_interrupts_that_are_not_remapped_are_a_problem_that_can_be_accepted(xen: XenHost) -> None:
    xen.says(dmesg=BOOTED.replace("remapping enabled", "remapping disabled"))
    assert xen.ask()["problems"] == ["interrupt-remapping"]
    assert xen.ask(accept=("interrupt-remapping",))["changed"]


def test_what_xens_buffer_has_lost_is_not_held_against_it(xen: XenHost) -> None:
    xen.says(dmesg="(XEN) d1 has been up for long\n")
    assert not xen.ask()["failed"]


def test_reserved_memory_and_missing_resets_are_warned_of(xen: XenHost) -> None:
    xen.host.table("DMAR", dmar("01:00.0"))
    xen.host.write(f"{xen.host.folder_of('0000:01:00.1')}/reset_method", "\n")
    first, second = map(str, xen.ask()["warnings"][-2:])
    assert "reserved memory for 0000:01:00.0" in first
    assert "no way to reset 0000:01:00.1" in second


LSINITRAMFS = """#!/bin/sh
cat "$1"
"""
UPDATE = """#!/bin/sh
folder=$(dirname "$0")
if [ -e "$folder/full" ]; then echo "cannot write: No space left on device" >&2; exit 1; fi
(cd "$folder/root" && find * -type f) >"$folder/boot/initrd.img-$3"
echo "$*" >>"$folder/built"
"""


class Boot:
    """A host's /boot, whose initramfs is a list of the names of its files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        for name in ("boot", "root/etc"):
            (folder / name).mkdir(parents=True)
        for name, text in (("lsinitramfs", LSINITRAMFS), ("update-initramfs", UPDATE)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        for version, age in (("6.1.0-9-amd64", 50), ("6.1.0-18-amd64", 40)):
            self.image(version).write_text("bin/sh\n")
            self.aged(self.image(version), age)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def image(self, version: str = "6.1.0-18-amd64") -> Path:
        return self.folder / "boot" / f"initrd.img-{version}"

    def aged(self, path: Path, seconds: int) -> None:
        """It was written some seconds after the beginning of 1970, less the age."""
        os.utime(path, (10_000 - seconds, 10_000 - seconds))

    def build(self, check: bool = False) -> dict[str, Any]:
        # Names in the initramfs are those in the file system, below /.
        return role_programs.call(
            initramfs, check=check, files=["/etc/x.conf"], boot=str(self.folder / "boot")
        )

    @property
    def built(self) -> list[str]:
        path = self.folder / "built"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boot:
    boot = Boot(tmp_path, monkeypatch)

    class Rooted(type(Path())):  # type: ignore[misc]
        """A path of the host: below its folder when it is looked at, as it is when it is named."""

        def exists(self) -> bool:
            return (tmp_path / "root" / str(self).lstrip("/")).exists()

        def stat(self) -> os.stat_result:  # type: ignore[override]
            inside = str(self).startswith(str(tmp_path))
            return os.stat(self if inside else tmp_path / "root" / str(self).lstrip("/"))

    monkeypatch.setattr(initramfs, "Path", Rooted)
    return boot


def put(boot: Boot, age: int = 0) -> None:
    path = boot.folder / "root/etc/x.conf"
    path.write_text("options\n")
    boot.aged(path, age)


def test_an_initramfs_that_lacks_the_file_is_built_again_once(boot: Boot) -> None:
    put(boot)
    assert boot.build()["changed"]
    assert boot.built == ["-u -k 6.1.0-18-amd64"], "the newest kernel's, which is booted"
    assert not boot.build()["changed"]


def test_a_build_that_failed_is_repeated_by_the_next_run(boot: Boot) -> None:
    put(boot)
    (boot.folder / "full").touch()
    told = boot.build()
    assert told["failed"]
    assert "No space left" in told["msg"]
    assert "/boot has room" in told["msg"]
    (boot.folder / "full").unlink()
    assert boot.build()["changed"]
    assert not boot.build()["changed"]


def test_a_file_that_changed_is_put_in_anew(boot: Boot) -> None:
    put(boot)
    boot.build()
    boot.aged(boot.image(), 20)
    assert "younger" in boot.build()["why"]


def test_a_file_that_is_gone_is_taken_out(boot: Boot) -> None:
    put(boot)
    boot.build()
    (boot.folder / "root/etc/x.conf").unlink()
    (boot.folder / "root/etc/other").touch()
    assert "still in" in boot.build()["why"]
    assert not boot.build()["changed"]


def test_where_nothing_is_wanted_nothing_is_built(boot: Boot) -> None:
    assert not boot.build()["changed"]
    assert boot.built == []


def test_check_mode_only_tells(boot: Boot) -> None:
    put(boot)
    assert boot.build(check=True)["changed"]
    assert boot.built == []
