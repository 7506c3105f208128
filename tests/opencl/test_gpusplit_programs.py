"""Generated programs write the same bytes split as whole, however oddly they ask for their IDs.

PROGRAMS x CASES by default; LONG_TESTS=N in the environment runs N times as many programs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from program_runner import write_headers

pytestmark = pytest.mark.opencl

PROGRAMS = 25 * int(os.environ.get("LONG_TESTS", "1"))
CASES = 80


def test_generated_programs_write_the_same_bytes(tmp_path: Path) -> None:
    write_headers(range(PROGRAMS), tmp_path)
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("program_runner.py"), tmp_path, "0",
         str(PROGRAMS), str(CASES)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1]}\n{done.stderr}"
    results = [line for line in lines if "groups" in line]
    assert len(results) == PROGRAMS * CASES
    assert not [line for line in results if "wrong" in line]
    could = [line for line in results if line["could"]]
    assert sum(line["groups"] > 1 for line in could) > 0.8 * len(could)
