"""The native library below OpenCL without a layer: loaders that take none, drivers alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import EmuGpu
from native_layer import FORCED, Layer, Ran, install
from test_native_split import THREADS

pytestmark = pytest.mark.opencl

#: A program that is linked with the system's loader, and one that opens PoCL's library itself.
PROGRAMS = ["split_calls", "own_loader"]


@dataclass
class Preloaded:
    """The library and the programs of both kinds."""

    layer: Layer
    runtime: str = ""

    def run(self, program: str, *, preload: bool = True, layers: str = "", **options: str) -> Ran:
        environ = self.layer.environment(None, **options) | {
            "OPENCL_LAYERS": layers,
            "OPENCL_DRIVER": Path("/etc/OpenCL/vendors/pocl.icd").read_text().strip(),
            "TSAN_OPTIONS": "die_after_fork=0 exitcode=0 "
            f"suppressions={self.layer.folder / 'threads'}",
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "halt_on_error=1",
        }
        if preload:
            environ["LD_PRELOAD"] = f"{self.runtime} {self.layer.library}"
        done = subprocess.run(
            [self.layer.library.parent / program], env=environ, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        if self.runtime and "FATAL" in done.stderr:
            pytest.skip("this sanitizer does not work on this kernel")
        assert done.returncode == 0, done.stderr
        return Ran(done.stdout, done.stderr)

    def report(self, program: str, *, preload: bool = True, layers: str = "") -> dict[str, Any]:
        """What the waits of the program cost."""
        path = self.layer.folder / "report"
        path.unlink(missing_ok=True)
        self.run(program, preload=preload, layers=layers, report=str(path))
        told: dict[str, Any] = json.loads(path.read_text())
        return told


def built(folder: Path, sanitize: str = "") -> Preloaded:
    layer = install(folder, sanitize)
    (folder / "threads").write_text(THREADS)
    linked = subprocess.run(
        ["ldd", layer.library.parent / "own_loader"], check=True, capture_output=True, text=True
    ).stdout
    return Preloaded(layer, " ".join(re.findall(r"/\S*/lib[at]san\.so\S*", linked)))


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Preloaded:
    return built(tmp_path_factory.mktemp("preloaded"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_the_same_and_all_of_its_waits_are_seen(
    preloaded: Preloaded, program: str
) -> None:
    assert preloaded.run(program).facts == preloaded.run(program, preload=False).facts
    library = str(preloaded.layer.library)
    layered = preloaded.report("split_calls", preload=False, layers=library)
    assert preloaded.report(program)["waits"] == layered["waits"] > 50


def test_a_loader_that_takes_the_layer_is_not_reached_twice(preloaded: Preloaded) -> None:
    library = str(preloaded.layer.library)
    layered = preloaded.report("split_calls", preload=False, layers=library)
    assert preloaded.report("split_calls", layers=library)["waits"] == layered["waits"]


@pytest.mark.parametrize("sanitize", ["", "thread", "address,undefined"])
def test_launches_are_split_without_a_layer(tmp_path: Path, sanitize: str) -> None:
    preloaded = built(tmp_path, sanitize)
    ran = preloaded.run("own_loader", **FORCED, groups="3")
    assert ran.facts == preloaded.run("own_loader", preload=False).facts != ""
    assert not re.findall(r"SUMMARY: .*gpusplit/native/.*", ran.errors), ran.errors
    assert ran.split("k1")[0] == 52
    assert ran.split("k1")[1] > 20


SLOW = """
import os
slow = cl.Kernel(cl.Program(context, '''
    kernel void slow(global float *a)
    { float x = a[0]; for (int i = 0; i < 20000000; i++) x = x * 0.5f + 1; a[0] = x; }
''').build(), "slow")
for _ in range(6):
    slow(queue, (1,), None, buffer).wait()
    slow(queue, (1,), None, buffer)
    queue.finish()
say()
"""

#: Uses PoCL by its table (clGetDeviceIDs, clCreateContext, clCreateCommandQueue, clFinish), before
#: pyopencl's loader is there.
DIRECT = """
from ctypes import *
driver = CDLL("{driver}")
driver.clGetExtensionFunctionAddress.restype = c_void_p
platforms_of = driver.clGetExtensionFunctionAddress(b"clIcdGetPlatformIDsKHR")
platform, device = c_void_p(), c_void_p()
def call(object, place, *args, result=c_int):
    table = cast(object, POINTER(POINTER(c_void_p))).contents
    return CFUNCTYPE(result, *map(type, args))(table[place])(*args)
assert not CFUNCTYPE(c_int, c_uint, c_void_p, c_void_p)(platforms_of)(1, addressof(platform), None)
assert not call(platform, 2, platform, c_uint64(2**32 - 1), c_uint(1), pointer(device), c_void_p())
context = c_void_p(call(device, 4, c_void_p(), c_uint(1), pointer(device), c_void_p(), c_void_p(),
                        c_void_p(), result=c_void_p))
queue = c_void_p(call(context, 9, context, device, c_uint64(0), c_void_p(), result=c_void_p))
assert not call(queue, 47, queue)
"""


def waits_of(emugpu: EmuGpu, folder: Path, program: str, **settings: str) -> dict[str, Any]:
    """What the report says of a program of pyopencl's."""
    path = folder / "report"
    path.unlink(missing_ok=True)
    emugpu.run(program, GPUSPLIT_REPORT=str(path), **settings)
    told: dict[str, Any] = json.loads(path.read_text())
    return told


@pytest.mark.alone
def test_waits_sleep_without_a_layer(emugpu: EmuGpu, preloaded: Preloaded, tmp_path: Path) -> None:
    library = str(preloaded.layer.library)
    told = waits_of(emugpu, tmp_path, SLOW, OPENCL_LAYERS="", LD_PRELOAD=library)
    assert told["waits"] == 12
    assert told["naps"] > 6  # one whose thread gets no CPU meanwhile finds its work over
    assert told["waited_cpu_s"] < told["waited_s"] / 3


def test_above_the_emulated_gpu_calls_are_seen_once(
    emugpu: EmuGpu, preloaded: Preloaded, tmp_path: Path
) -> None:
    library = str(preloaded.layer.library)
    layers = f"{emugpu.library}:{library}"
    alone = waits_of(emugpu, tmp_path, SLOW, OPENCL_LAYERS=layers)
    both = waits_of(emugpu, tmp_path, SLOW, OPENCL_LAYERS=layers, LD_PRELOAD=library)
    assert both["waits"] == alone["waits"] == 12


def test_a_layer_that_comes_after_a_direct_use_is_not_one(
    emugpu: EmuGpu, preloaded: Preloaded, tmp_path: Path
) -> None:
    """The driver's functions are exchanged already: what comes through the layer gets there."""
    library = str(preloaded.layer.library)
    driver = Path("/etc/OpenCL/vendors/pocl.icd").read_text().strip()
    path = tmp_path / "report"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c",
         DIRECT.format(driver=driver) + "import pyopencl as cl\n"
         "context = cl.create_some_context()\n"
         "queue = cl.CommandQueue(context)\nqueue.finish()\nqueue.finish()\n"],
        env=os.environ | {"OPENCL_LAYERS": library, "LD_PRELOAD": library,
                          "GPUSPLIT_REPORT": str(path), "PYOPENCL_CTX": "0"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(path.read_text())["waits"] == 3
