"""What each function of a program does by itself, read off its tree."""

from __future__ import annotations

import re
from typing import Any

from clang.cindex import CursorKind as Kind
from clang.cindex import StorageClass, TypeKind

from gpusplit.judge import builtins, ends, loops, pointers, retries
from gpusplit.judge.frontend import (
    CONTINUE,
    RECURSE,
    Cursor,
    canonical,
    children,
    constant,
    identity,
    operator,
    referenced,
    storage,
    type_of,
    visit,
)
from gpusplit.judge.functions import Function, Program
from gpusplit.judge.prelude import READ_AS, RENAMED

#: volatile memory that other work-groups can see.
_SHARED_VOLATILE = re.compile(r"\bvolatile (?!__(local|private)\b)")
_MINUS = (None, loops.SUBTRACT)
_LOCAL_ONLY = 1  # CLK_LOCAL_MEM_FENCE
_GOTO = frozenset({Kind.GOTO_STMT.value, Kind.INDIRECT_GOTO_STMT.value})
_LEAVES = _GOTO | {Kind.RETURN_STMT.value}
_ATTRIBUTE = Kind.UNEXPOSED_ATTR.value
_BREAK, _SWITCH, _FOR = Kind.BREAK_STMT.value, Kind.SWITCH_STMT.value, Kind.FOR_STMT.value
_ASM = frozenset({Kind.ASM_STMT.value, Kind.MS_ASM_STMT.value})
TYPED = frozenset(
    kind.value
    for kind in (
        Kind.VAR_DECL, Kind.PARM_DECL, Kind.FIELD_DECL, Kind.TYPEDEF_DECL, Kind.CSTYLE_CAST_EXPR,
        Kind.COMPOUND_LITERAL_EXPR,
    )
)  # fmt: skip
_ELEMENT = Kind.ARRAY_SUBSCRIPT_EXPR.value
_TYPE = Kind.TYPE_REF.value
_BINARY, _CAST = Kind.BINARY_OPERATOR.value, Kind.CSTYLE_CAST_EXPR.value
_CALL, _REFERENCE = Kind.CALL_EXPR.value, Kind.DECL_REF_EXPR.value
_UNARY, _UNEXPOSED = Kind.UNARY_OPERATOR.value, Kind.UNEXPOSED_EXPR.value
_FUNCTION = Kind.FUNCTION_DECL.value
_VARIABLE, _BLOCK = Kind.VAR_DECL.value, Kind.BLOCK_EXPR.value
#: Declarations, and labels.
NAMES = frozenset(kind.value for kind in Kind.get_all_kinds() if kind.is_declaration()) | {
    Kind.LABEL_STMT.value
}
#: All that a function's tree is looked at for.
_LOOKED_AT = NAMES | TYPED | _LEAVES | _ASM | loops.LOOP_IDS | {
    _CALL, *loops.WRITES, _ELEMENT, _BLOCK, _BREAK, _SWITCH
}  # fmt: skip
_EXTERN = StorageClass.EXTERN.value
_OUTLIVING = (_EXTERN, StorageClass.STATIC.value)
PART_OF_NAME = "pastes the name of a function that a variant names otherwise into another name"


def _in_parentheses(call: Cursor) -> str:
    """The function that `(atomic_add)(p, 1)` calls, which libclang does not say of the call."""
    function = children(call)[0]
    while function.kind in (Kind.PAREN_EXPR, Kind.UNEXPOSED_EXPR):
        (function,) = children(function)
    return str(function.spelling) if function.kind == Kind.DECL_REF_EXPR else ""


def _lends(call: Cursor) -> bool:
    """Whether *call*, given a pointer to a variable, cannot keep it: it has nowhere to."""
    if call._kind_id != _CALL or call.referenced is None:
        return False
    given = [argument.type.get_canonical() for argument in call.get_arguments()]
    seen = [one.get_pointee().get_canonical() if "*" in one.spelling else one for one in given]
    return all(_is_number(one) for one in (*seen, call.type.get_canonical()))


def _is_number(type_: Any) -> bool:
    """Whether it is a number, several, or nothing."""
    first, last = TypeKind.VOID.value, TypeKind.LONGDOUBLE.value
    return first <= type_.kind.value <= last or type_.kind in (TypeKind.HALF, TypeKind.EXTVECTOR)


def pasted(name: str) -> bool:
    """Whether *name* would be another in the variant, and perhaps no longer hide what it hid."""
    return READ_AS in name and name.removeprefix(READ_AS) not in RENAMED


def shared_volatile(cursor: Cursor) -> bool:
    return _SHARED_VOLATILE.search(canonical(cursor)) is not None


class Reader:
    """Fills in one Function."""

    def __init__(self, program: Program, function: Function) -> None:
        self._program = program
        self._function = function
        #: In so many loops; what is written there, and how often they are left (loops.Happens).
        self._rounds = 0
        self._writes: list[tuple[int, int]] = []
        self._breaks = self._leaves = 0
        self._jumps = False
        #: Whether it may have pointers in memory, as far as it is read.
        self._keeps = False
        #: Variables by which it was seen that loops end, and those that a pointer may change.
        self._counters: set[int] = set()
        self._behind_pointers: set[int] = set()
        #: Which functions are given pointers to which variables.
        self._lent: dict[int, set[int]] = {}
        #: The first part of each expression that libclang has no name for, by its place.
        self._first_parts: dict[int, Cursor] = {}

    def read(self, cursor: Cursor) -> None:
        parts = children(cursor)
        attributes = sum(part._kind_id == _ATTRIBUTE for part in parts)
        # libclang does not say which attributes these are: to list a helper too does no harm.
        self._function.is_kernel = attributes > 0 and cursor.result_type.spelling == "void"
        self._function.uses_local = attributes > 1
        self._function.communicates = bool(
            _SHARED_VOLATILE.search(cursor.result_type.get_canonical().spelling)
        )
        visit(cursor, self._inside)
        if not self._counters.isdisjoint(self._behind_pointers):
            self._function.waits = True
        for counter in self._counters:
            self._function.lends |= self._lent.get(counter, set())
        if self._jumps:  # perhaps over a barrier, and back
            self._function.communicates |= self._function.orders

    def _inside(self, cursor: Cursor, parent: Cursor) -> int:
        kind, around, found = cursor._kind_id, parent._kind_id, self._function
        if around == _UNEXPOSED:
            self._part_of_unexposed(cursor, parent)
        elif around == _CAST and kind != _TYPE:
            self._cast(parent, cursor)
        if found.keeps or self._keeps:
            self._keeps = True
            if around in (_UNEXPOSED, _CAST) and pointers.shows_as_other(parent, cursor):
                self._program.shares = found.keeps = True
        if kind == _REFERENCE:
            self._reference(cursor)
        elif kind not in _LOOKED_AT:
            pass
        elif kind == _CALL:
            self._call(cursor)
        elif kind in loops.LOOP_IDS:
            self._loop(cursor)
            return CONTINUE
        elif kind == _SWITCH:
            breaks = self._breaks
            visit(cursor, self._inside)
            self._breaks = breaks
            return CONTINUE
        elif kind in loops.WRITES:
            self._operator(cursor, parent, kind)
        elif kind == _ELEMENT:
            self._memory(cursor)
        elif kind == _BREAK:
            self._breaks += 1
        elif kind in _LEAVES:
            self._leaves += 1
            if kind in _GOTO:
                found.waits = self._jumps = True
        elif kind in _ASM:
            self._refuse("holds assembly")
        elif kind == _BLOCK:
            self._refuse("holds a block")
        else:
            self._declares(cursor, parent, kind)
        return RECURSE

    def _operator(self, cursor: Cursor, parent: Cursor, kind: int) -> None:
        how = None if kind == loops.COMPOUND else operator(cursor)
        if self._rounds and how in loops.WRITES[kind]:
            self._writes.append((loops.base(children(cursor)[0]), loops.place(cursor)))
        if kind == _UNARY:
            if how == loops.DEREFERENCE:
                self._memory(cursor)
            elif how == loops.ADDRESS_OF:
                self._address(cursor, parent)
        # What lies between a pointer and null is a number.
        elif kind == _BINARY and how in _MINUS and pointers.between(cursor):
            self._function.keeps = True

    def _declares(self, cursor: Cursor, parent: Cursor, kind: int) -> None:
        """A declaration, a label, or what else names a type."""
        found = self._function
        if self._program.pastes and kind in NAMES and pasted(cursor.spelling):
            self._refuse(PART_OF_NAME)
        if kind in TYPED:
            volatile, local, keeps = self._type(cursor)
            found.communicates = found.communicates or volatile
            found.uses_local = found.uses_local or local
            found.keeps = found.keeps or keeps
            if pointers.in_union(cursor, parent):
                found.keeps = self._program.shares = True
        if kind == _VARIABLE:
            if self._rounds:
                self._writes.append((identity(cursor), 0))
            if storage(cursor) in _OUTLIVING:
                self._outlives(cursor)

    def _type(self, cursor: Cursor) -> tuple[bool, bool, bool]:
        """Whether its type is volatile that others see, local, and holds pointers in memory."""
        known, place = self._program.types, type_of(cursor)
        if place not in known:
            local = "__local" in canonical(cursor)
            known[place] = shared_volatile(cursor), local, pointers.in_memory(cursor.type)
        return known[place]

    def _part_of_unexposed(self, cursor: Cursor, parent: Cursor) -> None:
        """__atomic_load_n(p, 5) is no call to libclang, but has parts and begins with a pointer.

        A conversion has one part, and a designated initializer begins with a member or a number.
        """
        first: Cursor = self._first_parts.setdefault(loops.place(parent), cursor)
        if first is cursor or loops.place(first) == loops.place(cursor):
            return
        if first.kind != Kind.MEMBER_REF and first.type.get_canonical().kind == TypeKind.POINTER:
            self._refuse("holds an atomic of the compiler's own, or what looks like one")

    def _cast(self, cast: Cursor, of: Cursor) -> None:
        to = cast.type.get_canonical()
        of = pointers.cast_from(to, of)
        if pointers.is_number_of_pointer(to, of):
            self._function.keeps = True
        elif pointers.is_own_memory_of_other(to, of):
            self._program.shares = True

    def _address(self, cursor: Cursor, parent: Cursor) -> None:
        (of,) = children(cursor)
        if pointers.in_memory(cursor.type):
            self._function.keeps = True
            if parent._kind_id == _UNEXPOSED:
                self._cast(parent, cursor)
        if not _lends(parent):
            self._behind_pointers.add(loops.base(of))
        elif (definition := parent.referenced.get_definition()) is not None:
            self._lent.setdefault(loops.base(of), set()).add(identity(definition))

    def _memory(self, cursor: Cursor) -> None:
        if shared_volatile(cursor):
            self._function.communicates = True

    def _loop(self, cursor: Cursor) -> None:
        outer, inner = self._function, Function(self._function.name)
        self._function = inner
        happens = self._rounds_of(cursor)
        self._function = outer
        counters = loops.ends_by_itself(cursor, happens)
        if counters is not None:
            self._counters |= counters
        elif not (loops.is_none(cursor) or retries.retries(cursor)):
            self._may_wait(cursor, happens, inner)
        outer.add(inner)

    def _rounds_of(self, cursor: Cursor) -> loops.Happens:
        """Read a loop."""
        breaks, leaves, start = self._breaks, self._leaves, len(self._writes)
        self._rounds += 1
        for at, part in enumerate(children(cursor)):
            if self._inside(part, cursor) == RECURSE:
                visit(part, self._inside)
            if at == 0 and cursor._kind_id == _FOR:
                start = len(self._writes)
        happens = loops.Happens(
            self._writes[start:], self._breaks > breaks or self._leaves > leaves
        )
        self._breaks = breaks
        self._rounds -= 1
        if not self._rounds:
            self._writes.clear()
        return happens

    def _may_wait(self, cursor: Cursor, happens: loops.Happens, inner: Function) -> None:
        """A loop that is not plainly counted, or left early; *inner* is what is in it."""
        if inner.orders:
            # In a loop that waits, a barrier has the device read again what other groups write.
            inner.orders, inner.communicates = False, True
        memory: set[int] = set()
        counted = loops.ends_by_itself(cursor, happens, memory)
        # One that looks for something, and can see nothing new of what other groups write, is no
        # way to wait: it comes to its end.
        counters = ends.ends_at_last(cursor)
        if counted is not None:
            self._counters |= counted
            inner.leans |= memory
        elif counters is not None and not (
            inner.waits or inner.doubtful or inner.atomics or inner.communicates or self._jumps
        ):
            self._counters |= counters
            inner.left_early = (inner.left_early or set()) | inner.calls
        else:
            inner.doubtful.append(cursor)

    def _reference(self, cursor: Cursor) -> None:
        target = referenced(cursor)
        if target._kind_id == _VARIABLE:
            known = self._program.variables
            if known and identity(target) in known:
                self._outlives(target)
        elif target._kind_id == _FUNCTION:
            self._function_named(target)

    def _function_named(self, target: Cursor) -> None:
        found, names = self._function, self._program.names
        name = names.get(identity(target)) or names.setdefault(identity(target), target.spelling)
        definition = target.get_definition()
        own = name.removeprefix(READ_AS)
        if own != name and own in RENAMED:
            found.asks.add(own)
            if self._program.ours.get(name) != identity(target.canonical):
                self._refuse(f"has a function {own} of its own")
        elif definition is not None:
            found.calls.add(identity(definition))
        elif name in self._program.declared:
            self._refuse(f"calls {name}, which the source declares but does not define")
        elif name in RENAMED:
            if not found.name.startswith(READ_AS):
                self._refuse(f"asks {name} in a way that cannot be put right")
        else:
            found.builtins.add(name)
            why = builtins.refusal(name)
            if why is not None:
                self._refuse(why)

    def _call(self, cursor: Cursor) -> None:
        name = cursor.spelling or _in_parentheses(cursor)
        if not name:
            self._refuse("calls a function in a way that is not understood")
        if name in builtins.FENCES and name not in self._program.declared:
            arguments = list(cursor.get_arguments())
            flags = constant(arguments[0]) if arguments else None
            if flags is None or flags & ~_LOCAL_ONLY:
                self._fence(name, len(arguments) == 1 and flags is not None)
        elif name in builtins.COPIES:
            self._function.orders = True
        elif builtins.ATOMIC_PATTERN.fullmatch(name) and name not in self._program.declared:
            memory = next(iter(cursor.get_arguments()), None)
            shown = "" if memory is None else canonical(memory)
            if "__local " not in shown:
                self._function.atomics.add(name)
        elif name.startswith("read_image"):
            # Reads of other images see what they held when the kernel began.
            images = map(canonical, cursor.get_arguments())
            self._function.communicates |= any("read_write" in image for image in images)

    def _fence(self, name: str, for_group: bool) -> None:
        """A barrier orders memory among the work-items of one group alone."""
        self._function.fences = True
        if name in builtins.BARRIERS and for_group:
            self._function.orders = True
        else:
            self._function.communicates = True

    def _outlives(self, variable: Cursor) -> None:
        """A variable that is no constant outlives the launch, and a variant would have another."""
        # Where itself lies is said after the last star.
        shown = canonical(variable).rpartition("*")[2]
        if "__constant" not in shown and "__local" not in shown and shown != "sampler_t":
            self._function.variables.add(variable.spelling)
            self._function.keeps |= pointers.holds(variable.type)
        if storage(variable) == _EXTERN and variable.get_definition() is None:
            self._refuse(f"uses {variable.spelling}, which is defined elsewhere")

    def _refuse(self, why: str) -> None:
        self._function.problem = self._function.problem or why
