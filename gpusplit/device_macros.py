"""What a device's own compiler says of macros before the first line of a program.

It is asked by a program that has a kernel for every answer that is yes: nothing is run, and no
text of a compiler has to be understood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from gpusplit import store

_BITS = 32


Values = dict[str, int | str | None]

#: Compiles a program and gives its kernels' names, joined by semicolons; Refused if it cannot.
Compiler = Callable[[str], str]


class Refused(Exception):
    """The device compiles nothing; the message says why."""


def ask(
    compiler: Compiler,
    key: str,
    options: str,
    names: Iterable[str],
    valued: Iterable[str],
) -> Values:
    """What *names* and *valued* are: None if not defined, else the integer value of those in
    *valued*, or "" where nobody asked for it or it is no such number.

    key: what the device and its driver are called; options: those of the program, which may define
    macros too; compiler: the device's, with them.  Raises Refused if the device compiles nothing.
    """
    found: Values = {}
    for kind, wanted, question in (("names", names, _defined), ("values", valued, _values)):
        place = store.digest(key, options, kind)
        known = _read(store.load("macros", place))
        unknown = [name for name in wanted if name not in known]
        if unknown:
            known |= question(compiler, unknown)
            store.save("macros", place, json.dumps(known))
        found |= {name: known[name] for name in wanted}
    return found


def _read(text: str | None) -> Values:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _defined(compiler: Compiler, names: Sequence[str]) -> Values:
    questions = {f"d{at}": f"#ifdef {name}" for at, name in enumerate(names)}
    yes = _yes(compiler, questions)
    return {name: "" if f"d{at}" in yes else None for at, name in enumerate(names)}


def _values(compiler: Compiler, names: Sequence[str]) -> Values:
    defined = _defined(compiler, names)
    left = [name for name in names if defined[name] is not None]
    return {**defined, **_numbers(compiler, left)}


def _numbers(compiler: Compiler, names: Sequence[str]) -> Values:
    """The values of defined macros."""
    if not names:
        return {}
    questions = {}
    for at, name in enumerate(names):
        questions[f"l{at}"] = f"#if ({name}) < 0 || (({name}) >> {_BITS}) != 0"
        for bit in range(_BITS):
            questions[f"b{at}_{bit}"] = f"#if (({name}) >> {bit}) & 1"
    try:
        yes = _yes(compiler, questions)
    except Refused:
        if len(names) == 1:
            return {names[0]: ""}
        # One of them is no number.
        half = len(names) // 2
        return {
            **_numbers(compiler, names[:half]),
            **_numbers(compiler, names[half:]),
        }
    return {
        name: ""
        if f"l{at}" in yes
        else sum(1 << bit for bit in range(_BITS) if f"b{at}_{bit}" in yes)
        for at, name in enumerate(names)
    }


def _yes(compiler: Compiler, questions: Mapping[str, str]) -> frozenset[str]:
    """Which of the *questions*, conditional directives by name, the compiler says yes to."""
    prefix = "gpusplit_"
    lines = [f"__kernel void {prefix}none(void) {{ }}"]
    for name, directive in questions.items():
        lines += [directive, f"__kernel void {prefix}{name}(void) {{ }}", "#endif"]
    names = compiler("\n".join(lines) + "\n")
    return frozenset(name.removeprefix(prefix) for name in names.split(";"))
