"""The role that puts the library into a GPU VM, in a namespace in place of that VM."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_in import ROOT, StandIn

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

PROGRAMS = {
    "lspci": "#!/bin/sh\necho 00:03.0 0300: 1002:5159\n",
    "systemctl": """#!/bin/sh
case "$*" in
    *show*) echo LoadState=loaded
            cat "$STATE/active" 2>/dev/null || echo ActiveState=inactive ;;
    *is-enabled*) test -e "$STATE/enabled" && echo enabled ;;
    *enable*) touch "$STATE/enabled" ;;
    *start*) echo ActiveState=active >"$STATE/active"
             python3 -c 'import time; print(
                 f"StateChangeTimestampMonotonic={time.monotonic() * 1e6:.0f}")' >>"$STATE/active"
             echo "$@" >>"$STATE/starts" ;;
esac
""",
}

#: What becomes of the checkout before each run.
STEPS = {
    "check": "true",
    "first": "true",
    "again": "true",
    "changed": "echo '# changed' >>{checkout}/gpusplit/agent.py",
    "foreign": "printf '%s\\n\\t%s\\n' '$(OUT)/libgpusplit.so: Makefile' 'echo no library >$@' "
    ">{checkout}/gpusplit/native/Makefile",
}

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


def play(step: str, checkout: Path, guest: Path) -> dict[str, Any]:
    """One run of the role, on a host of the step's name; and then a list of the guest's files."""
    return {
        "hosts": step,
        "gather_facts": False,
        "check_mode": step == "check",
        "vars": {
            "lab_dir": str(checkout / "lab"),
            "opencl_guest_dir": str(guest),
            "opencl_guest_pci_id": "1002:5159",
            "opencl_guest_driver": "pocl",
            "opencl_guest_emulated": False,
        },
        "tasks": [
            {"shell": STEPS[step].format(checkout=checkout), "changed_when": False},
            {"include_role": {"name": "opencl_guest"}},
            {
                "shell": f"ls {guest} >{guest}-{step}",
                "changed_when": False,
                "check_mode": False,
            },
        ],
    }


class Run:
    """What Ansible said, and what the guest holds then."""

    def __init__(self, folder: Path) -> None:
        checkout = folder / "checkout"
        for part in ("gpusplit", "roles/opencl_guest"):
            ignored = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(ROOT / part, checkout / part, ignore=ignored)
        self.guest = folder / "guest"
        self.guest.mkdir()
        plays = folder / "play.yml"
        plays.write_text(yaml.safe_dump([play(step, checkout, self.guest) for step in STEPS]))
        host = StandIn(folder / "state", PROGRAMS)
        host.environment["ANSIBLE_ROLES_PATH"] = str(checkout / "roles")
        done = host.run(
            'exec "$@"',
            [PLAYBOOK, "-i", ",".join((*STEPS, "")), "-c", "local", plays,
             "-e", f"ansible_python_interpreter={sys.executable}"],
        )  # fmt: skip
        self.said = " ".join((done.stdout + done.stderr).split())
        self.starts = (folder / "state/starts").read_text().splitlines()

    def count(self, step: str, what: str) -> int:
        """How many tasks of a run ended so."""
        found = re.search(rf"{step} : ok=.*?{what}=(\d+)", self.said)
        assert found, self.said
        return int(found[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("vm"))


def test_check_mode_changes_nothing(run: Run) -> None:
    assert run.count("check", "changed") > 0
    assert run.guest.with_name("guest-check").read_text() == ""
    assert run.guest.with_name("guest-first").read_text() == "gpusplit\n"


def test_a_second_run_changes_nothing(run: Run) -> None:
    assert run.count("first", "changed") > 0
    assert run.count("first", "failed") == 0
    assert run.count("again", "changed") == 0


def test_the_guest_has_the_library_where_the_package_finds_it(run: Run) -> None:
    asked = "from gpusplit import running; print(running.LIBRARY)"
    said = subprocess.run(
        [sys.executable, "-c", asked], cwd=run.guest, check=True, capture_output=True, text=True
    ).stdout
    assert Path(said.strip()) == run.guest / "gpusplit/native/libgpusplit.so"
    assert Path(said.strip()).exists()


def test_the_agent_runs_and_runs_anew_with_another_package(run: Run) -> None:
    unit = "gpusplit-agent.service"
    assert run.starts == [f"start {unit}", f"reload-or-restart {unit}"]


def test_a_library_that_does_not_load_there_is_one_clear_error(run: Run) -> None:
    assert run.count("foreign", "failed") == 1
    assert "foreign cannot load what this machine built:" in run.said
    assert "libgpusplit.so' from LD_PRELOAD cannot be preloaded" in run.said
