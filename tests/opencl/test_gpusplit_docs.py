"""The tutorial in docs/gpusplit.md runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import gpusplit

pytestmark = pytest.mark.opencl

PAGE = (Path(__file__).parents[2] / "docs" / "gpusplit.md").read_text(encoding="utf-8")


def test_the_tutorial_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 5
    # From its first line on: OpenCL is not started yet.
    text = "\n".join(blocks) + "\nassert gpusplit.installed() is None\n"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "prints, and the order of lines would change" in done.stdout


def test_every_option_is_in_the_table() -> None:
    for field in fields(gpusplit.Config):
        assert f"| `{field.name}` |" in PAGE, field.name


def test_every_public_name_is_mentioned() -> None:
    for name in gpusplit.__all__:
        assert name in PAGE or name == "ConfigError", name
