"""gpusplit watch: the count of running VMs as this guest sees it, live."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TextIO

from gpusplit.config import Config
from gpusplit.count import View
from gpusplit.page import FromAgent
from gpusplit.subscription import Subscription
from gpusplit.tenancy import from_option


@dataclass(frozen=True, slots=True)
class Sight:
    """What is shown at one moment; the fields of a JSON line.

    Attributes
    ----------
    time: seconds since 1970, by this guest's clock.
    source: where the count comes from.
    count: running VMs, this one included; None where unknown.
    state: known, unknown (missing or absurd) or stale (its publisher fell silent).
    reason: why it is not known; None where it is.
    age: seconds since the publisher last said something new; None where it never did.
    heartbeat: its last heartbeat; None from a publisher without one, which is never stale.
    """

    time: float
    source: str
    count: int | None
    state: str
    reason: str | None
    age: float | None
    heartbeat: int | None

    def as_json(self) -> str:
        """One line."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["time"] = round(self.time, 3)
        fields["age"] = None if self.age is None else round(self.age, 3)
        return json.dumps(fields)

    def as_text(self) -> str:
        """One line for people."""
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        count = "unknown" if self.count is None else f"{self.count:7}"
        age = "" if self.age is None else f", news {self.age:.1f} s ago"
        beat = "" if self.heartbeat is None else f", heartbeat {self.heartbeat}"
        if self.count is not None and self.age is not None and self.heartbeat is None:
            beat = ", no heartbeat"
        reason = "" if self.reason is None else f" ({self.reason})"
        return f"{clock}  running VMs: {count}  {self.state}{reason}{age}{beat}  [{self.source}]"


def see(source: str, view: View, now: float, wall: float) -> Sight:
    """*view* at *now* (seconds of the monotonic clock) and *wall* (seconds since 1970)."""
    message = view.message
    age = None if message is None else now - view.news_at
    state = "known" if view.count is not None else "stale" if view.stale else "unknown"
    beat = None if message is None else message.beat
    return Sight(wall, source, view.count, state, view.trouble, age, beat)


def watch(config: Config, seconds: float, as_json: bool, lines: int, out: TextIO) -> int:
    """Write a line whenever the count changes and at least every *seconds*; until Ctrl-C.

    lines: end after so many; 0: never.  1 where there is nothing to watch.
    """
    source = from_option(config.vms)
    if not isinstance(source, (Subscription, FromAgent)):
        count = source.vm_count()
        view = View(count, None if count is not None else "no source")
        _write(see(source.describe(), view, time.monotonic(), time.time()), as_json, out)
        return 0 if count is not None else 1
    # On a terminal one line is written over; elsewhere (a file, a pipe) lines follow each other.
    overwrite = out.isatty() and not as_json
    written = 0
    shown: tuple[int | None, str | None] | None = None
    due = time.monotonic()
    # Most sources speak at once; "no word yet" is shown only where they don't.
    view = source.view(min(seconds, 0.5))
    try:
        while True:
            now = time.monotonic()
            if now >= due or (view.count, view.trouble) != shown:
                sight = see(source.describe(), view, now, time.time())
                if overwrite and written and (view.count, view.trouble) == shown:
                    out.write("\x1b[1A\x1b[2K")
                _write(sight, as_json, out)
                shown, written, due = (view.count, view.trouble), written + 1, now + seconds
                if written == lines:
                    return 0
            view = source.view(max(0.0, due - time.monotonic()))
    except KeyboardInterrupt:
        return 0


def _write(sight: Sight, as_json: bool, out: TextIO) -> None:
    print(sight.as_json() if as_json else sight.as_text(), file=out, flush=True)
