"""The emulated GPU, and programs that run on it.

The layer is chosen by the environment when an OpenCL loader starts, so every program that uses it
is a process of its own: `emugpu.run(program)` runs one and returns what it printed as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from compiled import EMUGPU, made

# What every program starts with. At scale 1 the paper's card takes `KERNEL_S` for one launch of
# `launch()`: 1024 work-groups of 16 x 16, so 22 waves.
PRELUDE = """
import json, resource, threading, time
import numpy as np
import pyopencl as cl

platform = cl.get_platforms()[0]
device = platform.get_devices()[0]
context = cl.Context([device])
COMPLETE = cl.command_execution_status.COMPLETE
PROFILING = cl.command_queue_properties.PROFILING_ENABLE
OUT_OF_ORDER = cl.command_queue_properties.OUT_OF_ORDER_EXEC_MODE_ENABLE
queue = cl.CommandQueue(context, properties=PROFILING)
SIDE = 512
host = np.ones((SIDE, SIDE), np.float32)
flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
buffer = cl.Buffer(context, flags, hostbuf=host)
program = cl.Program(context, '''
    __kernel void twice(__global float *a)
    { a[get_global_id(1) * 512 + get_global_id(0)] *= 2; }
''').build()
twice = cl.Kernel(program, "twice")
twice.set_args(buffer)

def launch(queue=queue, rows=SIDE, offset=None, **how):
    return cl.enqueue_nd_range_kernel(
        queue, twice, (SIDE, rows), (16, 16), global_work_offset=offset, **how)

def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

def wanted_seconds():
    '''Time that this thread ran or stood in line for a CPU: on a busy machine, too, what it
    wanted of one.'''
    ran, stood, _ = open("/proc/thread-self/schedstat").read().split()
    return (int(ran) + int(stood)) / 1e9

def times(event):
    return {name: getattr(event.profile, name) for name in ("queued", "submit", "start", "end")}

def say(**what):
    print(json.dumps(what))
"""


@dataclass
class EmuGpu:
    """A built layer and the programs that belong to it."""

    folder: Path

    @property
    def library(self) -> Path:
        return self.folder / "libemugpu.so"

    def profile(self, name: str) -> str:
        return str(EMUGPU / "profiles" / f"{name}.toml")

    def needed_libraries(self) -> set[str]:
        """The names in the library's dynamic section, as the dynamic linker reads them."""
        dump = subprocess.run(
            ["objdump", "-p", str(self.library)], capture_output=True, text=True, check=True
        )
        return {line.split()[1] for line in dump.stdout.splitlines() if "NEEDED" in line}

    def environment(self, **settings: str) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("EMUGPU_")}
        # OPENCL_LAYERS is read by ocl-icd and by the Khronos loader alike.
        return env | {"OPENCL_LAYERS": str(self.library)} | settings

    def process(
        self, program: str, first: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program; *first* is what it does before OpenCL starts."""
        text = textwrap.dedent(first) + PRELUDE + textwrap.dedent(program)
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", text],
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(self, program: str, first: str = "", **settings: str) -> Any:
        done = self.process(program, first, **settings)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def tool(
        self, name: str, *args: str, layer: bool = False, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the folder; with the layer if it is to use OpenCL."""
        return subprocess.run(
            [str(self.folder / name), *args],
            env=self.environment(**settings) if layer else os.environ | settings,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def build_emugpu(sanitize: str = "") -> EmuGpu:
    programs = ("split-cost", "timeline-test", "loader-test", "program-test", "busy-host-test")
    return EmuGpu(made(EMUGPU, "libemugpu.so", *programs, sanitize=sanitize))


@pytest.fixture(scope="session")
def emugpu() -> EmuGpu:
    return build_emugpu()


@pytest.fixture(scope="session", params=["address,undefined", "thread"])
def sanitized_emugpu(request: pytest.FixtureRequest) -> EmuGpu:
    return build_emugpu(request.param)
