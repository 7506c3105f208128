"""The small programs of ../shared/cases print the same plain and split, as their headers ask.

They come with the task, not with the project, and are looked for beside the checkout.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.opencl

CHECKOUT = Path(__file__).parents[2]
CASES = sorted((CHECKOUT.parent / "shared" / "cases").glob("*.py"))
#: What the headers say, with the verdict waited for: in so short a program it would come too late.
SPLIT = ("run", "--policy", "fixed", "--groups", "3", "--cores", "1", "--judge", "wait")


#: 06 may begin its timer again in the very moment in which it ends it; whether it rings before the
#: interpreter is gone, after all is printed, is a matter of luck, plain too.
RINGS = (0, -signal.SIGALRM)


def run(*words: str, ends: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in ends, done.stderr
    return done


@pytest.mark.skipif(not CASES, reason="there is no ../shared/cases beside this checkout")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_prints_the_same_plain_and_split(case: Path) -> None:
    ends = RINGS if case.stem.startswith("06") else (0,)
    plain = run(str(case), ends=ends).stdout
    assert plain
    for _ in range(5):
        split = run("-m", "gpusplit", *SPLIT, "--summary", str(case), ends=ends)
        if split.returncode == 0:  # else its own timer came before the summary
            break
    # 04 waits for another work-group; 08 and 14 bring a second loader, which does not know us.
    was_split = re.search(r", [1-9]\d* split, ", split.stderr) is not None
    assert was_split != case.stem.startswith(("04", "08", "14")), split.stderr
    if case.stem.startswith("06"):
        # Plain, too: a handler that comes between arguments and launch takes one of 201 for itself.
        assert {plain, split.stdout} <= {f"[{n}]\nhandler's: True\n" for n in range(180, 202)}
    else:
        assert split.stdout == plain
