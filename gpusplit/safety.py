"""May this kernel be split, and what makes it safe.

A launch may be split if no work-item can tell: the IDs and sizes it asks for must be those of the
whole launch, and nothing in it may need another work-group to run at the same time.  The
specification lets a device run the work-groups of a launch one after another (OpenCL 1.2, section
3.2.1), so a kernel that keeps to it cannot tell when slices run one after another either.
Everything here is about text; what is unknown is not split.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from gpusplit import builtins, clsource, reach

#: Returns the text of a header by its name in #include, and whether it is trusted; None if absent.
Headers = Callable[[str], "tuple[str, bool] | None"]

#: Functions that pyopencl's own headers make by macros.
_TRUSTED = re.compile(r"c(float|double)_\w+|(philox|threefry)\w+|bessel_\w+|airy\w*|hankel\w*")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the analysis found for one kernel.

    Attributes
    ----------
    refusal: why the kernel must stay whole; None if it may be split.
    needs_prelude: functions whose results a slice changes and that a prelude must put right.
    helpers: whether functions other than the kernel itself call those.
    shows_work_group: whether the kernel can see how work-items are grouped, so that it matters
        which local size a driver chooses for local_size=None.
    pocl_pitfall: whether PoCL may abort on the kernel behind a prelude (see builtins.py).
    notes: what may differ all the same, within the specification.
    """

    refusal: str | None = None
    needs_prelude: frozenset[str] = frozenset()
    helpers: bool = False
    shows_work_group: bool = False
    pocl_pitfall: bool = False
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people."""
        if self.refusal is not None:
            return f"whole: {self.refusal}"
        text = "split as it is"
        if self.needs_prelude:
            text = f"split with a prelude for {', '.join(sorted(self.needs_prelude))}"
        return "; ".join((text, *self.notes))


def whole(reason: str) -> Verdict:
    """The verdict on a kernel that must not be split."""
    return Verdict(refusal=reason)


@dataclass(slots=True)
class Options:
    """What compiler options mean for the analysis."""

    macros: str = ""
    include_dirs: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_options(options: str) -> Options:
    """The macros (as #define lines) and include folders of clBuildProgram's *options*.

    OpenCL 1.2, section 5.6.4.  Options that can bring in text this module does not see are
    problems.
    """
    result = Options()
    words = re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", options)
    words = [word.replace('"', "").replace("'", "") for word in words]
    at = 0
    while at < len(words):
        word = words[at]
        flag, value = word[:2], word[2:]
        if flag in ("-D", "-I", "-U") and not word.startswith(("-Isystem",)):
            if not value and at + 1 < len(words):
                at += 1
                value = words[at]
            if flag == "-D":
                name, _, text = value.partition("=")
                result.macros += f"#define {name} {text or '1'}\n"
            elif flag == "-I":
                result.include_dirs.append(value)
        elif word.startswith(("-cl-std=CLC++", "-cl-std=clc++")):
            result.problems.append("the program is in C++ for OpenCL")
        elif word.startswith(("-include", "-imacros", "-Xclang", "-x", "-iquote", "-isystem", "@")):
            result.problems.append(f"the build option {word} is not understood")
        at += 1
    return result


def examine(source: str, kernel: str, options: str = "", headers: Headers | None = None) -> Verdict:
    """The verdict on function *kernel* of an OpenCL C program built from *source*.

    options: the build options; headers: finds the text of #include lines (none found: refused).
    """
    parsed = _parse_all(source, options, headers)
    if isinstance(parsed, str):
        return whole(parsed)
    sources, trusted = parsed
    if not any(kernel in part.functions for part in sources):
        return whole("its definition is not visible in the source (made by a macro?)")
    defined = {name for part in sources for name in (*part.functions, *part.prototypes)}
    defined |= {name for part in sources for name in (*part.macros, *part.undefined, *part.tested)}
    redefined = sorted(defined & (builtins.RANGE_FUNCTIONS | builtins.ID_FUNCTIONS))
    if redefined:
        return whole(f"the program has its own {redefined[0]}, or asks whether it is defined")

    if any("extern" in part.file_words for part in sources):
        # Where it is defined, nobody here can look.
        return whole("the program declares something extern")
    found = reach.mentions(sources, kernel, builtins.matters)
    if found.problems:
        return whole(found.problems[0])
    for word in sorted(found.words):
        why = builtins.refusal(word)
        if why is not None:
            return whole(f"{why} ({word})")
    own = {name for part in sources for name in (*part.functions, *part.macros)}
    for name in sorted(found.calls - own):
        if not builtins.known(name) and not (trusted and _TRUSTED.fullmatch(name)):
            return whole(f"calls {name}, which the source does not define")
    hidden = sorted(found.bare & builtins.RANGE_FUNCTIONS)
    if hidden:
        return whole(f"mentions {hidden[0]} without calling it")

    atomics = sorted(w for w in found.words if builtins.ATOMIC_PATTERN.fullmatch(w))
    communicates = bool(
        atomics
        or "volatile" in found.words
        # The type of what the kernel is given may hide it.
        or any(part.volatile for part in sources)
        or found.words & builtins.FENCES
        or builtins.GLOBAL_FENCE_FLAG in found.words
    )
    if communicates and found.words & builtins.LOOPS:
        what = atomics[0] if atomics else "volatile or a global fence"
        return whole(f"has loops and {what}: it may wait for other work-groups")
    notes = ("the order of atomic operations may differ",) if atomics else ()
    needs_prelude = found.words & builtins.RANGE_FUNCTIONS
    if needs_prelude and (_has_variables(sources) or "static" in found.words):
        return whole("its program has variables of its own, and a variant would have others")
    return Verdict(
        needs_prelude=needs_prelude,
        helpers=_helpers_need_prelude(sources, kernel, found.functions),
        shows_work_group=any(map(builtins.shows_work_group, found.words)),
        pocl_pitfall=bool(found.computed & builtins.POCL_PITFALLS),
        notes=notes,
    )


def _has_variables(sources: list[clsource.Source]) -> bool:
    """Whether the program has variables that outlive a launch, or macros that may make some."""
    if any(part.variables for part in sources):
        return True
    todo = reach.macros_outside(sources)
    if any(name in part.prototypes for name in todo for part in sources):
        return True
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        for body in (macro.body for part in sources for macro in part.macros.get(name, ())):
            depth = 0
            for token in body:
                depth += (token.text == "{") - (token.text == "}")
                if token.text == ";" and depth == 0:
                    return True
                if token.text not in seen and any(token.text in p.macros for p in sources):
                    todo.add(token.text)
    return False


def _helpers_need_prelude(
    sources: list[clsource.Source], kernel: str, functions: frozenset[str]
) -> bool:
    return any(
        reach.mentions(sources, name, builtins.matters).words & builtins.RANGE_FUNCTIONS
        for name in functions
        if name != kernel
    )


def _parse_all(
    source: str, options: str, headers: Headers | None
) -> tuple[list[clsource.Source], bool] | str:
    """The source, its options' macros and its headers taken apart, or why that cannot be done."""
    flags = read_options(options)
    if flags.problems:
        return flags.problems[0]
    parts = [_parse(source), _parse(flags.macros)]
    texts = [source, flags.macros]
    trusted = False
    todo = list(parts[0].includes)
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        found = headers(name) if headers is not None else None
        if found is None:
            return f"the header {name} was not found, found twice, or changed since the start"
        text, known = found
        if known:
            trusted = True
            continue
        part = _parse(text)
        parts.append(part)
        texts.append(text)
        todo += part.includes
    # No compiler defines these by itself, and pyopencl's scans print under #ifdef DEBUG.
    undefined = frozenset(
        name for name in _NEVER_PREDEFINED if not any(name in part.macros for part in parts)
    )
    parts = [_parse(text, undefined) for text in texts]
    for part in parts:
        if part.problems:
            return part.problems[0]
    return parts, trusted


_NEVER_PREDEFINED = ("DEBUG", "psc_DEBUG")
# Programs are launched many times and their text does not change.
_parse = functools.lru_cache(maxsize=64)(clsource.parse)
