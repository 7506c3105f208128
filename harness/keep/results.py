"""Where results are kept: a folder per run, and a link to the latest finished one.

Nothing of an earlier run is ever changed: a run writes into a folder of its own, and the
link moves only when the run has ended well.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import CannotWrite, LabUnsuitable, UnreadableResults
from harness.plan.experiments import Point

LATEST = "latest"
BEGUN = "run.json"
"""A file that a run writes when it begins, and one that it writes when it ends."""
FINISHED = "summary.json"


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, root: Path, started: datetime) -> RunFolder:
        """Make a new folder, named by the time."""
        stamp = started.strftime("%Y%m%d-%H%M%S")
        try:
            root.mkdir(parents=True, exist_ok=True)
            for suffix in ("", *(f"-{n}" for n in range(2, 100))):
                try:
                    (root / (stamp + suffix)).mkdir()
                except FileExistsError:
                    continue  # another run started within the same second
                return cls(root / (stamp + suffix))
        except OSError as error:
            raise LabUnsuitable(
                f"No results can be written below {root}: {error}.",
                "free some space, or choose another folder with --results",
            ) from error
        raise LabUnsuitable(f"{root} is full of runs of this second.", "try again")

    @classmethod
    def find(cls, root: Path, name: str) -> RunFolder:
        """Return the folder of an earlier run, or for `latest` of the latest unfinished one."""
        if name != LATEST:
            if not (root / name).is_dir():
                raise UnreadableResults(f"There is no run {root / name}.", f"see {root}")
            return cls(root / name)
        begun = [path.parent for path in root.glob(f"2*/{BEGUN}")]
        unfinished = [path for path in begun if not (path / FINISHED).exists()]
        if not unfinished:
            raise UnreadableResults(
                f"There is no unfinished run below {root}.", "begin a new one, without --resume"
            )
        return cls(max(unfinished, key=lambda path: (path / BEGUN).stat().st_mtime))

    def write_json(self, name: str, content: Any) -> Path:
        """Write dataclasses, dicts and lists as JSON; the file is there wholly or not at all.

        CannotWrite if there is no room, say; then what was there before still is.
        """
        path = self.path / name
        text = json.dumps(content, default=_plain, indent=2, allow_nan=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_or_not_at_all(path) as partial:
                partial.write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise CannotWrite(
                f"{path} could not be written: {error}.",
                "free some space, then go on with the run: `pytest harness/ --resume "
                f"{self.path.name}` measures what it lacks, `harness judge` judges what is there",
            ) from error
        return path

    def publish(self) -> Path:
        """Make `latest` point to this run; return the link's path."""
        link = self.path.parent / LATEST
        # A link cannot be changed, but another can take its place in one step.
        new = link.with_name(f".{LATEST}.{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(self.path.name)
        new.replace(link)
        return link


@contextmanager
def whole_or_not_at_all(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of *path* when all of it is written."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)  # what fits of it is of no use


def raw_name(point: Point, repetition: int, host: str) -> str:
    """Return where a repetition's raw samples are, in the run's folder."""
    return f"raw/{point.label}.{repetition}.{host}.json"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"not for JSON: {value!r}")
