"""Asking the judge, on behalf of launches that must not wait for it.

A verdict is looked for in memory, then on disk, then by the judge's own process, and what needs a
process or the device's compiler goes on in a thread in the background: until it is done, launches
stay whole.  What goes wrong leaves them whole as well, with one warning.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue as queues
import subprocess
import threading
import warnings
from collections.abc import Callable, Hashable
from typing import Any

import pyopencl as cl

from gpusplit import asking, device_macros, programs
from gpusplit.judge.verdict import Answer, Request
from gpusplit.programs import Program

log = logging.getLogger("gpusplit")


class JudgeWarning(UserWarning):
    """Launches stay whole because the judge could not be asked."""


def answer(program: Program, kernel: cl.Kernel, device: cl.Device, wait: bool) -> Answer | None:
    """The judge's answer on *program* for *device*; None while it is looked for.

    wait: come back with the answer, however long that takes.
    """
    address = device.int_ptr
    found = program.answers.get(address)
    if found is not None:
        return found
    raw: Any = kernel.get_info(cl.kernel_info.PROGRAM)._prg  # type: ignore[attr-defined]
    question = Question(programs.request(program, device, raw), kernel.context, device)
    found = question.stored()
    if found is None and not wait:

        def find() -> None:
            program.answers[address] = question.find()

        background((id(program), address), find)
        return None
    program.answers[address] = found if found is not None else question.find()
    return program.answers[address]


class Question(asking.Question):
    """What the judge is asked of one program on one device."""

    def __init__(self, request: Request, context: cl.Context, device: cl.Device) -> None:
        """context: one of *device*, to ask its compiler in."""
        super().__init__(
            request, programs.device_key(device), compiler(context, device, request.options)
        )

    def find(self, started: asking.Started | None = None) -> Answer:
        """As there; a judge that fails is warned of, and what it was asked of stays whole."""
        try:
            return super().find(started or _background.asks)
        except asking.Failed as error:
            warn(str(error))
            return Answer(otherwise=str(error))


def compiler(context: cl.Context, device: cl.Device, options: str) -> device_macros.Compiler:
    """The compiler of *device*, to be asked what macros are."""

    def compiled(text: str) -> str:
        program: Any = cl._cl._Program(context, text)
        try:
            program._build(options=options.encode("utf-8", "surrogateescape"), devices=[device])
        except cl.Error as error:
            raise device_macros.Refused(str(error)) from None
        names: str = program.get_info(cl.program_info.KERNEL_NAMES)
        return names

    return compiled


_told: set[str] = set()


def warn(reason: str) -> None:
    """Warn, once per reason, that launches stay whole."""
    if reason not in _told and not _background.ending:
        _told.add(reason)
        warnings.warn(f"gpusplit: launches stay whole: {reason}", JudgeWarning, stacklevel=2)


class Background:
    """One thread for what launches must not wait for."""

    def __init__(self) -> None:
        """No thread yet: most programs need none."""
        self._work: queues.SimpleQueue[tuple[Hashable, Callable[[], None]] | None] = (
            queues.SimpleQueue()
        )
        self._wanted: set[Hashable] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        #: The judge that is being asked, whoever asks.
        self.process: subprocess.Popen[str] | None = None
        self.ending = False

    def do(self, name: Hashable, work: Callable[[], None]) -> None:
        """Have *work* done, unless *name* is in the thread's hands already."""
        with self._lock:
            if name in self._wanted or self.ending:
                return
            self._wanted.add(name)
            self._work.put((name, work))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._do, name="gpusplit-judging", daemon=True
                )
                self._thread.start()

    def _do(self) -> None:
        while (item := self._work.get()) is not None:
            name, work = item
            try:
                if not self.ending:
                    work()
            except Exception:
                log.warning("gpusplit could not prepare a launch", exc_info=True)
            with self._lock:
                self._wanted.discard(name)

    def asks(self, process: subprocess.Popen[str] | None) -> None:
        """The judge's process began, or is over (None)."""
        self.process = process

    def end(self) -> None:
        """The process ends: what is not begun is not done, and the judge is not waited for."""
        self.ending = True
        if self.process is not None:
            self.process.kill()
        if self._thread is not None:
            self._work.put(None)
            # A device's compiler that is at work when its library is taken away crashes.
            self._thread.join()


_background = Background()


def background(name: Hashable, work: Callable[[], None]) -> None:
    """Have *work* done in the background, unless *name* is being done already."""
    _background.do(name, work)


def _after_fork() -> None:
    """A child has no such thread, and may have been forked in the middle of anything."""
    Background.__init__(_background)


atexit.register(_background.end)
os.register_at_fork(after_in_child=_after_fork)
