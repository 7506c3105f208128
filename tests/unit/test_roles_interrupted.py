"""The role pci_passthrough, cut off after every change and run again.

It runs for real, on this machine's files as a namespace shows them: what is written to /etc, /usr
and /var goes into memory, /boot and /sys are folders, and programs are stand-ins.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from host_folder import HostFolder
from test_pci_passthrough import LSINITRAMFS

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

PROGRAMS = {
    "lsinitramfs": LSINITRAMFS,
    # Builds a list of names, and fails the first time: /boot is full.
    "update-initramfs": """#!/bin/sh
if [ ! -e "$STATE/freed" ]; then touch "$STATE/freed"; echo "No space left" >&2; exit 1; fi
cd / && ls -d etc/modprobe.d/gpusplit-passthrough.conf >/boot/initrd.img-6.1.0-18-amd64
""",
}

NAMESPACE = """set -eu
mount --make-rprivate /
mkdir "$STATE/memory"
mount -t tmpfs none "$STATE/memory"
for folder in etc usr var; do
    mkdir "$STATE/memory/$folder" "$STATE/memory/$folder.work"
    upper=$STATE/memory/$folder
    mount -t overlay -o "lowerdir=/$folder,upperdir=$upper,workdir=$upper.work" none "/$folder"
done
mount --bind "$STATE/boot" /boot
mount --bind "$STATE/host/sys" /sys
mkdir -p /etc/modprobe.d /etc/modules-load.d
mkdir -p /usr/share/initramfs-tools/modules.d
cd /
for run in $(seq 10); do
    status=0
    "$@" >>"$STATE/log" 2>&1 || status=$?
    echo "$status" >>"$STATE/runs"
    [ "$status" -ne 0 ] || exit 0
done
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    HostFolder(tmp_path / "host")
    for name in ("bin", "boot"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "boot/initrd.img-6.1.0-18-amd64").write_text("bin/sh\n")
    play = {"hosts": "all", "gather_facts": False, "roles": ["pci_passthrough"]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{**play, "vars": {"gpu_bdf": "find"}}]))
    return tmp_path


def test_what_a_run_leaves_undone_the_next_one_does(state: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{state}/bin:{os.environ['PATH']}",
        "STATE": str(state),
        "CHANGED_TASK": str(state / "changed"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "interrupting"),
        "ANSIBLE_CALLBACKS_ENABLED": "interrupting",
    }
    argv = [PLAYBOOK, "-i", "localhost,", "-c", "local", state / "play.yml"]
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c", NAMESPACE, "sh"]
    subprocess.run([*namespace, *argv], check=True, env=environment)
    log = (state / "log").read_text()
    runs = list(map(int, (state / "runs").read_text().split()))
    changed = (state / "changed").read_text().splitlines()
    assert runs[-1] == 0, log
    # Each was cut off after one change, but for the one that failed as /boot was full.
    assert runs == [86, 86, 86, 86, 2, 86, 0], log
    assert len(changed) == len(set(changed)), "nothing is done twice"
    assert [task.rpartition(" : ")[2] for task in changed] == [
        "Find the GPU, and write down which card it is",
        "Have pciback take the GPU before dom0's drivers",
        "Load pciback at every boot",
        "Put pciback into the initramfs",
        "Build the initramfs again where it does not have them",
    ]
    assert "gpusplit-passthrough" in (state / "boot/initrd.img-6.1.0-18-amd64").read_text()
