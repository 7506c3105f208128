"""What a run's log says: how each test ended, and what became of its launches."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Log:
    """All lines of a log, and what became of launches.

    Attributes
    ----------
    outcomes: how each test ended, by its name.
    messages: what a test that failed had to say.
    launches: how many by kernel, whether split, and the reason.
    running: the test that had begun and not ended.
    ended: whether pytest came to its end.
    """

    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    launches: Counter[tuple[str, bool, str]] = field(default_factory=Counter)
    running: str | None = None
    ended: bool = False


def parse(lines: Iterable[str]) -> Log:
    """Read a log; a last line that was cut off counts for nothing."""
    log = Log()
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "begin" in entry:
            log.running = entry["begin"]
        if "test" in entry:
            log.outcomes[entry["test"]] = entry["outcome"]
            if entry.get("message"):
                log.messages[entry["test"]] = entry["message"]
            log.running = None
        log.ended = log.ended or "end" in entry
    return log
