"""Programs on this machine that speak the jobs' protocol: lines in, lines out."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import SIGKILL, SIGTERM

from harness.errors import CommandTimedOut, JobFailed, ToolMissing

STOP_TIMEOUT = 5.0
"""Seconds that a program gets to end by itself after its standard input was closed."""


class LocalProcess:
    """A running program of this machine, in a session of its own."""

    def __init__(self, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._name = name
        self._received = b""
        self._last_words = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        try:
            # Unbuffered, for select knows nothing of what a buffer holds. A session of its own:
            # Ctrl-C on the terminal is for the harness, which then ends its programs in order.
            self._process = subprocess.Popen(
                argv,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._last_words,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except OSError as error:
            self._last_words.close()
            raise ToolMissing(
                f"{name} cannot be started: {error}.", "see that the program is there"
            ) from error

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
        except (BrokenPipeError, ValueError):  # ValueError: it was stopped
            raise self._ended() from None

    def read_line(self, timeout: float) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._received:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise CommandTimedOut(
                    f"{self._name} said nothing for {timeout:.0f} s.", "is the machine overloaded?"
                )
            received = self._process.stdout.read(65536)
            if not received:
                raise self._ended()
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line.decode(errors="replace")

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        for signal in (None, SIGTERM, SIGKILL):
            if signal is not None:
                self._process.send_signal(signal)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
                break
        self._process.stdout.close()
        self._last_words.close()

    def _ended(self) -> JobFailed:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        said = b""
        if not self._last_words.closed:
            self._last_words.seek(0)
            said = self._last_words.read()
        return JobFailed(
            f"{self._name} ended with status {self._process.returncode}: "
            f"{said.decode(errors='replace').strip()[-800:]}",
            "this is the job's own error; the text above is its last output",
        )
