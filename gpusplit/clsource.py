"""OpenCL C source as tokens: functions, macros and what each mentions.  No OpenCL, no compiler.

This is not a preprocessor.  Which branch of an #if is taken depends on the device, so *every*
branch and every definition of a macro counts: what a function "mentions" is more than what it can
use, never less.  Whatever makes that claim doubtful (a conditional that opens a brace, a header
that cannot be found, pasted tokens) is a problem, and a source with problems is not judged safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\r\f\v]+)
    | (?P<newline>\n)
    | (?P<splice>\\[ \t\r\f\v]*\n)
    | (?P<comment>//(?:\\[ \t\r\f\v]*\n|[^\n])*|/\*.*?\*/)
    | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<word>[A-Za-z_$][A-Za-z0-9_$]*)
    | (?P<number>\.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])*)
    | (?P<mark>\#\#|<:|:>|<%|%>|%:|.)
    """,
    re.VERBOSE | re.DOTALL,
)

#: Brackets and what closes and opens them.
OPEN = {"(": ")", "{": "}", "[": "]"}
CLOSE = {")": "(", "}": "{", "]": "["}


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
    volatile: whether a type or variable outside functions is, which users of it do not show.
    file_words: all words outside the bodies of functions; macros among them write what they like.
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
    volatile: bool = False
    file_words: set[str] = field(default_factory=set)
    code: list[Token] = field(default_factory=list)
    tested: set[str] = field(default_factory=set)


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
    if re.search(r"\r(?!\n)", text):
        problems.append("a line ends with a carriage return alone")
    if re.search(r"[*/](?:\\\s*\n)+[*/]", text):
        problems.append("a backslash and a new line may stand inside the mark of a comment")
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
            if token.text in OPEN:
                depth.append(token.text)
            elif token.text in CLOSE and (not depth or depth.pop() != CLOSE[token.text]):
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
        if depth:
            # Its text would be part of a function, and is read as a text of its own.
            source.problems.append("an #include stands inside a bracket")
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
        if token.text in OPEN:
            depth.append(token.text)
        elif token.text in CLOSE and (not depth or depth.pop() != CLOSE[token.text]):
            return False
    return not depth


def _declarations(source: Source, code: list[Token]) -> None:
    """Find functions, prototypes and variables among the tokens outside directives."""
    at = 0
    while at < len(code):
        end, ends_with = _statement(code, at)
        statement = code[at:end]
        source.file_words.update(token.text for token in statement if token.kind == "word")
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
            inside = {token.text for token in code[at:tail]}
            source.file_words |= inside
            source.volatile = source.volatile or "volatile" in inside
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
        if called is None or statement[0].text == "typedef":
            source.volatile = source.volatile or any(t.text == "volatile" for t in statement)
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
    words = [token.text for token in statement if token.kind == "word"]
    # What stands before the last star is said of what the variable points to.
    declared = [token.text for token in statement]
    declared = declared[: declared.index("=")] if "=" in declared else declared
    own = set(declared)
    if "*" in declared:
        own = set(declared[len(declared) - declared[::-1].index("*") :])
    return bool(words) and not own & {"constant", "__constant", "sampler_t"}
