"""One run of a program's tests, to the last of them: whatever aborts or hangs costs one test."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.programs import layer, log
from bench.programs.catalogue import Program
from bench.programs.environments import Place

#: Between two looks at a run's log.
_LOOK_S = 0.5


def run(
    program: Program, place: Place, variables: dict[str, str], folder: Path, *,
    only: Sequence[str] | None = None, tests: Sequence[str] | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> log.Log:  # fmt: skip
    """Run *program*'s tests (*tests*: those instead, *only*: of them those of these names).

    Its output and log are left in *folder*.  told: is told how many tests have ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("home", "cache", "config", "pocl"):
        (place.home if name == "home" else place.home / name).mkdir(parents=True, exist_ok=True)
    path = folder / "log.jsonl"
    path.write_text("")
    variables = variables | program.environment | {"PROGRAMS_LOG": str(path)}
    variables["PROGRAMS_EXAMPLES"] = json.dumps(program.examples)
    variables["PROGRAMS_LEAVE_OUT"] = str(_names(folder / "leave-out", program.left_out))
    if only is not None:
        variables["PROGRAMS_ONLY"] = str(_names(folder / "only", only))
    words = [
        str(place.python), "-P", "-m", "pytest", "-p", "gpusplit_programs_pytest", "-p",
        "no:cacheprovider", "-q", *program.options,
        *(tests if tests is not None else program.tests),
    ]  # fmt: skip
    # No test begins later, and the last one has its time: what hangs is to be seen to hang.
    variables["PROGRAMS_UNTIL"] = str(time.time() + program.seconds)
    until = time.monotonic() + program.seconds + program.test_seconds
    output = folder / "output.txt"
    output.write_text("")
    while True:
        known = log.parse(path.read_text().splitlines())
        variables["PROGRAMS_SKIP"] = str(_names(folder / "skip", list(known.outcomes)))
        with output.open("ab") as file:
            why = _once(words, place.tests, variables, file.fileno(), path, program, until, told)
        found = log.parse(path.read_text().splitlines())
        if found.ended or found.running is None:
            if not found.outcomes:
                found.outcomes["(the tests begin)"] = "error"
                found.messages["(the tests begin)"] = _last_words(output)
            break
        _append(path, {"test": found.running, "outcome": why, "message": f"the process {why}"})
        if time.monotonic() > until:
            found = log.parse(path.read_text().splitlines())
            break
    # Each process says it at its end.
    found.launches += layer.launches(output.read_text(errors="replace"))
    return found


def _once(
    words: list[str], folder: Path, variables: dict[str, str], output: int, path: Path,
    program: Program, until: float, told: Callable[[int], None],
) -> str:  # fmt: skip
    """One process; how it ended, in a word."""
    process = subprocess.Popen(
        words, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        start_new_session=True,
    )  # fmt: skip
    try:
        size, since = path.stat().st_size, None
        while process.poll() is None:
            now = time.monotonic()
            if path.stat().st_size != size:
                size, since = path.stat().st_size, now
                told(len(log.parse(path.read_text().splitlines()).outcomes))
            # What the tests import before the first of them begins is no test's time.
            if now > until or (since is not None and now - since > program.test_seconds):
                return "timed out"
            time.sleep(_LOOK_S)
        return "crashed"
    finally:
        # Nothing that the tests began outlives them, Ctrl-C included.
        if process.poll() is None or _alive(process.pid):
            _kill(process.pid)
        process.wait()


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _names(path: Path, names: Sequence[str]) -> Path:
    path.write_text("\n".join(names), encoding="utf-8")
    return path


def _append(path: Path, entry: dict[str, str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        print(json.dumps(entry), file=file)


def _last_words(output: Path) -> str:
    lines = output.read_text(errors="replace").strip().splitlines()
    return (lines[-1] if lines else "no output")[:300]
