"""`--check --diff` on hosts on which nothing is installed yet: it says all, and does nothing."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest
from host_folder import DOM0
from stand_in import KERNEL, ROOT, StandIn

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

PROGRAMS = {
    # The server is this namespace; its guests are not there.
    "ssh": """#!/bin/sh
for last; do :; done
case "$*" in *192.0.2.10*) REMOTE=there exec sh -c "$last" ;; esac
echo "ssh: No route to host" >&2
exit 255
""",
    # Of whatever runs by it: whether that is on the server.
    "sudo": """#!/bin/sh
echo "${REMOTE:-here}" >>"$STATE/sudo"
while [ "$1" != /bin/sh ]; do shift; done
exec "$@"
""",
    "systemctl": """#!/bin/sh
case "$*" in
    *show*) printf 'LoadState=not-found\\nActiveState=inactive\\n' ;;
    *is-enabled*) exit 1 ;;
    *) echo "systemctl $*" >>"$STATE/done"; exit 1 ;;
esac
""",
    "dpkg-query": "#!/bin/sh\nexit 1\n",
    "apt-cache": """#!/bin/sh
shift; printf '%s:\\n  Candidate: 4.17\\n' "$@"
""",
    **{
        name: f'#!/bin/sh\necho "{name} $*" >>"$STATE/done"\nexit 1\n'
        for name in ("update-grub", "update-initramfs", "modprobe", "mmdebstrap", "reboot")
    },
}

# Nothing of what Xen and Ansible's apt bring along is there.
BARE = """
mkdir -p /run/systemd/system /etc/ssh
mount -t tmpfs none /usr/lib/python3/dist-packages
echo "ssh-ed25519 AAAA" >/etc/ssh/ssh_host_ed25519_key.pub
touch /usr/sbin/update-grub
if command -v xl >&2; then rm "$(command -v xl)"; fi
written() { find "$STATE/memory" "$STATE/boot" ! -type d -newer "$STATE/now"; }
touch "$STATE/now"
sleep 0.02
status=0
"$@" || status=$?
written >"$STATE/written"
exit "$status"
"""

PLAN = {
    "cpu_vms": 2,
    "dom0_pcpus": 1,
    "guest_pcpus": 1,
    # This machine is not as large as a server, and may run a lab.
    "host_preflight_accept": ["disk", "other-vms"],
    "teardown_confirmed": "yes",
}


@pytest.fixture
def host(tmp_path: Path) -> StandIn:
    host = StandIn(tmp_path, PROGRAMS)
    (tmp_path / f"boot/config-{KERNEL}").write_text(DOM0)
    (tmp_path / "boot/grub").mkdir()
    (tmp_path / "boot/grub/grub.cfg").write_text(
        "menuentry 'Debian' $menuentry_id_option 'gnulinux-simple-1' {\n}\n"
    )
    host.environment |= {
        "ANSIBLE_SSH_EXECUTABLE": str(tmp_path / "bin/ssh"),
        "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
    }
    return host


def check(host: StandIn, inventory: Path, *playbooks: str, **variables: str) -> dict[str, str]:
    """By task that would change something, what is said; the status must be 0."""
    values = {**PLAN, "lab_dir": str(host.state / "lab"), **variables}
    argv = [PLAYBOOK, "--check", "--diff", "-i", inventory, "-e", json.dumps(values)]
    done = host.run(BARE, [*argv, *(ROOT / name for name in playbooks)])
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert not re.search(r"(failed|unreachable|ignored)=[1-9]", said), said
    assert not (host.state / "done").exists(), (host.state / "done").read_text()
    assert not (host.state / "lab").exists()
    assert (host.state / "written").read_text() == ""
    parts = re.split(r"^(?:TASK|RUNNING HANDLER) \[(?:\w+ : )?(.*)\] \*+\n", said, flags=re.M)
    told = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {name: text for name, text in told.items() if "\nchanged: [" in f"\n{text}"}


@pytest.fixture
def bench(host: StandIn) -> Path:
    return Path(shutil.copytree(ROOT / "inventory/bench.example", host.state / "inventory"))


def test_the_whole_lab_is_told_of_a_bare_server(host: StandIn, bench: Path) -> None:
    would = check(host, bench, "site.yml")
    assert "@@" in would["Have Xen and its scheduler in GRUB's configuration"]
    assert "sched=credit" in would["Have Xen and its scheduler in GRUB's configuration"]
    assert 'name = "cpu2"' in "".join(would.values())
    for task in (
        "Generate the lab's keys, the user's and the machines'",
        "Install Xen",
        "Have the bridge, now and after every boot",
        "Have a place for the guests' console logs that has an end, now and after every boot",
        "Reboot",
        "Make all functions of the GPU assignable, and see what Xen says of it",
        "Make the disks of the guests that have none",
        "Have Xen schedule as asked, and read it back",
        "Have the publisher, now and after every boot",
    ):
        assert task in would
    assert any(task.startswith("Say which disk images are missing") for task in would)


def test_a_user_other_than_root_becomes_root_on_the_server_alone(
    host: StandIn, bench: Path
) -> None:
    playbooks = ("playbooks/preflight.yml", "playbooks/images.yml")
    check(host, bench, *playbooks, server_user="admin")
    assert set((host.state / "sudo").read_text().split()) == {"there"}


def test_nothing_is_to_be_taken_from_a_bare_server(host: StandIn, bench: Path) -> None:
    assert check(host, bench, "playbooks/teardown.yml") == {}


def test_the_dry_run_is_told_up_to_the_host_that_is_not_there(host: StandIn) -> None:
    names = ("preflight", "controller", "images", "virtual_host")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    would = check(
        host,
        ROOT / "inventory/dryrun",
        *(f"playbooks/{name}.yml" for name in names),
        lab_ssh_port=str(port),
        virtual_host_memory="1",
        virtual_host_disk_space="1",
    )
    assert "Install Debian's packages" in would
    assert "Start the emulated host" in would


@pytest.mark.parametrize("playbook", ["kvm_host", "gpu_vm"])
@pytest.mark.parametrize("what", ["", "_teardown"])
def test_hosts_outside_the_lab_are_told(host: StandIn, playbook: str, what: str) -> None:
    inventory = host.state / "hosts"
    inventory.write_text(f"[{playbook}s]\nserver1 ansible_host=192.0.2.10 ansible_user=root\n")
    would = check(host, inventory, f"playbooks/{playbook}{what}.yml")
    assert bool(would) == (what == "")
