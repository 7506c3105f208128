"""Does a loop try a compare-and-swap again until it succeeds, and do nothing else?

Atomics of floats are made of such loops.  They wait for nobody: an attempt fails only if another
work-item has changed the memory since this one read it, and a work-item that nobody disturbs
succeeds.  A lock is a compare-and-swap in a loop as well, but one that goes on until the memory
has a certain value.  So only these forms count:

    do { old = *p; ... } while (cmpxchg(p, old, ...) != old);
    do { old = now; ... now = cmpxchg(p, old, ...); } while (now != old);  // or old = *p

where `old` and `now` are copied bit by bit and written nowhere else in the loop, p is the same all
the time, *p is volatile, and what else is in the loop writes nothing but private variables.
"""

from __future__ import annotations

import re
from typing import Any

from clang.cindex import CursorKind as Kind
from clang.cindex import TypeKind

from gpusplit.judge import builtins, loops
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

_SWAP = re.compile(r"atom(ic)?_cmpxchg")
_UNEQUAL = 16  # CXBinaryOperator_NE
_INTEGERS = frozenset({TypeKind.INT, TypeKind.UINT, TypeKind.LONG, TypeKind.ULONG})
_NUMBERS = _INTEGERS | {TypeKind.FLOAT, TypeKind.DOUBLE}
#: Where a variable lies is said after the last star of its type.
_SPACE = re.compile(r"\b__(private|local|global|generic|constant)\b[^*]*$")
#: What such a loop may be made of, beside what is looked at more closely.
_HARMLESS = frozenset({
    *loops.PLAIN, Kind.DECL_REF_EXPR, Kind.MEMBER_REF_EXPR, Kind.ARRAY_SUBSCRIPT_EXPR,
    Kind.COMPOUND_STMT, Kind.DECL_STMT, Kind.IF_STMT, Kind.BREAK_STMT, Kind.RETURN_STMT,
    Kind.NULL_STMT,
})  # fmt: skip


def retries(loop: Cursor) -> bool:
    """Whether *loop* is one of the forms above."""
    parts = children(loop)
    if loop.kind != Kind.DO_STMT or len(parts) != 2 or parts[0].kind != Kind.COMPOUND_STMT:
        return False
    body, condition = parts[0], _bare(parts[1])
    if condition.kind != Kind.BINARY_OPERATOR or operator(condition) != _UNEQUAL:
        return False
    left, right = map(_bare, children(condition))
    assigned = [
        (_variable(target), _bare(value))
        for target, value in map(children, filter(_is_assignment, children(body)))
    ]
    return _ends(loop, assigned, left, right) or _ends(loop, assigned, right, left)


def _ends(
    loop: Cursor, assigned: list[tuple[int | None, Cursor]], now: Cursor, old: Cursor
) -> bool:
    """Whether *loop* ends when *now*, which the swap gave, is *old*, which it expected.

    assigned: what the statements that the loop's body is made of assign, and to which variables.
    """
    swaps = [now, *(value for _, value in assigned)]
    swap = next(filter(_is_swap, swaps), None)
    old_name, now_name = _variable(old), _variable(now)
    if swap is None or old_name is None or not _size(swap) == _size(old) == _size(now):
        return False
    if _kind(old) not in _INTEGERS or _kind(now) not in _INTEGERS:
        return False
    address, expected, _ = swap.get_arguments()
    memory = _address(address)
    if memory is None or _variable(expected) != old_name:
        return False
    once = [old_name] if swap is now else [old_name, now_name]
    # In this order: the old value is read before the swap.
    if [name for name, _ in assigned if name in once] != once:
        return False
    values = dict(assigned)
    fresh = values[old_name]
    if swap is not now and values[now_name] is not swap:
        return False
    if _load(fresh) != memory and (swap is now or _variable(fresh) != now_name):
        return False
    written = _written(loop, swap)
    return (
        written is not None
        and sum(name in once for name in written) == len(once)
        and _names(memory).isdisjoint(written)
    )


def _written(loop: Cursor, swap: Cursor) -> list[int] | None:
    """The private variables that *loop* writes or declares.

    None if it, *swap* aside, may do anything else that another work-item or *swap* could see.
    """
    written: list[int | None] = []
    well = True

    def look(cursor: Cursor, _: Cursor) -> int:
        nonlocal well
        kind = cursor.kind
        if kind == Kind.CALL_EXPR:
            well = well and (loops.place(cursor) == loops.place(swap) or _computes(cursor))
            # The function itself is the first child.
            for argument in cursor.get_arguments():
                if look(argument, cursor) == RECURSE:
                    visit(argument, look)
            return CONTINUE
        if kind == Kind.COMPOUND_ASSIGNMENT_OPERATOR or _is_assignment(cursor):
            written.append(_private(_unwrapped(children(cursor)[0])))
        elif kind == Kind.UNARY_OPERATOR:
            if _variable(cursor) is not None:  # *(int *)&old
                return CONTINUE
            of = _unwrapped(children(cursor)[0])
            if operator(cursor) in (None, *loops.STEPS):
                written.append(_private(of))
            elif operator(cursor) == loops.ADDRESS_OF:
                well = well and of.kind == Kind.ARRAY_SUBSCRIPT_EXPR
        elif kind == Kind.VAR_DECL:
            written.append(identity(cursor) if lies_private(cursor) else None)
        else:
            well = well and kind in _HARMLESS
        return RECURSE if well else CONTINUE

    visit(loop, look)
    names = [name for name in written if name is not None]
    return names if well and len(names) == len(written) else None


def _computes(call: Cursor) -> bool:
    """Whether *call* is of a function of the language that does nothing but give a value."""
    return (
        loops.of_the_language(call)
        and builtins.computes(call.spelling.removeprefix(READ_AS))
        and all(_kind(argument) != TypeKind.POINTER for argument in call.get_arguments())
    )


def _is_swap(cursor: Cursor) -> bool:
    return (
        cursor.kind == Kind.CALL_EXPR
        and _SWAP.fullmatch(cursor.spelling) is not None
        and loops.of_the_language(cursor)
        and len(list(cursor.get_arguments())) == 3
    )


def _is_assignment(cursor: Cursor) -> bool:
    return cursor.kind == Kind.BINARY_OPERATOR and operator(cursor) in (None, loops.ASSIGN)


def _variable(cursor: Cursor) -> int | None:
    """The private variable whose bits *cursor* is, all of them; None if it is anything else."""
    cursor = whole = _bare(cursor)
    if cursor.kind == Kind.UNARY_OPERATOR and operator(cursor) == loops.DEREFERENCE:
        pointer = _bare(children(cursor)[0])
        if pointer.kind != Kind.UNARY_OPERATOR or operator(pointer) != loops.ADDRESS_OF:
            return None
        whole = _unwrapped(children(pointer)[0])
    elif cursor.kind == Kind.MEMBER_REF_EXPR:
        whole = children(cursor)[0]
        if whole.type.get_canonical().get_declaration().kind != Kind.UNION_DECL:
            return None
    if whole.kind != Kind.DECL_REF_EXPR or _size(whole) != _size(cursor):
        return None
    return _private(whole)


def _private(cursor: Cursor) -> int | None:
    """The private variable that *cursor* is, or is a member of; None if it is anything else."""
    # Behind an arrow lies no variable but a value, which ends this.
    while cursor.kind == Kind.MEMBER_REF_EXPR:
        (cursor,) = children(cursor)
    named = cursor.referenced if cursor.kind == Kind.DECL_REF_EXPR else None
    if named is None or named.kind not in (Kind.VAR_DECL, Kind.PARM_DECL):
        return None
    return identity(named) if lies_private(named) else None


def lies_private(variable: Cursor) -> bool:
    """Whether *variable* is in memory that no other work-item sees."""
    space = _SPACE.search(variable.type.get_canonical().spelling)
    return space is not None and space[1] == "private"


def _load(cursor: Cursor) -> Any:
    """The address that *cursor* reads each time anew, as _address has it; None if it is no load."""
    cursor = _bare(cursor)
    if "volatile" not in cursor.type.get_canonical().spelling:
        return None
    if cursor.kind == Kind.UNARY_OPERATOR and operator(cursor) == loops.DEREFERENCE:
        return _address(children(cursor)[0])
    return _element(cursor)


def _address(cursor: Cursor) -> Any:
    """What tells one address from another; None if it is not made of private variables alone."""
    cursor = _bare(cursor)
    if cursor.kind == Kind.UNARY_OPERATOR and operator(cursor) == loops.ADDRESS_OF:
        return _element(_unwrapped(children(cursor)[0]))
    return _shape(cursor)


def _element(cursor: Cursor) -> Any:
    return _parts(cursor) if cursor.kind == Kind.ARRAY_SUBSCRIPT_EXPR else None


def _parts(cursor: Cursor, *more: object) -> Any:
    shapes = [_shape(part) for part in children(cursor)]
    kind = (cursor.kind, cursor.type.get_canonical().spelling, *more)
    return None if None in shapes else (kind, *shapes)


def _shape(cursor: Cursor) -> Any:
    """What tells one steady expression from another, variables by their identity."""
    kind = cursor.kind
    if kind == Kind.DECL_REF_EXPR:
        return _private(cursor)
    if kind == Kind.INTEGER_LITERAL:
        return (kind, constant(cursor))
    if kind in (Kind.UNARY_OPERATOR, Kind.BINARY_OPERATOR):
        return _parts(cursor, operator(cursor)) if loops.pure(cursor) else None
    if kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR, Kind.CSTYLE_CAST_EXPR):
        return _parts(cursor)
    return ("type",) if kind == Kind.TYPE_REF else None


def _names(shape: Any) -> set[int]:
    """The variables in a shape."""
    if isinstance(shape, int):
        return {shape}
    return {name for part in shape[1:] for name in _names(part)} if shape[0] != "type" else set()


def _unwrapped(cursor: Cursor) -> Cursor:
    while cursor.kind == Kind.PAREN_EXPR:
        (cursor,) = children(cursor)
    return cursor


def _bare(cursor: Cursor) -> Cursor:
    """What is under parentheses and under casts that change no bit."""
    while cursor.kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR, Kind.CSTYLE_CAST_EXPR):
        parts = [part for part in children(cursor) if part.kind != Kind.TYPE_REF]
        if len(parts) != 1 or not _same_bits(cursor, parts[0]):
            break
        cursor = parts[0]
    return cursor


def _same_bits(cast: Cursor, of: Cursor) -> bool:
    kinds = {_kind(cast), _kind(of)}
    if _size(cast) != _size(of):
        return False
    if len(kinds) == 1 or kinds <= _INTEGERS:
        return True
    # as_uint(a[i]): a conversion of the value would have read the variable first, and a value,
    # unlike a variable, lies nowhere.
    return (
        cast.kind == Kind.UNEXPOSED_EXPR
        and kinds <= _NUMBERS
        and _SPACE.search(of.type.get_canonical().spelling) is not None
    )


def _kind(cursor: Cursor) -> Any:
    return cursor.type.get_canonical().kind


def _size(cursor: Cursor) -> int:
    return int(cursor.type.get_canonical().get_size())
