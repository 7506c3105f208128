"""The pages of the roles say what the roles themselves say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.md")}


def test_the_pages_are_current(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DOCS / "generate_roles.py", tmp_path], check=True)
    assert written(DOCS / "roles") == written(tmp_path), "run `make docs`"


def test_a_page_of_a_role_that_is_gone_goes_too(tmp_path: Path) -> None:
    (tmp_path / "gone.md").touch()
    subprocess.run([sys.executable, DOCS / "generate_roles.py", tmp_path], check=True)
    assert "gone.md" not in written(tmp_path)


def test_every_variable_has_a_line_with_its_default() -> None:
    page = (DOCS / "roles/guest_disks.md").read_text()
    assert "| `guest_disks_size` | int | `2048` | Size of a disk in MiB" in page
