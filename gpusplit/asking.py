"""Asking the judge: one question about one program on one device, whoever has the device.

Nothing here knows OpenCL.  What has to be asked of the device's own compiler goes through a
function that the asker brings along: the native library's (asked.py) or pyopencl's (explain.py).
"""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpusplit import device_macros, store
from gpusplit.device_macros import Compiler
from gpusplit.judge.verdict import Answer, Request

log = logging.getLogger("gpusplit")

#: Seconds after which a judge that says nothing is ended.
TIME_LIMIT = 90.0
#: Rounds of questions: directives do not change, so the judge asks once.
_ROUNDS = 2

#: With one of these set, drivers read text that nobody here sees.
_DRIVERS_OPTIONS = (
    "POCL_EXTRA_BUILD_FLAGS", "AMD_OCL_BUILD_OPTIONS", "AMD_OCL_BUILD_OPTIONS_APPEND",
    "IGC_ExtraOCLOptions", "CLVK_CLSPV_OPTIONS",
)  # fmt: skip


class Failed(Exception):
    """The judge gave no answer; the message says why."""


class Question:
    """What the judge is asked of one program on one device."""

    def __init__(self, request: Request, key: str, compiler: Compiler) -> None:
        """key: device_key() of the device; compiler: its own, with the program's options."""
        self._request = request
        self._key = key
        self._compiler = compiler
        # What the device says of macros is its own and its driver's affair, which the key names.
        self._place = store.digest(_judges_own_digest(), key, request.to_json())

    def stored(self) -> Answer | None:
        """The answer that was found before, here or by another process."""
        text = store.load("verdicts", self._place)
        try:
            return None if text is None else Answer.from_json(text)
        except ValueError:
            log.info("a verdict on disk cannot be read; it is found again")
            return None

    def find(self) -> Answer:
        """Ask the judge, and the device what the judge wants to know of it; Failed if in vain.

        Of several processes that ask the same at once (ranks of an MPI program, say) one asks the
        judge.
        """
        with store.alone("verdicts", self._place, TIME_LIMIT):
            return self.stored() or self._find()

    def _find(self) -> Answer:
        macros: device_macros.Values = {}
        for _ in range(_ROUNDS):
            found = ask_judge(replace(self._request, macros=macros))
            if not (found.ask or found.ask_values):
                store.save("verdicts", self._place, found.to_json())
                return found
            try:
                macros |= device_macros.ask(
                    self._compiler, self._key, self._request.options, found.ask, found.ask_values
                )
            except device_macros.Refused as error:
                return Answer(otherwise=f"the device does not say what its macros are: {error}")
        return Answer(otherwise="the judge asks again what it was told")


def given_away(made: Request, binaries: Sequence[bytes]) -> None:
    """Note what *binaries* were made from, as somebody may keep them."""
    text = Request(
        made.source, headers=made.headers, trouble=made.trouble, options=made.options
    ).to_json()
    for binary in binaries:
        if binary:
            store.save("programs", store.digest(binary), text)


def taken_back(binaries: Sequence[bytes]) -> Request | None:
    """What *binaries* were made from, as it was noted; all must come from the same."""
    texts = {store.load("programs", store.digest(binary)) for binary in binaries if binary}
    text = texts.pop() if len(texts) == 1 else None
    if text is None:
        return None
    try:
        return Request.from_json(text)
    except (ValueError, TypeError, KeyError):
        return None


def device_key(told: Sequence[str]) -> str:
    """What a device and its driver are called; another key, another compiler.

    told: the platform's name and version; the device's vendor, name, version, driver's version and
    version of OpenCL C.
    """
    return json.dumps([*told, *(os.environ.get(name, "") for name in _DRIVERS_OPTIONS)])


def drivers_own_options() -> str:
    """Why the driver may compile something else than it is given; empty if it does not."""
    named = [name for name in _DRIVERS_OPTIONS if os.environ.get(name)]
    return f"{named[0]} gives the driver options of its own" if named else ""


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
    try:
        out, errors = process.communicate(request.to_json(), timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Failed(f"the judge said nothing for {TIME_LIMIT:.0f} s") from None
    if process.returncode != 0:
        last = (errors.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"the judge ended with {process.returncode}: {last}")
    try:
        return Answer.from_json(out)
    except ValueError as error:
        raise Failed(f"the judge's answer is not understood: {error}") from None
