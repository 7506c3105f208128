"""What gpusplit's judge says of the kernels of a program: the one place that calls it."""

from __future__ import annotations

import shlex

import pyopencl as cl

from bench.programs.shipped import Source
from gpusplit import asking, headers
from gpusplit.explain import called, compiler
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
    question = asking.Question(request, called(device), compiler(device, options))
    try:
        answer = question.stored() or question.find()
    except asking.Failed as error:
        return {"(program)": str(error)}
    if not answer.kernels:
        return {"(program)": answer.otherwise}
    return {name: verdict.refusal for name, verdict in sorted(answer.kernels.items())}
