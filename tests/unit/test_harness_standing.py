"""A lab that stands as it would be built is not built again; any doubt builds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.lab.standing import NAME, SOURCES, Built, remember, sources_digest, why_build
from harness.workloads.gpu_matmul import package_digest

BUILT = Built(cpu_vms=2, options="-e a=1", sources="abc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    remember(tmp_path, BUILT)
    return tmp_path


def test_what_was_built_stands(folder: Path) -> None:
    assert why_build(folder, BUILT) is None


def test_a_larger_lab_will_do(folder: Path) -> None:
    assert why_build(folder, replace(BUILT, cpu_vms=1)) is None


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (replace(BUILT, cpu_vms=3), "it has 2 CPU VMs, and 3 are needed"),
        (replace(BUILT, options=""), "it was built with other options"),
        (replace(BUILT, sources="abd"), "files that it is made of have changed"),
    ],
)
def test_another_lab_is_built(folder: Path, wanted: Built, reason: str) -> None:
    assert why_build(folder, wanted) == reason


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cpu_vms": 2}'])
def test_what_cannot_be_read_is_built(folder: Path, text: str) -> None:
    (folder / "run" / NAME).write_text(text)
    assert why_build(folder, BUILT) == "it is not known what it was built from"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "site.yml").write_text("- import_playbook")
    for source in SOURCES[1:]:
        (tmp_path / source / "__pycache__").mkdir(parents=True)
        (tmp_path / source / "file").write_text(source)
    return tmp_path


def test_the_digest_follows_names_and_contents(checkout: Path) -> None:
    seen = {sources_digest(checkout)}
    (checkout / "roles" / "file").write_text("changed")
    seen.add(sources_digest(checkout))
    (checkout / "roles" / "file").rename(checkout / "roles" / "other")
    seen.add(sources_digest(checkout))
    (checkout / "site.yml").write_text("")
    seen.add(sources_digest(checkout))
    assert len(seen) == 4


def test_the_digest_ignores_what_python_leaves_behind(checkout: Path) -> None:
    before = sources_digest(checkout)
    (checkout / "gpusplit" / "__pycache__" / "a.pyc").write_text("x")
    (checkout / "README.md").write_text("x")
    assert sources_digest(checkout) == before


def test_the_digest_follows_a_library_by_its_sources(checkout: Path) -> None:
    before = sources_digest(checkout)
    native = checkout / "gpusplit" / "native"
    native.mkdir()
    (native / "libgpusplit.so").write_text("built with the lab")
    assert sources_digest(checkout) == before
    (native / "launch.c").write_text("int launch;")
    assert sources_digest(checkout) != before


def test_guest_and_controller_are_of_one_mind_only_with_the_same_library(tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    library = tmp_path / "native" / "libgpusplit.so"
    seen = {package_digest(tmp_path)}
    for content in ("built", "built otherwise"):
        library.write_text(content)
        seen.add(package_digest(tmp_path))
    assert len(seen) == 3
