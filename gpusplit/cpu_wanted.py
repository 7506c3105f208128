"""How much of a CPU this process wanted: what a wait takes from others, on a busy machine too."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def cpu_wanted() -> float:
    """Seconds for which threads of this process ran, or would have if a CPU had been free.

    On a busy machine a wait that spins gets a part of a core, and looks as if it slept in part:
    Documentation/scheduler/sched-stats of Linux.  Where it does not count, what ran is told alone.
    """
    delayed = 0
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError, ValueError):  # a thread has just ended
            delayed += int(path.read_text().split()[1])
    return time.process_time() + delayed / 1e9
