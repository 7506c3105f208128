"""`make lab` and `make experiment` with stand-ins for the programs that they call."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.lab.inventory import measuring_alone

ROOT = Path(__file__).resolve().parents[2]

# Writes down how it was called, and fails when asked for the playbook $FAILS.
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >>calls
case "$*" in *"$FAILS"*) exit 1 ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("ansible-playbook", "python", "pytest"):
        (programs / name).write_text(PROGRAM)
        (programs / name).chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    return tmp_path


def make(
    checkout: Path, fails: str, target: str = "lab", **environment: str
) -> tuple[int, str, str]:
    """Return make's exit status, what it called, and what it said."""
    # `make test` runs this too, and its own options are not for this make.
    inherited = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    done = subprocess.run(
        ["make", target, "PROFILE=smoke"],
        check=False,
        cwd=checkout,
        env=inherited | {"FAILS": fails} | environment,
        capture_output=True,
        text=True,
    )
    called = checkout / "calls"
    return done.returncode, called.read_text() if called.exists() else "", done.stderr


def test_a_lab_that_is_built_is_not_taken_down(checkout: Path) -> None:
    status, calls, _ = make(checkout, "nothing")
    assert status == 0
    assert "site.yml -e cpu_vms=2" in calls
    assert "teardown" not in calls


@pytest.mark.parametrize("fails", ["preflight.yml", "controller.yml"])
def test_checks_that_fail_leave_a_lab_that_stands(checkout: Path, fails: str) -> None:
    status, calls, said = make(checkout, fails)
    assert status == 2
    assert "site.yml" not in calls
    assert "teardown" not in calls
    assert "left as it is" in said


def test_a_half_made_lab_is_taken_down_with_its_logs_kept(checkout: Path) -> None:
    status, calls, _ = make(checkout, "site.yml")
    assert status == 2
    assert calls.index("harness.lab logs results/failed-lab-") < calls.index("teardown.yml")


def test_ansible_gets_a_locale_and_a_user_that_it_takes(checkout: Path) -> None:
    program = checkout / ".venv" / "bin" / "ansible-playbook"
    program.write_text('#!/bin/sh\necho "$LC_ALL $LOGNAME" >>calls\n')
    _, calls, _ = make(checkout, "nothing", LC_ALL="nowhere", LOGNAME="somebody-else")
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert f"C.UTF-8 {user}" in calls
    assert "somebody-else" not in calls
    assert "nowhere" not in calls


def test_an_experiment_builds_the_lab_first(checkout: Path) -> None:
    status, calls, _ = make(checkout, "harness.lab wanted", "experiment")
    assert status == 0
    assert calls.index("site.yml") < calls.index("pytest harness/ --profile smoke")


def test_an_experiment_uses_a_lab_that_stands_as_wanted(checkout: Path) -> None:
    status, calls, _ = make(checkout, "nothing", "experiment")
    assert status == 0
    assert "site.yml" not in calls
    assert "pytest harness/ --profile smoke" in calls


def test_a_lab_that_was_only_begun_is_not_remembered_as_built(checkout: Path) -> None:
    built = checkout / ".lab" / "run" / "built.json"
    built.parent.mkdir(parents=True)
    built.touch()
    _, calls, _ = make(checkout, "site.yml")
    assert not built.exists()
    assert "remember" not in calls


@pytest.mark.parametrize(
    ("target", "really"),
    [("vagrant-check", "really <>"), ("vagrant-measure", "really <--measure>")],
)
def test_a_check_of_vagrant_installs_what_it_needs_before_it_begins(
    checkout: Path, target: str, really: str
) -> None:
    run = checkout / "tests/vagrant/run"
    run.parent.mkdir(parents=True)
    run.write_text('#!/bin/sh\necho "really <$*>" >>calls\n')
    run.chmod(0o755)
    for name in ("sudo", "vagrant"):
        program = checkout / name
        program.write_text('#!/bin/sh\ntest "$1" = box || exec "$@"\n')
        program.chmod(0o755)
    role = checkout / "roles/controller/defaults/main.yml"
    role.parent.mkdir(parents=True)
    role.touch()
    path = f"{checkout}:{os.environ['PATH']}"
    status, calls, _ = make(checkout, "nothing", target, PATH=path)
    assert status == 0
    assert (
        calls.index('{"controller_purposes": ["vagrant"]}')
        < calls.index("vagrant_box.yml")
        < calls.index(really)
    )


def test_facts_are_asked_of_the_host_that_is_named(checkout: Path) -> None:
    status, _, said = make(checkout, "nothing", "host-facts")
    assert status == 2
    assert "make host-facts HOST=" in said
    status, calls, _ = make(checkout, "nothing", "host-facts", HOST="root@192.0.2.10")
    assert status == 0
    assert "-i root@192.0.2.10, playbooks/host_facts.yml" in calls


@pytest.mark.parametrize("target", ["lab", "lab-down"])
def test_a_lab_that_is_measured_is_left_alone(checkout: Path, target: str) -> None:
    (checkout / ".lab").mkdir()
    with measuring_alone(checkout / ".lab"):
        status, calls, said = make(checkout, "nothing", target)
    assert (status, calls) == (2, "")
    assert "A measurement runs in this lab" in said
