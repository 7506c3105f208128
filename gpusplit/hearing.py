"""What the native library has to say: to the log `gpusplit`, and as warnings."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import warnings

from gpusplit import tenancy
from gpusplit.config import Config
from gpusplit.count import TenancyWarning
from gpusplit.library import Library

log = logging.getLogger("gpusplit")

_lock = threading.Lock()
_thread: threading.Thread | None = None
#: The options that hold, as far as what is said depends on them.
_config = Config()


class JudgeWarning(UserWarning):
    """Launches stay whole because the judge could not be asked."""


_WARNINGS: dict[str, type[Warning]] = {"c": TenancyWarning, "j": JudgeWarning}


def hear(library: Library, config: Config) -> None:
    """Listen to *library* from now on, in a thread of its own; *config* is what it goes by."""
    global _thread, _config
    with _lock:
        _config = config
        if _thread is None:
            _thread = threading.Thread(
                target=_listen, args=(library,), name="gpusplit hears", daemon=True
            )
            _thread.start()
            # What it says last is not to be lost.
            atexit.register(_hear_the_rest, library)


def _listen(library: Library) -> None:
    while True:
        said = library.heard(wait=True)
        if said is not None:
            say(*said)


def _hear_the_rest(library: Library) -> None:
    while (said := library.heard(wait=False)) is not None:
        say(*said)


def say(kind: str, text: str) -> None:
    """Pass on what was said: w in the log, c and j as warnings, all else as a warning in the log."""
    if kind == "w":
        log.info("%s", text)
    elif kind == "c" and isinstance(tenancy.from_option(_config.vms), tenancy.Unknown):
        # No guest of anybody who would tell: nothing is amiss.
        log.info("%s", text)
    elif kind in _WARNINGS:
        try:
            warnings.warn(f"gpusplit: {text}", _WARNINGS[kind], stacklevel=2)
        except Warning as error:
            # Warnings are errors here, but this thread has nobody to tell of one.
            log.warning("%s", error)
    else:
        log.warning("%s", text)


def _after_fork() -> None:
    global _thread, _lock
    _thread, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
