"""Every module of a role says what it takes, shows it, and says what it returns."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "roles").glob("*/library/*.py"))
NAMES = [path.stem for path in MODULES]


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What ansible-doc shows in the checkout."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", *NAMES],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def text(path: Path, name: str) -> str:
    """The text that a module assigns to a name."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return str(ast.literal_eval(node.value))
    return ""


def test_ansible_doc_finds_every_module(documented: dict[str, Any]) -> None:
    assert set(documented) == set(NAMES)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_is_documented_as_a_published_one(path: Path, documented: dict[str, Any]) -> None:
    about = documented[path.stem]["doc"]
    assert about["author"]
    assert about["short_description"]
    assert all(option["description"] for option in about["options"].values())


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_what_is_documented_is_what_is_taken(path: Path, documented: dict[str, Any]) -> None:
    (spec,) = (
        keyword.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "argument_spec"
    )
    assert isinstance(spec, ast.Dict)
    taken = {ast.literal_eval(key) for key in spec.keys if key}
    assert taken == set(documented[path.stem]["doc"]["options"])


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_examples_are_tasks_that_use_the_module_with_its_options(
    path: Path, documented: dict[str, Any]
) -> None:
    tasks = yaml.safe_load(text(path, "EXAMPLES"))
    assert tasks
    options = documented[path.stem]["doc"]["options"]
    required = {name for name, option in options.items() if option.get("required")}
    for task in tasks:
        assert task["name"][0].isupper()
        assert required <= set(task[path.stem] or {}) <= set(options)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_what_is_returned_is_described(path: Path) -> None:
    for name, value in yaml.safe_load(text(path, "RETURN")).items():
        assert {"description", "returned", "type"} <= set(value), name
