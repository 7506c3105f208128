"""The judge's process: a request on standard input, an answer on standard output.

It reads what others wrote, so it is started isolated (python -I), takes its limits upon itself
first, and reads and writes in a folder that it makes.  Whatever kills it, its caller takes for
"whole".
"""

from __future__ import annotations

import gc
import resource
import sys
import tempfile
from pathlib import Path

#: Seconds of CPU and bytes: well above what a megabyte of source takes, and bounded.
CPU_SECONDS = 60
MEMORY = 2 << 30
LARGEST_FILE = 64 << 20
FILES = 64

if __package__ in (None, ""):
    # Started by its path, for interpreters that do not find gpusplit when isolated.
    sys.path.append(str(Path(__file__).resolve().parents[2]))


def main() -> int:
    """Answer one request; 2 if it is none."""
    for what, limit in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (min(limit, hard) if hard >= 0 else limit, hard))

    # It lives so short that to look for garbage takes longer than what it holds is worth.
    gc.disable()
    from gpusplit.judge.examine import answer
    from gpusplit.judge.verdict import Request

    try:
        request = Request.from_json(sys.stdin.read())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        print(f"gpusplit.judge: not a request: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gpusplit-judge-") as folder:
        print(answer(request, Path(folder).resolve()).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
