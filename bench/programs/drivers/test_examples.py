"""A program's own examples, each a process: it must end well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("path", json.loads(os.environ["PROGRAMS_EXAMPLES"]))
def test_example(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    script = Path(__file__).parent / path
    done = subprocess.run(
        [sys.executable, script.name], cwd=script.parent, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    # What the library says of launches is looked for in what pytest prints.
    with capfd.disabled():
        print("", *(line for line in done.stderr.splitlines() if "gpusplit: " in line), sep="\n")
    assert done.returncode == 0, done.stderr[-2000:]
