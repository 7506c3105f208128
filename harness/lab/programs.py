"""Starting an operator's own programs in a lab: plain, or under `gpusplit run`."""

from __future__ import annotations

import hashlib
import io
import shlex
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.lab.deploy import FOLDER
from harness.lab.hosts import Host
from harness.plan.programs import Program

BECOME_GPUSPLIT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from gpusplit.cli import main; sys.exit(main())"
)
"""`gpusplit`, of one folder alone: PYTHONPATH would stay for the program."""

PLAIN = {"GPUSPLIT_WAIT": "driver"}
"""For a program that is to run as without gpusplit, where a whole VM has it."""


@dataclass(frozen=True)
class OwnPrograms:
    """What is needed to start them."""

    keeper: Path
    """The binary of workloads/keeper.c."""
    gpusplit: Path
    """The folder of the package, its native library in it."""
    folder: Path | None = None
    """In which they are started; copied to every guest. None: where one is after logging in."""


def words_of(program: Program, python: str, root: str, options: Mapping[str, Any]) -> list[str]:
    """Return a GPU program's command line under gpusplit's options (`gpusplit.Config`'s).

    *root* is the folder that the package gpusplit is in. With the driver's wait and whole kernels
    it is the program's own command line.
    """
    if options["policy"] == "unsplit" and options["wait"] == "driver":
        return list(program.words)
    # A verdict that comes late would leave the first run whole, and later ones split.
    given = {**options, "judge": "wait"}
    flags = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return [python, "-c", BECOME_GPUSPLIT, root, "run", *flags, *program.words]


def put_folder(host: Host, local: Path) -> str:
    """Make sure that a folder's files are on a host, and return its path there.

    As with single programs (deploy.py), the path holds the content's hash.
    """
    packed = _packed(local)
    folder = f"{FOLDER}/{hashlib.sha256(packed).hexdigest()[:16]}"
    remote = f"{folder}/{local.resolve().name}"
    archive = f"{folder}.tar"
    if host.run(f"if test -e {shlex.quote(remote)}; then echo there; fi").strip() != "there":
        host.run(f"mkdir -p {FOLDER}")
        with tempfile.NamedTemporaryFile() as file:
            file.write(packed)
            file.flush()
            host.put(Path(file.name), archive)
        # Unpacked beside and renamed: what broke off is never taken for the folder.
        host.run(
            f"rm -rf {folder}.partial && mkdir {folder}.partial && "
            f"tar -xf {archive} -C {folder}.partial && rm {archive} && "
            f"mv -T {folder}.partial {folder}"
        )
    return remote


def _packed(local: Path) -> bytes:
    """Return a folder as a tar archive: the same for the same files, whoever has them."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if "__pycache__" in Path(member.name).parts:
            return None
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = 0
        return member

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.add(local, arcname=local.resolve().name, filter=plain)
    return file.getvalue()
