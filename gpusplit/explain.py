"""gpusplit explain: a program's kernels, and whether each would be split and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import pyopencl as cl

from gpusplit import headers, hooks, judging, programs
from gpusplit.config import Config
from gpusplit.inside import run_program
from gpusplit.judge.verdict import Request


@dataclass(slots=True)
class _Seen:
    verdict: str
    launches: int = 0
    sizes: set[tuple[Any, ...]] = field(default_factory=set)


def explain_program(words: Sequence[str], is_module: bool, config: Config, out: TextIO) -> int:
    """Print the verdicts on the kernels that a program launches, or on those of a .cl file.

    A program is run for it, unsplit; a .cl file is only read, as the first device would read it
    with the build options that follow its name.
    """
    if not is_module and words[0].endswith(".cl"):
        return _explain_source(Path(words[0]), words[1:], out)
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
            found = programs.of_kernel(kernel, queue.device)
            answer = judging.answer(found, kernel, queue.device, wait=True)
            assert answer is not None
            seen[key] = _Seen(answer.verdict(kernel.function_name).describe())
        seen[key].launches += 1
        if len(seen[key].sizes) < 3:
            seen[key].sizes.add(tuple(size))
        return event

    for module in (cl, cl._cl):
        hooks.put(module, "enqueue_nd_range_kernel", enqueue)
    try:
        run_program(["-m", *words] if is_module else list(words))
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


def _explain_source(path: Path, options: Sequence[str], out: TextIO) -> int:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    device = cl.create_some_context(interactive=False).devices[0]
    folders = [*(option[2:] for option in options if option.startswith("-I")), str(path.parent)]
    found, trouble = headers.take(text, folders)
    request = Request(
        text, headers=found, trouble=trouble, options=" ".join(options),
        address_bits=device.address_bits,
    )  # fmt: skip
    question = judging.Question(request, cl.Context([device]), device)
    answer = question.stored() or question.find()
    if not answer.kernels:
        print(f"{path}: {answer.otherwise or 'no kernels found'}", file=out)
        return 1
    for name, verdict in sorted(answer.kernels.items()):
        print(f"{name}: {verdict.describe()}", file=out)
    return 0
