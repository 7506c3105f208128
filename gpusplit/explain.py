"""gpusplit explain: a program's kernels, and whether each would be split and how."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from gpusplit import asking, device_macros, headers, running
from gpusplit.config import PREFIX, Config
from gpusplit.judge import options as build_options
from gpusplit.judge.verdict import Answer, Request


def explain_program(words: Sequence[str], is_module: bool, config: Config, out: TextIO) -> int:
    """Print the verdicts on the kernels that a program launches, or on those of a .cl file.

    A program is run for it, with whatever can be split cut in two, so that the library asks for
    the verdict on every program that it launches kernels of, and asked.py notes the answer;
    CannotRun if it cannot be run so.  A .cl
    file is only read, as the first device would read it with the build options that follow its
    name.
    """
    if not is_module and words[0].endswith(".cl"):
        return _explain_source(Path(words[0]), words[1:], out)
    argv = running.command(words, is_module)
    trouble = running.unreachable(argv[0])
    if not os.path.exists(running.LIBRARY):
        trouble = "its native library is not installed: install a C compiler, then gpusplit again"
    if trouble:
        raise running.CannotRun(trouble)
    forced = replace(
        config, policy="fixed", groups=2, cores=1, judge="wait", summary=False, timeline=""
    )
    with tempfile.TemporaryDirectory() as folder:
        notes = os.path.join(folder, "notes")
        environ = running.environment(os.environ, forced, False) | {PREFIX + "EXPLAIN": notes}
        out.flush()
        status = subprocess.run(argv, env=environ, check=False).returncode
        text = Path(notes).read_text(encoding="utf-8") if os.path.exists(notes) else ""
    if status:
        print(f"(the program ended with {status})", file=out)
    # A program that several processes run, or that is built again, is asked about again.
    seen = [json.loads(line) for line in dict.fromkeys(text.splitlines())]
    kernels = sum(len(note["kernels"]) for note in seen)
    print(f"{kernels} kernels; policy {config.policy}", file=out)
    for note in seen:
        for name, verdict in note["kernels"].items():
            print(f"  {name}: {verdict}", file=out)
        if not note["kernels"]:
            print(f"  a program: whole: {note['otherwise']}", file=out)
    return 0


def _explain_source(path: Path, options: Sequence[str], out: TextIO) -> int:
    import pyopencl as cl

    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    device = cl.create_some_context(interactive=False).devices[0]
    folders = [*build_options.read(" ".join(options)).places, str(path.parent)]
    found, trouble = headers.take(text, folders)
    request = Request(
        text, headers=found, trouble=trouble, options=" ".join(options),
        address_bits=device.address_bits,
    )  # fmt: skip
    question = asking.Question(request, called(device), compiler(device, request.options))
    try:
        answer = question.stored() or question.find()
    except asking.Failed as error:
        answer = Answer(otherwise=str(error))
    if not answer.kernels:
        print(f"{path}: {answer.otherwise or 'no kernels found'}", file=out)
        return 1
    for name, verdict in sorted(answer.kernels.items()):
        print(f"{name}: {verdict.describe()}", file=out)
    return 0


def called(device: Any) -> str:
    """What a pyopencl.Device is called."""
    platform = device.platform
    return asking.device_key(
        [platform.name, platform.version, device.vendor, device.name, device.version,
         device.driver_version, device.opencl_c_version]
    )  # fmt: skip


def compiler(device: Any, options: str) -> device_macros.Compiler:
    """The compiler of a pyopencl.Device, to be asked what macros are."""
    import pyopencl as cl

    context = cl.Context([device])

    def compiled(text: str) -> str:
        # pyopencl's own Program would look into a cache, and add options.
        program: Any = cl._cl._Program(context, text)
        try:
            program._build(options=options.encode("utf-8", "surrogateescape"), devices=[device])
        except cl.Error as error:
            raise device_macros.Refused(str(error)) from None
        names: str = program.get_info(cl.program_info.KERNEL_NAMES)
        return names

    return compiled
