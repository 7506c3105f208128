"""What the rest of the harness asks of a machine, however it is reached.

`connections` gives these over SSH. Tests give others.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from harness.errors import JobFailed

Event = dict[str, Any]
"""One line of JSON from a job: `{"event": name, ...}`."""

COMMAND_TIMEOUT = 120.0
"""Seconds of the controller's clock for a command. Logins alone take 2-3 s in the emulation."""


class Process(Protocol):
    """A running program on a host: lines in, lines out."""

    def send(self, line: str) -> None:
        """Write a line to its standard input."""

    def read_line(self, timeout: float) -> str:
        """Return its next line of output; raise if it ends, or says nothing in time."""

    def stop(self) -> None:
        """Make it end, whatever state it is in; never raises. Stopping twice is fine."""


class Host(Protocol):
    """One machine of the lab."""

    @property
    def name(self) -> str: ...

    def run(self, command: str, timeout: float = COMMAND_TIMEOUT) -> str:
        """Run a shell command to its end; return its output, raise if it fails."""

    def start(self, command: str) -> Process:
        """Start a shell command and talk to it while it runs."""

    def put(self, local: Path, remote: str) -> None:
        """Copy a file there."""


class Job:
    """A process that speaks the jobs' protocol: commands in, one line of JSON per event out.

    Used as a context manager it cannot be left running.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Make it end; never raises. Stopping twice is fine."""
        self._process.stop()

    def send(self, command: str) -> None:
        """Give the job a command."""
        self._process.send(command)

    def expect(self, name: str, timeout: float) -> Event:
        """Return the next event, which must be the named one."""
        line = self._process.read_line(timeout)
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or event.get("event") != name:
            raise JobFailed(
                f"{self.name}: expected the event {name!r}, got: {line.strip()[:200]!r}.",
                "see the run's logs; a stray print in the job is the usual cause",
            )
        return event

    def clock(self, timeout: float = COMMAND_TIMEOUT) -> float:
        """Ask the job for its machine's CLOCK_REALTIME, in seconds."""
        self.send("time")
        return float(self.expect("time", timeout)["time"])
