"""The checks before the dry run: every problem at once, each with what to do about it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import role_programs

preflight = role_programs.load("virtual_host/library/dry_run_preflight.py")

available_memory, free_disk, can_install = (
    preflight.available_memory,
    preflight.free_disk,
    preflight.can_install,
)
MEMORY, DISK = 4096, 6144


@pytest.fixture(autouse=True)
def _machine_on_which_the_lab_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(preflight, "available_memory", lambda: 1024 * 1024)
    monkeypatch.setattr(preflight, "free_disk", lambda folder: 1024 * 1024)
    monkeypatch.setattr(preflight, "can_install", lambda: True)


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture
def taken() -> Iterator[int]:
    """A port behind which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def problems(lab_dir: Path, port: int, running: bool = False) -> list[str]:
    found: list[str] = preflight.problems(lab_dir, MEMORY, DISK, port, running)
    return found


def answer(lab_dir: Path, port: int) -> dict[str, Any]:
    return role_programs.call(
        preflight, lab_dir=str(lab_dir), memory=MEMORY, disk=DISK, port=port, running=False
    )


def test_nothing_is_wrong_with_a_machine_on_which_the_lab_fits(tmp_path: Path, port: int) -> None:
    told = answer(tmp_path / "lab", port)
    assert not told["failed"]
    assert not told["changed"]
    assert not (tmp_path / "lab").exists(), "a check makes nothing"


def test_every_problem_is_told_at_once(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 1)
    monkeypatch.setattr(preflight, "free_disk", lambda folder: 1)
    told = answer(tmp_path, taken)
    assert told["failed"]
    assert len(told["problems"]) == 3
    assert all(problem in told["msg"] for problem in told["problems"])


def test_the_images_are_for_one_architecture(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.platform, "machine", lambda: "aarch64")
    (problem,) = problems(tmp_path, port)
    assert "aarch64" in problem


def test_memory_is_needed_for_the_host_and_for_the_programs_around_it(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = MEMORY + preflight.HEADROOM
    monkeypatch.setattr(preflight, "available_memory", lambda: enough)
    assert problems(tmp_path, port) == []
    monkeypatch.setattr(preflight, "available_memory", lambda: enough - 1)
    (problem,) = problems(tmp_path, port)
    assert f"{enough - 1} MiB" in problem
    assert f"{enough} MiB" in problem
    assert "cpu_vms" in problem


def test_a_lab_that_runs_has_its_memory_and_its_port_already(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 1)
    (tmp_path / "ssh_config").write_text(f"Host xen1\n    Port {taken}\n")
    assert problems(tmp_path, taken, running=True) == []


def test_a_lab_that_runs_is_not_given_up_for_a_port_that_is_taken(
    tmp_path: Path, taken: int
) -> None:
    (tmp_path / "ssh_config").write_text("Host xen1\n    Port 1\n")
    (problem,) = problems(tmp_path, taken, running=True)
    assert f"Port {taken} " in problem


def test_disk_is_needed_only_for_what_is_not_there_yet(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "free_disk", lambda folder: 4000)
    (problem,) = problems(tmp_path, port)
    assert f"4000 MiB of disk are free at {tmp_path}" in problem
    assert f"make {tmp_path} a symbolic link" in problem
    monkeypatch.setattr(preflight, "cached_images", lambda lab_dir: DISK - 4000)
    assert problems(tmp_path, port) == []


def test_some_disk_is_needed_even_when_every_image_is_there(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "cached_images", lambda lab_dir: 2 * DISK)
    monkeypatch.setattr(preflight, "free_disk", lambda folder: 1000)
    assert len(problems(tmp_path, port)) == 1


def test_a_cached_image_counts_as_much_as_it_takes(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert preflight.cached_images(tmp_path) == 0
    cache.mkdir()
    with (cache / "host.img").open("wb") as image:
        image.write(os.urandom(2 * 1024**2))
        image.truncate(1024**3)  # the rest is a hole
        os.fsync(image.fileno())
    (cache / "host.img.key").write_bytes(os.urandom(1024**2))
    (cache / "guest.img.build").write_bytes(os.urandom(1024**2))
    assert preflight.cached_images(tmp_path) == 2


def test_a_port_that_somebody_listens_on_is_taken(tmp_path: Path, taken: int) -> None:
    (problem,) = problems(tmp_path, taken)
    assert f"Port {taken} on 127.0.0.1 is taken" in problem
    assert "lab_ssh_port" in problem


def test_connections_of_a_lab_that_was_do_not_take_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            connection, _ = server.accept()
            connection.close()  # first: the server's end is the one that lingers
    assert preflight.port_problem(port) is None


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999])
def test_a_number_that_is_no_port_is_told(tmp_path: Path, port: int) -> None:
    (problem,) = problems(tmp_path, port)
    assert f"{port} is not a port" in problem
    assert "lab_ssh_port" in problem


def test_qemu_must_be_there_where_nothing_can_be_installed(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "can_install", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (problem,) = problems(tmp_path, port)
    assert "QEMU is missing" in problem
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.touch(0o755)
    assert problems(tmp_path, port) == []


def test_free_disk_is_asked_of_the_folder_that_will_hold_the_lab(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "not/yet/there") == pytest.approx(free_disk(tmp_path), abs=64)


def test_memory_that_programs_can_still_get_is_less_than_there_is() -> None:
    there_is = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
    assert 0 < available_memory() <= there_is


@pytest.mark.parametrize(
    ("user", "programs", "can"),
    [
        (0, ["apt-get"], True),
        (1000, ["apt-get", "sudo"], True),
        (1000, ["apt-get"], False),
        (0, [], False),
    ],
)
def test_installing_needs_apt_and_the_right_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, programs: list[str], can: bool
) -> None:
    for name in programs:
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert can_install() is can
