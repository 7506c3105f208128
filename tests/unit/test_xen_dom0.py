"""What decides in the role xen_dom0 is what the host says, not what the run before has told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import role_programs

grub_config = role_programs.load("xen_dom0/library/grub_config.py")
lab_packages = role_programs.load("xen_dom0/library/lab_packages.py")
xen_state = role_programs.load("xen_dom0/library/xen_state.py")

CAPTURED = (Path(__file__).parents[1] / "data/grub.cfg").read_text()
"""As update-grub of Debian 12 wrote it in the emulated host."""

XEN = "dom0_mem=1536M,max:1536M dom0_max_vcpus=1 dom0_vcpus_pin sched=credit"
KERNEL = "console=hvc0 nomodeset"

# Makes the configuration that lies ready, unless /boot is full.
UPDATE_GRUB = """#!/bin/sh
cd "$(dirname "$0")"
echo >>calls
if [ -e full ]; then echo "cannot write: No space left on device" >&2; exit 1; fi
cp next grub.cfg
"""


class Grub:
    """A host's GRUB, whose settings lie in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.settings = folder / "grub.d"
        self.settings.mkdir()
        (self.settings / "xen.cfg").write_text("GRUB_CMDLINE_XEN=...\n")
        (folder / "update-grub").write_text(UPDATE_GRUB)
        (folder / "update-grub").chmod(0o755)
        self.would_make(CAPTURED)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def would_make(self, config: str) -> None:
        (self.folder / "next").write_text(config)

    def wants(self, check: bool = False, **arguments: Any) -> dict[str, Any]:
        asked = {"command_line": XEN, "kernel_arguments": KERNEL, **arguments}
        config = str(self.folder / "grub.cfg")
        return role_programs.call(
            grub_config, check=check, config=config, settings=[str(self.settings)], **asked
        )

    @property
    def calls(self) -> int:
        path = self.folder / "calls"
        return len(path.read_text()) if path.exists() else 0


@pytest.fixture
def grub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grub:
    return Grub(tmp_path, monkeypatch)


def test_a_configuration_is_made_once(grub: Grub) -> None:
    assert grub.wants()["changed"]
    assert not grub.wants()["changed"]
    assert grub.calls == 1


def test_an_update_grub_that_failed_is_repeated_by_the_next_run(grub: Grub) -> None:
    (grub.folder / "full").touch()
    told = grub.wants()
    assert told["failed"]
    assert "No space left" in told["msg"]
    (grub.folder / "full").unlink()
    assert grub.wants()["changed"]
    assert not grub.wants()["changed"]


def test_other_arguments_of_xen_are_noticed_in_the_configuration_itself(grub: Grub) -> None:
    grub.wants()
    grub.would_make(CAPTURED.replace("sched=credit", "sched=credit2"))
    assert "these arguments" in grub.wants(command_line=XEN.replace("credit", "credit2"))["why"]


def test_arguments_are_whole_words(grub: Grub) -> None:
    short = CAPTURED.replace("sched=credit com1=115200,8n1", "sched=credit2 com1=115200,8n1")
    grub.would_make(short)
    assert grub.wants()["failed"], "its default scheduler is credit2"


def test_a_setting_of_the_operators_own_that_is_read_later_is_named(grub: Grub) -> None:
    """With GRUB_DEFAULT=0 Xen would be tried, and never become the default."""
    own = {str(grub.settings / "50-gpusplit-xen.cfg"): "GRUB_DEFAULT=saved\n"}
    (grub.settings / "99-site.cfg").write_text("GRUB_DEFAULT=0\n")
    (grub.settings / "10-early.cfg").write_text("GRUB_DEFAULT=0\n")
    grub.would_make(CAPTURED.replace('set default="${saved_entry}"', 'set default="0"'))
    told = grub.wants(own=own)
    assert told["failed"]
    assert "not the saved entry" in told["msg"]
    assert "99-site.cfg" in told["msg"]
    assert "10-early.cfg" not in told["msg"]
    (grub.settings / "99-site.cfg").unlink()
    grub.would_make(CAPTURED)
    assert grub.wants(own=own)["changed"]
    assert not grub.wants(own=own)["changed"]


def test_other_arguments_of_the_kernel_are_noticed_too(grub: Grub) -> None:
    grub.wants()
    grub.would_make(CAPTURED.replace("ro console=hvc0", "ro console=hvc0 quiet"))
    assert "kernel lacks" in grub.wants(kernel_arguments="quiet")["why"]


def test_what_no_entry_has_does_not_become_true_by_update_grub(grub: Grub) -> None:
    told = grub.wants(command_line="dom0_mem=9G")
    assert told["failed"]
    assert "does not boot Xen with these arguments" in told["msg"]


@pytest.mark.parametrize("what", ["xen.cfg", "other.cfg"])
def test_a_setting_that_changed_is_noticed(grub: Grub, what: str) -> None:
    grub.wants()
    made = (grub.folder / "grub.cfg").stat().st_mtime
    (grub.settings / what).write_text("GRUB_TIMEOUT=9\n")
    os.utime(grub.settings / what, (made + 5, made + 5))
    assert "younger" in grub.wants()["why"]


def test_a_setting_that_is_gone_is_noticed(grub: Grub) -> None:
    grub.wants()
    (grub.settings / "xen.cfg").unlink()
    made = (grub.folder / "grub.cfg").stat().st_mtime
    os.utime(grub.settings, (made + 5, made + 5))
    assert grub.wants(state="absent")["failed"], "the arguments are there still"
    grub.would_make("menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-1' {\n}\n")
    assert grub.wants(state="absent")["changed"]
    os.utime(grub.settings, (made - 5, made - 5))
    assert not grub.wants(state="absent")["changed"]


def test_settings_of_its_own_are_written_before(grub: Grub) -> None:
    own = {str(grub.settings / "own/xen.cfg"): "GRUB_TIMEOUT=0\n"}
    told = grub.wants(own=own)
    assert told["changed"]
    assert (grub.settings / "own/xen.cfg").read_text() == "GRUB_TIMEOUT=0\n"
    assert not grub.wants(own=own)["changed"]
    grub.wants()
    own = {str(grub.settings / "xen.cfg"): "GRUB_TIMEOUT=5\n"}
    told = grub.wants(own=own, check=True)
    assert "xen.cfg has to change" in told["why"]
    assert told["diff"][0]["after"] == "GRUB_TIMEOUT=5\n"
    assert not grub.wants()["changed"]


def test_check_mode_makes_nothing(grub: Grub) -> None:
    assert "there is no" in grub.wants(check=True)["why"]
    assert grub.calls == 0


def test_the_first_entry_with_xen_is_what_is_booted() -> None:
    xen, kernel = grub_config.xen_entry(CAPTURED)
    assert "/boot/xen-4.17-amd64.gz placeholder dom0_mem=1536M" in xen
    assert "/boot/vmlinuz-6.1.0-56-amd64 placeholder root=UUID=" in kernel
    assert grub_config.xen_entry("menuentry 'x' --id 'gnulinux-simple-1' {\n}\n") == ("", "")


INFO = f"""host                   : xen1
xen_scheduler          : credit
xen_commandline        : placeholder {XEN} console=vga
free_cpus              : 0
"""


class Running:
    """A host that runs, as a folder; booted at the time 1000."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.patch = root, monkeypatch
        for name in ("proc", "boot", "bin"):
            (root / name).mkdir()
        (root / "proc/stat").write_text("cpu 1 2 3\nbtime 1000\n")
        (root / "proc/cmdline").write_text("placeholder root=UUID=1 ro console=hvc0\n")
        for name in ("xen-4.17-amd64.gz", "vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-18-amd64"):
            (root / "boot" / name).touch()
        monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr(xen_state.platform, "release", lambda: "6.1.0-18-amd64")
        self.installed_at(900)
        self.xl(f"cat <<'END'\n{INFO}END\n")

    def xl(self, script: str) -> None:
        (self.root / "bin/xl").write_text(f"#!/bin/sh\n{script}")
        (self.root / "bin/xl").chmod(0o755)

    def installed_at(self, time: float) -> None:
        """When files' status was changed last, which nobody can set."""
        (self.root / "proc/stat").write_text(
            f"btime {int((self.root / 'boot').stat().st_ctime) + 1000 - int(time)}\n"
        )

    def ask(self) -> dict[str, Any]:
        return role_programs.call(xen_state, root=str(self.root))


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    return Running(tmp_path, monkeypatch)


def test_a_host_under_xen_says_how_it_was_started(running: Running) -> None:
    told = running.ask()
    assert told["running"]
    assert XEN in told["command_line"]
    assert told["scheduler"] == "credit"
    assert "console=hvc0" in told["kernel_arguments"]
    assert told["waiting"] == []


def test_a_host_without_xen_says_what_xl_says(running: Running) -> None:
    running.xl("echo 'xencall: error: Could not obtain handle' >&2; exit 1\n")
    told = running.ask()
    assert not told["running"]
    assert told["command_line"] == ""
    assert "Could not obtain handle" in told["said"]


def test_packages_that_are_not_there_are_named(running: Running) -> None:
    query = running.root / "bin/dpkg-query"
    query.write_text(
        "#!/bin/sh\necho installed xen=4.17-1\necho config-files tools=1\n"
        "echo 'no packages found matching other' >&2; exit 1\n"
    )
    query.chmod(0o755)
    packages = ["xen", "xen=4.17-1", "xen=4.17-2", "tools", "other"]
    told = role_programs.call(xen_state, root=str(running.root), packages=packages)
    assert told["missing"] == ["xen=4.17-2", "tools", "other"]
    assert running.ask()["missing"] == []


def test_an_upgrade_of_xen_or_its_kernel_is_noticed(running: Running) -> None:
    running.installed_at(1100)
    assert running.ask()["waiting"] == [
        "xen-4.17-amd64.gz was installed after the boot",
        "vmlinuz-6.1.0-18-amd64 was replaced after the boot",
    ]


def test_a_newer_kernel_is_noticed(running: Running) -> None:
    (running.root / "boot/vmlinuz-6.1.0-20-amd64").touch()
    (told,) = running.ask()["waiting"]
    assert told == "vmlinuz-6.1.0-20-amd64 is installed, 6.1.0-18-amd64 runs"


DEPENDS = {
    "xen-hypervisor": set(),
    "xen-utils": {"xen-utils-common"},
    "xen-utils-common": set(),
    "qemu-system-xen": {"libxen"},
    "libxen": set(),
    "their-tool": {"xen-utils"},
}
OURS = set(DEPENDS) - {"their-tool"}


def goes_with(installed: set[str], names: set[str]) -> set[str]:
    """What apt would remove: those, and all that depend on them."""
    gone = set(names)
    while more := {name for name in installed if DEPENDS[name] & gone} - gone:
        gone |= more
    return gone


@pytest.mark.parametrize(
    ("installed", "stays"),
    [
        (OURS, set()),
        (set(DEPENDS), {"xen-utils", "xen-utils-common"}),
    ],
)
def test_what_something_else_needs_stays_with_all_that_it_needs_itself(
    installed: set[str], stays: set[str]
) -> None:
    gone = lab_packages.removable(OURS, lambda names: goes_with(installed, names))
    assert gone == OURS - stays


APT_GET = """#!/bin/sh
echo "$*" >>"$(dirname "$0")/calls"
case "$*" in
    *--simulate*) shift 4; for name in "$@"; do echo "Purg $name [1]"; done ;;
esac
case "$*" in *libneeded*) echo "Remv theirs [1]" ;; esac
"""
DPKG_QUERY = """#!/bin/sh
shift 3
for name in "$@"; do case $name in gone) echo "un  $name" ;; *) echo "ii  $name" ;; esac; done
"""


def test_a_teardown_removes_what_it_may_and_names_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("apt-get", APT_GET), ("dpkg-query", DPKG_QUERY)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    record = tmp_path / "installed-packages"
    record.write_text("xen libneeded gone\n")
    told = role_programs.call(lab_packages, record=str(record))
    assert told["removed"] == ["xen"]
    assert told["kept"] == ["libneeded"]
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "--quiet --yes purge xen"
    assert not role_programs.call(lab_packages, record=str(record))["changed"]
