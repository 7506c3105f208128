"""A virtual environment for each program, its source archive, and the environment it runs in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.programs.catalogue import Program

#: What pip says where it cannot speak to a registry; a version that is not there is another thing.
_NO_CONNECTION = re.compile(r"connection broken by|Could not fetch URL|Connection ?[Ee]rror")

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


class NotInstalled(Exception):
    """A program could not be had; the message says why."""


class Unreachable(NotInstalled):
    """The package registry could not be asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program is installed: its interpreter, the folder of its tests, its own home.

    beside: a folder of packages that come before the interpreter's own.
    """

    python: Path
    tests: Path
    home: Path
    beside: Path | None = None


def requirement_name(requirement: str) -> str:
    """The project's name in a requirement, as PyPI normalises it.

    >>> requirement_name("Nengo_OCL[tests]>=3")
    'nengo-ocl'
    """
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(program: Program, own: Iterable[str]) -> list[str]:
    """What pip is to install: the program's, and gpusplit's *own* with its versions.

    Where the program names another version, or cannot have gpusplit's, its word counts.
    """
    wanted = {requirement_name(entry): entry for entry in own}
    for name in program.loosen:
        wanted[name] = name
    for entry in program.requires:
        wanted[requirement_name(entry)] = entry
    return sorted(wanted.values())


def own_requirements() -> list[str]:
    """What gpusplit itself depends on, as pyproject.toml says."""
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return list(tomllib.load(file)["project"]["dependencies"])


def install(program: Program, cache: Path) -> Place:
    """Make what the program needs, unless it stands there from an earlier run."""
    folder = cache / re.sub(r"[^\w.-]+", "-", program.name)
    wanted = requirements(program, own_requirements())
    python = folder / "venv" / "bin" / "python"
    with _made_once(folder, [*wanted, program.sdist or ""]) as to_be_made:
        if to_be_made:
            _checked([sys.executable, "-m", "venv", str(folder / "venv")])
            _checked([*_pip(python), "install", "--quiet", *wanted])
            if program.sdist is not None:
                fetch_sdist(_pip(python), program.sdist, folder / "source")
    return Place(python, lay_tests(program, folder), folder / "home")


def borrow(program: Program, cache: Path, home: Path) -> Place:
    """Make what the program's quick tests need, in seconds, unless it stands there.

    They run by this very interpreter, whose packages stay as they are: what else there must be is
    laid into a folder.  Unreachable where the registry is.
    """
    folder = cache / (re.sub(r"[^\w.-]+", "-", program.name) + "-quick")
    python, beside = Path(sys.executable), folder / "beside"
    with _made_once(folder, [*program.beside, program.sdist or ""]) as to_be_made:
        if to_be_made and program.beside:
            _checked([*_pip(python), "install", "--quiet", "--no-deps", "--target", str(beside),
                      *program.beside])  # fmt: skip
        if to_be_made and program.sdist is not None:
            fetch_sdist(_pip(python), program.sdist, folder / "source")
    return Place(python, lay_tests(program, folder), home, beside)


@contextlib.contextmanager
def _made_once(folder: Path, wanted: list[str]) -> Iterator[bool]:
    """Whether *folder*, empty then, is to be filled; it is known by what is wanted in it."""
    text = "\n".join([*wanted, f"python {sys.version_info[:2]}"])
    mark = folder / "installed"
    digest = hashlib.sha256(text.encode()).hexdigest()
    to_be_made = not mark.exists() or mark.read_text() != digest
    if to_be_made:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    yield to_be_made
    mark.write_text(digest)


def _pip(python: Path) -> list[str]:
    # No more than two attempts, of seconds: a registry that is not there is no fault of a test.
    return [str(python), "-m", "pip", "--disable-pip-version-check", "--retries", "1"]


def fetch_sdist(pip: list[str], requirement: str, target: Path) -> None:
    """Unpack a source archive so that what it contains lies in *target*."""
    download = target.with_name("download")
    # For this one only: what builds it may come as wheels.
    name = requirement_name(requirement)
    _checked(
        [*pip, "download", "--quiet", "--no-deps", "--no-binary", name, "--dest", str(download),
         requirement]
    )  # fmt: skip
    (archive,) = download.iterdir()
    unpacked = target.with_name("unpacked")
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(unpacked)
    else:
        with tarfile.open(archive) as packed:
            packed.extractall(unpacked, filter="data")
    (top,) = unpacked.iterdir()
    top.rename(target)
    shutil.rmtree(unpacked)
    shutil.rmtree(download)


def lay_tests(program: Program, folder: Path) -> Path:
    """The folder that pytest starts in, with the drivers in it."""
    tests = folder / ("source" if program.sdist is not None else "tests") / program.folder
    tests.mkdir(parents=True, exist_ok=True)
    for driver in program.drivers:
        shutil.copy(HERE / "drivers" / driver, tests / Path(driver).name)
    return tests


def variables(place: Place, library: Path, groups: int | None) -> dict[str, str]:
    """The environment of a run, plain or (*groups*) above gpusplit's library.

    The program sees neither the user's settings nor caches, so that runs are alike.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GPUSPLIT_")}
    paths = [HERE / "inside", library, *([place.beside] if place.beside is not None else [])]
    result = kept | {
        "HOME": str(place.home),
        "XDG_CACHE_HOME": str(place.home / "cache"),
        "XDG_CONFIG_HOME": str(place.home / "config"),
        "POCL_CACHE_DIR": str(place.home / "pocl"),
        # pyopencl's wheel brings a loader of its own, which looks elsewhere.
        "OCL_ICD_VENDORS": os.environ.get("OCL_ICD_VENDORS", "/etc/OpenCL/vendors"),
        "PYOPENCL_CTX": "0",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "QT_QPA_PLATFORM": "offscreen",
    }
    if groups is not None:
        result |= split_options(groups) | below(library)
    return result


def below(library: Path) -> dict[str, str]:
    """What has the native library split, and say at the end what became of launches."""
    return {
        "OPENCL_LAYERS": str(library / "gpusplit" / "native" / "libgpusplit.so"),
        "GPUSPLIT_PYTHON": sys.executable,
        "GPUSPLIT_SUMMARY": "1",
    }


def split_options(groups: int) -> dict[str, str]:
    """The options with which every launch that may be split is."""
    return {
        "GPUSPLIT_POLICY": "fixed", "GPUSPLIT_GROUPS": str(groups), "GPUSPLIT_CORES": "1",
        "GPUSPLIT_JUDGE": "wait",
    }  # fmt: skip


def lay_library(cache: Path) -> Path:
    """A folder for PYTHONPATH that has gpusplit of this checkout and nothing else of it.

    The checkout's root would shadow what programs call their tests.
    """
    library = cache / "library"
    library.mkdir(parents=True, exist_ok=True)
    link = library / "gpusplit"
    link.unlink(missing_ok=True)
    link.symlink_to(CHECKOUT / "gpusplit", target_is_directory=True)
    return library


def _checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "rror" in line]
        lines = errors or done.stderr.strip().splitlines() or ["no message"]
        kind = Unreachable if _NO_CONNECTION.search(done.stderr) else NotInstalled
        raise kind(lines[0].strip()[:300])
