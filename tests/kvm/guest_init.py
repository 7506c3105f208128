"""The first program of the tests' guest: the library's own subscription, driven by the console.

Commands, one per line: `watch` (a new process says each new view of the VM count), `rest` (it
ends), `forge` (write other counts to the port until it takes no more), `reboot`.  Answers are
JSON lines.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any, NoReturn

from gpusplit import count, subscription, tenancy, virtio

#: Seconds: a dead publisher is noticed sooner than by default, for the test's sake.
count.STALE_AFTER = 3.0
subscription.LONGEST_PERIOD = 1.0


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def watch() -> NoReturn:
    """What a GPU program does: ask at its first launch, then whenever there is news."""
    found = tenancy.from_option("auto")
    assert isinstance(found, subscription.Subscription), found
    say(first=found.vm_count())
    said = None
    while True:
        view = found.view(1.0)
        if view != said:
            beat = None if view.message is None else view.message.beat
            say(count=view.count, trouble=view.trouble, beat=beat)
            said = view


def forge() -> int:
    """How many bytes the port took."""
    port = os.open(virtio.PORT, os.O_WRONLY | os.O_NONBLOCK)
    taken = 0
    try:
        while taken < 1 << 24:
            taken += os.write(port, b"77 999999999\n" * 300)
    except BlockingIOError:
        pass
    finally:
        os.close(port)
    return taken


def reboot() -> None:
    autoboot = 0x01234567
    ctypes.CDLL(None).reboot(autoboot)


def main() -> None:
    watcher = 0
    say(ready=virtio.port())
    for command in map(str.strip, sys.stdin):
        if command == "watch":
            watcher = os.fork()
            if watcher == 0:
                watch()
        elif command == "rest":
            os.kill(watcher, signal.SIGKILL)
            os.waitpid(watcher, 0)
            say(rests=True)
        elif command == "forge":
            say(forged=forge())
        elif command == "reboot":
            reboot()


main()
