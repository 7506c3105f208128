"""The emulated hosts' memory of what Python compiled out of zip files: the same, and only once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import role_programs

PACKAGES = role_programs.ROLES / "debian_images/files/common/usr/lib/python3/dist-packages"

CALL = """
import sys
packages, folder, sent = sys.argv[1:]
sys.path[:0] = [sent, packages]
import ansible_zip_memory as memory

compiled, compile_source = [], memory.compile_source
memory.FOLDER = folder
memory.compile_source = lambda path, source: compiled.append(path) or compile_source(path, source)
import question
print(question.ANSWER, len(compiled))
"""


class Calls:
    """Calls of modules, each by a Python of its own and out of a zip file of its own."""

    def __init__(self, folder: Path) -> None:
        self.kept = folder / "kept"
        self._folder = folder
        self._calls = 0

    def call(self, answer: str) -> str:
        """What a module answers, and how much was compiled for it."""
        self._calls += 1
        sent = self._folder / f"call-{self._calls}.zip"
        with zipfile.ZipFile(sent, "w") as file:
            file.writestr("question.py", "from lib.answers import ANSWER\n")
            file.writestr("lib/__init__.py", "")
            file.writestr("lib/answers.py", f"ANSWER = {answer!r}\n")
        argv = [sys.executable, "-c", CALL, str(PACKAGES), str(self.kept), str(sent)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


def test_what_is_sent_again_is_not_compiled_again(calls: Calls) -> None:
    assert calls.call("yes") == "yes 3"
    assert calls.call("yes") == "yes 0"
    assert calls.kept.stat().st_mode & 0o777 == 0o700


def test_what_is_another_now_is_compiled(calls: Calls) -> None:
    calls.call("yes")
    assert calls.call("no") == "no 1"
    assert calls.call("yes") == "yes 0"


def test_what_is_damaged_is_compiled(calls: Calls) -> None:
    calls.call("yes")
    for path in calls.kept.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    assert calls.call("yes") == "yes 3"
    assert calls.call("yes") == "yes 0"


def test_who_may_keep_nothing_compiles(calls: Calls) -> None:
    calls.kept.write_text("no folder")
    assert calls.call("yes") == "yes 3"
    assert calls.call("yes") == "yes 3"


def test_only_a_python_that_is_sent_its_program_remembers(tmp_path: Path) -> None:
    """As Ansible calls it; what is measured in the guests is left alone."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(PACKAGES, tmp_path / "lib" / version / "site-packages")
    python = Path(sys.base_prefix) / "bin" / version  # one of a .venv reads no user's packages
    program = "import sys; print('ansible_zip_memory' in sys.modules)"
    environment = {**os.environ, "PYTHONUSERBASE": str(tmp_path)}

    def said(*argv: str) -> str:
        return subprocess.run(
            [python, *argv],
            input=program,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert said() == "True"
    assert said("-c", program) == "False"
    assert said("-") == "False"
