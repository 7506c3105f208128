"""Guests on their bridge, with real packets: each a network namespace, as is dom0.

What Xen would do is a stand-in: it makes a guest's card, and calls the role's script.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import pytest
import role_programs

pytestmark = pytest.mark.skipif(not shutil.which("nft"), reason="nftables: make test installs it")

# The functions that a test's own lines use. Of what is dropped nothing ever comes: a second tells.
DOM0 = r"""set -eu
mount -t tmpfs none /run
mkdir /run/netns
ip link set lo up
connects() { # FROM ADDRESS PORT SECONDS: whether a connection is made
    ip netns exec "$1" /usr/bin/python3 -c 'import socket, sys
try: print(socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])) and "yes")
except OSError: print("no")' "$2" "$3" "$4"
}
listens() { # WHERE PORT
    ip netns exec "$1" /usr/bin/python3 -c 'import socket, sys, time
server = socket.create_server(("", int(sys.argv[1])), family=socket.AF_INET)
print("ready", flush=True); time.sleep(60)' "$2" >"$STATE/ready.$1" &
    until grep -q ready "$STATE/ready.$1"; do sleep 0.05; done
}
guest() { # NUMBER
    ip netns add "g$1"
    ip link add "vif$1.0" type veth peer name eth0 netns "g$1"
    ip -n "g$1" link set eth0 address "00:16:3e:67:70:$1"
    ip -n "g$1" address add "10.77.0.$1/24" dev eth0
    ip -n "g$1" link set eth0 up
    vif=vif$1.0 XENBUS_PATH=/$1 "$STATE/plug" online type_if=vif
}
ip netns attach dom0 $$
"""

PROGRAMS = {
    "vif-bridge": '#!/bin/sh\n[ "$1" != online ] || ip link set "$vif" master xenbr0 up\n',
    "xenstore-read": """#!/bin/sh
case $1 in */mac) echo "00:16:3e:67:70:$(basename "$(dirname "$1")")" ;;
    */ip) echo "10.77.0.$(basename "$(dirname "$1")")" ;; esac
""",
}


def render(template: str, **values: object) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = (role_programs.ROLES / template).read_text()
    return environment.from_string(text).render(ansible_managed="by Ansible", **values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def on_dom0(folder: Path, lines: str, way_out: bool = False) -> list[str]:
    """What lines of shell print in dom0, on which two guests were plugged in."""
    unit = render(
        "guest_bridge/templates/gpusplit-bridge.service.j2",
        guest_bridge_name="xenbr0",
        guest_bridge_address="10.77.0.1/24",
    )
    bridge = re.findall(r"^ExecStart=-?(.*)$", unit, re.MULTILINE)
    plug = render(
        "xen_guests/templates/plug.j2", xen_guests_gateway="10.77.0.1", xen_guests_way_out=way_out
    )
    (folder / "plug").write_text(plug.replace("/etc/xen/scripts", str(folder)))
    (folder / "plug").chmod(0o755)
    script = "\n".join([DOM0, *bridge, "guest 10", "guest 11", lines, "kill $(jobs -p) || true"])
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin", "STATE": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_dom0_reaches_its_guests(folder: Path) -> None:
    assert on_dom0(folder, "listens g10 22; connects dom0 10.77.0.10 22 20") == ["yes"]


def test_a_guest_reaches_nothing_of_dom0s(folder: Path) -> None:
    lines = "listens dom0 22; connects g10 10.77.0.1 22 1; connects dom0 10.77.0.1 22 20"
    assert on_dom0(folder, lines) == ["no", "yes"]


def test_guests_do_not_reach_each_other(folder: Path) -> None:
    lines = "listens g11 22; connects g10 10.77.0.11 22 1; connects dom0 10.77.0.11 22 20"
    assert on_dom0(folder, lines) == ["no", "yes"]


@pytest.mark.parametrize(
    "as_another",
    [
        "ip -n g10 address add 10.77.0.12/24 dev eth0",
        "ip -n g10 address add 10.77.0.12/24 dev eth0;"
        "ip -n g10 link set eth0 address 00:16:3e:67:70:12",
    ],
)
def test_a_guest_is_nobody_else(folder: Path, as_another: str) -> None:
    lines = f"listens g10 22; {as_another}; connects dom0 10.77.0.12 22 1"
    assert on_dom0(folder, lines) == ["no"]


def test_there_is_no_ipv6(folder: Path) -> None:
    """A guest's router advertisement is a multicast, too."""
    lines = """ip -6 address show dev xenbr0
    ip netns exec g10 /usr/bin/python3 -c 'import socket
there = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
there.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
there.sendto(b"advertisement", ("ff02::1", 9))' || true
    ip -s -j link show dev xenbr0 | /usr/bin/python3 -c 'import json, sys
print(json.load(sys.stdin)[0]["stats64"]["rx"]["packets"])'"""
    assert on_dom0(folder, lines) == ["0"]


def test_a_way_out_is_asked_for(folder: Path) -> None:
    elsewhere = """
    ip link add lan type bridge; ip address add 192.0.2.1/24 dev lan; ip link set lan up
    ip -n g10 route add default via 10.77.0.1
    listens dom0 22; connects g10 192.0.2.1 22 {seconds}"""
    assert on_dom0(folder, elsewhere.format(seconds=1)) == ["no"]
    again = folder / "again"
    again.mkdir()
    for name in PROGRAMS:
        shutil.copy(folder / name, again)
    assert on_dom0(again, elsewhere.format(seconds=20), way_out=True) == ["yes"]


def test_what_is_unplugged_leaves_no_rules(folder: Path) -> None:
    lines = "vif=vif10.0 XENBUS_PATH=/10 $STATE/plug offline type_if=vif; nft list tables"
    assert on_dom0(folder, lines) == ["table", "netdev", "gpusplit_vif11.0"]
