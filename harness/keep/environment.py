"""What a run ran on: the commit, versions, the hypervisor. Written into its summary."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.lab.lab import Lab
from harness.lab.samples import PointSamples
from harness.plan.conditions import STANDARD

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("ansible-core", "fabric", "gpusplit", "matplotlib", "paramiko", "pytest", "scipy")


@dataclass(frozen=True)
class Machines:
    """What a run is made on, as far as it is known when it begins."""

    controller: dict[str, str]
    """This machine's Python, kernel and packages."""
    host: dict[str, str]
    """What the lab says of its host: the hypervisor, the kernel, the CPUs."""


@dataclass(frozen=True)
class Environment:
    """What a run ran on."""

    commit: str
    """The checkout's commit, with `+changes` if files differed from it; `unknown` outside git."""
    controller: dict[str, str]
    """Of the machine that ran the harness: Python, kernel and packages."""
    host: dict[str, str]
    """What the lab said of its host: the hypervisor, the kernel, the CPUs."""
    gpu_vm: dict[str, str]
    """What the GPU job said of its guest, its OpenCL and its device."""


def describe_machines(lab: Lab) -> Machines:
    """Gather what a run that begins will run on."""
    return Machines(
        controller={
            "python": platform.python_version(),
            "kernel": platform.release(),
            **{name: _version(name) for name in PACKAGES},
        },
        host=lab.describe(),
    )


def describe_environment(
    commit: str, machines: Machines, samples: Iterable[PointSamples]
) -> Environment:
    """Gather what a run ran on: what was known when it began, and what its GPU jobs said.

    The driver is told as it is under no condition of its own, where that was measured.
    """
    told = [(sample.point, sample.gpu) for sample in samples if sample.gpu is not None]
    told.sort(key=lambda each: each[0].condition == STANDARD and not each[0].blocking_driver)
    gpu_vm = {"device": told[-1][1].device, **told[-1][1].versions} if told else {}
    return Environment(commit, machines.controller, machines.host, gpu_vm)


def commit(checkout: Path) -> str:
    """Return the commit that a checkout is at, and whether it was changed since."""
    try:
        head = _git(checkout, "rev-parse", "HEAD")
        changed = _git(checkout, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def _git(checkout: Path, *words: str) -> str:
    command = ["git", "-C", str(checkout), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
