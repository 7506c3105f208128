"""One emulated host for all tests of the roles; each test builds on those before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated import ROOT, EmulatedHost

FAILED: list[str] = []
"""The first test that failed: what comes after it has nothing to stand on."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if FAILED:
        pytest.skip(f"builds on {FAILED[0]}, which failed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        FAILED.append(report.nodeid.rpartition("::")[2])


@pytest.fixture(scope="session")
def host() -> Iterator[EmulatedHost]:
    """An emulated host; ended afterwards, with its log kept in its folder.

    LAB_ROLES_DIR chooses the folder; images in it are used again. LAB_ROLES_RELEASE=trixie
    has the host run Debian 13. LAB_ROLES_KEEP=1 leaves the host running, to be looked at.
    """
    folder = Path(os.environ.get("LAB_ROLES_DIR", ROOT / ".lab-roles"))
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "ansible.log").write_text("")
    host = EmulatedHost(folder)
    yield host
    if "LAB_ROLES_KEEP" not in os.environ:
        assert host.playbook("playbooks/teardown.yml", real=False).status == 0
