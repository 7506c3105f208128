"""gpusplit watch: a line whenever the count changes, and at least every so often."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpusplit import tenancy, watch
from gpusplit.config import Config
from gpusplit.count import Message, View, expired, failed, heard
from gpusplit.subscription import Subscription
from gpusplit.virtio import VirtioPort


def shown(view: View, now: float = 105.0) -> watch.Sight:
    return watch.see("xenstore", view, now, 1e9)


def test_a_known_count_has_its_age_and_heartbeat() -> None:
    sight = shown(heard(None, Message(3, 17), 103.5))
    assert (sight.count, sight.state, sight.age, sight.heartbeat) == (3, "known", 1.5, 17)
    assert "3  known, news 1.5 s ago, heartbeat 17  [xenstore]" in sight.as_text()


def test_a_publisher_without_a_heartbeat_is_said_to_have_none() -> None:
    assert "no heartbeat" in shown(heard(None, Message(3), 0.0)).as_text()


def test_a_stale_count_is_unknown_and_says_for_how_long() -> None:
    sight = shown(expired(heard(None, Message(3, 17), 0.0), 105.0))
    assert (sight.count, sight.state, sight.age) == (None, "stale", 105.0)
    assert "unknown  stale (its publisher has been silent" in sight.as_text()


def test_a_missing_count_says_why() -> None:
    sight = shown(failed(None, "ENOENT"))
    assert (sight.state, sight.reason, sight.age) == ("unknown", "ENOENT", None)


def test_json_lines_have_every_field() -> None:
    line = json.loads(shown(heard(None, Message(3, 17), 103.5)).as_json())
    assert line == {
        "time": 1e9, "source": "xenstore", "count": 3, "state": "known", "reason": None,
        "age": 1.5, "heartbeat": 17,
    }  # fmt: skip


def test_a_static_count_is_one_line() -> None:
    out = io.StringIO()
    assert watch.watch(Config(vms="static:3"), 1, True, 0, out) == 0
    assert json.loads(out.getvalue())["count"] == 3


def test_where_there_is_no_source_there_is_nothing_to_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "from_option", lambda _: tenancy.Unknown())
    out = io.StringIO()
    assert watch.watch(Config(), 1, False, 0, out) == 1
    assert "none found" in out.getvalue()


def test_every_change_is_a_line_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tmp_path / "port"
    os.mkfifo(port)
    source = Subscription(VirtioPort(str(port)))
    monkeypatch.setattr(watch, "from_option", lambda _: source)

    class Out(io.StringIO):
        """Whoever reads a line makes the host write the next."""

        def write(self, text: str) -> int:
            if text.count("\n"):
                os.write(host, f"{self.getvalue().count('{') + 1} 9\n".encode())
            return super().write(text)

    host = os.open(port, os.O_RDWR)
    try:
        os.write(host, b"1 9\n")
        out = Out()
        began = time.monotonic()
        # The interval is far away: only changes make lines.
        assert watch.watch(Config(), 60, True, 4, out) == 0
        assert time.monotonic() - began < 30
    finally:
        source.stop()
        os.close(host)
    assert [json.loads(line)["count"] for line in out.getvalue().splitlines()] == [1, 2, 3, 4]


WATCHED = """
import sys
from gpusplit import virtio, tenancy
source = tenancy.Subscription(virtio.VirtioPort(sys.argv.pop()))
tenancy._found = lambda: source
from gpusplit.cli import main
sys.exit(main())
"""


def test_ctrl_c_ends_it_without_a_word(tmp_path: Path) -> None:
    port = tmp_path / "port"
    os.mkfifo(port)
    host = os.open(port, os.O_RDWR)
    os.write(host, b"3 1\n")
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED, "watch", "--interval", "60", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert "running VMs:       3  known" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    os.close(host)
    assert (process.returncode, output, errors) == (0, "", "")
