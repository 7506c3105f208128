"""What the native library has to say: to the log `gpusplit`, and as warnings."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import traceback
import warnings

from gpusplit import tenancy
from gpusplit.config import Config
from gpusplit.count import TenancyWarning
from gpusplit.library import Library

log = logging.getLogger("gpusplit")


class JudgeWarning(UserWarning):
    """Launches stay whole because the judge could not be asked."""


_WARNINGS: dict[str, type[Warning]] = {"c": TenancyWarning, "j": JudgeWarning}


class Ear:
    """Listens to the library, in a thread of its own."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._lock = threading.Lock()
        self._saying = threading.RLock()
        self._thread: threading.Thread | None = None
        #: Whether somebody was to tell how many VMs run, under any options so far: it is said once.
        self._told_of_count = False

    def listen(self, library: Library, config: Config) -> None:
        """Listen to *library* from now on; *config* is what it goes by now."""
        source = tenancy.from_option(config.vms)
        with self._lock:
            # From the first question on it says here what it has to say, not on standard error.
            self._hear_the_rest(library)
            self._told_of_count |= not isinstance(source, tenancy.Unknown)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._listen, args=(library,), name="gpusplit hears", daemon=True
                )
                self._thread.start()
                atexit.register(self._hear_the_rest, library)

    def _listen(self, library: Library) -> None:
        while True:
            library.heard(wait=True)
            self._hear_the_rest(library)

    def _hear_the_rest(self, library: Library) -> None:
        # Whoever takes a message says it before another looks: none is lost when the program ends.
        with self._saying:
            while (said := library.heard(wait=False)) is not None:
                try:
                    self.say(*said)
                except Exception:  # a handler of the program's; the next message is to be heard
                    traceback.print_exc()

    def say(self, kind: str, text: str) -> None:
        """Pass on what was said, in the log or as a warning."""
        if kind == "w":
            log.info("%s", text)
        elif kind == "c" and not self._told_of_count:
            # No guest of anybody who would tell: nothing is amiss.
            log.info("%s", text)
        elif kind in _WARNINGS:
            try:
                warnings.warn(f"gpusplit: {text}", _WARNINGS[kind], stacklevel=2)
            except Warning as error:
                # Warnings are errors here, but this thread has nobody to raise one for.
                log.warning("%s", error)
        else:
            log.warning("%s", text)


_ear = Ear()


def hear(library: Library, config: Config) -> None:
    """Listen to *library* from now on; *config* is what it goes by now."""
    _ear.listen(library, config)


def _after_fork() -> None:
    # A child has no such thread; what the library says there is on standard error.
    Ear.__init__(_ear)


os.register_at_fork(after_in_child=_after_fork)
