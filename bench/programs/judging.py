"""What gpusplit's judge says of the kernels of a program: the one place that calls it."""

from __future__ import annotations

import re
from pathlib import Path

from bench.programs.shipped import Source
from gpusplit import explain, programs, safety

#: Kernels that hashcat declares by a macro of its headers.
_MACRO_KERNELS = re.compile(r"^KERNEL_FQ void (\w+)", re.M)


def verdicts(source: Source) -> dict[str, str | None]:
    """Why each kernel of a program stays whole; None for a kernel that may be split."""
    options = " ".join((source.options, *(f"-I {_quoted(path)}" for path in source.include)))
    find = programs.header_finder(options)
    names = {*explain.kernel_names(source.text), *_MACRO_KERNELS.findall(source.text)}
    return {
        name: safety.examine(source.text, name, options, find).refusal for name in sorted(names)
    }


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if re.search(r"\s", text) else text
