"""gpusplit run: any program, as if it had been started without us."""

from __future__ import annotations

import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from gpusplit import running, virtio, xenstore
from gpusplit.config import Config


def run(*words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    before = {name: text for name, text in os.environ.items() if not name.startswith("GPUSPLIT_")}
    return subprocess.run(
        [sys.executable, "-m", "gpusplit", "run", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=60, env=before | environ,
    )  # fmt: skip


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.write_text('#!/bin/sh\necho "$$ $1 $LD_PRELOAD"\nexit 7\n')
    path.chmod(0o755)
    return path


def test_a_script_gets_its_arguments_the_library_and_its_own_exit_status(script: Path) -> None:
    done = run(script, "hello", LD_PRELOAD="")
    assert done.returncode == 7
    assert done.stdout.split()[1:] == ["hello", str(running.LIBRARY)]
    assert done.stderr == ""


def test_it_is_the_same_process(script: Path) -> None:
    words = [sys.executable, "-m", "gpusplit", "run", str(script)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read().split()[0] == str(process.pid)


def test_what_a_user_preloads_stays() -> None:
    before = {"LD_PRELOAD": "other.so", "OPENCL_LAYERS": "below.so"}
    environ = running.environment(before, Config(), False)
    assert environ["LD_PRELOAD"] == f"{running.LIBRARY}:other.so"
    assert environ["OPENCL_LAYERS"] == f"below.so:{running.LIBRARY}"


def test_a_python_program_sees_what_python_itself_would_show_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, sys\nprint(json.dumps([sys.argv, __name__, __file__, sys.path, "
        "'pyopencl' in sys.modules]))"
    )
    plain = subprocess.run(
        [sys.executable, program, "a", "-b"], capture_output=True, text=True, check=True
    )
    wanted = json.loads(plain.stdout)
    for words in ([program], [sys.executable, program]):
        assert json.loads(run(*words, "a", "-b").stdout) == wanted


def test_a_python_program_is_itself_to_its_end(tmp_path: Path) -> None:
    """Its environment is there before its first import, and it is __main__ until after atexit."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os\nlibrary = os.environ['OPENCL_LAYERS']\nimport atexit, sys\n"
        "def end():\n    main = sys.modules['__main__']\n"
        "    print(main.library, main.end is end)\n"
        "atexit.register(end)\n"
    )
    done = run(program, OPENCL_LAYERS="")
    assert done.stdout == f"{running.LIBRARY} True\n", done.stderr


def test_a_policy_is_named_where_somebody_may_know_a_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Elsewhere the default would say of every program that the count is unknown."""
    named = ["GPUSPLIT_POLICY" in running.environment({}, Config(vms=vms), False)
             for vms in ("static:3", "xenstore", "kvm")]  # fmt: skip
    assert named == [True] * 3
    monkeypatch.setattr(running, "PAGE", "/nowhere/count")
    monkeypatch.setattr(xenstore, "device", lambda: None)
    monkeypatch.setattr(virtio, "port", lambda: None)
    assert "GPUSPLIT_POLICY" not in running.environment({}, Config(), False)
    assert "GPUSPLIT_POLICY" in running.environment({}, Config(policy="fixed"), False)
    monkeypatch.setattr(virtio, "port", lambda: "/dev/vport0p1")
    assert running.environment({}, Config(), False)["GPUSPLIT_POLICY"] == "vms"
    monkeypatch.setattr(virtio, "port", lambda: None)
    monkeypatch.setattr(running, "PAGE", "/")  # an agent's
    assert running.environment({}, Config(), False)["GPUSPLIT_POLICY"] == "vms"


def test_a_module_after_m() -> None:
    assert run("-m", "json.tool", "--help").returncode == 0


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("no-such-program", 127, "there is no program"), ("text", 126, "chmod +x")],
)
def test_what_cannot_be_run_says_so_in_one_line(
    tmp_path: Path, name: str, status: int, said: str
) -> None:
    (tmp_path / "text").write_text("no program")
    done = run(tmp_path / name)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def elf(machine: int) -> bytes:
    """The head of a 64-bit program for a kind of processor (System V ABI, e_machine)."""
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 2, machine) + bytes(60)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (elf(243), 0o755, "is for another kind of processor"),  # RISC-V
        (elf(62 if platform.machine() == "x86_64" else 183), 0o755, "is statically linked"),
        (b"#!/bin/sh\n", 0o755, ""),
        (elf(62), 0o4755, "runs with another user's rights"),
    ],
)
def test_what_cannot_be_reached_is_known_by_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, mode: int, said: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program = tmp_path / "program"
    program.write_bytes(content)
    program.chmod(mode)
    told = running.unreachable(str(program))
    assert said in told
    assert bool(said) is bool(told)


def test_without_the_library_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "LIBRARY", "/nowhere/libgpusplit.so")
    environ = running.environment({}, Config(), False)
    assert "LD_PRELOAD" not in environ
    told = capsys.readouterr().err
    assert "install a C compiler, then gpusplit again" in told
    assert told.count("\n") == 1


def test_a_program_that_cannot_be_reached_runs_all_the_same(tmp_path: Path) -> None:
    static = tmp_path / "static"
    made = subprocess.run(
        ["cc", "-static", "-x", "c", "-", "-o", static],
        input="#include <stdio.h>\nint main(void) { return puts(\"ran\") < 0; }",
        text=True, check=False, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no static C library here")
    done = run(static)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "statically linked" in done.stderr


def test_options_reach_the_program_and_its_children(script: Path) -> None:
    environ = running.environment({}, Config(policy="fixed", groups=5, summary=True), False)
    assert environ["GPUSPLIT_GROUPS"] == "5"
    assert environ["GPUSPLIT_REPORT"] == "-"
    assert Config.from_environment(environ).groups == 5


def test_a_timeline_is_begun_anew_and_found_wherever_the_program_goes(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "waits.json").write_text("of another run")
    assert run("--timeline", "waits.json", script).returncode == 7
    assert (tmp_path / "waits.json").read_text() == "[\n"
    environ = running.environment({}, Config(wait="driver", timeline="waits.json"), False)
    assert environ["GPUSPLIT_TIMELINE"] == str(tmp_path / "waits.json")
    assert environ["LD_PRELOAD"] == running.LIBRARY


def test_a_timeline_that_cannot_be_written_is_said_before_the_program_runs(script: Path) -> None:
    done = run("--timeline", "/nowhere/waits.json", script)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GPUSPLIT_WAIT", "sometimes", "wait must be one of cooperative, driver, not 'sometimes'"),
        ("GPUSPLIT_WIAT", "driver", "there is no option 'wiat'"),
        ("GPUSPLIT_CONFIG", "/nowhere.toml", "/nowhere.toml"),
    ],
)
def test_an_option_of_the_environment_that_makes_no_sense_is_told_once(
    script: Path, tmp_path: Path, name: str, value: str, said: str
) -> None:
    done = run(script, "hello", LD_PRELOAD="", **{name: value})
    assert (done.returncode, done.stdout.split()[1:]) == (7, ["hello"])
    assert said in done.stderr
    assert done.stderr.endswith("; the program runs as if without gpusplit\n")
    assert done.stderr.count("\n") == 1
    program = tmp_path / "program.py"
    program.write_text("import os, sys; print(sys.argv, os.environ.get('OPENCL_LAYERS'))")
    done = run(program, "a", OPENCL_LAYERS="below.so", **{name: value})
    assert (done.returncode, done.stdout) == (0, f"{[str(program), 'a']} below.so\n")


def test_a_file_of_options_reaches_the_library(script: Path, tmp_path: Path) -> None:
    script.write_text("#!/bin/sh\necho $GPUSPLIT_WAIT $GPUSPLIT_REPORT $GPUSPLIT_CONFIG\n")
    (tmp_path / "options.toml").write_text('wait = "driver"\nsummary = true\n')
    assert run("--config", tmp_path / "options.toml", script).stdout == "driver -\n"
    assert run(script, GPUSPLIT_CONFIG=str(tmp_path / "options.toml")).stdout == "driver -\n"


def test_observing_changes_nothing_that_the_program_does() -> None:
    environ = running.environment({}, Config(policy="fixed"), True)
    assert environ["GPUSPLIT_WAIT"] == "driver"
    assert environ["GPUSPLIT_POLICY"] == "unsplit"
    assert environ["GPUSPLIT_OBSERVE"] == "1"
