"""gpusplit explain: a program's kernels, and whether each would be split and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyopencl as cl

from gpusplit import clsource, hooks, programs, safety
from gpusplit.cli import run_program
from gpusplit.config import Config


@dataclass(slots=True)
class _Seen:
    verdict: str
    launches: int = 0
    sizes: set[tuple[Any, ...]] = field(default_factory=set)


def explain_program(words: Sequence[str], is_module: bool, config: Config, out: TextIO) -> int:
    """Print the verdicts on the kernels that a program launches, or on those of a .cl file.

    A program is run for it, unsplit; a .cl file is only read.
    """
    if not is_module and words[0].endswith(".cl"):
        return _explain_source(Path(words[0]), out)
    seen: dict[tuple[int, str], _Seen] = {}
    # Kept, so that a program's address names no other program later.
    kept: list[Any] = []
    original = cl._cl.enqueue_nd_range_kernel

    def enqueue(queue: Any, kernel: Any, size: Any, *args: Any, **kwargs: Any) -> cl.Event:
        event: cl.Event = original(queue, kernel, size, *args, **kwargs)
        program = kernel.get_info(cl.kernel_info.PROGRAM)
        key = (program.int_ptr, kernel.function_name)
        if key not in seen:
            kept.append(program)
            seen[key] = _Seen(programs.examine(kernel, queue.device).describe())
        seen[key].launches += 1
        if len(seen[key].sizes) < 3:
            seen[key].sizes.add(tuple(size))
        return event

    for module in (cl, cl._cl):
        hooks.put(module, "enqueue_nd_range_kernel", enqueue)
    try:
        run_program(words, is_module)
    except SystemExit as end:
        if end.code not in (None, 0):
            print(f"(the program ended with {end.code})", file=out)
    finally:
        for module in (cl, cl._cl):
            hooks.put(module, "enqueue_nd_range_kernel", original)
    print(f"{len(seen)} kernels; policy {config.policy}", file=out)
    for (_, name), found in sorted(seen.items(), key=lambda item: -item[1].launches):
        sizes = ", ".join("x".join(map(str, size)) for size in sorted(found.sizes))
        print(f"  {name}: {found.verdict}", file=out)
        print(f"      {found.launches} launches, global size {sizes}", file=out)
    return 0


def _explain_source(path: Path, out: TextIO) -> int:
    text = path.read_text(encoding="utf-8", errors="replace")
    find = programs.header_finder(f"-I {path.parent}")
    names = kernel_names(text)
    if not names:
        print(f"{path}: no kernels found", file=out)
        return 1
    for name in names:
        print(f"{name}: {safety.examine(text, name, '', find).describe()}", file=out)
    return 0


def kernel_names(source: str) -> list[str]:
    """The names of the kernels that *source* defines, in alphabetical order.

    >>> kernel_names("void f() {} kernel void k(global int *a) {}")
    ['k']
    """
    parsed = clsource.parse(source)
    words = {"kernel", "__kernel"}
    for name, macros in parsed.macros.items():
        if any(token.text in ("kernel", "__kernel") for m in macros for token in m.body):
            words.add(name)
    return sorted(
        name
        for name, functions in parsed.functions.items()
        if any(token.text in words for function in functions for token in function.tokens)
    )
