"""The rooms of the harness: data flows one way through them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parents[2] / "harness"

ROOMS = ("workloads", "plan", "lab", "judge", "keep", "measure", "report")
"""In the order of harness/__init__.py; `workloads` is what runs in guests, and imports none."""

FOR_ALL = ("errors",)


def imported(module: Path) -> Iterator[str]:
    """Yield what of the harness a module imports: rooms, and modules beside them."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            first, *rest = node.module.split(".")
            if first == "harness":
                yield from rest[:1] or (name.name for name in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_before_it(room: str) -> None:
    allowed = {*FOR_ALL, *ROOMS[: ROOMS.index(room) + 1]}
    modules = list((HARNESS / room).rglob("*.py"))
    assert modules
    wrong = {str(module): set(imported(module)) - allowed for module in modules}
    assert {module: names for module, names in wrong.items() if names} == {}


def test_every_folder_with_modules_is_a_room() -> None:
    assert {path.parent.name for path in HARNESS.glob("*/__init__.py")} == set(ROOMS)
