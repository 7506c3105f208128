"""Compiling what runs in guests, on the controller: the CPU job, what keeps an operator's own
programs, the emulated GPU and gpusplit's native library."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from harness.errors import ToolMissing

SOURCE = Path(__file__).with_name("cpu_matmul.c")
KEEPER = Path(__file__).with_name("keeper.c")
#: Which both of these include.
TOLD = Path(__file__).with_name("told.h")
EMUGPU = Path(__file__).resolve().parents[1] / "emugpu"
GPUSPLIT = Path(__file__).resolve().parents[2] / "gpusplit"

FLAGS = ("-O2", "-Wall", "-Wextra", "-static", "-s")


def build_cpu_matmul(folder: Path) -> Path:
    """Return the path of the CPU job's binary below a folder; compile it if need be."""
    return _compiled(SOURCE, folder)


def build_keeper(folder: Path) -> Path:
    """Return the same of what starts and counts an operator's own program."""
    return _compiled(KEEPER, folder)


def _compiled(source: Path, folder: Path) -> Path:
    text = source.read_bytes() + TOLD.read_bytes() + " ".join(FLAGS).encode()
    content = hashlib.sha256(text).hexdigest()[:16]
    binary = folder / content / source.stem
    if binary.exists():
        return binary
    binary.parent.mkdir(parents=True, exist_ok=True)
    partial = binary.with_suffix(".partial")
    try:
        subprocess.run(
            ["cc", *FLAGS, "-o", str(partial), str(source)],
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
            f"The C compiler failed on {source.name}: {error.stderr.strip()}",
            "it needs a static C library; on Debian: `apt-get install gcc libc6-dev`",
        ) from error
    partial.rename(binary)
    return binary


def build_emugpu(folder: Path) -> Path:
    """Return the path of the emulated GPU's library below a folder; build it if need be."""
    library = folder.resolve() / "emugpu" / "libemugpu.so"
    _make(EMUGPU, library, "the emulated GPU", "gcc libc6-dev opencl-headers")
    return library


def build_gpusplit() -> Path:
    """Return the folder of the package gpusplit; build its native library in it if need be."""
    library = GPUSPLIT / "native" / "libgpusplit.so"
    _make(GPUSPLIT / "native", library, "gpusplit's native library", "gcc libc6-dev")
    return GPUSPLIT


def _make(sources: Path, library: Path, what: str, packages: str) -> None:
    command = ["make", "--silent", "-C", str(sources), f"OUT={library.parent}", str(library)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise ToolMissing(
            "There is no make on this machine.", "install it; on Debian: `apt-get install make`"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ToolMissing(
            f"{what[0].upper()}{what[1:]} cannot be built: {error.stderr.strip()}",
            f"on Debian: `apt-get install {packages}`",
        ) from error
