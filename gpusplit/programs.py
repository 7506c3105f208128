"""Where a kernel comes from: its source and build options, its SPIR-V, its PTX, or nothing."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyopencl as cl

from gpusplit import hooks

# What judges programs is imported when there is one to judge: most runs on slow guests have none.
if TYPE_CHECKING:
    from gpusplit.safety import Headers, Verdict

#: Programs whose source pyopencl alone knows, because it took their binary from its own cache.
_remembered: OrderedDict[int, tuple[Any, str]] = OrderedDict()
_REMEMBERED_MOST = 512
_lock = threading.Lock()

#: File systems keep time in steps of some milliseconds.
_STARTED = time.time() - 0.05

#: pyopencl puts its own headers on every program's include path.
_PYOPENCL_HEADERS = Path(cl.__file__).parent / "cl"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a kernel's program was made from.

    Attributes
    ----------
    kind: source, spirv, ptx or unknown.
    text: the source or PTX; empty otherwise.
    binary: the SPIR-V; empty otherwise.
    options: the build options.
    """

    kind: str
    text: str = ""
    binary: bytes = b""
    options: str = ""


def load() -> None:
    """Import what judges programs, which takes a while on a slow CPU."""
    from gpusplit import ptx, safety, spirv, variant

    del ptx, safety, spirv, variant


def origin(kernel: cl.Kernel, device: cl.Device) -> Origin:
    """What *kernel*'s program was made from, as far as OpenCL and pyopencl tell."""
    program = kernel.get_info(cl.kernel_info.PROGRAM)
    raw: Any = program._prg  # type: ignore[attr-defined]
    options = _options(raw, device)
    remembered = _remembered.get(raw.int_ptr)
    if remembered is not None:
        return Origin("source", remembered[1], options=options)
    text = _info(raw, cl.program_info.SOURCE)
    if isinstance(text, str) and text.strip("\0 \n"):
        return Origin("source", text.rstrip("\0"), options=options)
    binary = _info(raw, getattr(cl.program_info, "IL", None))
    if isinstance(binary, bytes) and binary:
        return Origin("spirv", binary=binary, options=options)
    if "NVIDIA" in device.vendor:
        from gpusplit import ptx

        devices = _info(raw, cl.program_info.DEVICES) or []
        binaries = _info(raw, cl.program_info.BINARIES) or []
        for candidate, image in zip(devices, binaries, strict=False):
            if candidate == device and ptx.is_ptx(image):
                return Origin("ptx", image.decode("utf-8", "replace"), options=options)
    return Origin("unknown", options=options)


def examine(kernel: cl.Kernel, device: cl.Device) -> Verdict:
    """The verdict on *kernel* from whatever its program was made from."""
    from gpusplit import ptx, safety, spirv

    found = origin(kernel, device)
    name = kernel.function_name
    if found.kind == "source":
        return safety.examine(found.text, name, found.options, header_finder(found.options))
    if found.kind == "spirv":
        return spirv.examine(found.binary, name)
    if found.kind == "ptx":
        return ptx.examine(found.text, name)
    return safety.whole("the program has no source (a binary or built-in kernels)")


def header_finder(options: str) -> Headers:
    """Finds headers on the include path that *options* name, and pyopencl's own."""
    from gpusplit import safety

    folders = [Path(folder) for folder in safety.read_options(options).include_dirs]
    if _PYOPENCL_HEADERS not in folders:
        folders.append(_PYOPENCL_HEADERS)
    # A header's own are looked for beside it first, and a program's perhaps where it runs.
    beside = {Path()}

    def find(name: str) -> tuple[str, bool] | None:
        found = [path for folder in (*folders, *beside) if (path := folder / name).is_file()]
        if len({path.resolve() for path in found}) != 1:
            # Of several, nobody here knows which one the compiler took.
            return None
        # These are part of pyopencl: pure arithmetic, as tests/unit/test_safety.py checks.
        if _PYOPENCL_HEADERS in found[0].resolve().parents:
            return "", True
        if any(map(_changed, found)):
            return None
        beside.update(path.parent for path in found)
        return found[0].read_text(encoding="utf-8", errors="replace"), False

    return find


def _changed(path: Path) -> bool:
    """Whether a header may be another than the one that a program was built with."""
    # ctime, which nobody can set: of the file, and of a link to it.
    return max(path.stat().st_ctime, path.lstat().st_ctime) >= _STARTED


def _info(raw: Any, what: Any) -> Any:
    try:
        return raw.get_info(what) if what is not None else None
    except cl.Error:
        return None


def _options(raw: Any, device: cl.Device) -> str:
    try:
        text: str = raw.get_build_info(device, cl.program_build_info.OPTIONS)
    except cl.Error:
        return ""
    return text.rstrip("\0")


def _watch() -> None:
    """Remember the source of programs that pyopencl builds from a cached binary."""
    original = cl.Program.build

    def build(self: cl.Program, *args: Any, **kwargs: Any) -> cl.Program:
        result: cl.Program = original(self, *args, **kwargs)
        described = getattr(self, "_build_duration_info", None)
        source = getattr(self, "_source", None)
        if described is not None and described[1] and isinstance(source, str):
            raw: Any = self._prg
            with _lock:
                # The program itself is kept, so that its address names no other one meanwhile.
                _remembered[raw.int_ptr] = (raw, source)
                while len(_remembered) > _REMEMBERED_MOST:
                    _remembered.popitem(last=False)
        return result

    hooks.put(cl.Program, "build", build)


if hooks.once(cl.Program, "_gpusplit_programs"):
    _watch()

#: For tests: where headers that need no examination live.
TRUSTED_HEADERS = os.fspath(_PYOPENCL_HEADERS)
