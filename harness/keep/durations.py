"""How long the parts of a run took, for whoever asks how long the next one will take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter, ValidationError

from harness.errors import CannotWrite, UnreadableResults
from harness.keep.manifest import read_manifest
from harness.keep.results import RunFolder

DURATIONS = "durations.json"
"""Seconds of every part of a run, by its name: a point's label, say."""


_PARTS = TypeAdapter(dict[str, list[float]])


def write_durations(folder: RunFolder, taken: Mapping[str, Sequence[float]]) -> None:
    """Keep how long parts took, beside those that the folder knows from before it went on.

    Without room for it nothing is lost that was measured.
    """
    before: dict[str, list[float]] = {}
    with suppress(OSError, ValidationError):
        before = _PARTS.validate_json((folder.path / DURATIONS).read_bytes())
    added = {part: [*before.get(part, []), *seconds] for part, seconds in taken.items()}
    with suppress(CannotWrite):
        folder.write_json(DURATIONS, before | added)


def earlier_durations(root: Path, lab: str, profile: str) -> dict[str, float]:
    """Return the seconds of each part in the latest run of this lab and profile that had it.

    *root* holds the runs' folders. A part that a run repeated took the median of its times. What
    cannot be read is as if it was not there: this is no result.
    """
    found: dict[str, float] = {}
    for path in sorted(root.glob(f"2*/{DURATIONS}")):  # by name: the oldest first
        with suppress(UnreadableResults, OSError, ValidationError):
            began = read_manifest(RunFolder(path.parent))
            taken = _PARTS.validate_json(path.read_bytes())
            if (began.lab, began.profile) == (lab, profile):
                found |= {part: median(seconds) for part, seconds in taken.items() if seconds}
    return found
