"""The publisher's units: systemd knows every setting, and they stay as confined as they are."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[2] / "roles/vm_count_publisher"
ANALYZE = shutil.which("systemd-analyze")
pytestmark = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze on this machine")

EXPOSURE = {"xen": 12, "kvm": 5}
"""Ten times what systemd rates the units at, of 10: what is here now, and no more."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    command = [ANALYZE, "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exposure_is_within(unit: Path, tenths: int) -> subprocess.CompletedProcess[str]:
    """Exits with an error where the unit's rating is above *tenths*."""
    return analyze("security", "--offline=true", f"--threshold={tenths}", str(unit))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of units as a host has it, but for the program, which is not installed here."""
    (tmp_path / "xen.service").write_text("[Service]\nExecStart=/bin/true\n")
    return tmp_path


def install(hypervisor: str, host: Path) -> Path:
    """Put a publisher's units where *host* keeps them; returns the service."""
    for source in ROLE.glob(f"[ft]*/{hypervisor}.*"):
        text = source.read_text().replace("/usr/local/sbin/gpusplit-publisher", "/bin/true")
        text = text.replace("{{ vm_count_publisher_qemu_user }}", "libvirt-qemu")
        ending = Path(source.name.removesuffix(".j2")).suffix
        (host / f"gpusplit-publisher{ending}").write_text(text)
    return host / "gpusplit-publisher.service"


@pytest.mark.parametrize("hypervisor", EXPOSURE)
def test_systemd_knows_every_setting(hypervisor: str, host: Path) -> None:
    said = analyze("verify", str(install(hypervisor, host))).stderr
    assert [line for line in said.splitlines() if "gpusplit-publisher" in line] == []


def test_a_setting_that_systemd_does_not_know_would_be_seen(host: Path) -> None:
    unit = install("xen", host)
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analyze("verify", str(unit)).stderr


@pytest.mark.parametrize(("hypervisor", "tenths"), EXPOSURE.items())
def test_a_publisher_is_no_more_exposed_than_it_was(
    hypervisor: str, tenths: int, host: Path
) -> None:
    done = exposure_is_within(install(hypervisor, host), tenths)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_a_setting_that_is_lost_would_be_seen(host: Path) -> None:
    unit = install("xen", host)
    unit.write_text(unit.read_text().replace("CapabilityBoundingSet=\n", ""))
    assert exposure_is_within(unit, EXPOSURE["xen"]).returncode != 0
