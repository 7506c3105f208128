"""Which functions of which card are passed through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import role_programs
from ansible.module_utils.pci_devices import read_devices
from host_folder import HostFolder

gpu_functions = role_programs.load("pci_passthrough/library/gpu_functions.py")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFolder:
    folder = HostFolder(tmp_path)
    monkeypatch.setattr(gpu_functions, "read_devices", lambda: read_devices(tmp_path / "sys"))
    return folder


def ask(**arguments: Any) -> dict[str, Any]:
    return role_programs.call(gpu_functions, **arguments)


@pytest.mark.parametrize("bdf", ["find", "0000:01:00.0", "0000:01:00.1"])
def test_a_card_goes_with_all_its_functions_the_display_first(host: HostFolder, bdf: str) -> None:
    facts = ask(bdf=bdf)["ansible_facts"]
    assert facts["gpu_functions"] == ["0000:01:00.0", "0000:01:00.1"]
    assert facts["gpu_pci_id"] == "10de:1c82"
    assert facts["gpu_driver_now"] == "nouveau"


def test_the_display_is_first_whatever_its_number(host: HostFolder) -> None:
    host.device("0000:02:00.0", "1002:ab38", "040300", "snd_hda_intel")
    host.device("0000:02:00.1", "1002:67df", "038000")
    facts = ask(bdf="find", vendor="amd")["ansible_facts"]
    assert facts["gpu_functions"] == ["0000:02:00.1", "0000:02:00.0"]
    assert facts["gpu_driver_now"] == ""


def test_a_card_without_a_display_is_not_taken_for_a_gpu(host: HostFolder) -> None:
    told = ask(bdf="0000:05:00.0")
    assert told["failed"]
    assert "not a GPU" in told["msg"]


def test_what_is_not_there_is_told_with_what_is(host: HostFolder) -> None:
    told = ask(bdf="01:00.0")
    assert told["failed"]
    assert "with domain and function" in told["msg"]
    assert "0000:01:00.0" in told["msg"]
