"""OpenCL C source as tokens: functions, macros and what each mentions.  No OpenCL, no compiler.

This is not a preprocessor.  Which branch of an #if is taken depends on the device, so *every*
branch and every definition of a macro counts: what a function "mentions" is more than what it can
use, never less.  Whatever makes that claim doubtful (a conditional that opens a brace, a header
that cannot be found, pasted tokens) is a problem, and a source with problems is not judged safe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\f\v]+)
    | (?P<newline>\n)
    | (?P<splice>\\[ \t\r]*\n)
    | (?P<comment>//(?:\\\r?\n|[^\n])*|/\*.*?\*/)
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    | (?P<number>\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*)
    | (?P<mark>\#\#|<:|:>|<%|%>|%:|.)
    """,
    re.VERBOSE | re.DOTALL,
)

_OPEN = {"(": ")", "{": "}", "[": "]"}
_CLOSE = {")": "(", "}": "{", "]": "["}


class Token(NamedTuple):
    """One token of the text; start and end are positions in it."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(slots=True)
class Macro:
    """One #define; parameters is None for a macro without parentheses."""

    name: str
    parameters: tuple[str, ...] | None
    body: tuple[Token, ...]


@dataclass(slots=True)
class Function:
    """One definition: parameters_end is the position of the parenthesis that closes them.

    tokens holds everything from the parameters to the closing brace.
    """

    name: str
    parameters_end: int
    has_parameters: bool
    tokens: tuple[Token, ...]


@dataclass(slots=True)
class Source:
    """A source text taken apart.

    problems: reasons why the text cannot be judged, in words.
    variables: whether the program has variables of its own that outlive a launch.
    file_words: names of macros that are used outside functions and hold a brace.
    code: all tokens outside directives.
    tested: words in the conditions of #if and its kind.
    """

    text: str
    functions: dict[str, list[Function]] = field(default_factory=dict)
    prototypes: dict[str, list[Function]] = field(default_factory=dict)
    macros: dict[str, list[Macro]] = field(default_factory=dict)
    undefined: set[str] = field(default_factory=set)
    includes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    variables: bool = False
    file_words: set[str] = field(default_factory=set)
    code: list[Token] = field(default_factory=list)
    tested: set[str] = field(default_factory=set)


#: Stands for a macro's parameter, whose text is only known where the macro is used.
_BLANK = Token("mark", " ", 0, 0)


def tokenize(text: str) -> tuple[list[Token], list[str]]:
    """The tokens of *text*, newlines included, comments and blanks not; and problems."""
    problems: list[str] = []
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "mark"
        if kind in ("space", "comment"):
            continue
        start, end = match.span()
        if kind == "splice":
            # "get_gr\<newline>oup_id" is one word to a compiler and two to this module.
            if start and end < len(text) and _wordy(text[start - 1]) and _wordy(text[end]):
                problems.append("a word is continued on the next line by a backslash")
            continue
        token = Token(kind, match.group(), start, end)
        if kind == "mark" and token.text in ("<:", ":>", "<%", "%>", "%:", "\\", '"', "'"):
            problems.append(f"the source contains {token.text!r} outside a string")
        tokens.append(token)
    if "??" in text:
        problems.append("the source contains trigraphs")
    for match in re.finditer(r"/\*", text):
        if "*/" not in text[match.end() :]:
            problems.append("a comment is not closed")
            break
    return tokens, problems


def _wordy(character: str) -> bool:
    return character.isalnum() or character in "_$"


def parse(text: str, undefined: frozenset[str] = frozenset()) -> Source:
    """Take *text* apart; never raises, what is not understood is a problem in the result.

    undefined: names that are certainly no macros; what `#ifdef` keeps for them is left out.
    """
    source = Source(text)
    tokens, problems = tokenize(text)
    source.problems += problems
    code = _directives(source, tokens, undefined)
    source.code = code
    _declarations(source, code)
    return source


def _directives(source: Source, tokens: list[Token], undefined: frozenset[str]) -> list[Token]:
    """Read the preprocessor's lines into *source*; the tokens of all other lines."""
    tokens = _without(tokens, undefined) if undefined else tokens
    code: list[Token] = []
    depth: list[str] = []
    conditionals: list[int] = []
    at = 0
    line_begins = True
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "newline":
            line_begins = True
        elif token.text == "#" and line_begins:
            end = at
            while end < len(tokens) and tokens[end].kind != "newline":
                end += 1
            _directive(source, tokens[at + 1 : end], depth, conditionals)
            at = end
            continue
        else:
            line_begins = False
            if token.text in _OPEN:
                depth.append(token.text)
            elif token.text in _CLOSE and (not depth or depth.pop() != _CLOSE[token.text]):
                source.problems.append("brackets do not match")
                return []
            code.append(token)
        at += 1
    if depth:
        source.problems.append("brackets do not match")
        return []
    return code


def _without(tokens: list[Token], undefined: frozenset[str]) -> list[Token]:
    """*tokens* without what stands between #ifdef of such a name and its #else or #endif."""
    kept: list[Token] = []
    #: For each open conditional: whether it is one of ours.
    ours: list[bool] = []
    skipping = 0
    for line in _lines(tokens):
        words = [token.text for token in line[:3]]
        name = words[1] if words[:1] == ["#"] and len(words) > 1 else ""
        if skipping:
            if name in ("if", "ifdef", "ifndef"):
                skipping += 1
            elif name == "endif" or (name in ("else", "elif") and skipping == 1):
                # An #elif of ours would have to be evaluated: keep its branch, like any other.
                skipping -= 1
                if name == "endif" and skipping == 0:
                    ours.pop()
            continue
        if name in ("if", "ifdef", "ifndef"):
            ours.append(name == "ifdef" and len(words) > 2 and words[2] in undefined)
            if ours[-1]:
                skipping = 1
                continue
        elif name in ("else", "elif", "endif") and ours and ours[-1]:
            if name == "endif":
                ours.pop()
            continue
        elif name == "endif" and ours:
            ours.pop()
        kept += line
    return kept


def _lines(tokens: list[Token]) -> Iterator[list[Token]]:
    line: list[Token] = []
    for token in tokens:
        line.append(token)
        if token.kind == "newline":
            yield line
            line = []
    yield line


def _directive(
    source: Source, line: Sequence[Token], depth: list[str], conditionals: list[int]
) -> None:
    name = line[0].text if line else ""
    rest = line[1:]
    if name in ("if", "ifdef", "ifndef", "elif"):
        source.tested.update(token.text for token in rest)
    if name in ("if", "ifdef", "ifndef"):
        conditionals.append(len(depth))
    elif name in ("elif", "else", "endif"):
        # Both branches are read one after the other, which is only right if each is complete.
        if not conditionals or conditionals[-1] != len(depth):
            source.problems.append("an #if or #else stands inside an unfinished bracket")
        elif name == "endif":
            conditionals.pop()
    elif name == "define":
        macro = _macro(source.text, rest)
        if macro is None:
            source.problems.append("a #define is not understood")
        else:
            if not _balanced(macro.body):
                source.problems.append(f"macro {macro.name} opens or closes a bracket")
            source.macros.setdefault(macro.name, []).append(macro)
    elif name == "undef":
        source.undefined.update(token.text for token in rest)
    elif name == "include":
        written = source.text[rest[0].start : rest[-1].end] if rest else ""
        match = re.fullmatch(r'"([^"]+)"|<([^>]+)>', written)
        if match:
            source.includes.append(match[1] or match[2])
        else:
            source.problems.append("an #include names no file")
    elif name not in ("", "pragma", "line", "error", "warning"):
        source.problems.append(f"#{name} is not understood")


def _macro(text: str, tokens: Sequence[Token]) -> Macro | None:
    if not tokens or tokens[0].kind != "word":
        return None
    name = tokens[0]
    # Only a parenthesis that touches the name begins parameters.
    if len(tokens) < 2 or tokens[1].text != "(" or tokens[1].start != name.end:
        return Macro(name.text, None, tuple(tokens[1:]))
    parameters: list[str] = []
    for at, token in enumerate(tokens[2:], start=2):
        if token.text == ")":
            return Macro(name.text, tuple(parameters), tuple(tokens[at + 1 :]))
        if token.kind == "word":
            parameters.append(token.text)
        elif token.text == ".":
            parameters.append("__VA_ARGS__")
        elif token.text != ",":
            return None
    return None


def _balanced(tokens: Iterable[Token]) -> bool:
    depth: list[str] = []
    for token in tokens:
        if token.text in _OPEN:
            depth.append(token.text)
        elif token.text in _CLOSE and (not depth or depth.pop() != _CLOSE[token.text]):
            return False
    return not depth


def _declarations(source: Source, code: list[Token]) -> None:
    """Find functions, prototypes and variables among the tokens outside directives."""
    at = 0
    while at < len(code):
        end, ends_with = _statement(code, at)
        statement = code[at:end]
        source.file_words.update(
            token.text
            for token in statement
            for macro in source.macros.get(token.text, ())
            if any(part.text == "{" for part in macro.body)
        )
        called = _declared_function(statement)
        if ends_with == "{":
            body_end = _matching(code, end)
            if called is not None:
                name, close = called
                has_parameters = not _empty_parameters(statement, close)
                tokens = tuple(code[at + close[0] : body_end + 1])
                # Attributes and macros before the parameters belong to the function as well.
                tokens += tuple(token for token in statement[: close[0]] if token.text != name)
                function = Function(name, statement[close[1]].start, has_parameters, tokens)
                source.functions.setdefault(name, []).append(function)
                at = body_end + 1
                continue
            # "int x[] = {1};", "struct s {...};", "typedef struct {...} s;": up to the semicolon.
            tail, _ = _statement(code, body_end + 1)
            named = any(token.kind == "word" for token in code[body_end + 1 : tail])
            is_typedef = bool(statement) and statement[0].text == "typedef"
            if not is_typedef and (named or not _is_type(statement)):
                source.variables = source.variables or _mutable(statement)
            at = tail + 1
            continue
        if called is not None:
            name, close = called
            prototype = Function(
                name, statement[close[1]].start, not _empty_parameters(statement, close), ()
            )
            source.prototypes.setdefault(name, []).append(prototype)
        elif statement and not _is_type(statement):
            source.variables = source.variables or _mutable(statement)
        at = end + 1


def _statement(code: list[Token], at: int) -> tuple[int, str]:
    """The position of the ; or { that ends the statement at *at*, and which of them."""
    depth = 0
    for position in range(at, len(code)):
        text = code[position].text
        if text in "([":
            depth += 1
        elif text in ")]":
            depth -= 1
        elif depth == 0 and text in ";{":
            return position, text
    return len(code), ""


def _matching(code: list[Token], at: int) -> int:
    depth = 0
    for position in range(at, len(code)):
        if code[position].text == "{":
            depth += 1
        elif code[position].text == "}":
            depth -= 1
            if depth == 0:
                return position
    return len(code) - 1


#: Words that a parenthesis may follow before a function's own name in its declaration.
_NOT_NAMES = {"__attribute__", "__attribute", "__declspec", "__asm__", "asm", "_Pragma"}


def _declared_function(statement: Sequence[Token]) -> tuple[str, tuple[int, int]] | None:
    """The name of the function that *statement* declares, and where its parentheses stand.

    With attribute macros like REQD_WG_SIZE(X, Y, Z) before it, the name is the last word before
    a parenthesis at the statement's own level; attributes after the parameters are known by name.
    """
    found: tuple[str, tuple[int, int]] | None = None
    depth = 0
    opened = 0
    candidate = ""
    for at, token in enumerate(statement):
        if token.text == "=" and depth == 0:
            return None
        if token.text == "(":
            if depth == 0:
                opened = at
                previous = statement[at - 1] if at else token
                candidate = previous.text if previous.kind == "word" else ""
            depth += 1
        elif token.text == ")":
            depth -= 1
            if depth == 0 and candidate and candidate not in _NOT_NAMES:
                found = candidate, (opened, at)
    return found


def _empty_parameters(statement: Sequence[Token], close: tuple[int, int]) -> bool:
    inside = [token.text for token in statement[close[0] + 1 : close[1]]]
    return inside in ([], ["void"])


def _is_type(statement: Sequence[Token]) -> bool:
    first = statement[0].text if statement else ""
    if first == "typedef":
        return True
    words = [token.text for token in statement if token.kind == "word"]
    return first in ("struct", "union", "enum") and len(words) <= 2


def _mutable(statement: Sequence[Token]) -> bool:
    words = {token.text for token in statement if token.kind == "word"}
    return bool(words) and not words & {"constant", "__constant", "sampler_t"}


class Mentions(NamedTuple):
    """What a function can reach.

    words: every identifier in it, in what it calls and in the macros it uses.
    calls: the identifiers among them that a parenthesis follows.
    bare: the identifiers that stand somewhere without a parenthesis behind.
    functions: names of the source's own functions among them.
    problems: reasons why the list may be incomplete.
    """

    words: frozenset[str]
    calls: frozenset[str]
    bare: frozenset[str]
    functions: frozenset[str]
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
    problems: list[str] = []
    # A macro used outside functions may write functions, under any name.
    todo = [name, *(word for source in sources for word in source.file_words)]
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
                    continue
                words.add(token.text)
                followed = at + 1 < len(body) and body[at + 1].text == "("
                (calls if followed else bare).add(token.text)
                todo.append(token.text)
    return Mentions(
        frozenset(words), frozenset(calls), frozenset(bare), frozenset(functions), tuple(problems)
    )


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
        if text in _OPEN:
            depth += 1
        elif text in _CLOSE:
            depth -= 1
        if depth == 0 or (depth == 1 and text == ","):
            if number == index:
                return tokens[begin:position]
            number += 1
            begin = position + 1
        if depth == 0:
            break
    return ()
