"""Processes of Python's, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def python(
    *words: str | Path, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPUSPLIT_")} | environ
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, timeout=300, check=False, env=env, cwd=cwd,
    )  # fmt: skip
