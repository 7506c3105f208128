"""Counts launches by what became of them, and appends what a test or a process made to the log.

The log is one JSON object a line, appended at once: a process that PoCL aborts leaves all lines
but its last.
"""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from contextlib import ExitStack
from typing import Any

#: The list that launches are recorded in, once it is begun.
_recorded: list[list[Any]] = []
_recording = ExitStack()


def begin() -> None:
    """Put gpusplit under pyopencl with the environment's options, and record from now on."""
    import gpusplit.auto

    _recorded.append(_recording.enter_context(gpusplit.recording()))
    atexit.register(_write_rest)


def drain() -> list[tuple[str, bool, str, int]]:
    """What was launched since the last call: kernel, whether split, reason, how often."""
    found: list[Any] = []
    for recorded in _recorded:
        # Other threads may add to the end meanwhile.
        found += recorded[: len(recorded)]
        del recorded[: len(found)]
    counts = Counter((launch.kernel, launch.groups > 1, launch.reason) for launch in found)
    return [(*key, count) for key, count in sorted(counts.items())]


def append(entry: dict[str, Any]) -> None:
    """Add a line to the log; one write, so that processes do not mix their lines."""
    line = json.dumps(entry) + "\n"
    handle = os.open(os.environ["PROGRAMS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _write_rest() -> None:
    launches = drain()
    if launches:
        append({"launches": launches})
