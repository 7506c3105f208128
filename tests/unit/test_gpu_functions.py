"""Which functions of which card are passed through, and how the card is known again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import role_programs
from ansible.module_utils.iommu_tables import Tables, read_tables
from ansible.module_utils.pci_devices import read_devices
from host_folder import HostFolder, dmar, ivrs

Ask = Callable[..., dict[str, Any]]
SERIAL = "serial=00-04-4b-ff-ff-1c-2d-3e"

gpu_functions = role_programs.load("pci_passthrough/library/gpu_functions.py")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostFolder:
    folder = HostFolder(tmp_path)
    monkeypatch.setattr(gpu_functions, "read_devices", lambda: read_devices(tmp_path / "sys"))
    return folder


@pytest.fixture
def ask(host: HostFolder) -> Ask:
    """Asks the module, with the lab's folder on that host."""
    folder = str(host.root / "var/lib/gpusplit")
    return lambda **arguments: role_programs.call(gpu_functions, folder=folder, **arguments)


HOW_TO_SAY_WHICH = ["find", "0000:01:00.0", "0000:01:00.1", "10de:1c82", "slot=4", SERIAL]


@pytest.mark.parametrize("bdf", HOW_TO_SAY_WHICH)
def test_a_card_goes_with_all_its_functions_the_display_first(
    host: HostFolder, ask: Ask, bdf: str
) -> None:
    host.slot("4", "0000:01:00.0")
    host.serial("0000:01:00.0", SERIAL)
    facts = ask(bdf=bdf)["ansible_facts"]
    assert facts["gpu_functions"] == ["0000:01:00.0", "0000:01:00.1"]
    assert facts["gpu_pci_id"] == "10de:1c82"
    assert facts["gpu_modules"] == ["nouveau", "snd_hda_intel"]


def test_the_display_is_first_whatever_its_number(host: HostFolder, ask: Ask) -> None:
    host.device("0000:02:00.0", "1002:ab38", "040300", "snd_hda_intel")
    host.device("0000:02:00.1", "1002:67df", "038000")
    facts = ask(bdf="find", vendor="amd")["ansible_facts"]
    assert facts["gpu_functions"] == ["0000:02:00.1", "0000:02:00.0"]
    assert facts["gpu_modules"] == ["snd_hda_intel"]


def test_a_card_without_a_display_is_not_taken_for_a_gpu(host: HostFolder, ask: Ask) -> None:
    told = ask(bdf="0000:05:00.0")
    assert told["failed"]
    assert "not a GPU" in told["msg"]


def test_what_is_not_there_is_told_with_what_is(host: HostFolder, ask: Ask) -> None:
    told = ask(bdf="01:00.0")
    assert told["failed"]
    assert "with domain and function" in told["msg"]
    assert "0000:01:00.0" in told["msg"]


def test_the_card_is_the_vendors_that_was_asked_for(host: HostFolder, ask: Ask) -> None:
    """An idle GPU in the CPU is not what `gpu_vendor: nvidia` means."""
    host.device("0000:00:02.0", "8086:3e92", "030000", "i915")
    assert ask(bdf="find")["failed"]
    facts = ask(bdf="find", vendor="nvidia")["ansible_facts"]
    assert facts["gpu_functions"] == ["0000:01:00.0", "0000:01:00.1"]
    told = ask(bdf="0000:00:02.0", vendor="nvidia")
    assert "is not nvidia's" in told["msg"]


@pytest.mark.parametrize(
    ("ids", "class_", "is_one"),
    [
        ("10de:2330", "030200", True),
        ("1002:740f", "038000", True),
        ("1002:74a1", "120000", True),
        ("8086:7d1d", "120000", False),  # an NPU
        ("1af4:1050", "030000", False),  # a virtual machine's display
    ],
)
def test_gpus_are_displays_and_accelerators_of_who_makes_gpus(
    host: HostFolder, ask: Ask, ids: str, class_: str, is_one: bool
) -> None:
    host.write("sys/bus/pci/devices/0000:01:00.0/boot_vga", "1\n")
    host.device("0000:02:00.0", ids, class_)
    found = ask(bdf="find")["ansible_facts"]["gpu_functions"][0]
    assert found == ("0000:02:00.0" if is_one else "0000:01:00.0")


def test_every_functions_module_is_known_as_modprobe_calls_it(host: HostFolder, ask: Ask) -> None:
    below = "0000:00:01.0"
    host.device("0000:01:00.2", "10de:1ad6", "0c0330", "xhci_hcd", below=below, module="xhci_pci")
    assert ask(bdf="find")["ansible_facts"]["gpu_modules"] == [
        "nouveau",
        "snd_hda_intel",
        "xhci_pci",
    ]


def take(host: HostFolder, *bdfs: str) -> None:
    """pciback has these functions now."""
    for bdf in bdfs:
        driver = host.root / host.folder_of(bdf) / "driver"
        driver.unlink(missing_ok=True)
        (host.root / "sys/bus/pci/drivers/pciback").mkdir(exist_ok=True)
        host.link(f"{host.folder_of(bdf)}/driver", "sys/bus/pci/drivers/pciback")


def move(host: HostFolder, old: str, new: str) -> None:
    """A function is at another address after the next boot."""
    link = host.root / "sys/bus/pci/devices" / old
    folder = link.resolve()
    link.unlink()
    folder.rename(folder.with_name(new))
    target = str(folder.with_name(new).relative_to(host.root.resolve()))
    host.link(f"sys/bus/pci/devices/{new}", target)


def test_what_was_written_down_is_the_same_in_the_next_run(host: HostFolder, ask: Ask) -> None:
    first = ask(bdf="find", remember=True)
    assert first["changed"]
    take(host, "0000:01:00.0", "0000:01:00.1")
    second = ask(bdf="find", remember=True)
    assert not second["changed"]
    assert second["ansible_facts"] == first["ansible_facts"]


def test_a_card_that_has_moved_is_found_where_it_is(host: HostFolder, ask: Ask) -> None:
    ask(bdf="0000:01:00.0", remember=True)
    move(host, "0000:01:00.0", "0000:09:00.0")
    move(host, "0000:01:00.1", "0000:09:00.1")
    host.device("0000:01:00.0", "144d:a80a", "010802", "nvme")
    told = ask(bdf="0000:01:00.0", remember=True)
    assert told["ansible_facts"]["gpu_functions"] == ["0000:09:00.0", "0000:09:00.1"]
    assert "was at 0000:01:00.0, and is at 0000:09:00.0" in str(told["warnings"])
    assert not ask(bdf="0000:01:00.0", remember=True)["changed"]


def test_a_card_that_is_gone_is_not_replaced_by_another(host: HostFolder, ask: Ask) -> None:
    ask(bdf="find", remember=True)
    move(host, "0000:01:00.0", "0000:09:00.0")
    host.write("sys/bus/pci/devices/0000:09:00.0/device", "0x2204\n")
    told = ask(bdf="find")
    assert told["failed"]
    assert "is not there any more" in told["msg"]
    assert "remove gpu.json" in told["msg"]


def test_another_wish_is_another_card(host: HostFolder, ask: Ask) -> None:
    ask(bdf="0000:01:00.0", remember=True)
    host.device("0000:02:00.0", "1002:67df", "030000", "amdgpu")
    told = ask(bdf="0000:02:00.0", remember=True)
    assert told["changed"]
    assert told["ansible_facts"]["gpu_functions"] == ["0000:02:00.0"]
    assert told["ansible_facts"]["gpu_modules"] == ["amdgpu"]


def test_twins_are_told_apart_by_slot_then_by_address(host: HostFolder, ask: Ask) -> None:
    host.device("0000:02:00.0", "10de:1c82", "030000", "nouveau")
    host.slot("4", "0000:01:00.0")
    host.slot("5", "0000:02:00.0")
    ask(bdf="0000:02:00.0", remember=True)
    move(host, "0000:02:00.0", "0000:03:01.0")
    assert ask(bdf="0000:02:00.0")["failed"], "neither slot nor address"
    (host.root / "sys/bus/pci/slots/5/address").write_text("0000:03:01\n")
    assert ask(bdf="0000:02:00.0")["ansible_facts"]["gpu_functions"] == ["0000:03:01.0"]


def test_check_mode_writes_nothing_down(host: HostFolder, ask: Ask) -> None:
    told = ask(bdf="find", remember=True, check=True)
    assert told["changed"]
    assert '"ids": "10de:1c82"' in told["diff"]["after"]
    assert not (host.root / "var/lib/gpusplit").exists()


def test_a_record_that_is_none_is_said(host: HostFolder, ask: Ask) -> None:
    host.write("var/lib/gpusplit/gpu.json", "{}")
    assert "cannot be understood" in ask(bdf="find")["msg"]


def test_a_virtual_function_is_refused_and_never_found(host: HostFolder, ask: Ask) -> None:
    host.virtual_function("0000:01:00.4", "0000:01:00.0", "10de:1c82")
    facts = ask(bdf="find")["ansible_facts"]
    assert facts["gpu_functions"] == ["0000:01:00.0", "0000:01:00.1"]
    assert "virtual function of 0000:01:00.0" in ask(bdf="0000:01:00.4")["msg"]


def test_a_function_is_hidden_by_what_it_is_and_twins_by_address_too(
    host: HostFolder, ask: Ask
) -> None:
    host.device("0000:02:00.1", "10de:0fb9", "040300", "snd_hda_intel")
    assert ask(bdf="find")["ansible_facts"]["gpu_hiding"] == [
        {"ids": "10de:1c82", "subsystem": "1458:4000", "bdf": ""},
        {"ids": "10de:0fb9", "subsystem": "1458:4000", "bdf": "0000:01:00.1"},
    ]


def tables(host: HostFolder) -> Tables:
    return read_tables(host.root / "sys", read_devices(host.root / "sys"))


@pytest.mark.parametrize("remapping", [True, False])
def test_intels_table_says_whether_interrupts_can_be_remapped(
    host: HostFolder, remapping: bool
) -> None:
    host.table("DMAR", dmar(remapping=remapping))
    assert tables(host) == Tables("DMAR", remapping)


def test_reserved_memory_is_some_functions(host: HostFolder) -> None:
    host.table("DMAR", dmar("03:00.0", "00:01.0/00.1", "00:1f.0"))
    assert tables(host).reserved == {"0000:03:00.0", "0000:01:00.1"}
    (host.root / "sys/firmware/acpi/tables/DMAR").unlink()
    host.table("IVRS", ivrs("01:00.0"))
    assert tables(host) == Tables("IVRS", None, frozenset({"0000:01:00.0"}))


def test_under_xen_intels_table_has_another_name(host: HostFolder) -> None:
    (host.root / "sys/firmware/acpi/tables/DMAR").rename(host.root / "sys/XMAR")
    assert tables(host) == Tables()
    host.table("XMAR", dmar("01:00.0"))
    assert tables(host).reserved == {"0000:01:00.0"}


@pytest.mark.parametrize("cut", [0, 40, 60])
def test_a_table_that_is_cut_short_is_an_iommu_all_the_same(host: HostFolder, cut: int) -> None:
    host.table("DMAR", dmar("01:00.0")[:cut])
    assert tables(host).kind == "DMAR"
    assert tables(host).reserved == frozenset()
