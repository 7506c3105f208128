"""The judge's process: isolated, bounded, and never a reason for a program to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpusplit import asking, headers, store
from gpusplit.judge import options
from gpusplit.judge.verdict import Answer, Header, Request

JUDGE = Path(asking.__file__).parent / "judge" / "__main__.py"
OLD = {"__OPENCL_C_VERSION__": 120}
KERNEL = "kernel void k(global int *a) { a[0] = get_group_id(0); }"


def run(text: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", JUDGE], input=text, capture_output=True, text=True, timeout=120,
        env={**os.environ, **environ}, check=False,
    )  # fmt: skip


def test_one_request_one_answer() -> None:
    done = run(Request(KERNEL, macros=OLD).to_json())
    assert done.returncode == 0, done.stderr
    answer = Answer.from_json(done.stdout)
    assert answer.verdict("k").asks == {"get_group_id"}
    assert answer.variant.endswith(KERNEL)
    assert answer.verdict("no").refusal == "the program has no such kernel"


def test_the_environment_puts_nothing_under_the_judge(tmp_path: Path) -> None:
    (tmp_path / "clang").mkdir()
    (tmp_path / "clang" / "__init__.py").write_text("raise SystemExit('not isolated')")
    assert run(Request(KERNEL, macros=OLD).to_json(), PYTHONPATH=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"version": 1, "source": 3}', "\0"])
def test_what_is_no_request_gets_a_message_and_status_2(text: str) -> None:
    done = run(text)
    assert done.returncode == 2
    assert "not a request" in done.stderr


def test_a_folder_that_a_macro_of_the_options_names_is_looked_in(tmp_path: Path) -> None:
    found = options.read(f"-D KERNEL -DFOLDER={tmp_path}/of -I inc -D 'TEXT(x)=#x' -DEMPTY=/")
    assert found.places == ["inc", f"{tmp_path}/of"]


@pytest.mark.parametrize(
    "source",
    [
        "kernel void k(global int *a) { a[0] = " + "(" * 200_000 + "1" + ")" * 200_000 + "; }",
        "#define A0 x x\n" + "".join(f"#define A{i} A{i - 1} A{i - 1}\n" for i in range(1, 40))
        + "kernel void k() { A39; }",
        '#include "/dev/zero"\n' + KERNEL,
        "kernel void k(global int *a) {" + "if (a[0]) {" * 50_000 + "}" * 50_000 + "}",
    ],
    ids=["parentheses", "macros", "device", "blocks"],
)  # fmt: skip
def test_hostile_programs_end_as_whole(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIME_LIMIT", 5.0)
    try:
        answer = asking.ask_judge(Request(source, macros=OLD))
    except asking.Failed:
        return  # it died, or was ended: launches stay whole
    assert answer.verdict("k").refusal is not None


def test_a_judge_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIME_LIMIT", 0.01)
    with pytest.raises(asking.Failed, match="said nothing"):
        asking.ask_judge(Request(KERNEL, macros=OLD))


def test_a_judge_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(asking.Failed, match="does not start"):
        asking.ask_judge(Request(KERNEL, macros=OLD))


# What is kept on disk.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gpusplit"


def test_what_is_saved_is_found_again_and_private(cache: Path) -> None:
    assert store.load("verdicts", "x") is None
    store.save("verdicts", "x", "text \udcff")
    assert store.load("verdicts", "x") == "text \udcff"
    assert (cache / "verdicts").stat().st_mode & 0o077 == 0
    assert [path.name for path in (cache / "verdicts").iterdir()] == ["x"]


def test_a_folder_that_others_can_write_is_not_believed(cache: Path) -> None:
    store.save("verdicts", "x", "text")
    (cache / "verdicts").chmod(0o777)
    assert store.load("verdicts", "x") is None
    store.save("verdicts", "y", "text")
    assert not (cache / "verdicts" / "y").exists()


def test_a_place_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for home in (str(tmp_path / "file"), "relative", "/proc/nowhere"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        store.save("verdicts", "x", "text")
        assert store.load("verdicts", "x") is None


def test_what_was_not_used_for_longest_goes_first(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_MOST", 8)
    for at in range(9):
        store.save("verdicts", str(at), "text")
        if at < 8:
            os.utime(cache / "verdicts" / str(at), (at, at))
    assert sorted(path.name for path in (cache / "verdicts").iterdir()) == list("2345678")


def test_contents_that_are_split_otherwise_have_another_name() -> None:
    assert store.digest("ab", "c") != store.digest("a", "bc")
    assert store.digest("a") == store.digest(b"a")


# Headers, as they are while a program is built.


def test_headers_are_followed_from_folder_to_folder(tmp_path: Path) -> None:
    (tmp_path / "one" / "sub").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "sub" / "a.h").write_text('#include "b.h"\n#include <c.h>\n')
    (tmp_path / "one" / "sub" / "b.h").write_text("b")
    (tmp_path / "two" / "c.h").write_text("c")
    found, trouble = headers.take(
        '#include "sub/a.h"\n# /* */ include "c.h"\n// #include "d.h"\n#include "nowhere.h"\n',
        [str(tmp_path / "one"), str(tmp_path / "two")],
    )
    assert not trouble
    assert set(found) == {
        Header(0, "sub/a.h", '#include "b.h"\n#include <c.h>\n'),
        Header(0, "sub/b.h", "b"),
        Header(1, "c.h", "c"),
    }


def test_of_two_different_headers_of_one_name_nobody_knows_which_was_meant(tmp_path: Path) -> None:
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.h").write_text(text)
    folders = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert "different headers" in headers.take('#include "a.h"\n', folders)[1]
    (tmp_path / "two" / "a.h").write_text("1")
    assert headers.take('#include "a.h"\n', folders) == ((Header(0, "a.h", "1"),), "")


def test_a_header_that_a_macro_names_is_known_by_its_whole_path(tmp_path: Path) -> None:
    (tmp_path / "a.h").write_text('#include "b.h"\n')
    (tmp_path / "b.h").write_text("b")
    found = headers.take("#include TEXT(FOLDER/a.h)\n", [str(tmp_path)])
    assert set(found[0]) == {
        Header(0, "a.h", '#include "b.h"\n', str(tmp_path / "a.h")),
        Header(0, "b.h", "b", str(tmp_path / "b.h")),
    }
    # Whichever way it is named first.
    both = headers.take('#include "b.h"\n#include TEXT(FOLDER/b.h)\n', [str(tmp_path)])
    assert both == ((Header(0, "b.h", "b", str(tmp_path / "b.h")),), "")


@pytest.mark.parametrize(
    "source",
    [
        "#include NAME\n",
        "#include TEXT(a.h, b.h)\n",
        '#import "a.h"\n',
        '#include "../a.h"\n',
        '#include "/a/b.h"\n',
    ],
)
def test_what_cannot_be_followed_is_trouble(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.h").write_text("")
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr(os.path, "isfile", lambda _: True)
    monkeypatch.setattr("builtins.open", lambda *_, **__: (tmp_path / "a.h").open())
    assert headers.take(source, [str(tmp_path / "sub")])[1]


def test_a_header_that_cannot_be_read_is_trouble_and_no_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.h").write_text("")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr("builtins.open", refused)
    assert "cannot be read" in headers.take('#include "a.h"\n', [str(tmp_path)])[1]


def test_an_answer_is_json_that_people_can_read() -> None:
    fields = json.loads(run(Request(KERNEL, macros=OLD).to_json()).stdout)
    assert fields["kernels"]["k"]["asks"] == ["get_group_id"]
    assert fields["kernels"]["k"]["refusal"] is None


def judges(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[Request]:
    """What the judge is asked, in place of a judge that takes so long."""
    asked: list[Request] = []

    def ask(request: Request) -> Answer:
        asked.append(request)
        time.sleep(seconds)
        return Answer(otherwise="found")

    monkeypatch.setattr(asking, "ask_judge", ask)
    return asked


@pytest.mark.parametrize("text", ["", "{}", "\0", '{"version": 1}'])
def test_a_verdict_on_disk_needs_no_judge_and_a_spoilt_one_is_found_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = judges(monkeypatch, 0)

    def answer() -> str:
        return asking.Question(Request("same"), "device", lambda _: "").find().otherwise

    assert [answer(), answer()] == ["found", "found"]
    assert len(asked) == 1
    (path,) = (tmp_path / "gpusplit" / "verdicts").glob("[!.]*")
    path.write_text(text)
    assert [answer(), answer()] == ["found", "found"]
    assert len(asked) == 2


def test_of_many_that_ask_the_same_at_once_one_asks_the_judge(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = judges(monkeypatch, 0.3)

    def rank(number: int) -> Answer:
        return asking.Question(Request("same"), "device", lambda _: "").find()

    with ThreadPoolExecutor(8) as ranks:
        answers = list(ranks.map(rank, range(8)))
    assert {answer.otherwise for answer in answers} == {"found"}
    assert len(asked) == 1
    assert not list((tmp_path / "gpusplit" / "verdicts").glob(".*"))


def test_a_lock_that_somebody_left_blocks_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # Somebody who was killed in the middle: the file is there, and nobody holds it.
    killed = (
        "import os; from gpusplit import store\n"
        "with store.alone('verdicts', 'name', 9): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert [path.name for path in tmp_path.rglob("*.lock")] == [".name.lock"]
    began = time.monotonic()
    with store.alone("verdicts", "name", 100):
        assert time.monotonic() < began + 50
        # And somebody who stands still in it is not waited for longer than that.
        with store.alone("verdicts", "name", 0.1):
            pass


def test_where_nothing_can_be_kept_everybody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with store.alone("verdicts", "name", 100):
        pass
