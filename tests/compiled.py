"""What tests compile: made once, by whichever test asks first, and kept in build/tests.

Make knows when sources changed; folders differ by compiler and sanitizer. Tests that write beside
what they got take a copy.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NATIVE, PROGRAMS, EMUGPU = (
    ROOT / folder for folder in ("gpusplit/native", "tests/native", "harness/emugpu")
)


def made(source: Path, *names: str, sanitize: str = "", compiler: str = "cc") -> Path:
    """The folder with what is made of *source*: *names*, or all that its Makefile makes.

    A test whose sanitizer is not installed is skipped.
    """
    version = subprocess.run(
        [compiler, "-dumpfullversion"], check=True, capture_output=True, text=True
    ).stdout.strip()
    kept = ROOT / "build/tests" / f"{compiler}-{version}"
    # The library and the programs around it, both of a folder `native`, are used side by side.
    folder = kept / f"{source.name}-{sanitize or 'plain'}"
    folder.mkdir(parents=True, exist_ok=True)
    # Sanitizers see no less where less is optimised, and compile in half the time.
    flags = f"CFLAGS={'-O1' if sanitize else '-O2'} -g -Werror"
    command = ["make", "-s", "-C", source, f"OUT={folder}", f"CC={compiler}", flags]
    if sanitize:
        command.append(f"SANITIZE={sanitize}")
    # Whoever makes the tests has options that are not for this make.
    environ = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other tests run at the same time
        done = subprocess.run(
            [*command, *(folder / name for name in names)],
            env=environ, check=False, capture_output=True, text=True,
        )  # fmt: skip
    if sanitize and "cannot find" in done.stderr:
        pytest.skip(f"this sanitizer's runtime is not installed: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    return folder
