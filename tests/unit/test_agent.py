"""The agent of a GPU VM: it keeps the count where every program may read it."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpusplit import agent, page, tenancy
from gpusplit.count import STALE_AFTER, TenancyWarning


def test_a_word_is_a_count_and_when_it_was_said() -> None:
    for count in (1, 2, 10_000):
        assert page.count(page.word(count, 1e6), 1e6 + 1) == count
    assert page.count(page.word(None, 1e6), 1e6) is None


@pytest.mark.parametrize("age", [STALE_AFTER, 1e5, -3600.0])
def test_a_word_that_is_old_or_of_another_time_is_no_word(age: float) -> None:
    assert page.count(page.word(3, 1e6), 1e6 + age) is None


def test_what_the_agent_says_is_what_programs_read(tmp_path: Path) -> None:
    path = str(tmp_path / "count")
    kept, read = page.Page(path), page.FromAgent(path)
    kept.say(5)
    assert read.vm_count() == 5
    kept.say(2)
    assert read.vm_count() == 2
    kept.leave()
    with pytest.warns(TenancyWarning, match="does not say"):
        assert read.vm_count() is None
    assert read.vm_count() is None  # and no second warning


def test_who_watches_sees_what_the_agent_says(tmp_path: Path) -> None:
    path = str(tmp_path / "count")
    read = page.FromAgent(path)
    assert read.view().count is None
    page.Page(path).say(5)
    seen = read.view(1.0)
    assert (seen.count, seen.trouble) == (5, None)
    assert 0 <= time.monotonic() - seen.news_at < STALE_AFTER


def test_every_program_may_read_it_and_only_its_owner_write(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        page.Page(str(tmp_path / "count"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "count").stat().st_mode) == 0o644


def test_a_new_agent_goes_on_in_the_same_file(tmp_path: Path) -> None:
    """Programs that run have mapped it."""
    path = tmp_path / "count"
    page.Page(str(path)).say(3)
    same = path.stat().st_ino
    page.Page(str(path)).say(4)
    assert path.stat().st_ino == same
    assert page.FromAgent(str(path)).vm_count() == 4


@pytest.mark.parametrize("text", [b"", b"gpuspl01", b"something else....", b"\0" * 16])
def test_what_is_no_page_says_nothing(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "count").write_bytes(text)
    with pytest.warns(TenancyWarning):
        assert page.FromAgent(str(tmp_path / "count")).vm_count() is None


def test_the_agent_is_preferred_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "PAGE", str(tmp_path / "count"))
    assert "agent" not in tenancy.from_option("auto").describe()
    page.Page(str(tmp_path / "count"))
    assert "agent" in tenancy.from_option("auto").describe()
    assert "agent" not in tenancy.listening("auto").describe()


def test_without_anything_to_listen_to_the_agent_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "_found", tenancy.Unknown)
    told = io.StringIO()
    assert agent.serve("auto", str(tmp_path / "count"), told) == 1
    assert "no Xen store" in told.getvalue()
    assert agent.serve("static:3", str(tmp_path / "nowhere" / "count"), told) == 1
    assert "No such file" in told.getvalue()


def test_the_command_keeps_the_count_until_it_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "count"
    process = subprocess.Popen(
        [sys.executable, "-m", "gpusplit", "agent", "--vms", "static:3", "--file", path],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    with process.stderr as told:
        assert told.readline() == "gpusplit agent: 3 VMs run (static: 3 VMs)\n"
        assert page.FromAgent(str(path)).vm_count() == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert (
        page.count(int.from_bytes(path.read_bytes()[8:], sys.byteorder), time.monotonic()) is None
    )
