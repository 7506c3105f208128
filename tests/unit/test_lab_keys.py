"""The lab's SSH keys: made once, with the rights that they have in images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import role_programs

lab_keys = role_programs.load("lab_ssh/library/lab_keys.py")

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def ask(folder: Path, *guests: str, check: bool = False) -> dict[str, Any]:
    return role_programs.call(lab_keys, check=check, folder=str(folder), guests=list(guests))


def test_what_is_missing_is_made_once(tmp_path: Path) -> None:
    assert ask(tmp_path, "gpu1")["changed"]
    before = (tmp_path / "keys/guests/gpu1").read_text()
    assert not ask(tmp_path, "gpu1")["changed"]
    told = ask(tmp_path, "gpu1", "cpu1")
    assert told["made"] == [str(tmp_path / "keys/guests/cpu1")]
    assert (tmp_path / "keys/guests/gpu1").read_text() == before


def test_the_users_key_alone_is_let_in(tmp_path: Path) -> None:
    ask(tmp_path, "gpu1")
    key = (tmp_path / "keys/lab_ed25519.pub").read_text()
    for machine in ("host", "guest"):
        let_in = tmp_path / "keys" / machine / "root/.ssh/authorized_keys"
        assert let_in.read_text() == key
        assert let_in.stat().st_mode & 0o777 == 0o600
        let_in.write_text(key + "another\n")
        assert ask(tmp_path, "gpu1")["made"] == [str(let_in)]


def test_rights_are_those_of_an_image(tmp_path: Path) -> None:
    ask(tmp_path)
    modes = {
        str(path.relative_to(tmp_path / "keys")): path.stat().st_mode & 0o777
        for path in (tmp_path / "keys").rglob("*")
        if path.is_dir()
    }
    assert modes == lab_keys.FOLDERS
    (tmp_path / "keys/guest").chmod(0o700)
    assert ask(tmp_path)["made"] == [str(tmp_path / "keys/guest")]


def test_check_mode_makes_nothing(tmp_path: Path) -> None:
    told = ask(tmp_path, "gpu1", check=True)
    assert str(tmp_path / "keys/guests/gpu1") in told["made"]
    assert list(tmp_path.iterdir()) == []
