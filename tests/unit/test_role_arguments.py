"""Each role says which arguments it takes, and says the same as its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())


def load(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def entry_points(role: str) -> dict[str, dict[str, Any]]:
    path = ROOT / "roles" / role / "meta/argument_specs.yml"
    return dict(load(path).get("argument_specs", {}))


def defaults(role: str) -> dict[str, Any]:
    return load(ROOT / "roles" / role / "defaults/main.yml")


def arguments(role: str) -> list[tuple[str, dict[str, Any]]]:
    """Every argument of every entry point; one that two of them share appears twice."""
    return [pair for point in entry_points(role).values() for pair in point["options"].items()]


@pytest.mark.parametrize("role", ROLES)
def test_every_file_of_tasks_that_a_playbook_can_enter_is_described(role: str) -> None:
    tasks = {path.stem for path in (ROOT / "roles" / role / "tasks").glob("[!_]*.yml")}
    assert set(entry_points(role)) == tasks
    assert all(point["short_description"] for point in entry_points(role).values())


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_an_argument_and_every_argument_has_a_default_or_is_required(
    role: str,
) -> None:
    optional = {name for name, argument in arguments(role) if not argument.get("required")}
    assert optional == set(defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_every_argument_has_a_type_and_one_sentence_that_describes_it(role: str) -> None:
    for name, argument in arguments(role):
        sentence = argument["description"]
        assert sentence[0].isupper() or sentence[:2] == "`", name
        assert sentence.endswith("."), name
        assert argument["type"] != "list" or "elements" in argument, name


@pytest.mark.parametrize("role", ROLES)
def test_a_default_that_is_described_is_the_default(role: str) -> None:
    # Not described: templates, which Ansible would evaluate even where a play sets the variable
    # and their own variables do not exist; and lists of packages, which stand in one place.
    for name, argument in arguments(role):
        if argument.get("required"):
            continue
        value = defaults(role)[name]
        if "default" in argument:
            assert argument["default"] == value, name
        else:
            templated = isinstance(value, str) and "{{" in value
            assert templated or name.endswith("_packages"), name


@pytest.mark.parametrize("role", ROLES)
def test_an_argument_is_described_alike_at_every_entry_point(role: str) -> None:
    seen: dict[str, dict[str, Any]] = {}
    for name, argument in arguments(role):
        assert seen.setdefault(name, argument) == argument, name


def test_what_the_inventory_sets_is_checked_before_anything_is_changed() -> None:
    inventory = load(ROOT / "inventory/dryrun/group_vars/all.yml")
    ours = {name for name in inventory if not name.startswith("ansible_")}
    checked = entry_points("virtual_host")["preflight"]["options"]
    assert ours <= set(checked)
    assert checked["cpu_vms"]["choices"] == [1, 2, 3, 4, 5]
    assert checked["lab_clock"]["choices"] == ["deterministic", "fast"]
