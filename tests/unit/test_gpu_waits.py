"""The role that puts the library below every GPU program of a VM, on a VM that is a folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
LIBRARY = "usr/local/lib/gpusplit/libgpusplit.so"
BEFORE = "LANG=C.UTF-8\n"
THEIRS = "LD_PRELOAD=/usr/lib/theirs.so\n"

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)

OPTIONS = {"GPUSPLIT_SPIN_US": 30, "GPUSPLIT_POLICY": "unsplit"}

#: What is done to the VM, one after another: a name, the role's entry point, on or off.
STEPS = {
    "check": ("main", True),
    "on": ("main", True),
    "on again": ("main", True),
    "off": ("main", False),
    "off again": ("main", False),
    "on at last": ("main", True),
    "on with options": ("main", True),
    "removed": ("remove", True),
    "removed again": ("remove", True),
}


def play(name: str, root: Path, copies: Path) -> dict[str, Any]:
    """One step, on a host of the step's name, and then a copy of the VM's files."""
    entry, on = STEPS[name]
    return {
        "hosts": name.replace(" ", "_"),
        "gather_facts": False,
        "check_mode": name == "check",
        "vars": {
            "gpu_waits_root": str(root),
            "gpu_waits_everywhere": on,
            "gpu_waits_options": OPTIONS if name == "on with options" else {},
        },
        "tasks": [
            {"include_role": {"name": "gpu_waits", "tasks_from": entry}},
            {
                "command": f"cp -r {root} '{copies / name}'",
                "changed_when": False,
                "check_mode": False,
            },
        ],
    }


class Run:
    """What Ansible said, what each step changed, and what there was after it."""

    def __init__(self, folder: Path, before: str, *steps: str) -> None:
        self.folder = folder
        root = folder / "root"
        (root / "etc").mkdir(parents=True)
        (root / "etc/environment").write_text(before)
        (folder / "play.yml").write_text(yaml.safe_dump([play(s, root, folder) for s in steps]))
        hosts = ",".join(step.replace(" ", "_") for step in steps)
        done = subprocess.run(
            [PLAYBOOK, "-i", f"{hosts},", "-c", "local", folder / "play.yml",
             "-e", f"ansible_python_interpreter={sys.executable}"],
            capture_output=True, text=True, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                 "ANSIBLE_ROLES_PATH": str(ROOT / "roles")},
        )  # fmt: skip
        self.status = done.returncode
        self.said = " ".join((done.stdout + done.stderr).split())

    def changed(self, step: str) -> int:
        found = re.search(rf"{step.replace(' ', '_')} : ok=\d+ changed=(\d+)", self.said)
        assert found, self.said
        return int(found[1])

    def files(self, step: str) -> dict[str, str]:
        root = self.folder / step
        return {
            str(path.relative_to(root)): path.read_text(errors="replace")
            for path in root.rglob("*")
            if path.is_file()
        }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(tmp_path_factory.mktemp("vm"), BEFORE, *STEPS)
    assert made.status == 0, made.said
    return made


def test_one_variable_turns_it_on(run: Run) -> None:
    files = run.files("on")
    assert run.changed("on") > 0
    assert files[LIBRARY].startswith("\x7fELF")
    assert f"\nLD_PRELOAD=/{LIBRARY}\nOPENCL_LAYERS=/{LIBRARY}\n" in files["etc/environment"]
    assert (
        f"[Manager]\nDefaultEnvironment=LD_PRELOAD=/{LIBRARY} OPENCL_LAYERS=/{LIBRARY}\n"
        in files["etc/systemd/system.conf.d/gpusplit.conf"]
    )


def test_options_are_the_same_variables_as_everywhere(run: Run) -> None:
    """So that the library needs no file of its own where nobody starts programs by gpusplit run."""
    files = run.files("on with options")
    assert "\nGPUSPLIT_POLICY=unsplit\nGPUSPLIT_SPIN_US=30\n" in files["etc/environment"]
    assert (
        f"OPENCL_LAYERS=/{LIBRARY} GPUSPLIT_POLICY=unsplit GPUSPLIT_SPIN_US=30\n"
        in files["etc/systemd/system.conf.d/gpusplit.conf"]
    )


def test_and_off_again(run: Run) -> None:
    files = run.files("off")
    assert run.changed("off") > 0
    assert files["etc/environment"] == BEFORE
    assert set(files) == {"etc/environment", LIBRARY}


def test_what_is_removed_leaves_nothing_behind(run: Run) -> None:
    assert run.changed("removed") > 0
    assert run.files("removed") == {"etc/environment": BEFORE}


@pytest.mark.parametrize("step", ["on again", "off again", "removed again"])
def test_a_second_run_changes_nothing(run: Run, step: str) -> None:
    assert run.changed(step) == 0


def test_check_mode_says_what_would_change_and_changes_nothing(run: Run) -> None:
    assert run.changed("check") == run.changed("on")
    assert run.files("check") == {"etc/environment": BEFORE}


def test_what_others_preload_is_not_displaced(tmp_path: Path) -> None:
    made = Run(tmp_path, THEIRS, "on")
    assert made.status != 0
    assert f"{THEIRS.strip()} already" in made.said
    assert (tmp_path / "root/etc/environment").read_text() == THEIRS


def log_in(environment: Path) -> subprocess.CompletedProcess[str]:
    """A session by PAM that is given *environment*, as Debian's login, cron and sshd begin one."""
    inside = f"mount --bind {environment} /etc/environment && exec su - root -c 'echo $LD_PRELOAD'"
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(
        ["unshare", "--mount", *rights, "sh", "-c", inside],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_with_half_of_it_removed_one_can_still_log_in(run: Run, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    environment.write_text(BEFORE)
    if not Path("/etc/environment").exists() or log_in(environment).returncode:
        pytest.skip("no session can be begun here")
    missing = str(tmp_path / "libgpusplit.so")
    environment.write_text(run.files("on")["etc/environment"].replace(f"/{LIBRARY}", missing))
    done = log_in(environment)
    assert (done.returncode, done.stdout) == (0, f"{missing}\n")
    assert "cannot be preloaded" in done.stderr
