"""The module that runs exactly the wanted guests on a Xen host."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import role_programs

xen_domains = role_programs.load("xen_guests/library/xen_domains.py")

# What `xl list` of Xen 4.17 prints: a running guest, a paused one, one that is being torn down,
# and one whose name holds blanks.
XL_LIST = (Path(__file__).parents[1] / "data/xl-list.txt").read_text()
EMPTY = "".join(XL_LIST.splitlines(keepends=True)[:2])

# Guests come and go as lines of the list.
XL = """#!/bin/sh
cd "$(dirname "$0")" || exit
echo "$*" >>calls
case $1 in
    list) cat list ;;
    create)
        name=$(basename "$2" .cfg)
        if grep -q impossible "$2"; then echo "libxl: error: no memory for $name" >&2; exit 3; fi
        printf '%-40s %5d %5d %5d     %s  %8.1f\\n' "$name" 9 256 1 -b---- 0.0 >>list ;;
    shutdown)
        grep -q '^deaf$' deaf 2>/dev/null || { grep -v "^$3 " list >rest; mv rest list; } ;;
    destroy) grep -v "^$2 " list >rest; mv rest list ;;
    unpause) sed -i "/^$2 /s/--p---/-b----/" list ;;
    *) exit 2 ;;
esac
"""


class Host:
    """A Xen host as xl shows it, and the folder of the guests' configurations."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.config_dir = folder / "etc/xen/gpusplit"
        (self.bin / "xl").write_text(XL)
        (self.bin / "xl").chmod(0o755)
        self.shows(EMPTY)

    def shows(self, listed: str) -> None:
        (self.bin / "list").write_text(listed)

    def did(self) -> list[str]:
        """The calls of xl that changed something, since last asked."""
        calls = (self.bin / "calls").read_text().splitlines()
        (self.bin / "calls").write_text("")
        return [call.replace(f"{self.config_dir}/", "") for call in calls if call != "list"]

    def configurations(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.config_dir.glob("*")}

    def wants(
        self, check: bool = False, patience: int = 0, plug: str = "", **guests: str
    ) -> dict[str, Any]:
        return role_programs.call(
            xen_domains,
            check=check,
            config_dir=str(self.config_dir),
            guests=guests,
            plug=plug,
            addresses={name: f"10.77.0.{number}" for number, name in enumerate(guests, 10)},
            timeout=0,
            shutdown_timeout=patience,
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{host.bin}:{os.environ['PATH']}")
    monkeypatch.setattr(xen_domains, "silent", lambda addresses, timeout: [])
    return host


def test_guests_are_created_in_the_order_in_which_they_are_wanted(host: Host) -> None:
    answer = host.wants(gpu1="memory = 896", cpu1="memory = 256")
    assert answer["changed"]
    assert answer["created"] == ["gpu1", "cpu1"]
    assert host.did() == ["create gpu1.cfg", "create cpu1.cfg"]
    assert host.configurations() == {"gpu1.cfg": "memory = 896", "cpu1.cfg": "memory = 256"}


def test_guests_that_run_as_wanted_are_left_alone(host: Host) -> None:
    host.wants(gpu1="a", cpu1="b")
    host.did()
    answer = host.wants(gpu1="a", cpu1="b")
    assert not answer["changed"]
    assert host.did() == []


def test_a_guest_that_is_no_longer_wanted_goes_and_the_others_stay(host: Host) -> None:
    host.wants(gpu1="a", cpu1="b", cpu2="c")
    host.did()
    answer = host.wants(gpu1="a", cpu1="b")
    assert answer["destroyed"] == ["cpu2"]
    assert host.did() == ["destroy cpu2"]
    assert set(host.configurations()) == {"gpu1.cfg", "cpu1.cfg"}


def test_a_guest_whose_configuration_changed_is_made_again(host: Host) -> None:
    host.wants(gpu1="a", cpu1="memory = 256")
    host.did()
    answer = host.wants(gpu1="a", cpu1="memory = 512")
    assert answer["changed"]
    assert host.did() == ["destroy cpu1", "create cpu1.cfg"]
    assert host.configurations()["cpu1.cfg"] == "memory = 512"


def test_guests_are_shut_down_before_they_are_destroyed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xen_domains.time, "sleep", lambda seconds: None)
    host.wants(gpu1="a", cpu1="b")
    host.did()
    assert host.wants(patience=5, gpu1="a")["destroyed"] == ["cpu1"]
    assert host.did() == ["shutdown -F cpu1"]


def test_a_guest_that_does_not_shut_down_in_time_is_destroyed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(xen_domains.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(xen_domains.time, "sleep", lambda seconds: None)
    host.wants(gpu1="a", cpu1="b")
    host.did()
    (host.bin / "deaf").write_text("deaf\n")
    host.shows(XL_LIST)  # cpu1 is paused, and hears nothing until it runs
    host.wants(patience=5, gpu1="a")
    assert host.did() == ["unpause cpu1", "shutdown -F cpu1", "destroy cpu1"]


def test_a_guest_that_ended_by_itself_is_created_again(host: Host) -> None:
    host.wants(cpu1="a")
    host.did()
    host.shows(EMPTY)
    assert host.wants(cpu1="a")["created"] == ["cpu1"]
    assert host.did() == ["create cpu1.cfg"]


def test_a_paused_guest_is_resumed_and_not_made_again(host: Host) -> None:
    host.wants(gpu1="a", cpu1="b")
    host.did()
    host.shows(XL_LIST)
    answer = host.wants(gpu1="a", cpu1="b")
    assert answer["changed"]
    assert answer["resumed"] == ["cpu1"]
    assert host.did() == ["unpause cpu1"]
    assert not host.wants(gpu1="a", cpu1="b")["changed"]


def test_a_paused_guest_whose_configuration_changed_is_only_made_again(host: Host) -> None:
    host.wants(cpu1="a")
    host.did()
    host.shows(XL_LIST)
    assert host.wants(cpu1="b")["resumed"] == []
    assert host.did() == ["destroy cpu1", "create cpu1.cfg"]


def test_guests_of_others_are_never_touched(host: Host) -> None:
    host.shows(XL_LIST.replace("gpu1", "mine").replace("cpu1", "mail"))
    host.wants(gpu1="a")
    host.wants()
    assert host.did() == ["create gpu1.cfg", "destroy gpu1"]


def test_a_guest_of_another_with_a_wanted_name_is_an_error(host: Host) -> None:
    host.shows(XL_LIST)
    answer = host.wants(gpu1="a", cpu2="b")
    assert answer["failed"]
    assert answer["msg"].startswith("gpu1 exist")
    assert host.did() == []
    assert host.configurations() == {}


def test_a_guest_without_a_configuration_is_an_error(host: Host) -> None:
    arguments = {
        "config_dir": str(host.config_dir),
        "guests": {},
        "addresses": {"gpu1": "10.77.0.10"},
    }
    answer = role_programs.call(xen_domains, **arguments)
    assert answer["failed"]
    assert "same guests" in answer["msg"]


def test_a_guest_that_is_being_torn_down_has_no_name_any_more(host: Host) -> None:
    host.shows(XL_LIST.replace("gpu1", "(null)").replace("cpu1", "(null)"))
    assert host.wants(gpu1="a")["created"] == ["gpu1"]


def test_check_mode_tells_what_would_change_and_changes_nothing(host: Host) -> None:
    host.wants(gpu1="a", cpu1="b", cpu2="c")
    host.did()
    before = host.configurations()
    answer = host.wants(check=True, gpu1="a", cpu1="new", cpu3="d")
    assert answer["changed"]
    assert answer["created"] == ["cpu1", "cpu3"]
    assert sorted(answer["destroyed"]) == ["cpu1", "cpu2"]
    assert "# cpu1\nb" in answer["diff"]["before"]
    assert "# cpu1\nnew" in answer["diff"]["after"]
    assert host.did() == []
    assert host.configurations() == before


def test_what_xl_complains_of_is_repeated_and_the_next_run_goes_on_from_there(host: Host) -> None:
    answer = host.wants(gpu1="a", cpu1="impossible", cpu2="b")
    assert answer["failed"]
    assert "libxl: error: no memory for cpu1" in answer["msg"]
    assert host.did() == ["create gpu1.cfg", "create cpu1.cfg"]
    assert host.wants(gpu1="a", cpu1="possible", cpu2="b")["created"] == ["cpu1", "cpu2"]


def test_a_guest_that_does_not_answer_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xen_domains, "silent", lambda addresses, timeout: ["cpu2"])
    answer = host.wants(cpu1="a", cpu2="b")
    assert answer["failed"]
    assert "cpu2" in answer["msg"]
    assert "cpu1" not in answer["msg"]
    assert "/var/log/xen/console" in answer["msg"]


class Guests:
    """Which guests answer, and the time that passes while nobody does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answer_after: float) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self._answer_after = answer_after
        monkeypatch.setattr(xen_domains, "answers", self._answers)
        monkeypatch.setattr(xen_domains.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(xen_domains.time, "sleep", self._sleep)

    def _answers(self, address: str) -> bool:
        self.asked.append(address)
        return self.now >= self._answer_after[address]

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def test_guests_are_waited_for_until_the_last_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    guests = Guests(monkeypatch, a=0, b=7)
    assert xen_domains.silent({"gpu1": "a", "cpu1": "b"}, timeout=60) == []
    assert guests.now == 7
    assert guests.asked.count("a") == 1, "who has answered is not asked again"


def test_guests_are_waited_for_no_longer_than_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    guests = Guests(monkeypatch, a=0, b=1000, c=1000)
    late = xen_domains.silent({"gpu1": "a", "cpu2": "b", "cpu1": "c"}, timeout=60)
    assert late == ["cpu1", "cpu2"]
    assert guests.now == 60


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Every connection leads to this server: port 22 is not ours to listen on."""
    connect = socket.create_connection
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(
            socket,
            "create_connection",
            lambda address, timeout: connect((address[0], port), timeout=0.2),
        )
        yield server


@pytest.mark.parametrize(("greeting", "is_ssh"), [(b"SSH-2.0-x\r\n", True), (b"220 mail", False)])
def test_only_an_ssh_servers_greeting_is_an_answer(
    listener: socket.socket, greeting: bytes, is_ssh: bool
) -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(greeting)

    server = threading.Thread(target=greet)
    server.start()
    assert xen_domains.answers("127.0.0.1") is is_ssh
    server.join()


def test_a_server_that_says_nothing_does_not_answer(listener: socket.socket) -> None:
    assert not xen_domains.answers("127.0.0.1")


def test_nobody_at_the_address_is_no_answer(listener: socket.socket) -> None:
    listener.close()
    assert not xen_domains.answers("127.0.0.1")


def test_the_script_that_plugs_guests_in_is_there_before_them(host: Host) -> None:
    assert host.wants(check=True, plug="#!/bin/sh\n", gpu1="a")["changed"]
    assert host.configurations() == {}
    host.wants(plug="#!/bin/sh\n", gpu1="a")
    assert host.configurations()["plug"] == "#!/bin/sh\n"
    assert os.access(host.config_dir / "plug", os.X_OK)
    assert not host.wants(plug="#!/bin/sh\n", gpu1="a")["changed"]
    host.did()
    assert host.wants(plug="#!/bin/bash\n", gpu1="a")["changed"]
    assert host.did() == [], "guests that run stay plugged in as they are"
