"""How a program is read: the text of its directives, and its preprocessing as the device's.

The device's compiler and the judge's must take the same branch of every #if.  So every name that a
directive tests, or a macro that it tests stands for, is one of which the device has said what it is
before the program's first line; a name that nobody can be asked about leaves the program whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from gpusplit.judge import base
from gpusplit.judge.prelude import RENAMED
from gpusplit.judge.verdict import Macros

_SPLICE = re.compile(r"\\[ \t\f\v]*\r?\n")
_COMMENT_OR_STRING = re.compile(
    # A quote that none closes goes to the end of its line, whatever begins there.
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?""",
    re.DOTALL,
)
#: What does not show is taken for space: a compiler may.
_DIRECTIVE = re.compile(r"^[^!-~\n]*(?:#|%:)[^!-~\n]*(\w+)([^\n]*)", re.MULTILINE)
_CONDITIONAL = ("if", "ifdef", "ifndef", "elif", "elifdef", "elifndef")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_$]\w*")
#: What a #define says: a name, its parameters, what it stands for.
_DEFINITION = re.compile(r"\s*(\w+)(\([^)]*\))?(.*)", re.DOTALL)
_ASKS_DEFINED = re.compile(r"\bdefined\s*(?:\(\s*\w+\s*\)|\w+)")
_WORDS = {"defined", "true", "false"}
#: What the front end says of text must not be turned off (frontend.py), and no tree shows how a
#: pragma names a function to the linker.
_HUSHES = (("diagnostic", "ignored"), ("system_header",), ("redefine_extname",))
_OF_THE_COMPILER = re.compile(rf"\s*({'|'.join(base.REDEFINED)})\b")
_PASTES = re.compile(r"##|%:%:")
_TRIGRAPH = re.compile(r"\?\?[=/'()!<>-]")

#: Asked of every device: the language's version chooses what the prelude defines.
LANGUAGE_VERSION = "__OPENCL_C_VERSION__"

#: Directives whose line some compilers take as it is, comments and all.
_TAKEN_AS_IS = re.compile(r"(warning|error|pragma\s+mark)\b")

#: What these are depends on the place or on the compiler's own mind.
_UNKNOWABLE = re.compile(
    r"__has_\w+|__(LINE|(BASE_)?FILE|FILE_NAME|COUNTER|DATE|TIME|TIMESTAMP|INCLUDE_LEVEL)__"
)
_MOST_NAMES = 2000
#: How a compiler's own macros are named, and what only looks like one of them.
_RESERVED = re.compile(r"\b(?:__\w+__|__opencl_c_\w+|cl_[a-z]+_\w+|CL_VERSION_\w+)\b")
_NO_MACROS = frozenset({"__VA_ARGS__", "__VA_OPT__", "__attribute__"})
#: Space in place of a comment of several lines.
_LINES = "\v"
#: Declared nowhere.
UNKNOWN_VALUE = "gpusplit_unknown_value"


def spliced(text: str) -> str:
    """*text* with the lines together that a backslash makes one: to be done once."""
    return _SPLICE.sub("", text)


@lru_cache(maxsize=64)
def directives(text: str) -> list[tuple[str, str]]:
    """(name, the rest of the line) of each directive of *text*, spliced, comments removed."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        if found[0] in "\"'":
            return found
        return _LINES if "\n" in found else " "

    code = _COMMENT_OR_STRING.sub(blank, text)
    return [(match[1], match[2]) for match in _DIRECTIVE.finditer(code)]


class _Tested(NamedTuple):
    """The names that directives test, those whose values matter, and whether some are unknown."""

    names: frozenset[str]
    values: frozenset[str]
    made: bool  # of parts, which are pasted together


def tested(texts: Iterable[str]) -> _Tested:
    """What conditional directives of *texts*, spliced, test, by themselves or through macros.

    >>> found = tested(["#if defined(A) && B > 2\\n#elif !defined C\\n// #if D\\n#define B E + 1"])
    >>> sorted(found.names), sorted(found.values)
    (['A', 'B', 'C', 'E'], ['B', 'E'])
    """
    texts = tuple(texts)
    names: set[str] = set()
    todo: set[str] = set()
    for text in texts:
        # Most programs have none, and comments take time to remove.
        for name, rest in directives(text) if "if" in text else ():
            if name in _CONDITIONAL:
                names.update(_NAME.findall(rest))
            if name in ("if", "elif"):
                todo.update(_NAME.findall(_ASKS_DEFINED.sub(" ", rest)))
    values: set[str] = set()
    made = False
    stands_for = _definitions(texts) if todo else {}
    while todo:
        values |= todo
        bodies = [body for name in todo for body in stands_for.get(name, ())]
        made = made or any(map(_PASTES.search, bodies))
        names.update(*map(_NAME.findall, bodies))
        todo = {name for body in bodies for name in _NAME.findall(_ASKS_DEFINED.sub(" ", body))}
        todo -= values
    return _Tested(frozenset(names - _WORDS), frozenset(values - _WORDS), made)


def _definitions(texts: Iterable[str]) -> dict[str, list[str]]:
    """What the macros of *texts* stand for, by their names."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for name, rest in directives(text) if "define" in text else ():
            if name == "define" and (parts := _DEFINITION.fullmatch(rest)) is not None:
                found.setdefault(parts[1], []).append(parts[3])
    return found


def problem(texts: Iterable[str]) -> str:
    """Why compilers may read *texts*, spliced, differently; empty if they may not."""
    texts = tuple(texts)
    if _may_hush("\n".join(texts)):
        return "it may tell the compiler what not to say, or by what name to call a function"
    for text in texts:
        if "gpusplit_" in text or "GPUSPLIT_" in text:
            return "it uses names of gpusplit's own"
        if "__builtin_" in text:
            for name, rest in directives(text):
                if name in ("define", "undef") and (found := _OF_THE_COMPILER.match(rest)):
                    return f"it has another meaning for {found[1]}"
        if "\r" in text.replace("\r\n", ""):
            return "it has lone carriage returns, which compilers read differently"
        if "??" in text:
            code = _COMMENT_OR_STRING.sub(" ", text)
            if _TRIGRAPH.search(code) or re.search(r"\?\?/[ \t]*\n", text):
                return "it has trigraphs, which compilers read differently"
        for name, _ in directives(text) if "elif" in text else ():
            if name in ("elifdef", "elifndef"):
                return f"it has #{name}, which not every compiler knows"
        for name, rest in directives(text) if _TAKEN_AS_IS.search(text) else ():
            if _LINES in rest and _TAKEN_AS_IS.match(name + rest):
                return f"it has a comment that begins in a #{name}, where it may be none"
    names, _, made = tested(texts)
    if made:
        return "it tests a name that is made of parts"
    for name in sorted(names):
        if name in RENAMED:
            return f"it asks whether {name} is a macro"
        if _UNKNOWABLE.fullmatch(name):
            return f"it tests {name}, which cannot be known here"
    if len(names | _reserved(texts)) > _MOST_NAMES:
        return f"its directives test more than {_MOST_NAMES} names"
    return ""


def pastes(texts: Iterable[str]) -> bool:
    """Whether a macro of *texts*, spliced, may make a name of parts."""
    return any(map(_PASTES.search, texts))


def _may_hush(text: str) -> bool:
    """Whether a pragma of _HUSHES may be in *text*; a macro may make it, word by word."""
    if any(all(word in text for word in words) for words in _HUSHES):
        return True
    if not _PASTES.search(text):
        return False
    pieces = set(re.findall(r"\w+", text))

    def is_made(word: str) -> bool:
        parts = "|".join(sorted(map(re.escape, (one for one in pieces if one in word))))
        return bool(parts) and re.fullmatch(f"(?:{parts})+", word) is not None

    return is_made("_Pragma") and any(all(map(is_made, words)) for words in _HUSHES)


def to_ask(texts: Iterable[str], known: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of which nobody has yet said what they are: (defined or not, their values).

    A compiler's own macros may choose code outside directives as well, pasted into a name.
    """
    texts = tuple(texts)
    names, values, _ = tested(texts)
    values |= _reserved(texts) | {LANGUAGE_VERSION}
    return (
        tuple(sorted(names.difference(known, values))),
        tuple(sorted(values.difference(known))),
    )


def _reserved(texts: Iterable[str]) -> frozenset[str]:
    """The names in *texts* that may be macros of a compiler's own, and be known."""
    found = {name for text in texts for name in _RESERVED.findall(text)} - _NO_MACROS
    return frozenset(name for name in found if not _UNKNOWABLE.fullmatch(name))


def device_header(macros: Macros, own: Iterable[str]) -> str:
    """A header after which *macros* are what the device says, but for *own*, the options' macros.

    Where only the device knows what a macro stands for, a program that says more than whether it
    is defined has an error.
    """
    skip = set(own)
    lines = []
    for name, value in sorted(macros.items()):
        if name in skip:
            continue
        if value is None:
            lines.append(f"#undef {name}")
        elif isinstance(value, int):
            lines.append(f"#undef {name}\n#define {name} {value}")
        elif _RESERVED.fullmatch(name):
            lines.append(f"#undef {name}\n#define {name} {UNKNOWN_VALUE}")
        else:
            lines.append(f"#ifndef {name}\n#define {name} {UNKNOWN_VALUE}\n#endif")
    return "\n".join(lines) + "\n"
