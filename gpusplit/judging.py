"""Asking the judge, on behalf of launches that must not wait for it.

A verdict is looked for in memory, then on disk, then by the judge's own process, and what needs a
process or the device's compiler goes on in a thread in the background: until it is done, launches
stay whole.  What goes wrong leaves them whole as well, with one warning.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import queue as queues
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyopencl as cl

from gpusplit import device_macros, programs, store
from gpusplit.judge.verdict import Answer, Request
from gpusplit.programs import Program

log = logging.getLogger("gpusplit")

#: Seconds after which a judge that says nothing is ended.
TIME_LIMIT = 90.0
#: Rounds of questions: directives do not change, so the judge asks once.
_ROUNDS = 2


class JudgeWarning(UserWarning):
    """Launches stay whole because the judge could not be asked."""


class Failed(Exception):
    """The judge gave no answer; the message says why."""


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


class Question:
    """What the judge is asked of one program on one device."""

    def __init__(self, request: Request, context: cl.Context, device: cl.Device) -> None:
        """context: one of *device*, to ask its compiler in."""
        self._request = request
        self._context = context
        self._device = device
        self._key = programs.device_key(device)
        # What the device says of macros is its own and its driver's affair, which the key names.
        self._place = store.digest(_judges_own_digest(), self._key, request.to_json())

    def stored(self) -> Answer | None:
        """The answer that was found before, here or by another process."""
        text = store.load("verdicts", self._place)
        try:
            return None if text is None else Answer.from_json(text)
        except ValueError:
            log.info("a verdict on disk cannot be read; it is found again")
            return None

    def find(self) -> Answer:
        """Ask the judge, and the device what the judge wants to know of it."""
        try:
            macros: device_macros.Values = {}
            for _ in range(_ROUNDS):
                found = ask_judge(replace(self._request, macros=macros))
                if not (found.ask or found.ask_values):
                    store.save("verdicts", self._place, found.to_json())
                    return found
                macros |= device_macros.ask(
                    self._context, self._device, self._key, self._request.options,
                    found.ask, found.ask_values,
                )  # fmt: skip
            reason = "the judge asks again what it was told"
        except Failed as error:
            reason = str(error)
            warn(reason)
        except cl.Error as error:
            reason = f"the device does not say what its macros are: {error}"
        return Answer(otherwise=reason)


@functools.cache
def _judges_own_digest() -> str:
    """What changes whenever the judge does."""
    folder = Path(__file__).parent / "judge"
    return store.digest(*(path.read_bytes() for path in sorted(folder.glob("*.py"))))


def ask_judge(request: Request) -> Answer:
    """Start the judge's process and ask it; Failed if there is no answer."""
    program = Path(__file__).parent / "judge" / "__main__.py"
    # Nothing of the environment but what a process needs: no libraries are put under the judge.
    environment = {
        name: os.environ[name] for name in ("PATH", "TMPDIR", "SYSTEMROOT") if name in os.environ
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="surrogateescape",
            env={**environment, "LC_ALL": "C.UTF-8"}, cwd="/", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise Failed(f"the judge does not start: {error}") from None
    _background.process = process
    try:
        out, errors = process.communicate(request.to_json(), timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed(f"the judge said nothing for {TIME_LIMIT:.0f} s") from None
    finally:
        _background.process = None
    if process.returncode != 0:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"the judge ended with {process.returncode}: {last}")
    try:
        return Answer.from_json(out)
    except ValueError as error:
        raise Failed(f"the judge's answer is not understood: {error}") from None


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
