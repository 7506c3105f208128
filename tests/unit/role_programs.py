"""Loads the programs of roles by path, and calls Ansible modules as Ansible would."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import ansible.module_utils
from ansible.module_utils.testing import patch_module_args

ROLES = Path(__file__).parents[2] / "roles"

# What roles' modules share is imported as Ansible would have it.
ansible.module_utils.__path__ += map(str, ROLES.glob("*/module_utils"))


def load(path: str) -> ModuleType:
    """A program that lies outside every package, and may lack the suffix .py."""
    name = "role_" + Path(path).stem.replace("-", "_")
    loader = SourceFileLoader(name, str(ROLES / path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


def call(module: ModuleType, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """What an Ansible module answers; whether it failed is under "failed"."""
    said = io.StringIO()
    arguments["_ansible_check_mode"] = check
    with (
        patch_module_args(arguments),
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
    ):
        module.main()
    answer: dict[str, Any] = json.loads(said.getvalue())
    return {"failed": False, **answer}
