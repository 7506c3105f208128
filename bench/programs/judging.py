"""What gpusplit's judge says of the kernels of a program: the one place that calls it."""

from __future__ import annotations

import shlex
from typing import Any

import pyopencl as cl

from bench.programs.shipped import Source
from gpusplit import asking, device_macros, headers
from gpusplit.judge.verdict import Request


def verdicts(source: Source) -> dict[str, str | None]:
    """Why each kernel of a program stays whole on the first device; None where it may be split.

    A program that is not understood at all is one entry, "(program)".
    """
    device = cl.create_some_context(interactive=False).devices[0]
    folders = [str(path) for path in source.include]
    options = " ".join((source.options, *(f"-I {shlex.quote(path)}" for path in folders)))
    taken, trouble = headers.take(source.text, folders)
    request = Request(source.text, headers=taken, trouble=trouble, options=options,
                      address_bits=device.address_bits)  # fmt: skip
    question = asking.Question(request, key(device), compiler(device, options))
    try:
        answer = question.stored() or question.find()
    except asking.Failed as error:
        return {"(program)": str(error)}
    if not answer.kernels:
        return {"(program)": answer.otherwise}
    return {name: verdict.refusal for name, verdict in sorted(answer.kernels.items())}


def key(device: cl.Device) -> str:
    """What names a device and its driver."""
    platform = device.platform
    called = (platform.name, platform.version, device.vendor, device.name, device.version,
              device.driver_version, device.opencl_c_version)  # fmt: skip
    return asking.device_key(called)


def compiler(device: cl.Device, options: str) -> device_macros.Compiler:
    """The compiler of *device*, to be asked what macros are."""
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
