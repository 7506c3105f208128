"""What the role vm_count_publisher puts on a host is what its removal takes away again."""

from __future__ import annotations

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


def installed(module: str) -> list[dict[str, Any]]:
    return [use for name in ("main.yml", "_kvm.yml") for use in modules(name, module)]


def test_every_file_that_is_installed_is_removed() -> None:
    files = {copy["dest"] for copy in installed("copy")}
    removal = modules("remove.yml", "file")
    assert all(use["state"] == "absent" for use in removal)
    assert len(files) == 3
    assert files <= {path for use in removal for path in use["loop"]}


def test_every_line_that_is_added_is_taken_out() -> None:
    lines = {(use["path"], use["line"]) for use in installed("lineinfile")}
    removal = modules("remove.yml", "lineinfile")
    assert all(use["state"] == "absent" for use in removal)
    assert lines == {(use["path"], use["line"]) for use in removal}


def test_every_unit_that_is_installed_is_stopped_the_socket_first() -> None:
    """Guests connect again and again: a socket that listens would start the service anew."""
    units = {Path(copy["dest"]).name for copy in installed("copy") if "systemd" in copy["dest"]}
    (look,) = modules("remove.yml", "stat")
    assert set(look["loop"]) == units
    assert look["loop"][0].endswith(".socket")
