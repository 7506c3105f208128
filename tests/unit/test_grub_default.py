"""What GRUB boots: without Xen until the host has come up under it once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import role_programs

grub_default = role_programs.load("xen_dom0/library/grub_default.py")

# As update-grub of Debian 12 writes it, shortened; in German, for titles are translated.
CONFIG = """
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-1111' {
\tlinux /boot/vmlinuz-6.1.0
}
submenu 'Erweiterte Optionen' $menuentry_id_option 'gnulinux-advanced-1111' {
\tmenuentry 'Debian, mit Linux 6.1.0' $menuentry_id_option 'gnulinux-6.1.0-advanced-1111' {
\t}
}
menuentry 'Debian GNU/Linux, mit Xen' --class xen $menuentry_id_option 'xen-gnulinux-simple-1111' {
\tmultiboot2 /boot/xen-4.17-amd64.gz placeholder ${xen_rm_opts}
}
submenu 'Erweitert' $menuentry_id_option 'gnulinux-advanced-1111' {
\tmenuentry 'Xen 4.17' $menuentry_id_option 'xen-gnulinux-4.17-advanced-1111' {
\t}
}
"""
XEN, LINUX = "xen-gnulinux-simple-1111", "gnulinux-simple-1111"

# The environment block as lines of a file; grub-probe says what lies in its folder.
EDITENV = """#!/bin/sh
block=$1; shift
case $1 in
    create) : >"$block" ;;
    list) cat "$block" ;;
    set) sed -i "/^${2%%=*}=/d" "$block"; echo "$2" >>"$block" ;;
    unset) sed -i "/^$2=/d" "$block" ;;
esac
"""
PROBE = """#!/bin/sh
cat "$(dirname "$0")/${1#--target=}"
"""


class Host:
    """A host's GRUB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "lib/before.json"
        (folder / "grub.cfg").write_text(CONFIG)
        for name, text in (("grub-editenv", EDITENV), ("grub-probe", PROBE)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.boot_is_on(abstraction="", fs="ext2")

    def boot_is_on(self, abstraction: str, fs: str) -> None:
        (self.folder / "abstraction").write_text(abstraction)
        (self.folder / "fs").write_text(fs)

    def boots(self, boots: str, check: bool = False) -> dict[str, Any]:
        return role_programs.call(
            grub_default,
            check=check,
            boots=boots,
            record=str(self.record),
            config=str(self.folder / "grub.cfg"),
        )

    @property
    def environment(self) -> dict[str, str]:
        path = self.folder / "grubenv"
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Host(tmp_path)


def test_a_trial_is_for_one_boot_and_the_boot_after_it_is_without_xen(host: Host) -> None:
    told = host.boots("trial")
    assert told["changed"]
    assert told["trial"]
    assert host.environment == {"saved_entry": LINUX, "next_entry": XEN}


def test_xen_is_the_default_after_it_has_come_up(host: Host) -> None:
    host.boots("trial")
    (host.folder / "grubenv").write_text(f"saved_entry={LINUX}\nnext_entry=\n")  # as GRUB leaves it
    assert host.boots("xen")["changed"]
    assert host.environment["saved_entry"] == XEN
    assert not host.boots("xen")["changed"]


@pytest.mark.parametrize(
    ("abstraction", "fs"), [("lvm", "ext2"), ("diskfilter mdraid1x", "ext2"), ("", "btrfs")]
)
def test_where_grub_cannot_forget_a_trial_there_is_none(
    host: Host, abstraction: str, fs: str
) -> None:
    host.boot_is_on(abstraction, fs)
    assert not host.boots("trial")["trial"]
    assert host.environment == {"saved_entry": XEN}


def test_what_grub_booted_before_comes_back(host: Host) -> None:
    (host.folder / "grubenv").write_text("saved_entry=windows\nother=1\n")
    host.boots("trial")
    host.boots("xen")
    told = host.boots("before")
    assert told["changed"]
    assert f"saved_entry={XEN}" in told["diff"]["before"]
    assert host.environment == {"saved_entry": "windows", "other": "1"}
    assert not host.boots("before")["changed"]


def test_where_nothing_was_saved_before_nothing_is_after(host: Host) -> None:
    host.boots("trial")
    host.boots("before")
    assert host.environment == {}


def test_what_was_before_is_recorded_once(host: Host) -> None:
    host.boots("trial")
    host.boots("xen")
    host.boots("trial")  # another scheduler, say
    assert host.environment == {"saved_entry": LINUX, "next_entry": XEN}
    host.boots("before")
    assert host.environment == {}


def test_check_mode_shows_the_change_and_makes_none(host: Host) -> None:
    told = host.boots("trial", check=True)
    assert told["changed"]
    assert f"next_entry={XEN}" in told["diff"]["after"]
    assert host.environment == {}
    assert not host.record.exists()


@pytest.mark.parametrize(
    ("lost", "words"), [("xen-gnulinux", "with Xen"), ("'gnulinux", "without Xen")]
)
def test_an_entry_that_is_not_there_is_said(host: Host, lost: str, words: str) -> None:
    (host.folder / "grub.cfg").write_text(CONFIG.replace(lost, "'lost"))
    told = host.boots("trial")
    assert told["failed"]
    assert words in told["msg"]
    assert "update-grub" in told["msg"]


def test_what_update_grub_of_debian_12_wrote_is_understood() -> None:
    """Captured in the emulated host, with Xen 4.17."""
    config = (Path(__file__).parents[1] / "data/grub.cfg").read_text()
    entries = grub_default.entries(config)
    uuid = "37dd7812-64c7-45b5-9a12-d3c0ff3d8887"
    assert entries.xen == f"xen-gnulinux-simple-{uuid}"
    assert entries.linux == f"gnulinux-simple-{uuid}"


def test_entries_inside_a_submenu_are_no_entries_to_boot() -> None:
    config = CONFIG.replace(
        "menuentry 'Debian GNU/Linux, mit", "\tmenuentry 'Debian GNU/Linux, mit"
    )
    with pytest.raises(LookupError):
        grub_default.entries(config)
