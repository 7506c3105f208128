"""The policy adaptive under sanitizers, through many histories of launches.

What it decides is in test_adaptive.py.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIVES, LAUNCHES = 1000, 300
PHASES = 5

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


def test_no_history_leads_it_astray(tmp_path: Path) -> None:
    made = subprocess.run(
        ["make", "-s", "-C", HERE, f"OUT={tmp_path}", "SANITIZE=address,undefined",
         tmp_path / "adaptive_law"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if "cannot find" in made.stderr:
        pytest.skip("this sanitizer's runtime is not installed")
    assert made.returncode == 0, made.stderr
    lived = subprocess.run(
        [tmp_path / "adaptive_law", str(LIVES), str(LAUNCHES)],
        check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert (lived.returncode, lived.stderr) == (0, "")
    # Each part of the law was lived through.
    launches = list(map(int, lived.stdout.split()))
    assert len(launches) == PHASES
    assert sum(launches) == LIVES * LAUNCHES
    assert min(launches) > LAUNCHES
