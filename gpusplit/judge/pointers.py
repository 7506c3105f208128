"""Pointers that become numbers, and numbers that become pointers.

What memory is behind a pointer is what its type says, and who has a pointer to a variable is seen
where its address is taken, only while nobody does either.
"""

from __future__ import annotations

import re
from typing import Any

from clang.cindex import CursorKind as Kind
from clang.cindex import TypeKind

from gpusplit.judge.frontend import Cursor, children, constant

_QUALIFIERS = re.compile(r"\b(const|volatile|restrict)\b|\s")
_SPACES = re.compile(r"__(private|local|global|constant|generic)")
_POINTER, _BOOL = TypeKind.POINTER.value, TypeKind.BOOL.value
_ARRAYS = frozenset(
    {TypeKind.CONSTANTARRAY.value, TypeKind.INCOMPLETEARRAY.value, TypeKind.VARIABLEARRAY.value}
)
_RECORD = TypeKind.RECORD.value
_UNION = Kind.UNION_DECL.value
_HIDES = (Kind.UNEXPOSED_EXPR, Kind.PAREN_EXPR)
#: Bool to long double, half, and vectors.
_NUMBERS = frozenset(
    {*range(_BOOL, TypeKind.LONGDOUBLE.value + 1), TypeKind.HALF.value, TypeKind.EXTVECTOR.value}
) | {TypeKind.VECTOR.value, TypeKind.ENUM.value}


def _pointee(type_: Any) -> Any:
    return type_.get_canonical().get_pointee().get_canonical()


def holds(type_: Any) -> bool:
    """Whether what is of *type_* holds a pointer."""
    type_ = type_.get_canonical()
    kind = type_._kind_id
    if kind in _ARRAYS:
        return holds(type_.element_type)
    if kind == _RECORD:
        return any(holds(member.type) for member in type_.get_fields())
    return bool(kind == _POINTER)


def in_memory(type_: Any) -> bool:
    """Whether *type_* is of memory with pointers in it, where they may be seen as numbers."""
    type_ = type_.get_canonical()
    return holds(type_.get_pointee() if type_._kind_id == _POINTER else type_)


def in_union(member: Cursor, parent: Cursor) -> bool:
    """Whether *member* is one of a union, *parent*, with a pointer that it may see as a number."""
    return parent._kind_id == _UNION and holds(member.type)


def cast_from(to: Any, of: Cursor) -> Cursor:
    """What a cast to canonical type *to*, whose part is *of*, makes something else of.

    A cast that keeps the bits is two, one in the other (base.py).
    """
    while of.kind in _HIDES and of.type.get_canonical() == to:
        *_, of = children(of)
    return of


def is_number_of_pointer(to: Any, of: Cursor) -> bool:
    """Whether a cast to *to* makes a number of pointer *of*; a bool tells too little of it."""
    kind = to._kind_id
    return kind in _NUMBERS and kind != _BOOL and is_pointer(of)


def is_own_memory_of_other(to: Any, of: Cursor) -> bool:
    """Whether a cast to *to* makes a pointer to local or private memory of *of*, which is none."""
    space = _space(to) if to._kind_id == _POINTER else None
    if space is None:
        return False
    made_of = of.type.get_canonical()
    if made_of._kind_id == _POINTER:
        return _space(made_of) != space and not is_null(of)
    return made_of._kind_id in _NUMBERS and not is_null(of)


def shows_as_other(cast: Cursor, of: Cursor) -> bool:
    """Whether *cast* makes of *of* a pointer by which pointers in memory may be seen as numbers."""
    to, made_of = cast.type.get_canonical(), of.type.get_canonical()
    if to._kind_id != _POINTER or not is_pointer(of):
        return False
    before = made_of.element_type if made_of._kind_id in _ARRAYS else made_of.get_pointee()
    before, after = before.get_canonical(), to.get_pointee().get_canonical()
    return (holds(before) or holds(after)) and _shape(before) != _shape(after)


def _shape(type_: Any) -> str:
    """What tells *type_* from others, wherever what is of it lies and whoever may change it."""
    before, star, after = _QUALIFIERS.sub("", type_.spelling).rpartition("*")
    return before + star + _SPACES.sub("", after)


def between(operation: Cursor) -> bool:
    """Whether *operation* is on two pointers."""
    return all(map(is_pointer, children(operation)))


def is_pointer(cursor: Cursor) -> bool:
    """Whether *cursor* is a pointer or an array."""
    kind = cursor.type.get_canonical()._kind_id
    return kind == _POINTER or kind in _ARRAYS


def is_null(cursor: Cursor) -> bool:
    """Whether it is 0, or NULL, which is `((void *)0)`."""
    while cursor.kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR, Kind.CSTYLE_CAST_EXPR):
        parts = children(cursor)
        if not parts:
            return False
        cursor = parts[-1]
    return cursor.kind == Kind.INTEGER_LITERAL and constant(cursor) == 0


def _space(pointer: Any) -> str | None:
    shown = _pointee(pointer).spelling
    return next((space for space in ("__local", "__private") if space in shown), None)
