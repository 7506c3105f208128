"""A role's own files and units: what is done is told by the host, not by what was just changed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import role_programs

host_files = role_programs.load("vm_count_publisher/library/host_files.py")

SYSTEMCTL = """#!/bin/sh
cd "$(dirname "$0")"
case "$1" in
    show) cat "state-$2" 2>/dev/null || echo LoadState=not-found ;;
    is-enabled) grep -q ^UnitFileState=enabled "state-$2" ;;
    *) echo "$*" >>told; test ! -e broken || { echo "Job failed." >&2; exit 1; } ;;
esac
"""


class Host:
    """A host whose systemd says what lies in a folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.unit = folder / "units/lab.service"
        (folder / "systemctl").write_text(SYSTEMCTL)
        (folder / "systemctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def says(self, started: float = 0, **other: str) -> None:
        """What systemd says of the unit, which runs since so many seconds from now."""
        state = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "NeedDaemonReload": "no",
            "StateChangeTimestampMonotonic": str(int((time.monotonic() + started) * 1e6)),
            **other,
        }
        lines = [f"{name}={value}\n" for name, value in state.items()]
        (self.folder / "state-lab.service").write_text("".join(lines))

    def wants(self, text: str = "[Service]\n", check: bool = False, **more: Any) -> dict[str, Any]:
        (self.folder / "told").unlink(missing_ok=True)
        arguments = {"files": {str(self.unit): text}, "units": ["lab.service"], **more}
        return role_programs.call(host_files, check=check, **arguments)

    @property
    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def standing(host: Host) -> Host:
    """A host that has all that is wanted."""
    host.wants()
    host.says(started=5)
    return host


def test_what_is_new_is_written_enabled_and_started(host: Host) -> None:
    host.says(ActiveState="inactive", UnitFileState="disabled")
    told = host.wants()
    assert told["changed"]
    assert told["written"] == [str(host.unit)]
    assert host.unit.read_text() == "[Service]\n"
    assert host.told == ["--no-reload enable lab.service", "start lab.service"]
    assert list(host.unit.parent.iterdir()) == [host.unit]


def test_where_all_is_as_wanted_systemd_is_asked_and_told_nothing(standing: Host) -> None:
    told = standing.wants()
    assert not told["changed"]
    assert standing.told == []


def test_units_are_read_anew_where_systemd_says_so_or_does_not_know_one(standing: Host) -> None:
    standing.says(started=5, NeedDaemonReload="yes")
    assert standing.wants()["changed"]
    assert standing.told == ["daemon-reload"]
    (standing.folder / "state-lab.service").unlink()
    standing.wants()
    assert standing.told[0] == "daemon-reload"


def test_a_unit_that_runs_by_an_older_file_is_started_anew(standing: Host) -> None:
    standing.says(started=-5)
    assert standing.wants()["changed"]
    assert standing.told == ["reload-or-restart lab.service"]


def test_what_failed_is_repeated_by_the_next_run(standing: Host) -> None:
    standing.says(started=-5)
    (standing.folder / "broken").touch()
    told = standing.wants("[Service]\nExecStart=true\n")
    assert told["failed"]
    assert "Job failed." in told["msg"]
    (standing.folder / "broken").unlink()
    told = standing.wants("[Service]\nExecStart=true\n")
    assert told["changed"]
    assert told["written"] == []
    assert standing.told == ["reload-or-restart lab.service"]


def test_a_unit_follows_the_files_that_it_runs_by(standing: Host) -> None:
    package = standing.folder / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "agent.py").touch()
    standing.says(started=5)
    assert not standing.wants(follows=[str(package)])["changed"]
    standing.says(started=-5)
    os.utime(package / "agent.py", (0, 0))  # as a package unpacks it
    assert standing.wants(follows=[str(package)])["changed"]


def test_what_python_compiles_on_the_way_is_no_change(standing: Host) -> None:
    package = standing.folder / "package"
    package.mkdir()
    (package / "agent.pyc").touch()
    assert host_files.newest([package]) == 0


def test_a_program_is_told_by_its_first_line(host: Host) -> None:
    files = {str(host.folder / "program"): "#!/bin/sh\n", str(host.folder / "text"): "#\n"}
    role_programs.call(host_files, files=files)
    assert (host.folder / "program").stat().st_mode & 0o777 == 0o755
    assert (host.folder / "text").stat().st_mode & 0o777 == 0o644
    (host.folder / "program").chmod(0o600)
    assert role_programs.call(host_files, files=files)["written"] == [str(host.folder / "program")]


def test_check_mode_says_all_and_does_nothing(standing: Host) -> None:
    told = standing.wants("[Service]\nExecStart=true\n", check=True)
    assert told["changed"]
    assert told["told"] == ["reload-or-restart lab.service"]
    assert told["diff"][0]["before"] == "[Service]\n"
    assert told["diff"][0]["after"] == "[Service]\nExecStart=true\n"
    assert standing.told == []
    assert standing.unit.read_text() == "[Service]\n"
