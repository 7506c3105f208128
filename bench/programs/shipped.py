"""Kernels that programs ship or build: what shipped.toml says, and the programs' source texts.

A program's files are read as they lie in a package, or (capture) its own functions are called
while a layer below OpenCL's loader (capture.c) writes down what is built.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.programs import environments
from bench.programs.catalogue import Program
from bench.programs.debian import Apt
from bench.programs.environments import HERE, NotInstalled

SHIPPED = HERE / "shipped.toml"
KINDS = ("debian", "debian-source", "capture", "folder")


@dataclass(frozen=True, slots=True)
class Shipped:
    """A program whose kernels are judged.

    Attributes
    ----------
    name, what: for the table.
    kind: how its kernels are had: files of a Debian package, of a Debian source package, or of a
        folder that the user names; or captured while a driver runs.
    package: the Debian package.
    files: a pattern of the kernels' files; together: files that are one program, by their names;
        before: what the program puts before those.
    include: folders for #include, in the package.
    options: of clBuildProgram; more_options: by patterns of paths, for those files in addition.
    driver, requires, library, environment: for kind capture: the script, what pip installs for it,
        a shared library of the package for it to load, and its environment variables.
    most: of so many files at most, taken evenly, 0: all.
    """

    name: str
    what: str
    kind: str
    package: str = ""
    files: str = ""
    together: tuple[tuple[str, ...], ...] = ()
    before: str = ""
    include: tuple[str, ...] = ()
    options: str = ""
    more_options: dict[str, str] = field(default_factory=dict)
    driver: str = ""
    requires: tuple[str, ...] = ()
    library: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    most: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """One program as it is given to OpenCL."""

    name: str
    text: str
    options: str = ""
    include: tuple[Path, ...] = ()


def read(path: Path = SHIPPED) -> list[Shipped]:
    """The entries of shipped.toml; ValueError where one says something unknown."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["shipped"]
    found = [Shipped(**{key: _frozen(value) for key, value in entry.items()}) for entry in entries]
    for entry in found:
        if entry.kind not in KINDS:
            raise ValueError(f"{entry.name}: kind must be one of {', '.join(KINDS)}")
    return found


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def sources(entry: Shipped, cache: Path, folders: dict[str, Path]) -> Iterator[Source]:
    """The programs of an entry; NotInstalled says why there are none."""
    apt = Apt(cache / "debian")
    if entry.kind == "capture":
        folder = cache / f"capture-{entry.name}"
        if not (folder / "done").exists():
            capture(entry, cache, folder, apt)
        yield from captured(folder)
        return
    if entry.kind == "folder":
        if entry.name not in folders:
            raise NotInstalled(f"no package has it; --folder {entry.name}=... says where it lies")
        root = folders[entry.name]
    else:
        root = apt.package(entry.package) if entry.kind == "debian" else apt.source(entry.package)
    yield from from_files(entry, root)


def from_files(entry: Shipped, root: Path) -> Iterator[Source]:
    """The programs whose files lie in *root*."""
    paths = {
        path.name if entry.together else str(path): path for path in sorted(root.glob(entry.files))
    }
    if not paths:
        raise NotInstalled(f"{entry.files}: there are no such files")
    include = tuple(root / folder for folder in entry.include)
    options = entry.options.replace("{include}", str(include[0]) if include else "")
    for names in entry.together:
        parts = [paths.pop(name).read_text(errors="replace") for name in names]
        yield Source("+".join(names), "\n".join((entry.before, *parts)), options, include)
    for path in evenly(list(paths.values()), entry.most):
        text = path.read_text(errors="replace")
        # A kernel in a folder of its own includes what lies beside the program, which runs there.
        beside = (path.parent, path.parent.parent)
        more = [words for pattern, words in entry.more_options.items() if path.match(pattern)]
        name = str(path.relative_to(root))
        yield Source(name, text, " ".join((options, *more)), (*include, *beside))


def evenly(values: list[Path], most: int) -> list[Path]:
    """At most so many of *values* (0: all), evenly spread.

    >>> [path.name for path in evenly([Path(str(n)) for n in range(10)], 3)]
    ['0', '3', '6']
    """
    if not most or len(values) <= most:
        return values
    return [values[at * len(values) // most] for at in range(most)]


def capture(entry: Shipped, cache: Path, folder: Path, apt: Apt) -> None:
    """Run the driver, with the layer that leaves programs in *folder*."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    layer = cache / "libcapture.so"
    words = ["cc", "-O2", "-fPIC", "-shared", "-Wl,-z,nodelete", "-o", str(layer)]
    if subprocess.run([*words, str(HERE / "capture.c")], check=False).returncode:
        raise NotInstalled("the capturing layer does not compile (cc, Debian's opencl-headers)")
    python, home = Path(sys.executable), cache / f"home-{entry.name}"
    if entry.requires:
        program = Program(f"capture {entry.name}", entry.requires, (), entry.what)
        place = environments.install(program, cache)
        python, home = place.python, place.home
    variables = environments.variables(environments.Place(python, folder, home), cache, None)
    variables |= entry.environment
    variables |= {"PROGRAMS_CAPTURE": str(folder), "OPENCL_LAYERS": str(layer)}
    if entry.library:
        found = next(apt.package(entry.package).glob(entry.library), None)
        if found is None:
            raise NotInstalled(f"the package {entry.package} has no {entry.library}")
        variables["CLBLAST_LIBRARY"] = str(found)
    for name in ("cache", "config", "pocl"):
        (home / name).mkdir(parents=True, exist_ok=True)
    with (folder / "output.txt").open("w") as output:
        try:
            done = subprocess.run(
                [str(python), str(HERE / "drivers" / entry.driver)], env=variables, cwd=folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, timeout=1200,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NotInstalled("its driver did not end in 20 minutes") from None
    if done.returncode or not any(folder.glob("*.cl")):
        raise NotInstalled(f"its driver ended with {done.returncode}, see {folder.name}/output.txt")
    (folder / "done").touch()


def captured(folder: Path) -> Iterator[Source]:
    """What was written down, each text with the same options once."""
    seen: set[tuple[str, str]] = set()
    for path in sorted(folder.glob("*.cl")):
        text = path.read_text(errors="replace")
        beside = path.with_suffix(".options")
        options = beside.read_text() if beside.exists() else ""
        if (text, options) not in seen:
            seen.add((text, options))
            yield Source(path.stem, text, options)
