"""The policy adaptive under sanitizers, through many histories of launches.

What it decides is in test_adaptive.py.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from compiled import PROGRAMS, made

LIVES, LAUNCHES = 1000, 300
PHASES = 5

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="needs a C compiler and make"
)


def test_no_history_leads_it_astray() -> None:
    program = made(PROGRAMS, "adaptive_law", sanitize="address,undefined") / "adaptive_law"
    lived = subprocess.run(
        [program, str(LIVES), str(LAUNCHES)],
        check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert (lived.returncode, lived.stderr) == (0, "")
    # Each part of the law was lived through.
    launches = list(map(int, lived.stdout.split()))
    assert len(launches) == PHASES
    assert sum(launches) == LIVES * LAUNCHES
    assert min(launches) > LAUNCHES
