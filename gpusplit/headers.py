"""The headers of a program as they are while it is built."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from gpusplit.judge.reading import directives, spliced
from gpusplit.judge.verdict import Header

_QUOTED = re.compile(r"""\s*(?:"([^"\n]+)"|<([^>\n]+)>)""")
#: A file's name in a macro's argument: #include TEXT(FOLDER/name.h).
_IN_MACRO = re.compile(r"[\w+-]+\.\w+")
_ANY = re.compile("include|import|embed")
_MOST = 500
_MOST_BYTES = 16 << 20


class _Trouble(Exception):
    """What was included cannot be known; the message says why."""


def take(source: str, folders: Sequence[str]) -> tuple[tuple[Header, ...], str]:
    """The headers that *source* may include, and why they may be incomplete (empty if not).

    folders: the include folders in order; where the program runs is looked in as well.  One that
    is not found may stand in a branch that is never taken; the judge notices if it is.
    """
    # Most programs have none, and a look at every line takes longer than this.
    if _ANY.search(source) is None:
        return (), ""
    try:
        return tuple(_follow(source, [*folders, "."]).values()), ""
    except _Trouble as error:
        return (), str(error)


def includes(source: str) -> bool:
    """Whether *source* has a directive that may bring in a header."""
    words = ("include", "include_next", "import", "embed")
    return _ANY.search(source) is not None and any(
        directive in words for directive, _ in directives(spliced(source))
    )


def _follow(source: str, folders: Sequence[str]) -> dict[tuple[int, str], Header]:
    found: dict[tuple[int, str], Header] = {}
    todo: list[tuple[str, Header | None]] = [(source, None)]
    size = 0
    while todo:
        text, includer = todo.pop()
        for name, by_macro in _included(text):
            header = _find(name, includer, folders)
            if header is None:
                continue
            # What such a header includes lies beside it, where the compiler looks first.
            if by_macro or (includer is not None and includer.path):
                path = os.path.abspath(os.path.join(folders[header.folder], header.name))
                header = replace(header, path=path)
            known = found.get((header.folder, header.name))
            if known is not None and (known.path or not header.path):
                continue
            found[header.folder, header.name] = header
            todo.append((header.text, header))
            size += len(header.text)
            if len(found) > _MOST or size > _MOST_BYTES:
                raise _Trouble("it includes too much")
    return found


def _included(text: str) -> list[tuple[str, bool]]:
    """The names that *text* includes, and whether by a macro.

    Of what a macro names only the file's name is seen.  The judge knows what it really is, and
    refuses it if it is not what was found by that name.
    """
    found = directives(spliced(text))
    names: list[tuple[str, bool]] = []
    for directive, rest in found:
        if directive in ("include", "include_next", "import", "embed"):
            match = _QUOTED.match(rest)
            if directive == "include" and match is not None:
                names.append((match[1] or match[2], False))
                continue
            # The macro alone, and what it stands for where it is defined.
            told = [
                rest,
                *(more for what, more in found if what == "define" and _is_of(rest, more)),
            ]
            by_macro = [_IN_MACRO.findall(one) for one in (told[1:] or told)]
            if directive != "include" or any(len(one) != 1 for one in by_macro):
                raise _Trouble(f"it has #{directive}{rest.rstrip()}, which is not followed here")
            names += [(one[0], True) for one in by_macro]
    return names


def _is_of(macro: str, definition: str) -> bool:
    """Whether *definition*, the rest of a #define, is of *macro*, a name and nothing else."""
    return definition.split()[:1] == macro.split()


def _find(name: str, includer: Header | None, folders: Sequence[str]) -> Header | None:
    """The header *name*; compilers differ in where they look first, so all must be the same."""
    places = [(at, posixpath.normpath(name)) for at in range(len(folders))]
    if includer is not None:
        beside = posixpath.join(posixpath.dirname(includer.name), name)
        places.insert(0, (includer.folder, posixpath.normpath(beside)))
    found: dict[str, Header] = {}
    for folder, path in places:
        full = os.path.join(folders[folder], path)
        if not os.path.isfile(full):
            continue
        if path.startswith(("../", "/")):
            raise _Trouble(f"the header {name} lies outside the include folders")
        try:
            with open(full, encoding="utf-8", errors="surrogateescape", newline="") as file:
                text = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise _Trouble(f"the header {name} cannot be read: {error.strerror}") from None
        found.setdefault(text, Header(folder, path, text))
    if len(found) > 1:
        raise _Trouble(f"there are different headers {name}")
    return next(iter(found.values()), None)
