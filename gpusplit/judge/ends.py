"""Does a loop that may be left early come to its end whatever memory holds?

Such a loop looks for something.  That it ends shows in one variable alone, private and an integer:
it goes towards a bound by steps of one (or of a constant, where overflow is undefined), or it is
halved in every round while it is not zero, as a binary search halves what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

from clang.cindex import CursorKind as Kind
from clang.cindex import TypeKind

from gpusplit.judge import builtins, loops, retries
from gpusplit.judge.frontend import (
    CONTINUE,
    RECURSE,
    Cursor,
    children,
    constant,
    identity,
    operator,
    visit,
)
from gpusplit.judge.prelude import READ_AS

_SIGNED = frozenset({TypeKind.INT, TypeKind.LONG})
_UNSIGNED = frozenset({TypeKind.UINT, TypeKind.ULONG})
_ANY_UNSIGNED = _UNSIGNED | {TypeKind.UCHAR, TypeKind.USHORT}
_UP, _DOWN = (1, 3), (2, 4)  # CXUnaryOperatorKind: x++, ++x; x--, --x
# CXBinaryOperatorKind.
_DIVIDE, _REMAINDER, _PLUS, _SHIFT, _WITH = 4, 5, 6, 9, 17
_LESS, _MORE, _AT_MOST, _AT_LEAST, _UNEQUAL = 11, 12, 13, 14, 16
_AND = 20
_DIVIDE_BY, _ADD_TO, _TAKE_FROM, _SHIFT_BY = 24, 26, 27, 29
_TURNED = {_LESS: _MORE, _MORE: _LESS, _AT_MOST: _AT_LEAST, _AT_LEAST: _AT_MOST,
           _UNEQUAL: _UNEQUAL}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Test:
    """A part of a loop's condition: the loop goes on only while variable *of* bears it out."""

    variable: Cursor
    relation: int
    bound: Cursor | None  # None: zero, which is not written

    @property
    def value(self) -> int | None:
        """The bound, if it is a constant."""
        return 0 if self.bound is None else constant(self.bound)

    @property
    def signed(self) -> bool:
        """Whether the variable's type is."""
        return _kind(self.variable) in _SIGNED

    @property
    def is_of_integers(self) -> bool:
        """Whether the two are compared as integers."""
        return self.bound is None or _kind(self.bound) in _SIGNED | _UNSIGNED


@dataclass(frozen=True, slots=True)
class _Loop:
    condition: Cursor
    parts: tuple[Cursor, ...]  # all but what is done once before
    body: Cursor
    steps: tuple[Cursor, ...]  # what every round does that goes on to the next
    last: bool  # the last of the steps is the last thing of a round that began with the condition


def ends_at_last(loop: Cursor) -> frozenset[int] | None:
    """The variables by which *loop* ends; None if that is not certain."""
    parts = _parts(loop)
    if parts is None:
        return None
    for test in _tests(parts.condition):
        bound = frozenset[int]() if test.bound is None else loops.variables(test.bound)
        if bound is None or identity(test.variable) in bound or not test.is_of_integers:
            continue
        if all(loops.untouched(part, bound, set()) for part in parts.parts) and _ends(parts, test):
            return bound | {identity(test.variable)}
    return None


def _parts(loop: Cursor) -> _Loop | None:
    parts = children(loop)
    if loop.kind == Kind.FOR_STMT:
        # With a part left out nobody can tell which ones are there.
        if len(parts) != 4:
            return None
        _, condition, step, body = parts
        return _Loop(condition, (condition, step, body), body, tuple(loops.changes(step)), True)
    if len(parts) != 2:
        return None
    condition, body = parts if loop.kind == Kind.WHILE_STMT else parts[::-1]
    if loops.continues(body):
        return None
    direct = children(body) if body.kind == Kind.COMPOUND_STMT else [body]
    steps = tuple(change for part in direct for change in loops.changes(part))
    last = loop.kind == Kind.WHILE_STMT and bool(direct) and bool(loops.changes(direct[-1]))
    return _Loop(condition, (condition, body), body, steps, last)


def _tests(condition: Cursor) -> list[_Test]:
    """What must hold for another round, as far as it is understood."""
    condition = _bare(condition)
    if condition.kind == Kind.BINARY_OPERATOR:
        left, right = children(condition)
        relation = operator(condition)
        if relation == _AND:
            return _tests(left) + _tests(right)
        if relation not in _TURNED:
            return []
        found = []
        if (name := _counter(left)) is not None:
            found.append(_Test(name, relation, right))
        if (name := _counter(right)) is not None:
            found.append(_Test(name, _TURNED[relation], left))
        return found
    name = _counter(condition)
    return [] if name is None else [_Test(name, _UNEQUAL, None)]


def _ends(loop: _Loop, test: _Test) -> bool:
    """Whether *test* fails in the end."""
    name = identity(test.variable)
    steps = [step for step in loop.steps if _writes(step, name)]
    places = set(map(loops.place, steps))
    only = frozenset({name})
    if len(places) == 1 and all(loops.untouched(part, only, places) for part in loop.parts):
        (step,) = steps
        return _counts(step, test) or _halves_to_an_end(step, test)
    halving = [step for step in steps if _halves_to_an_end(step, test)]
    if not halving:
        return False
    others = [
        change
        for part in loop.parts
        for change in _all_changes(part, name)
        if loops.place(change) not in set(map(loops.place, halving))
    ]
    places = {loops.place(change) for change in (*halving, *others)}
    if not all(loops.untouched(part, only, places) for part in loop.parts):
        return False
    if all(_halves(change, test) for change in others):
        return True
    # One less, once in a round, while it is not zero: a search that leaves out the middle.
    return (
        len(others) == len(halving) == 1
        and loop.last
        and loops.place(halving[0]) == loops.place(loop.steps[-1])
        and _step(others[0]) == -1
        and _is_positive(test)
        and loops.place(others[0]) in map(loops.place, _all_changes(loop.body, name, once=True))
    )


def _counts(step: Cursor, test: _Test) -> bool:
    """Whether *test* fails after enough of *step*, wherever the variable begins."""
    by = _step(step)
    if by is None or (abs(by) != 1 and not test.signed):
        return False
    if not test.signed and not _is_no_wider(test):
        return False
    if test.relation == _UNEQUAL:
        return abs(by) == 1
    if by > 0:
        # The variable of an unsigned type is never more than the largest.
        return test.relation == _LESS or (
            test.relation == _AT_MOST
            and (test.signed or test.bound is None or _is_less_than_largest(test))
        )
    return test.relation == _MORE or (
        test.relation == _AT_LEAST and (test.signed or (test.value or 0) >= 1)
    )


def _is_less_than_largest(test: _Test) -> bool:
    """Whether the bound is less than the variable can be, whoever gives what it is made of."""
    most = None if test.bound is None else _most(test.bound)
    return most is not None and most < (1 << 8 * _size(test.variable)) - 1


def _most(value: Cursor) -> int | None:
    """What unsigned *value* is at most, whatever its variables are; None if it has another type."""
    known = constant(value)
    if known is not None:
        # The largest ones are told as negative numbers.
        return known if known >= 0 else None
    kind = value.kind
    if kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR):
        parts = children(value)
        return _most(parts[0]) if len(parts) == 1 else None
    if _kind(value) not in _ANY_UNSIGNED:
        return None
    largest = (1 << 8 * _size(value)) - 1
    if kind == Kind.BINARY_OPERATOR:
        left, right = map(_most, children(value))
        how, by = operator(value), constant(children(value)[1])
        if how == _WITH:
            return min(one for one in (left, right, largest) if one is not None)
        if left is not None and by is not None and by > 0:
            if how == _DIVIDE:
                return left // by
            if how == _SHIFT and by < 8 * _size(value):
                return left >> by
            if how == _REMAINDER:
                return min(left, by - 1)
            if how == _PLUS and left + by <= largest:
                return left + by
    return largest


def _is_no_wider(test: _Test) -> bool:
    """Whether the bound is of a type that the variable can reach.

    IDs and sizes are: beyond 32 bits a launch is never split.
    """
    if test.bound is None or _size(test.bound) <= _size(test.variable):
        return True
    value = test.value
    if value is not None:
        return 0 <= value < 1 << 8 * _size(test.variable)
    bound = _bare(test.bound)
    if bound.kind == Kind.CALL_EXPR:
        name = bound.spelling.removeprefix(READ_AS)
        return name in builtins.STEADY and name.startswith("get_")
    return _size(bound) <= _size(test.variable)


def _is_positive(test: _Test) -> bool:
    """Whether the variable is at least 1 where *test* holds."""
    if test.relation == _UNEQUAL:
        return not test.signed and test.value == 0
    if test.relation == _MORE:
        # More than any unsigned number; as signed ones only if the bound is one as well.
        return not test.signed or _is_signed_at_least(test, 0)
    if test.relation == _AT_LEAST:
        return _is_signed_at_least(test, 1) if test.signed else (test.value or 0) >= 1
    return False


def _is_signed_at_least(test: _Test, least: int) -> bool:
    bound, value = test.bound, test.value
    return bound is not None and _kind(bound) in _SIGNED and value is not None and value >= least


def _halves_to_an_end(step: Cursor, test: _Test) -> bool:
    """Whether *test* fails after enough of *step*."""
    if not _halves(step, test):
        return False
    if _is_positive(test):
        return True
    # -1 >> 1 is -1, but -1 / 2 is 0.
    return test.relation == _UNEQUAL and test.value == 0 and _is_division(step)


def _halves(change: Cursor, test: _Test) -> bool:
    """Whether *change* makes the variable half of what it was, or less, towards zero or below."""
    how = operator(change)
    parts = children(change)
    if change.kind == Kind.COMPOUND_ASSIGNMENT_OPERATOR and how in (_DIVIDE_BY, _SHIFT_BY):
        by = constant(parts[1])
    elif change.kind == Kind.BINARY_OPERATOR and how == loops.ASSIGN:
        value = _bare(parts[1])
        if value.kind != Kind.BINARY_OPERATOR or operator(value) not in (_DIVIDE, _SHIFT):
            return False
        of, divisor = children(value)
        of = _bare(of)
        if of.kind != Kind.DECL_REF_EXPR or identity(of.referenced) != identity(test.variable):
            return False
        by = constant(divisor)
    else:
        return False
    if by is None:
        return False
    # A device takes a shift modulo the width.
    return by >= 2 if _is_division(change) else 1 <= by < 8 * _size(test.variable)


def _is_division(change: Cursor) -> bool:
    if change.kind == Kind.COMPOUND_ASSIGNMENT_OPERATOR:
        return operator(change) == _DIVIDE_BY
    return operator(_bare(children(change)[1])) == _DIVIDE


def _step(change: Cursor) -> int | None:
    """By how much *change* moves a variable; None if that is no constant."""
    how = operator(change)
    if change.kind == Kind.UNARY_OPERATOR:
        return 1 if how in _UP else -1 if how in _DOWN else None
    if change.kind == Kind.COMPOUND_ASSIGNMENT_OPERATOR and how in (_ADD_TO, _TAKE_FROM):
        by = constant(children(change)[1])
        if by is not None and 0 < by < 1 << 31:
            return by if how == _ADD_TO else -by
    return None


def _all_changes(part: Cursor, name: int, once: bool = False) -> list[Cursor]:
    """What in *part* changes variable *name*; once: only what no loop in it repeats."""
    found: list[Cursor] = []

    def look(cursor: Cursor, _: Cursor) -> int:
        if once and cursor.kind in loops.LOOPS:
            return CONTINUE
        if loops.is_change(cursor) and _writes(cursor, name):
            found.append(cursor)
        return RECURSE

    look(part, part)
    visit(part, look)
    return found


def _writes(change: Cursor, name: int) -> bool:
    target = children(change)[0]
    return target.kind == Kind.DECL_REF_EXPR and identity(target.referenced) == name


def _counter(cursor: Cursor) -> Cursor | None:
    """The variable that *cursor* is, if one may count with it."""
    cursor = _bare(cursor)
    if cursor.kind != Kind.DECL_REF_EXPR:
        return None
    named = cursor.referenced
    if named is None or named.kind not in (Kind.VAR_DECL, Kind.PARM_DECL):
        return None
    shown = named.type.get_canonical().spelling
    if _kind(named) not in _SIGNED | _UNSIGNED or "volatile" in shown:
        return None
    return named if retries.lies_private(named) else None


def _bare(cursor: Cursor) -> Cursor:
    """What is under parentheses and the language's own conversions."""
    while cursor.kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR):
        parts = children(cursor)
        if len(parts) != 1:
            break
        (cursor,) = parts
    return cursor


def _kind(cursor: Cursor) -> TypeKind:
    return cursor.type.get_canonical().kind


def _size(cursor: Cursor) -> int:
    return int(cursor.type.get_canonical().get_size())
