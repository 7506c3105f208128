"""Compiling what runs in guests, on the controller: the CPU job, and the emulated GPU."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from harness.errors import ToolMissing

SOURCE = Path(__file__).with_name("cpu_matmul.c")
EMUGPU = Path(__file__).resolve().parents[1] / "emugpu"

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


def build_emugpu(folder: Path) -> Path:
    """Return the path of the emulated GPU's library below a folder; build it if need be."""
    library = folder.resolve() / "emugpu" / "libemugpu.so"
    command = ["make", "--silent", "-C", str(EMUGPU), f"OUT={library.parent}", str(library)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ToolMissing(
            "There is no make on this machine.", "install it; on Debian: `apt-get install make`"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ToolMissing(
            f"The emulated GPU cannot be built: {error.stderr.strip()}",
            "on Debian: `apt-get install gcc libc6-dev opencl-headers`",
        ) from error
    return library
