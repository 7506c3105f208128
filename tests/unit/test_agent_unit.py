"""systemd knows every setting of the unit of a GPU VM's agent, and hardens it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "roles/opencl_guest/templates/gpusplit-agent.service.j2"
ANALYZE = shutil.which("systemd-analyze")
pytestmark = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze on this machine")

EXPOSURE = 13
"""Ten times what systemd rates the unit at, of 10: what is here now, and no more."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    found = tmp_path / "gpusplit-agent.service"
    found.write_text(UNIT.read_text().replace("{{ opencl_guest_dir }}", "/opt/gpusplit"))
    return found


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(ANALYZE), "--no-pager", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_systemd_knows_every_setting(unit: Path) -> None:
    said = analyze("verify", unit).stderr
    assert [line for line in said.splitlines() if "gpusplit-agent" in line] == []
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analyze("verify", unit).stderr


def test_it_is_no_more_exposed_than_it_was(unit: Path) -> None:
    offline = ("security", "--offline=true")
    assert analyze(*offline, f"--threshold={EXPOSURE}", unit).returncode == 0
    assert analyze(*offline, f"--threshold={EXPOSURE - 1}", unit).returncode != 0
