"""A request becomes an answer: the story of the judge, top to bottom.

A launch may be split if no work-item can tell: the IDs and sizes it asks for must be those of the
whole launch, and nothing in it may need another work-group to run at the same time.  The
specification lets a device run the work-groups of a launch one after another (OpenCL 1.2, section
3.2.1), so a kernel that keeps to it cannot tell when slices run one after another either.  What is
not understood is not split.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gpusplit.judge import (
    builtins,
    frontend,
    options,
    outside,
    prelude,
    ptx,
    reading,
    spirv,
    stillness,
)
from gpusplit.judge.functions import Function, Program
from gpusplit.judge.options import Options
from gpusplit.judge.verdict import LAST_ARGUMENT, Answer, Request, Unreadable, Verdict, whole


def answer(request: Request, folder: Path) -> Answer:
    """The answer to *request*; *folder* is an empty one to work in."""
    try:
        return _answer(request, folder)
    except Unreadable as error:
        return Answer(otherwise=str(error))


def _answer(request: Request, folder: Path) -> Answer:
    if request.source:
        return _source(request, folder)
    if request.spirv:
        return Answer(spirv.examine_all(request.spirv))
    if request.ptx:
        return Answer(ptx.examine_all(request.ptx))
    return Answer(otherwise="the program has no source (a binary or built-in kernels)")


def _source(request: Request, folder: Path) -> Answer:
    flags = options.read(request.options)
    texts = [
        request.source,
        *(header.text for header in request.headers),
        *(f"#define {name} {text}\n" for name, text in flags.defined),
    ]
    texts = [reading.spliced(text) for text in texts]
    trouble = flags.problem or _clash(flags) or reading.problem(texts) or request.trouble
    if trouble:
        return Answer(otherwise=trouble)
    own = {name for name, _ in flags.defined}
    names, values = reading.to_ask(texts, {*request.macros, *own})
    if names or values:
        return Answer(ask=names, ask_values=values)
    for name in sorted(reading.tested(texts).values - own):
        if request.macros[name] == "":
            return Answer(otherwise=f"it tests {name}, which is no number on this device")
    version = request.macros[reading.LANGUAGE_VERSION]
    if not isinstance(version, int) or not 100 <= version <= 300:
        return Answer(otherwise=f"its version of OpenCL C is {version}, which is unknown here")
    if not flags.standard:
        flags.standard = f"CL{max(version, 110) // 100}.{max(version, 110) % 100 // 10}"
    text = prelude.variant(request.source)
    device = reading.device_header(request.macros, own)
    unit = frontend.parse(
        prelude.NEUTRAL + text, request.headers, device, flags, request.address_bits, folder
    )
    program = outside.collect(unit, reading.pastes(texts))
    kernels = {
        function.name: _judge(program, identity, request.ptx)
        for identity, function in program.functions.items()
        if function.is_kernel
    }
    needed = any(verdict.asks for verdict in kernels.values())
    return Answer(kernels, variant=text if needed else "")


def _clash(flags: Options) -> str:
    """Why the prelude would mean something else behind these options; empty if it would not."""
    words = set(prelude.WORDS)
    names = [name.partition("(")[0] for name, _ in flags.defined] + flags.undefined
    clash = sorted(words.intersection(names))
    return f"a build option defines {clash[0]}, which gpusplit's own text uses" if clash else ""


def _judge(program: Program, kernel: int, ptx_text: str) -> Verdict:
    """The verdict on *kernel*; *ptx_text* is what the driver made of the program, or empty."""
    if program.problem:
        return whole(program.problem)
    reached = _reached(program, kernel)
    functions = [program.functions[identity] for identity in reached]
    for function in functions:
        if function.problem:
            return whole(function.problem)
    atomics = sorted(name for function in functions for name in function.atomics)
    circle = _calls_itself(program, reached)
    # A function's barriers are in whatever loop calls it.
    called = functions if circle else functions[1:]
    communicates = (
        bool(atomics)
        or program.shares
        or any(function.communicates for function in functions)
        or any(function.orders for function in called)
    )
    waits = circle or any(
        function.waits or _may_see_news(program, function) or _may_keep(program, function)
        for function in functions
    )
    alone = None if waits else _NOTHING
    if communicates and not waits and any(part.doubtful or part.leans for part in functions):
        alone = _alone(program, kernel, reached)
    if communicates and alone is None:
        what = atomics[0] if atomics else "volatile or a global fence"
        return whole(f"has loops and {what}: it may wait for other work-groups")
    asks = frozenset(name for function in functions for name in function.asks)
    # Asked alone, these are right in a slice that nothing else changes.
    needed = asks & frozenset(prelude.RANGE_FUNCTIONS)
    if ptx_text:
        shares = communicates or functions[0].orders
        doubt = ptx.doubt(ptx_text, program.functions[kernel].name, bool(needed), shares)
        if doubt:
            return whole(doubt)
    variables = sorted(name for function in functions for name in function.variables)
    if needed and variables:
        return whole(f"has a variable of its own, {variables[0]}; a variant would have another")
    names = asks.union(*(function.builtins for function in functions))
    return Verdict(
        asks=needed,
        shows_work_group=any(map(builtins.shows_work_group, names))
        or any(function.uses_local for function in functions),
        notes=("the order of atomic operations may differ",) if atomics else (),
        still=alone.still if alone else (),
        changed=alone.changed if alone else (),
    )


class _Alone(NamedTuple):
    """Arguments whose memory must stay as it is, and those whose memory the kernel may change."""

    still: tuple[int, ...]
    changed: tuple[int, ...]


_NOTHING = _Alone((), ())


def _alone(program: Program, kernel: int, reached: list[int]) -> _Alone | None:
    """What must hold of arguments so that no loop waits; None if some loop may all the same."""
    functions = [program.functions[identity] for identity in reached]
    # Behind a fence the host or another kernel may be waited for as well.
    if program.shares or any(function.fences for function in functions):
        return None
    uses = {identity: program.uses(identity) for identity in reached}
    names = set[int]().union(*(function.leans for function in functions))
    for loop in (loop for function in functions for loop in function.doubtful):
        inside = stillness.of(loop)
        called = {callee for start in inside.calls for callee in _reached(program, start)}
        for part in (inside, *(uses[callee] for callee in called)):
            if part.wild or part.news:
                return None
            names |= part.reads
    if not names:
        return _NOTHING
    memory = stillness.Memory(program.functions[kernel].cursor, uses.values())
    still = memory.still(names)
    if still is None or any(at > LAST_ARGUMENT for at in (*still, *memory.changed)):
        return None
    return _Alone(tuple(sorted(still)), tuple(sorted(memory.changed)))


def _reached(program: Program, kernel: int) -> list[int]:
    seen, todo = [kernel], [kernel]
    known = {kernel}
    while todo:
        for callee in program.functions[todo.pop()].calls - known:
            if callee in program.functions:
                known.add(callee)
                seen.append(callee)
                todo.append(callee)
    return seen


def _may_see_news(program: Program, function: Function) -> bool:
    """Whether *function* has a loop that is left early upon what other groups may write meanwhile.

    The compiler need not read plain memory twice: it takes volatile, an atomic or a fence.
    """
    if function.left_early is None:
        return False
    called = {callee for start in function.left_early for callee in _reached(program, start)}
    return (
        program.shares
        or function.communicates
        or any(
            part.communicates or part.orders or part.atomics
            for part in map(program.functions.__getitem__, called)
        )
    )


def _may_keep(program: Program, function: Function) -> bool:
    """Whether what *function* lends a counter to may change it later, in the loop."""
    return any(
        program.functions[callee].keeps
        for lent in function.lends
        for callee in _reached(program, lent)
    )


def _calls_itself(program: Program, reached: list[int]) -> bool:
    """Whether calls go round in a circle, which is a loop as well."""
    state: dict[int, bool] = {}  # True while its calls are followed, then False
    for start in reached:
        path = [(start, iter(program.functions[start].calls))] if start not in state else []
        if path:
            state[start] = True
        while path:
            here, calls = path[-1]
            callee = next(calls, None)
            if callee is None:
                state[here] = False
                path.pop()
            elif state.get(callee):
                return True
            elif callee not in state and callee in program.functions:
                state[callee] = True
                path.append((callee, iter(program.functions[callee].calls)))
    return False
