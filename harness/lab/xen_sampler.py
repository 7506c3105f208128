"""Runs in dom0: samples every domain's CPU time, by Xen's own accounting, in nanoseconds.

`xl list` shows it too, but with 0.1 s of resolution and at a hundred times the cost. Samples
are kept in memory and written at the end, because every line sent over SSH would cost the
host CPU time while it is being measured.

Commands on standard input, answers on standard output, a line of JSON each:
    time        {"event": "time", "time": CLOCK_REALTIME}
    until T     the same, once the clock has passed T
    stop        {"event": "report", "samples": [[CLOCK_REALTIME, {domid: ns}], ...]}; then it ends
The end of the input ends it at once.
"""

from __future__ import annotations

import argparse
import glob
import importlib
import json
import os
import select
import sys
import time
from typing import Any


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
    before = time.time()
    used = {domain["domid"]: domain["cpu_time"] for domain in xc.domain_getinfo()}
    return (before + time.time()) / 2, used


def say(event: str, **content: Any) -> None:
    """Tell the harness something."""
    print(json.dumps({"event": event, **content}), flush=True)


def main() -> None:
    """Sample until told to stop."""
    parser = argparse.ArgumentParser(description="sample the domains' CPU time")
    parser.add_argument("--period", type=float, default=0.1, help="seconds between samples")
    period = parser.parse_args().period

    xc = hypervisor()
    samples = [sample(xc)]
    awaited = None
    received = b""
    say("ready")
    due = time.monotonic() + period
    while True:
        # select and os.read, not readline: a buffered line would hide from select.
        readable, _, _ = select.select([0], [], [], max(0.0, due - time.monotonic()))
        if readable:
            chunk = os.read(0, 4096)
            if not chunk:
                return
            received += chunk
        *commands, received = received.split(b"\n")
        for command in commands:
            word, _, argument = command.decode().partition(" ")
            if word == "time":
                say("time", time=time.time())
            elif word == "until":
                awaited = float(argument)
            elif word == "stop":
                samples.append(sample(xc))
                say("report", samples=samples)
                return
        if time.monotonic() >= due:
            samples.append(sample(xc))
            due = max(due + period, time.monotonic())
            if awaited is not None and samples[-1][0] > awaited:
                awaited = None
                say("time", time=samples[-1][0])


if __name__ == "__main__":
    main()
