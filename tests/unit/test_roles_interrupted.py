"""The role pci_passthrough, cut off after every change and run again; on a stand-in for a host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from stand_in import StandIn

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

# Builds a list of names, and fails the first time: /boot is full.
UPDATE_INITRAMFS = """#!/bin/sh
if [ ! -e "$STATE/freed" ]; then touch "$STATE/freed"; echo "No space left" >&2; exit 1; fi
cd / && ls -d etc/modprobe.d/gpusplit-passthrough.conf >/boot/initrd.img-6.1.0-18-amd64
"""

AGAIN_AND_AGAIN = """
mkdir -p /etc/modprobe.d /etc/modules-load.d
mkdir -p /usr/share/initramfs-tools/modules.d
for run in $(seq 10); do
    status=0
    "$@" >>"$STATE/log" 2>&1 || status=$?
    echo "$status" >>"$STATE/runs"
    [ "$status" -ne 0 ] || exit 0
done
"""


@pytest.fixture
def host(tmp_path: Path) -> StandIn:
    host = StandIn(tmp_path, {"update-initramfs": UPDATE_INITRAMFS})
    play = {"hosts": "all", "gather_facts": False, "roles": ["pci_passthrough"]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{**play, "vars": {"gpu_bdf": "find"}}]))
    host.environment |= {
        "CHANGED_TASK": str(tmp_path / "changed"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "interrupting"),
        "ANSIBLE_CALLBACKS_ENABLED": "interrupting",
    }
    return host


def test_what_a_run_leaves_undone_the_next_one_does(host: StandIn) -> None:
    state = host.state
    argv = [PLAYBOOK, "-i", "localhost,", "-c", "local", state / "play.yml"]
    done = host.run(AGAIN_AND_AGAIN, argv)
    assert done.returncode == 0, done.stderr
    log = (state / "log").read_text()
    runs = list(map(int, (state / "runs").read_text().split()))
    changed = (state / "changed").read_text().splitlines()
    assert runs[-1] == 0, log
    # Each was cut off after one change, but for the one that failed as /boot was full.
    assert runs == [86, 86, 2, 86, 0], log
    assert len(changed) == len(set(changed)), "nothing is done twice"
    assert [task.rpartition(" : ")[2] for task in changed] == [
        "Find the GPU, and write down which card it is",
        "Have pciback take the GPU at every boot, before dom0's drivers",
        "Build the initramfs again where it does not have them",
    ]
    assert "gpusplit-passthrough" in (state / "boot/initrd.img-6.1.0-18-amd64").read_text()
