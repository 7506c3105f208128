"""Which memory stays as it is while a kernel runs, and which loops see nothing else.

A loop that reads only such memory, and what is the work-item's own, cannot see what other
work-groups do, and so waits for none.  Memory stays as it is if nothing in reach of the kernel
writes behind a pointer that may come from the same argument.  Where pointers come from is followed
use by use; one that is kept, or made of anything but another pointer, leaves all of it unknown.
That no other argument is the same memory has to be seen at the launch (Verdict.still).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clang.cindex import CursorKind as Kind
from clang.cindex import TypeKind

from gpusplit.judge import builtins, loops, pointers
from gpusplit.judge.frontend import RECURSE, Cursor, children, identity, operator, visit
from gpusplit.judge.prelude import READ_AS

_SAME_POINTER = (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR, Kind.CSTYLE_CAST_EXPR)
_PARTS = (Kind.MEMBER_REF_EXPR, Kind.ARRAY_SUBSCRIPT_EXPR)
_STATEMENTS = (
    Kind.COMPOUND_STMT, Kind.IF_STMT, Kind.FOR_STMT, Kind.WHILE_STMT, Kind.DO_STMT,
    Kind.CASE_STMT, Kind.DEFAULT_STMT, Kind.LABEL_STMT,
)  # fmt: skip
#: Of what a pointer may be made, where its sources are followed.
_MADE_OF_POINTERS = frozenset({
    *_SAME_POINTER, Kind.DECL_REF_EXPR, Kind.UNARY_OPERATOR, Kind.BINARY_OPERATOR,
    Kind.COMPOUND_ASSIGNMENT_OPERATOR, Kind.CONDITIONAL_OPERATOR, Kind.VAR_DECL, Kind.PARM_DECL,
})  # fmt: skip
_PLAIN_TYPES = frozenset({*range(TypeKind.BOOL.value, TypeKind.LONGDOUBLE.value + 1)}) | {
    kind.value
    for kind in (TypeKind.HALF, TypeKind.EXTVECTOR, TypeKind.ENUM, TypeKind.RECORD,
                 TypeKind.CONSTANTARRAY)
}  # fmt: skip
_FUNCTIONS = (TypeKind.FUNCTIONPROTO, TypeKind.FUNCTIONNOPROTO)
_SPACE = re.compile(r"\b__(?:global|constant|local|private)\b")
_ARRAYS = (TypeKind.CONSTANTARRAY, TypeKind.INCOMPLETEARRAY, TypeKind.VARIABLEARRAY)


#: What is at hand on the way up from a pointer: itself, a part of the memory behind it, or
#: its value; and the ends of the way, of which the last one is also where it is not clear.
_POINTER, _MEMORY, _VALUE, _UNUSED, _READ, _STORED, _WRITTEN = range(7)


@dataclass(slots=True)
class Uses:
    """What a part of a program does with pointers to memory that other work-groups see.

    Attributes
    ----------
    reads, writes: the variables behind which memory is, or may be, read and written.
    sources: which pointers a pointer is given, by the variables.
    constant: pointers to constant memory.
    calls: the program's functions that it calls.
    wild: whether it has a pointer that comes from anywhere else.
    news: whether it may learn in another way what others do: from local memory, an image, a
        function of the language that does more than to compute.
    """

    reads: set[int] = field(default_factory=set)
    writes: set[int] = field(default_factory=set)
    sources: dict[int, set[int]] = field(default_factory=dict)
    constant: set[int] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)
    wild: bool = False
    news: bool = False


def of(part: Cursor) -> Uses:
    """The uses in *part*, a function or a statement."""
    walker = _Walker()
    visit(part, walker.look)
    return walker.found


class Memory:
    """The memory that a kernel's arguments are, by what all functions in its reach do."""

    def __init__(self, kernel: Cursor, functions: Iterable[Uses]) -> None:
        """kernel: its definition; functions: the uses of all that it reaches, itself included."""
        self._parameters = {
            identity(parameter): at for at, parameter in enumerate(kernel.get_arguments())
        }
        self._sources: dict[int, set[int]] = {}
        self._constant: set[int] = set()
        self._wild = False
        writes: set[int] = set()
        for uses in functions:
            self._wild = self._wild or uses.wild
            self._constant |= uses.constant
            writes |= uses.writes
            for pointer, sources in uses.sources.items():
                self._sources.setdefault(pointer, set()).update(sources)
        self._written = self._origins(writes)
        #: The positions of the arguments whose memory may be written.
        self.changed = frozenset(
            at
            for at, parameter in enumerate(kernel.get_arguments())
            if identity(parameter) in self._written or _is_written_image(parameter.type)
        )

    def still(self, names: Iterable[int]) -> frozenset[int] | None:
        """The positions of the arguments behind pointers *names*; None if they may be written."""
        origins = self._origins(names)
        unknown = origins - self._parameters.keys() - self._constant
        if self._wild or unknown or origins & self._written or not origins:
            return None
        return frozenset(self._parameters[name] for name in origins & self._parameters.keys())

    def _origins(self, names: Iterable[int]) -> frozenset[int]:
        """Where pointers *names* come from: parameters, or variables that nothing is known of."""
        found: set[int] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo.extend(self._sources.get(name, ()))
        # A parameter of the kernel may be given another pointer as well.
        return frozenset(
            name for name in found if name in self._parameters or not self._sources.get(name)
        )


class _Walker:
    """Fills in one Uses."""

    def __init__(self) -> None:
        self.found = Uses()
        self._above: list[tuple[object, Cursor]] = []

    def look(self, cursor: Cursor, parent: Cursor) -> int:
        above = self._above
        if not above:
            above.append((_key(parent), parent))
        key = _key(parent)
        while above and above[-1][0] != key:
            above.pop()
        self._take(cursor)
        above.append((_key(cursor), cursor))
        return RECURSE

    def _take(self, cursor: Cursor) -> None:
        kind = cursor.kind
        if kind == Kind.DECL_REF_EXPR:
            self._name(cursor)
        elif kind == Kind.CALL_EXPR and not cursor.spelling:
            self.found.news = self.found.wild = True
        elif not kind.is_declaration() and not kind.is_reference() and _is_shared(cursor.type):
            self.found.wild |= pointers.in_memory(cursor.type) or not _is_made_of_pointers(cursor)
            self.found.news |= "volatile" in cursor.type.get_canonical().spelling

    def _name(self, cursor: Cursor) -> None:
        found, named = self.found, cursor.referenced
        if named is None:
            found.wild = found.news = True
        elif named.kind == Kind.FUNCTION_DECL:
            definition, name = named.get_definition(), named.spelling
            if definition is not None and not name.startswith(READ_AS):
                found.calls.add(identity(definition))
            else:
                name = name.removeprefix(READ_AS)
                found.news |= not (builtins.computes(name) or name.startswith("vload"))
        elif named.kind in (Kind.VAR_DECL, Kind.PARM_DECL):
            self._variable(cursor, named)
        elif named.kind != Kind.ENUM_CONSTANT_DECL:
            found.news = True

    def _variable(self, cursor: Cursor, named: Cursor) -> None:
        found, type_ = self.found, named.type.get_canonical()
        if type_.kind != TypeKind.POINTER:
            space = _space(type_)
            found.wild |= pointers.holds(type_) or space == "__global"
            found.news |= type_._kind_id not in _PLAIN_TYPES or space == "__local"
            return
        pointee = type_.get_pointee().get_canonical()
        space = _space(pointee)
        found.wild |= pointers.holds(pointee)
        found.news |= space in ("__local", "") or (
            space != "__private" and "volatile" in pointee.spelling
        )
        if space == "__constant":
            found.constant.add(identity(named))
        if space not in ("__local", "__private"):
            self._follow(cursor, identity(named))

    def _follow(self, cursor: Cursor, name: int) -> None:
        """What becomes of pointer *name*, which stands at *cursor*: upwards, until it is clear."""
        found, state, child = self.found, _POINTER, cursor
        for _, parent in reversed(self._above):
            if parent.kind in (*_STATEMENTS, Kind.CXX_UNARY_EXPR):
                state = _READ if state == _VALUE else _UNUSED
            elif state == _POINTER:
                state = self._pointer_in(parent, child, name)
            elif state == _MEMORY:
                state = _memory_in(parent, child)
            else:
                state = _value_in(parent, child)
            if state >= _UNUSED:
                break
            child = parent
        if state not in (_UNUSED, _STORED):
            found.reads.add(name)
        if state not in (_UNUSED, _READ):
            found.writes.add(name)

    def _pointer_in(self, parent: Cursor, child: Cursor, name: int) -> int:
        """What *parent* makes of *child*, which is pointer *name* or one into the same memory."""
        kind = parent.kind
        is_pointer = parent.type.get_canonical().kind == TypeKind.POINTER
        if kind in _SAME_POINTER:
            return _POINTER if is_pointer else _WRITTEN
        if kind in _PARTS:
            return _MEMORY
        if kind == Kind.VAR_DECL and is_pointer:
            self._flows(name, identity(parent))
            return _UNUSED
        if kind == Kind.CALL_EXPR:
            self._give(parent, child, name)
            return _UNUSED
        if kind == Kind.COMPOUND_ASSIGNMENT_OPERATOR:
            return _POINTER
        if kind == Kind.UNARY_OPERATOR:
            how = operator(parent)
            if how == loops.DEREFERENCE:
                return _MEMORY
            # Who has a pointer to a pointer may change it.
            self.found.wild |= how in (None, loops.ADDRESS_OF)
            return _POINTER if how in loops.STEPS else _UNUSED
        if kind == Kind.BINARY_OPERATOR:
            how = operator(parent)
            if how == loops.ASSIGN:
                target = _unwrapped(children(parent)[0])
                if target.kind != Kind.DECL_REF_EXPR:
                    return _WRITTEN
                if not _same(children(parent)[0], child):
                    self._flows(name, identity(target.referenced))
                return _POINTER
            if how in (None, loops.SUBTRACT) and not is_pointer:
                return _WRITTEN  # what lies between two pointers is a number
        elif kind != Kind.CONDITIONAL_OPERATOR:
            return _WRITTEN
        return _POINTER if is_pointer else _UNUSED

    def _flows(self, name: int, to: int) -> None:
        if name != to:
            self.found.sources.setdefault(to, set()).add(name)

    def _give(self, call: Cursor, argument: Cursor, name: int) -> None:
        """*call* is given pointer *name*."""
        found, function = self.found, call.referenced
        places = [at for at, one in enumerate(call.get_arguments()) if _same(one, argument)]
        definition = None if function is None else function.get_definition()
        parameters = [] if definition is None else list(definition.get_arguments())
        if len(places) == 1 and places[0] < len(parameters):
            self._flows(name, identity(parameters[places[0]]))
            return
        found.reads.add(name)
        given = None if function is None else [*function.type.argument_types()]
        if (
            definition is not None
            or not given
            or len(places) != 1
            or places[0] >= len(given)
            or not given[places[0]].get_canonical().get_pointee().is_const_qualified()
        ):
            found.writes.add(name)


def _is_made_of_pointers(pointer: Cursor) -> bool:
    """Whether it is seen in *pointer* itself of which others it is made."""
    kind = pointer.kind
    if kind == Kind.UNARY_OPERATOR:
        return operator(pointer) not in (None, loops.DEREFERENCE)
    if kind in _SAME_POINTER:
        of = [part for part in children(pointer) if part.kind.is_expression()]
        return len(of) == 1 and (pointers.is_pointer(of[0]) or pointers.is_null(of[0]))
    return kind in _MADE_OF_POINTERS


def _is_written_image(type_: Any) -> bool:
    shown = type_.get_canonical().spelling
    return "image" in shown and "__read_only" not in shown


def _memory_in(parent: Cursor, child: Cursor) -> int:
    """What *parent* makes of *child*, which is a part of the memory behind a pointer."""
    kind = parent.kind
    if kind == Kind.PAREN_EXPR:
        return _MEMORY
    if kind in _PARTS:
        return _MEMORY if _same(children(parent)[0], child) else _WRITTEN
    if kind == Kind.UNARY_OPERATOR and operator(parent) == loops.ADDRESS_OF:
        return _POINTER
    if kind == Kind.UNEXPOSED_EXPR:
        if parent.type.get_canonical().kind == TypeKind.POINTER:
            return _POINTER if child.type.get_canonical().kind in _ARRAYS else _WRITTEN
        # A part of a vector, or what is in memory.
        return _MEMORY if _space(parent.type.get_canonical()) else _VALUE
    if kind == Kind.BINARY_OPERATOR and operator(parent) == loops.ASSIGN:
        return _STORED if _same(children(parent)[0], child) else _WRITTEN
    return _WRITTEN


def _value_in(parent: Cursor, child: Cursor) -> int:
    """What *parent* makes of *child*, which is a value, or else something in memory."""
    kind = parent.kind
    if kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR):
        return _VALUE
    changes = loops.is_change(parent) or (
        kind == Kind.UNARY_OPERATOR and operator(parent) in (None, loops.ADDRESS_OF)
    )
    return _WRITTEN if changes and _same(children(parent)[0], child) else _READ


def _key(cursor: Cursor) -> tuple[int, int]:
    """What tells one declaration, statement or expression from another, however it was found."""
    return cursor._kind_id, identity(cursor) if cursor.kind.is_declaration() else loops.place(
        cursor
    )


def _same(one: Cursor, other: Cursor) -> bool:
    return _key(one) == _key(other)


def _unwrapped(cursor: Cursor) -> Cursor:
    while cursor.kind == Kind.PAREN_EXPR:
        (cursor,) = children(cursor)
    return cursor


def _space(type_: Any) -> str:
    """The address space of canonical *type_*; empty if it has none, or the generic one."""
    shown = _SPACE.search(type_.spelling)
    return shown[0] if shown else ""


def _is_shared(type_: Any) -> bool:
    """Whether *type_* is a pointer to memory that other work-groups may see."""
    type_ = type_.get_canonical()
    if type_.kind != TypeKind.POINTER:
        return False
    pointee = type_.get_pointee().get_canonical()
    return pointee.kind not in _FUNCTIONS and _space(pointee) not in ("__local", "__private")
