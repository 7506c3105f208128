"""A pytest plugin: writes to the log how each test ended.

The log is one JSON object a line, appended at once: a process that PoCL aborts leaves all lines
but its last.

PROGRAMS_SKIP names a file of test names, one a line, that are left out: those a process
that died on the way has behind it.  PROGRAMS_ONLY names a file of those that alone run, and
PROGRAMS_LEAVE_OUT one of beginnings of names that do not.  After PROGRAMS_UNTIL (seconds since
1970) no further test begins.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest

_outcomes: dict[str, str] = {}
_messages: dict[str, str] = {}


def _names(variable: str) -> set[str] | None:
    path = os.environ.get(variable)
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        return set(file.read().splitlines())


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    skip = _names("PROGRAMS_SKIP") or set()
    only = _names("PROGRAMS_ONLY")
    left_out = tuple(_names("PROGRAMS_LEAVE_OUT") or ())
    kept: list[Any] = []
    left: list[Any] = []
    for item in items:
        wanted = item.nodeid not in skip and (only is None or item.nodeid in only)
        wanted = wanted and not item.nodeid.startswith(left_out)
        (kept if wanted else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


# A file that cannot be imported is a test that fails.
def pytest_collectreport(report: Any) -> None:
    if report.failed:
        _append({"test": report.nodeid, "outcome": "error", "message": _last_line(report)})


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    _append({"begin": nodeid})


def pytest_runtest_logreport(report: Any) -> None:
    name = report.nodeid
    if report.failed:
        _outcomes[name] = "failed" if report.when == "call" else "error"
        _messages[name] = _last_line(report)
    elif report.skipped:
        _outcomes[name] = "xfailed" if hasattr(report, "wasxfail") else "skipped"
    elif report.when == "call":
        _outcomes[name] = "xpassed" if hasattr(report, "wasxfail") else "passed"


def pytest_runtest_teardown(item: Any) -> None:
    if time.time() > float(os.environ.get("PROGRAMS_UNTIL", "inf")):
        item.session.shouldstop = "the time for all tests is over"


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid: str, location: Any) -> None:
    _append(
        {
            "test": nodeid,
            "outcome": _outcomes.pop(nodeid, "error"),
            "message": _messages.pop(nodeid, ""),
        }
    )


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    _append({"end": int(exitstatus)})


def _append(entry: dict[str, Any]) -> None:
    """Add a line to the log; one write, so that processes do not mix their lines."""
    line = json.dumps(entry) + "\n"
    handle = os.open(os.environ["PROGRAMS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def _last_line(report: Any) -> str:
    text = getattr(getattr(report.longrepr, "reprcrash", None), "message", None)
    lines = str(text if text is not None else report.longrepr).strip().splitlines()
    return (lines[0] if text is not None and lines else lines[-1] if lines else "")[:300]
