"""The small programs of ../shared/cases print the same plain and split, as their headers ask.

They come with the task, not with the project, and are looked for beside the checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.opencl

CHECKOUT = Path(__file__).parents[2]
CASES = sorted((CHECKOUT.parent / "shared" / "cases").glob("*.py"))
#: What each needs to print the same, and has not got yet.
MISSING = {
    "06-signal-handler-same-kernel": "a handler may launch the kernel that is being sliced",
    "08-ctypes-set-arg": "arguments set below pyopencl are seen",
    "14-context-leak": "contexts are given back",
}
#: What the headers say, with the verdict waited for: in so short a program it would come too late.
SPLIT = ("run", "--policy", "fixed", "--groups", "3", "--cores", "1", "--judge", "wait")


def printed(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not CASES, reason="there is no ../shared/cases beside this checkout")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_prints_the_same_plain_and_split(case: Path, request: pytest.FixtureRequest) -> None:
    if case.stem in MISSING:
        request.applymarker(pytest.mark.xfail(reason=f"not yet: {MISSING[case.stem]}"))
    plain = printed(str(case))
    assert plain
    assert printed("-m", "gpusplit", *SPLIT, str(case)) == plain
