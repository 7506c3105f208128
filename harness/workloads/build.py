"""Compiling the CPU job, on the controller."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from harness.errors import ToolMissing

SOURCE = Path(__file__).with_name("cpu_matmul.c")
FLAGS = ("-O2", "-Wall", "-Wextra", "-static", "-s")


def build_cpu_matmul(folder: Path) -> Path:
    """Return the path of the CPU job's binary below a folder; compile it if need be."""
    content = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    binary = folder / content / "cpu_matmul"
    if binary.exists():
        return binary
    binary.parent.mkdir(parents=True, exist_ok=True)
    partial = binary.with_suffix(".partial")
    try:
        subprocess.run(
            ["cc", *FLAGS, "-o", str(partial), str(SOURCE)],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise ToolMissing(
            "There is no C compiler (cc) on this machine.",
            "install one; on Debian: `apt-get install gcc libc6-dev`",
        ) from None
    except subprocess.CalledProcessError as error:
        raise ToolMissing(
            f"The C compiler failed on {SOURCE.name}: {error.stderr.strip()}",
            "it needs a static C library; on Debian: `apt-get install gcc libc6-dev`",
        ) from error
    partial.rename(binary)
    return binary
