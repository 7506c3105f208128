"""What the role vm_count_publisher puts on a host is what its removal takes away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

TASKS = Path(__file__).parents[2] / "roles/vm_count_publisher/tasks"


def modules(name: str, module: str) -> list[dict[str, Any]]:
    """The arguments of every task of one file that uses *module*, with its loop beside them."""
    tasks = yaml.safe_load((TASKS / name).read_text())
    return [
        {"loop": task.get("loop"), **task[f"ansible.builtin.{module}"]}
        for task in tasks
        if f"ansible.builtin.{module}" in task
    ]


VARS = yaml.safe_load((TASKS.parent / "vars/main.yml").read_text())
FILES = {path for files in VARS["vm_count_publisher_files"].values() for path in files}


def test_every_file_that_is_installed_is_removed() -> None:
    removal = modules("remove.yml", "file")
    assert all(use["state"] == "absent" for use in removal)
    assert len(FILES) == 3
    assert not FILES - {path for use in removal for path in use["loop"]}


def test_every_line_that_is_added_is_taken_out() -> None:
    lines = {(use["path"], use["line"]) for use in modules("_kvm.yml", "lineinfile")}
    removal = modules("remove.yml", "lineinfile")
    assert all(use["state"] == "absent" for use in removal)
    assert lines == {(use["path"], use["line"]) for use in removal}


def test_every_unit_that_is_installed_is_stopped_the_socket_first() -> None:
    """Guests connect again and again: a socket that listens would start the service anew."""
    units = {Path(file).name for file in FILES if "systemd" in file}
    assert units == set(VARS["vm_count_publisher_units"]["kvm"])
    (look,) = modules("remove.yml", "stat")
    assert set(look["loop"]) == units
    assert look["loop"][0].endswith(".socket")


def test_the_role_is_usable_alone(tmp_path: Path) -> None:
    """Copied away from its repository, Ansible knows all that it names."""
    role = TASKS.parent
    shutil.copytree(role, tmp_path / "roles" / role.name)
    play = [{"hosts": "localhost", "roles": [role.name]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", "play.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # Not with the repository's settings, which `make` hands on.
        env={name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}
        | {"LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    assert not [path for path in role.rglob("*.yml") if "../" in path.read_text()]


def test_the_readme_names_every_variable() -> None:
    readme = (TASKS.parent / "README.md").read_text()
    defaults = yaml.safe_load((TASKS.parent / "defaults/main.yml").read_text())
    assert [name for name in defaults if f"`{name}`" not in readme] == []


def test_the_port_that_a_guest_needs_is_described_alike() -> None:
    shown = [
        text.read_text().split("```xml\n")[1].split("```")[0]
        for text in (TASKS.parent / "README.md", TASKS.parents[2] / "docs/kvm.md")
    ]
    assert shown[0] == shown[1]
