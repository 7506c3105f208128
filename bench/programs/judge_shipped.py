"""Kernels that programs ship or build, judged: python -m bench.programs.judge_shipped"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from bench.programs import judging, reasons, shipped
from bench.programs.environments import NotInstalled


@dataclass(slots=True)
class Judged:
    """All kernels of a program.

    whole: kernels that stay whole, by reason and the name of their program's source.
    """

    name: str
    what: str
    sources: int = 0
    kernels: int = 0
    split: int = 0
    seconds: float = 0.0
    whole: dict[str, list[str]] = field(default_factory=dict)
    error: str | None = None

    def add(self, source: str, verdicts: dict[str, str | None]) -> None:
        """The verdicts on one source."""
        self.sources += 1
        for kernel, refusal in verdicts.items():
            self.kernels += 1
            if refusal is None:
                self.split += 1
            else:
                self.whole.setdefault(reasons.normal(refusal), []).append(f"{source}: {kernel}")


def judge(
    entry: shipped.Shipped, cache: Path, folders: dict[str, Path], console: Console
) -> Judged:
    """All kernels of one entry."""
    found = Judged(entry.name, entry.what)
    try:
        sources = list(shipped.sources(entry, cache, folders))
    except NotInstalled as error:
        found.error = str(error)
        return found
    began = time.monotonic()
    for source in track(sources, entry.name, console=console, transient=True):
        found.add(source.name, judging.verdicts(source))
    found.seconds = round(time.monotonic() - began, 1)
    return found


def markdown(all_judged: list[Judged]) -> str:
    """The second table of docs/programs.md."""
    lines = [
        "| program | sources | kernels | may be split | whole, because |",
        "|---|---|---|---|---|",
    ]
    for found in all_judged:
        if found.error is not None:
            lines.append(f"| {found.name}: {found.what} | - | - | - | not judged: {found.error} |")
            continue
        counts = Counter({reason: len(kernels) for reason, kernels in found.whole.items()})
        why = [f"{count:,} x {reason}" for reason, count in counts.most_common(4)]
        rest = sum(counts.values()) - sum(count for _, count in counts.most_common(4))
        why += [f"{rest:,} x others"] if rest else []
        part = f"{100 * found.split / found.kernels:.0f} %" if found.kernels else "-"
        cell = "; ".join(why).replace("|", "\\|")
        lines.append(
            f"| {found.name}: {found.what} | {found.sources} | {found.kernels:,} "
            f"| {found.split:,} ({part}) | {cell} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Judge, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.programs.judge_shipped")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument(
        "--folder", action="append", default=[], metavar="NAME=PATH",
        help="where the source of a program lies that no package has",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=Path, default=Path("build/programs"), metavar="FOLDER",
        help="where programs are installed (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    folders = {
        name: Path(path) for name, _, path in (word.partition("=") for word in options.folder)
    }
    console = Console(stderr=True)
    cache = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    found = [
        judge(entry, cache, folders, console)
        for entry in shipped.read()
        if not options.only or entry.name in options.only
    ]
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(entry) for entry in found], indent=1) + "\n")
    if options.markdown is not None:
        options.markdown.write_text(markdown(found))
    print(markdown(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
