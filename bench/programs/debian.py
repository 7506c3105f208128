"""Files of Debian packages and of their sources, without root and without installing anything.

apt's own configuration says where packages come from; lists and archives lie in a folder given.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from bench.programs.environments import NotInstalled

#: Where Debian 12 and older ones keep their sources.
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_NAMES = ("list.sources", "list.list")


def with_sources(text: str) -> str:
    """An apt source list that asks for source packages, too, in either of apt's formats.

    >>> with_sources("deb mirror bookworm main")
    'deb mirror bookworm main\\ndeb-src mirror bookworm main'
    >>> with_sources("Types: deb")
    'Types: deb deb-src'
    """
    text = re.sub(r"^Types: deb$", "Types: deb deb-src", text, flags=re.M)
    return re.sub(r"^deb (.*)$", r"deb \1\ndeb-src \1", text, flags=re.M)


class Apt:
    """Downloads packages into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """folder: for lists, archives, and what is unpacked."""
        self.folder = folder

    def package(self, name: str) -> Path:
        """The folder that the files of a binary package are unpacked in."""
        target = self.folder / name
        if not target.exists():
            download = self._download(name, ["download", name])
            for archive in download.glob("*.deb"):
                _run(["dpkg-deb", "--extract", str(archive), str(target)], download)
        return target

    def source(self, name: str) -> Path:
        """The folder that a source package is unpacked in."""
        target = self.folder / f"{name}-source"
        if not target.exists():
            download = self._download(name, ["source", "--download-only", name])
            for archive in download.glob("*.orig*.tar.*"):
                if archive.suffix != ".asc":
                    with tarfile.open(archive) as packed:
                        packed.extractall(target, filter="data")
        return target

    def _download(self, name: str, words: list[str]) -> Path:
        download = self.folder / "download" / name
        shutil.rmtree(download, ignore_errors=True)
        download.mkdir(parents=True)
        self._update()
        _run(["apt-get", *self._options(), *words], download)
        return download

    def _options(self) -> list[str]:
        listed = next(self.folder / name for name in _NAMES if (self.folder / name).exists())
        options = {
            "Dir::Etc::SourceList": listed,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": self.folder / "lists",
            "Dir::Cache": self.folder / "cache",
            # Not Debian's _apt, which may not write here.
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
        }
        return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

    def _update(self) -> None:
        if (self.folder / "lists").exists():
            return
        found = next(
            (path for path in _SOURCES if path.exists() and path.read_text().strip()), None
        )
        if found is None:
            raise NotInstalled("apt has no list of sources")
        for name in ("lists/partial", "cache/archives/partial"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # apt takes the format from the name.
        for name in _NAMES:
            (self.folder / name).unlink(missing_ok=True)
        listed = self.folder / f"list{found.suffix}"
        listed.write_text(with_sources(found.read_text()))
        _run(["apt-get", *self._options(), "update"], self.folder)


def _run(words: list[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        # Which mirror it was is nobody's business.
        raise NotInstalled(re.sub(r"\w+://\S*/", "", (lines or ["E: no message"])[0]))
