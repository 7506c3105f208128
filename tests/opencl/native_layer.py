"""The native library as an OpenCL layer, under programs that know nothing of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from compiled import NATIVE, PROGRAMS, ROOT, made
from conftest import PRELUDE, EmuGpu

#: A kernel that needs a variant, launched now and then until the program is told to end.
GROUPS = "kernel void k(global int *a) { a[get_global_id(0)] += get_group_id(0) + 1; }"
LAUNCHES = f"""
kernel = cl.Kernel(cl.Program(context, {GROUPS!r}).build(), "k")
a = cl.Buffer(context, flags, hostbuf=np.zeros(64, np.int32))
out = np.empty(64, np.int32)
def go():
    kernel(queue, (64,), (8,), a)
    cl.enqueue_copy(queue, out, a)
"""


@dataclass
class Layer:
    """The library, laid out as it is installed, and a cache of its own."""

    folder: Path

    @property
    def library(self) -> Path:
        return self.folder / "gpusplit" / "native" / "libgpusplit.so"

    @property
    def verdicts(self) -> list[Path]:
        return sorted(self.verdicts_folder.glob("[!.]*"))

    @property
    def verdicts_folder(self) -> Path:
        return self.folder / "cache" / "gpusplit" / "verdicts"

    @property
    def watcher(self) -> Path:
        return self.library.parent / "watching_layer.so"

    @property
    def deferrer(self) -> Path:
        return self.library.parent / "deferring_layer.so"

    def environment(
        self, below: EmuGpu | Path | None, computes: str = "full", **options: str
    ) -> dict[str, str]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GPUSPLIT_")}
        lower = below.library if isinstance(below, EmuGpu) else below
        layers = [self.library] if lower is None else [lower, self.library]
        return environ | {
            "OPENCL_LAYERS": ":".join(map(str, layers)),
            "EMUGPU_EXEC": computes,
            "EMUGPU_SCALE": "0.01",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PYOPENCL_NO_CACHE": "1",
            "GPUSPLIT_PYTHON": sys.executable,
            **{f"GPUSPLIT_{name.upper()}": value for name, value in options.items()},
        }

    def run(
        self, program: str, below: EmuGpu | Path | None, computes: str = "full",
        settings: dict[str, str] | None = None, **options: str,
    ) -> Ran:  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(program)],
            env=self.environment(below, computes, **options) | (settings or {}),
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return Ran(done.stdout.splitlines()[-1], done.stderr)


@dataclass(frozen=True)
class Ran:
    """What a program said, and what was said of it."""

    facts: str
    errors: str

    def split(self, kernel: str = "k") -> tuple[int, int, int]:
        """Launches of a kernel, those of them that were split, and slices."""
        found = re.search(
            rf"gpusplit: {kernel}: (\d+) launches, (\d+) split, (\d+) slices", self.errors
        )
        return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)

    @property
    def in_flight(self) -> int:
        """Kernels that were at most enqueued and not over, where the watching layer is below."""
        return self.watched("in flight")

    def watched(self, what: str) -> int:
        """A number that the watching layer says at the end."""
        found = re.search(rf"watched: .*\b(\d+) {what}", self.errors)
        assert found is not None, self.errors
        return int(found[1])

    def why_whole(self, kernel: str = "k") -> str:
        found = re.search(rf"gpusplit: {kernel}: .*; whole: (.*)", self.errors)
        return found[1] if found else ""


#: Cut whatever there is, as soon as it is there.
FORCED = {"policy": "fixed", "cores": "1", "judge": "wait", "summary": "1"}


def install(folder: Path, sanitize: str = "") -> Layer:
    """The layer and programs for it, built alike; a sanitizer that is not there is skipped."""
    found = Layer(folder)
    out = found.library.parent
    out.mkdir(parents=True)
    (folder / "gpusplit" / "asked.py").symlink_to(ROOT / "gpusplit" / "asked.py")
    names = ("split_calls", "callback_calls", "own_loader", "watching_layer.so",
             "deferring_layer.so")  # fmt: skip
    shutil.copy(made(NATIVE, sanitize=sanitize) / found.library.name, out)
    programs = made(PROGRAMS, *names, sanitize=sanitize)
    for name in names:
        shutil.copy(programs / name, out)
    return found


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Layer:
    return install(tmp_path_factory.mktemp("layer"))
