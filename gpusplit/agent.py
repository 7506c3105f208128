"""gpusplit agent: the one process of a GPU VM that listens to the host, for all programs.

Programs read what it keeps (page.py) and need no privilege; a KVM guest's port, which takes one
reader, is the agent's.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import TextIO

from gpusplit.count import View
from gpusplit.page import BEAT, Page
from gpusplit.subscription import Subscription
from gpusplit.tenancy import Unknown, listening


def serve(vms: str, path: str, out: TextIO) -> int:
    """Listen to what the option *vms* names and keep it in the file *path*, until SIGTERM.

    1 where there is nothing to listen to, or the file cannot be written; then *out* says why.
    """
    source = listening(vms)
    if isinstance(source, Unknown):
        print(f"gpusplit agent: {source.describe()}", file=out)
        return 1
    try:
        page = Page(path)
    except OSError as error:
        print(f"gpusplit agent: {path}: {error.strerror}", file=out)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    told: str | None = ""
    view = View(source.vm_count(), None)
    try:
        while True:
            page.say(view.count)
            said = view.trouble if view.count is None else f"{view.count} VMs run"
            if said != told:
                print(f"gpusplit agent: {said} ({source.describe()})", file=out, flush=True)
                told = said
            if isinstance(source, Subscription):
                view = source.view(BEAT)
            else:
                time.sleep(BEAT)
    except KeyboardInterrupt:
        return 0
    finally:
        page.leave()
