"""What the library is told of programs that it asks about, and what `explain` learns of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpusplit import asked, asking
from gpusplit.judge.verdict import Answer, Verdict

PTX = (Path(__file__).parents[1] / "data" / "gpusplit_h200.ptx").read_bytes()
DEVICE = {"A": [b"64"], "D": [b"x"] * 7}


class Frames(asked.Frames):
    """What is sent to the library, kept."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def put(self, kind: str, payload: str | bytes = b"") -> None:
        self.sent.append((kind, payload if isinstance(payload, str) else payload.decode()))

    def of(self, kind: str) -> list[str]:
        return [payload for sent, payload in self.sent if sent == kind]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ask(given: asked.Given) -> Frames:
    frames = Frames()
    asked.judge(frames, given | DEVICE)
    return frames


def test_a_binary_of_unknown_source_is_judged_by_its_ptx_if_that_is_what_it_is() -> None:
    told = ask({"B": [PTX], "P": [PTX]})
    why_whole = {name: why for name, why, *_ in (one.split("\0") for one in told.of("K"))}
    assert why_whole["ids"] == ""
    assert why_whole["off"] == "its PTX reads %envreg0, and it has no source"
    assert told.of("V") == [""]
    told = ask({"B": [b"\x7fELF"], "P": [b"\x7fELF"]})
    assert not told.of("K")
    assert told.of("W") == ["it was made from a binary whose source is not known"]


def test_answers_are_noted_where_explain_wants_to_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    given = {"S": [b"kernel void k(global int *a) { }"], "O": [b""]}
    monkeypatch.setattr(asking, "ask_judge", lambda _: Answer({"k": Verdict()}))
    ask(given)
    assert not notes.exists()
    monkeypatch.setenv("GPUSPLIT_EXPLAIN", str(notes))
    ask(given)
    ask({"B": [b"\x7fELF"]})

    def dead(_: object) -> Answer:
        raise asking.Failed("the judge is dead")

    monkeypatch.setattr(asking, "ask_judge", dead)
    assert ask(given | {"O": [b"-Dx"]}).of("F") == ["the judge is dead"]
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    assert [line["kernels"] for line in lines] == [{"k": "split as it is"}, {}, {}]
    assert [line["otherwise"] for line in lines[1:]] == [
        "it was made from a binary whose source is not known", "the judge is dead"
    ]  # fmt: skip
