"""Runs in dom0: samples every domain's CPU time, by Xen's own accounting, in nanoseconds.

`xl list` shows it too, but with 0.1 s of resolution and at a hundred times the cost. Samples
are kept in memory and written at the end, because every line sent over SSH would cost the
host CPU time while it is being measured.

Commands on standard input, answers on standard output, a line of JSON each:
    (start)     {"event": "ready"}
    time        {"event": "time", "time": T}
    begin       begins to sample: {"event": "begun"}
    until T     {"event": "time", ...} once the clock has passed T and a sample was taken after it
    end         {"event": "report", "samples": [[T, {domid: ns}], ...]}
Times are seconds of the monotonic clock, set to CLOCK_REALTIME when this started: a clock that is
set meanwhile moves nothing.
It sleeps while it does not sample. The end of the input ends it at once.
"""

from __future__ import annotations

import argparse
import glob
import importlib
import json
import math
import os
import select
import sys
import time
from typing import Any

AHEAD = time.time() - time.monotonic()


def now() -> float:
    """Return the time: see the module's text."""
    return AHEAD + time.monotonic()


def hypervisor() -> Any:
    """Return Xen's control interface. Debian keeps the module off Python's path."""
    try:
        module = importlib.import_module("xen.lowlevel.xc")
    except ImportError:
        sys.path += sorted(glob.glob("/usr/lib/xen-*/lib/python"))
        module = importlib.import_module("xen.lowlevel.xc")
    return module.xc()


def sample(xc: Any) -> tuple[float, dict[int, int]]:
    """Return the time, and every domain's CPU time in nanoseconds."""
    before = now()
    used = {domain["domid"]: domain["cpu_time"] for domain in xc.domain_getinfo()}
    return (before + now()) / 2, used


def say(event: str, **content: Any) -> None:
    """Tell the harness something."""
    print(json.dumps({"event": event, **content}), flush=True)


class Sampling:
    """Samples that are being taken, one every period."""

    def __init__(self, xc: Any, period: float) -> None:
        self.xc = xc
        self.period = period
        self.samples: list[tuple[float, dict[int, int]]] = []
        self.due = math.inf
        """When the next is to be taken, on the monotonic clock; never, unless it has begun."""
        self.awaited: float | None = None

    def begin(self) -> None:
        self.samples = [sample(self.xc)]
        self.due = time.monotonic() + self.period

    def end(self) -> None:
        self.samples.append(sample(self.xc))
        self.due = math.inf

    def take_if_due(self) -> None:
        if time.monotonic() < self.due:
            return
        self.samples.append(sample(self.xc))
        self.due = max(self.due + self.period, time.monotonic())
        if self.awaited is not None and self.samples[-1][0] > self.awaited:
            self.awaited = None
            say("time", time=self.samples[-1][0])

    def command(self, word: str, argument: str) -> None:
        if word == "time":
            say("time", time=now())
        elif word == "begin":
            self.begin()
            say("begun")
        elif word == "until":
            self.awaited = float(argument)
        elif word == "end":
            self.end()
            say("report", samples=self.samples)
        else:
            raise SystemExit(f"unknown command: {word!r}")


def main() -> None:
    """Sample until the input ends."""
    parser = argparse.ArgumentParser(description="sample the domains' CPU time")
    parser.add_argument("--period", type=float, default=0.25, help="seconds between samples")
    period = parser.parse_args().period
    sampling = Sampling(hypervisor(), period)
    received = b""
    say("ready")
    while True:
        # select and os.read, not readline: a buffered line would hide from select.
        left = max(0.0, sampling.due - time.monotonic())
        readable, _, _ = select.select([0], [], [], None if math.isinf(left) else left)
        if readable:
            chunk = os.read(0, 4096)
            if not chunk:
                return
            received += chunk
        *commands, received = received.split(b"\n")
        for command in commands:
            word, _, argument = command.decode().partition(" ")
            sampling.command(word, argument)
        sampling.take_if_due()


if __name__ == "__main__":
    main()
