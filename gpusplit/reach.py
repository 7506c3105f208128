"""What a function of an OpenCL C program can reach: names, calls, and names made by pasting.

As clsource.py, this sees every branch of the program and more than the compiler, never less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gpusplit.clsource import CLOSE, OPEN, Macro, Source, Token

#: Stands for a macro's parameter, whose text is only known where the macro is used.
_BLANK = Token("mark", " ", 0, 0)


class Mentions(NamedTuple):
    """What a function can reach.

    words: every identifier in it, in what it calls and in the macros it uses.
    calls: the identifiers among them that a parenthesis follows.
    bare: the identifiers that stand somewhere without a parenthesis behind.
    functions: names of the source's own functions among them.
    computed: the identifiers that are called with anything but one number.
    problems: reasons why the list may be incomplete.
    """

    words: frozenset[str]
    calls: frozenset[str]
    bare: frozenset[str]
    functions: frozenset[str]
    computed: frozenset[str]
    problems: tuple[str, ...]


def mentions(
    sources: Sequence[Source], name: str, suspicious: Callable[[re.Pattern[str]], bool]
) -> Mentions:
    """Everything that function *name* can reach in *sources* (a text and its headers).

    suspicious: says whether a name that matters can match a pattern of pasted tokens.
    """
    words: set[str] = set()
    calls: set[str] = set()
    bare: set[str] = set()
    functions: set[str] = set()
    computed: set[str] = set()
    problems: list[str] = []
    todo = [name, *macros_outside(sources)]
    seen: set[str] = set()
    while todo:
        word = todo.pop()
        if word in seen:
            continue
        seen.add(word)
        bodies: list[tuple[Token, ...]] = []
        for source in sources:
            for function in source.functions.get(word, ()):
                functions.add(word)
                bodies.append(function.tokens)
            for macro in source.macros.get(word, ()):
                own = set(macro.parameters or ())
                # What a parameter stands for is mentioned where the macro is used.
                bodies.append(tuple(t if t.text not in own else _BLANK for t in macro.body))
                for pattern in _pasted(macro, sources):
                    if suspicious(pattern):
                        problems.append(f"macro {word} pastes tokens together")
        for body in bodies:
            for at, token in enumerate(body):
                if token.kind != "word":
                    if token is _BLANK and _is_called(body, at):
                        problems.append(f"macro {word} calls what it is given")
                    continue
                words.add(token.text)
                followed = at + 1 < len(body) and body[at + 1].text == "("
                (calls if followed else bare).add(token.text)
                if followed and not _takes_a_number(body, at + 1):
                    computed.add(token.text)
                todo.append(token.text)
    return Mentions(
        frozenset(words),
        frozenset(calls),
        frozenset(bare),
        frozenset(functions),
        frozenset(computed),
        tuple(problems),
    )


def macros_outside(sources: Sequence[Source]) -> set[str]:
    """The macros used outside functions; they may write functions, under any name."""
    macros = {name for source in sources for name in source.macros}
    return macros & {word for source in sources for word in source.file_words}


def _is_called(body: Sequence[Token], at: int) -> bool:
    pasted = at > 0 and body[at - 1].text == "##"  # judged as such
    return not pasted and at + 1 < len(body) and body[at + 1].text == "("


def _takes_a_number(body: Sequence[Token], at: int) -> bool:
    """Whether the parentheses at *at* hold one number."""
    inside = body[at + 1 : at + 3]
    return len(inside) == 2 and inside[0].kind == "number" and inside[1].text == ")"


def _pasted(macro: Macro, sources: Sequence[Source]) -> list[re.Pattern[str]]:
    """Patterns of the identifiers that the ## operators of *macro* can make."""
    patterns: list[re.Pattern[str]] = []
    body = macro.body
    parameters = list(macro.parameters or ())
    at = 0
    while at < len(body):
        end = at
        while end + 2 < len(body) and body[end + 1].text == "##":
            end += 2
        if end > at:
            parts = [body[position].text for position in range(at, end + 1, 2)]
            patterns.append(
                re.compile(
                    "".join(
                        _given(macro.name, parameters.index(part), sources)
                        if part in parameters
                        else re.escape(part)
                        for part in parts
                    )
                )
            )
        at = end + 1
    return patterns


def _given(name: str, index: int, sources: Sequence[Source]) -> str:
    """A pattern of what macro *name* is given as its argument number *index*, wherever used."""
    texts: set[str] = set()
    for source in sources:
        for tokens, own in _bodies(source):
            for at, token in enumerate(tokens):
                if token.text != name:
                    continue
                argument = _argument(tokens, at + 1, index)
                if (
                    len(argument) != 1
                    or argument[0].kind not in ("word", "number")
                    or argument[0].text in own
                    or any(argument[0].text in part.macros for part in sources)
                ):
                    return r"\w*"
                texts.add(re.escape(argument[0].text))
    return f"(?:{'|'.join(sorted(texts))})" if texts else r"\w*"


def _bodies(source: Source) -> Iterator[tuple[Sequence[Token], Sequence[str]]]:
    """All text in which a macro may be used, and the parameters that stand for unknown text."""
    yield source.code, ()
    for macros in source.macros.values():
        for macro in macros:
            yield macro.body, macro.parameters or ()


def _argument(tokens: Sequence[Token], at: int, index: int) -> Sequence[Token]:
    """The tokens of argument number *index* of the parentheses at *at*; none if not there."""
    if at >= len(tokens) or tokens[at].text != "(":
        return ()
    depth = number = 0
    begin = at + 1
    for position in range(at, len(tokens)):
        text = tokens[position].text
        if text in OPEN:
            depth += 1
        elif text in CLOSE:
            depth -= 1
        if depth == 0 or (depth == 1 and text == ","):
            if number == index:
                return tokens[begin:position]
            number += 1
            begin = position + 1
        if depth == 0:
            break
    return ()
