"""gpusplit run: this process becomes the program, with gpusplit below it.

The native library is preloaded, and is an OpenCL layer: waits sleep and launches are split,
whatever the program is written in.  Children of the program inherit that as far as they inherit
the environment.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import sys
from dataclasses import fields

from gpusplit.config import PAGE, PREFIX, Config, text

TYPE_CHECKING = False  # as in __init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HERE = os.path.dirname(os.path.abspath(__file__))

#: The native library, where it was built.
LIBRARY = os.path.join(_HERE, "native", "libgpusplit.so")


class CannotRun(Exception):
    """The program cannot be run; the message says why, and status is what a shell would give."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def run(words: Sequence[str], is_module: bool, config: Config, observe: bool) -> None:
    """Replace this process by the program; never returns.  CannotRun if there is none."""
    argv = command(words, is_module)
    environ = environment(os.environ, config, observe)
    trouble = unreachable(argv[0])
    if trouble:
        print(f"gpusplit: {trouble}; it runs as without gpusplit", file=sys.stderr)
        environ = dict(os.environ)
    elif config.timeline:
        path = environ[PREFIX + "TIMELINE"]
        try:
            begin_timeline(path)
        except OSError as error:
            raise CannotRun(f"the timeline {path}: {error.strerror}") from None
    _become(argv, environ)


def run_without(words: Sequence[str], is_module: bool) -> None:
    """The same, as if there were no gpusplit."""
    _become(command(words, is_module), os.environ)


def _become(argv: list[str], environ: Mapping[str, str]) -> None:
    sys.stdout.flush()
    try:
        os.execve(argv[0], argv, environ)
    except OSError as error:
        raise CannotRun(f"{argv[0]}: {error.strerror}", 126) from None


def command(words: Sequence[str], is_module: bool) -> list[str]:
    """What to execute for what the user named: a program with its arguments.

    >>> command(["json.tool", "--help"], True)[1:]
    ['-m', 'json.tool', '--help']
    """
    if is_module:
        return [sys.executable, "-m", *words]
    name, *arguments = words
    if name.endswith((".py", ".pyw")) and os.path.isfile(name):
        return [sys.executable, name, *arguments]
    found = shutil.which(name)
    if found is None:
        if os.path.isfile(name):
            raise CannotRun(f"{name} is no program: make it executable (chmod +x {name})", 126)
        raise CannotRun(f"there is no program {name}", 127)
    return [found, *arguments]


def environment(before: Mapping[str, str], config: Config, observe: bool) -> dict[str, str]:
    """The environment of the program: *before*, with the options and the library."""
    environ = dict(before)
    # The library splits only where a policy is named.
    counts = _somebody_counts(config.vms)
    for field in fields(Config):
        value = getattr(config, field.name)
        named = field.name == "policy" and counts
        if value != field.default or named or PREFIX + field.name.upper() in environ:
            environ[PREFIX + field.name.upper()] = text(value)
    environ.pop(PREFIX + "CONFIG", None)  # what it says is said now
    if config.timeline:
        environ[PREFIX + "TIMELINE"] = os.path.abspath(config.timeline)  # wherever the program goes
    if observe:
        environ |= {
            PREFIX + "OBSERVE": "1",
            PREFIX + "POLICY": "unsplit",
            PREFIX + "WAIT": "driver",
        }
    if observe or config.summary:
        environ.setdefault(PREFIX + "REPORT", "-")
    splits = environ.get(PREFIX + "POLICY", "unsplit") != "unsplit"
    if not (observe or config.summary or config.timeline or config.cooperative or splits):
        return environ
    if os.path.exists(LIBRARY):
        environ[PREFIX + "PYTHON"] = sys.executable  # which asks the judge for the library
        others = environ.get("LD_PRELOAD", "")
        environ["LD_PRELOAD"] = f"{LIBRARY}:{others}" if others else LIBRARY
        # The last one named is the first that a program's calls come to.
        below = environ.get("OPENCL_LAYERS", "")
        environ["OPENCL_LAYERS"] = f"{below}:{LIBRARY}" if below else LIBRARY
    else:
        print(
            "gpusplit: its native library is not installed, and the program runs as without it: "
            "install a C compiler, then gpusplit again",
            file=sys.stderr,
        )
    return environ


def _somebody_counts(vms: str) -> bool:
    """Whether somebody may know how many VMs run; elsewhere nobody is to be told that it fails."""
    if vms != "auto" or os.path.exists(PAGE):
        return True
    # As tenancy.py has it, which takes long to import.
    from gpusplit import virtio, xenstore

    return xenstore.device() is not None or virtio.port() is not None


def begin_timeline(path: str) -> None:
    """Begin the file that all processes of the program add their waits to (native/timeline.c)."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n")


def _interpreter(program: str) -> str | None:
    """The interpreter that the first line of a script names; None for other programs."""
    try:
        with open(program, "rb") as file:
            line = file.readline(256)
    except OSError:
        return None
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode("utf-8", "replace").split()
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return shutil.which(words[0]) if words else None


def unreachable(program: str) -> str:
    """Why nothing can be preloaded into *program*; empty if it can, as far as one can tell."""
    interpreter = _interpreter(program)
    program = interpreter or program
    try:
        mode = os.stat(program).st_mode
        with open(program, "rb") as file:
            head = file.read(4096)
    except OSError:
        return ""
    name = os.path.basename(program)
    if mode & (stat.S_ISUID | stat.S_ISGID) and os.geteuid() != 0:
        return f"{name} runs with another user's rights, and nothing may be preloaded into it"
    if head[:4] != b"\x7fELF":
        return ""
    with open(sys.executable, "rb") as file:
        ours = file.read(20)
    if head[4] != ours[4] or head[18:20] != ours[18:20]:
        return f"{name} is for another kind of processor than gpusplit's library"
    if head[4] == 2 and not _has_loader(head):
        return f"{name} is statically linked, and nothing can be preloaded into it"
    return ""


def _has_loader(head: bytes) -> bool:
    """Whether a 64-bit ELF file names a dynamic loader (PT_INTERP; System V ABI, chapter 5)."""
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    kinds = [
        struct.unpack_from("<I", head, offset + at * size)[0]
        for at in range(count)
        if offset + at * size + 4 <= len(head)
    ]
    return 3 in kinds
