"""What a device's own compiler says of macros before the first line of a program.

It is asked by a program that has a kernel for every answer that is yes: nothing is run, and no
text of a compiler has to be understood.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyopencl as cl

from gpusplit import store

_BITS = 32


Values = dict[str, int | str | None]


def ask(
    context: cl.Context,
    device: cl.Device,
    key: str,
    options: str,
    names: Iterable[str],
    valued: Iterable[str],
) -> Values:
    """What *names* and *valued* are: None if not defined, else the integer value of those in
    *valued*, or "" where nobody asked for it or it is no such number.

    key: what the device and its driver are called; options: those of the program, which may define
    macros too.  Raises pyopencl.Error if the device compiles nothing.
    """
    found: Values = {}
    for kind, wanted, question in (("names", names, _defined), ("values", valued, _values)):
        place = store.digest(key, options, kind)
        known = _read(store.load("macros", place))
        unknown = [name for name in wanted if name not in known]
        if unknown:
            known |= question(context, device, options, unknown)
            store.save("macros", place, json.dumps(known))
        found |= {name: known[name] for name in wanted}
    return found


def _read(text: str | None) -> Values:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _defined(context: cl.Context, device: cl.Device, options: str, names: Sequence[str]) -> Values:
    questions = {f"d{at}": f"#ifdef {name}" for at, name in enumerate(names)}
    yes = _yes(context, device, options, questions)
    return {name: "" if f"d{at}" in yes else None for at, name in enumerate(names)}


def _values(context: cl.Context, device: cl.Device, options: str, names: Sequence[str]) -> Values:
    defined = _defined(context, device, options, names)
    left = [name for name in names if defined[name] is not None]
    return {**defined, **_numbers(context, device, options, left)}


def _numbers(context: cl.Context, device: cl.Device, options: str, names: Sequence[str]) -> Values:
    """The values of defined macros."""
    if not names:
        return {}
    questions = {}
    for at, name in enumerate(names):
        questions[f"l{at}"] = f"#if ({name}) < 0 || (({name}) >> {_BITS}) != 0"
        for bit in range(_BITS):
            questions[f"b{at}_{bit}"] = f"#if (({name}) >> {bit}) & 1"
    try:
        yes = _yes(context, device, options, questions)
    except cl.Error:
        if len(names) == 1:
            return {names[0]: ""}
        # One of them is no number.
        half = len(names) // 2
        return {
            **_numbers(context, device, options, names[:half]),
            **_numbers(context, device, options, names[half:]),
        }
    return {
        name: ""
        if f"l{at}" in yes
        else sum(1 << bit for bit in range(_BITS) if f"b{at}_{bit}" in yes)
        for at, name in enumerate(names)
    }


def _yes(
    context: cl.Context, device: cl.Device, options: str, questions: Mapping[str, str]
) -> frozenset[str]:
    """Which of the *questions*, conditional directives by name, the compiler says yes to."""
    prefix = "gpusplit_"
    lines = [f"__kernel void {prefix}none(void) {{ }}"]
    for name, directive in questions.items():
        lines += [directive, f"__kernel void {prefix}{name}(void) {{ }}", "#endif"]
    program: Any = cl._cl._Program(context, "\n".join(lines) + "\n")
    program._build(options=options.encode("utf-8", "surrogateescape"), devices=[device])
    names: str = program.get_info(cl.program_info.KERNEL_NAMES)
    return frozenset(name.removeprefix(prefix) for name in names.split(";"))
