"""Does a loop end by itself, or may its end hang on memory that others write?

Only what is plainly counted ends by itself: its condition is made of private variables, constants
and steady functions, and in the loop nothing but counting changes those variables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from clang.cindex import CursorKind as Kind
from clang.cindex import TypeKind

from gpusplit.judge import builtins
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
    visit,
)
from gpusplit.judge.prelude import READ_AS

LOOPS = (Kind.FOR_STMT, Kind.WHILE_STMT, Kind.DO_STMT)
LOOP_IDS = frozenset(kind.value for kind in LOOPS)
_CONTINUE, _VARIABLE = Kind.CONTINUE_STMT.value, Kind.VAR_DECL.value
_REFERENCE, _CALL = Kind.DECL_REF_EXPR.value, Kind.CALL_EXPR.value
_VARIABLES = frozenset({_VARIABLE, Kind.PARM_DECL.value})
_ENUMERATOR = Kind.ENUM_CONSTANT_DECL.value
_PARTS = frozenset({Kind.MEMBER_REF_EXPR.value, Kind.ARRAY_SUBSCRIPT_EXPR.value})
_UNARY, _BINARY = Kind.UNARY_OPERATOR.value, Kind.BINARY_OPERATOR.value
COMPOUND = Kind.COMPOUND_ASSIGNMENT_OPERATOR.value

# CXUnaryOperatorKind and CXBinaryOperatorKind.
STEPS = (1, 2, 3, 4)
ADDRESS_OF, DEREFERENCE = 5, 6
SUBTRACT, ASSIGN, COMMA = 7, 22, 33
#: A pointer to memory of other work-groups as well, and none of another pointer.
_SHARED = re.compile(r"(?!.*\bvolatile\b)[^*]*\b__(global|constant)\b[^*]*\*[^*]*")
#: What is said of the type of a variable that others may write, or that is a pointer.
_NOT_PLAIN = re.compile(r"volatile|__local|__global|__generic|\*")
#: The operators that write, or may, and those that give away an address; None is one unknown.
WRITES = {
    COMPOUND: (None,), _BINARY: (None, ASSIGN), _UNARY: (None, *STEPS, ADDRESS_OF),
}  # fmt: skip
PLAIN = (
    Kind.UNEXPOSED_EXPR, Kind.PAREN_EXPR, Kind.INTEGER_LITERAL, Kind.FLOATING_LITERAL,
    Kind.CHARACTER_LITERAL, Kind.CSTYLE_CAST_EXPR, Kind.CONDITIONAL_OPERATOR, Kind.BINARY_OPERATOR,
    Kind.UNARY_OPERATOR, Kind.TYPE_REF, Kind.CXX_UNARY_EXPR,
)  # fmt: skip
_PLAIN = frozenset(kind.value for kind in PLAIN)


@dataclass(slots=True)
class Happens:
    """What was seen in a loop, but for what is done once before.

    Attributes
    ----------
    writes: (the variable or 0, where) of what changes a variable or gives its address away; 0 for
        where it is declared: what is new in each round may come from memory.
    leaves: whether it may be left before its condition says so.
    """

    writes: list[tuple[int, int]] = field(default_factory=list)
    leaves: bool = False

    def spares(self, variables: frozenset[int], places: set[int]) -> bool:
        """Whether nothing changes *variables*, but what is at *places*."""
        return all(name not in variables or at in places for name, at in self.writes)


def ends_by_itself(
    loop: Cursor, happens: Happens, memory: set[int] | None = None
) -> frozenset[int] | None:
    """The variables that *loop* counts with; None if it is not plainly counted.

    memory: if given, its condition may read what lies behind pointers, whose names are added: then
    it is plainly counted if nobody writes there.
    """
    if happens.leaves:
        return None
    parts = children(loop)
    step: list[Cursor] = []
    if loop.kind == Kind.FOR_STMT:
        # With a part left out nobody can tell which ones are there.
        if len(parts) != 4:
            return None
        _, condition, *step, body = parts
    elif len(parts) == 2:
        condition, body = parts if loop.kind == Kind.WHILE_STMT else parts[::-1]
    else:
        return None
    counters = variables(condition, memory)
    if counters is None:
        return None
    made = [change for part in step for change in changes(part)]
    if loop.kind != Kind.FOR_STMT:
        # Counting in the body, but under no condition: that might hang on memory.
        if continues(body):
            return None
        direct = children(body) if body.kind == Kind.COMPOUND_STMT else [body]
        made += [change for part in direct for change in changes(part)]
    counters = _with_steps(counters, made)
    counting = [change for change in made if _is_counting(change, counters)]
    return counters if happens.spares(counters, set(map(place, counting))) else None


def is_none(loop: Cursor) -> bool:
    """Whether *loop* is `do ... while (0)`, whose body is done once, however it is left."""
    return loop.kind == Kind.DO_STMT and constant(children(loop)[-1]) == 0


def place(cursor: Cursor) -> int:
    """What tells one statement or expression from another."""
    return int(cursor.data[1] or 0)


def variables(condition: Cursor, memory: set[int] | None = None) -> frozenset[int] | None:
    """The variables that *condition* is made of; None if of anything else as well.

    memory: see ends_by_itself.
    """
    found: set[int] = set()
    plain = True

    def look(cursor: Cursor, _: Cursor) -> int:
        nonlocal plain
        kind = cursor._kind_id
        if kind == _REFERENCE:
            target = referenced(cursor)
            if memory is not None and _is_shared_pointer(target):
                memory.add(identity(target))
                found.add(identity(target))
            elif target._kind_id in _VARIABLES:
                plain = plain and _NOT_PLAIN.search(canonical(target)) is None
                found.add(identity(target))
            elif target._kind_id != _ENUMERATOR:
                plain = False
        elif kind == _CALL:
            name = cursor.spelling.removeprefix(READ_AS)
            plain = plain and name in builtins.STEADY and of_the_language(cursor)
            # The function itself is the first child.
            for argument in cursor.get_arguments():
                if look(argument, cursor) == RECURSE:
                    visit(argument, look)
            return CONTINUE
        elif memory is not None and _reads(cursor):
            pass
        elif kind not in _PLAIN or not pure(cursor):
            plain = False
        return RECURSE if plain else CONTINUE

    if look(condition, condition) == RECURSE:
        visit(condition, look)
    return frozenset(found) if plain else None


def of_the_language(call: Cursor) -> bool:
    """Whether *call* is of a function of the language, or of ours in its place."""
    function = call.referenced
    if function is None:
        return False
    return function.get_definition() is None or call.spelling.startswith(READ_AS)


def _is_shared_pointer(variable: Cursor) -> bool:
    """Whether *variable* is a pointer to plain memory that other work-groups may see."""
    return (
        variable._kind_id in _VARIABLES
        and variable.type.get_canonical().kind == TypeKind.POINTER
        and _SHARED.fullmatch(canonical(variable)) is not None
    )


def _reads(cursor: Cursor) -> bool:
    """Whether *cursor* is a part of the memory behind such a pointer."""
    if cursor._kind_id == _UNARY and operator(cursor) == DEREFERENCE:
        (cursor,) = children(cursor)
    elif cursor._kind_id not in _PARTS:
        return False
    variable = _base(cursor)
    return variable is not None and _is_shared_pointer(variable)


def pure(cursor: Cursor) -> bool:
    """Whether *cursor*, if it is an operator, changes nothing and reads no memory."""
    if cursor._kind_id == _UNARY:
        return operator(cursor) not in (None, *STEPS, ADDRESS_OF, DEREFERENCE)
    return cursor._kind_id != _BINARY or operator(cursor) not in (None, ASSIGN)


def changes(cursor: Cursor) -> list[Cursor]:
    """The assignments that statement *cursor* is made of."""
    if cursor._kind_id == _BINARY and operator(cursor) == COMMA:
        return [change for part in children(cursor) for change in changes(part)]
    return [cursor] if is_change(cursor) else []


def is_change(cursor: Cursor) -> bool:
    """Whether *cursor* is an assignment, or counts up or down."""
    if cursor._kind_id == _UNARY:
        return operator(cursor) in STEPS
    return cursor._kind_id == COMPOUND or (
        cursor._kind_id == _BINARY and operator(cursor) == ASSIGN
    )


def _with_steps(counters: frozenset[int], made: list[Cursor]) -> frozenset[int]:
    """*counters*, and all that they count with: the stride in `i += stride`."""
    found = set(counters)
    for target, *values in map(children, made):
        if values and target._kind_id == _REFERENCE and identity(referenced(target)) in counters:
            found.update(*(variables(value) or () for value in values))
    return counters if found == counters else _with_steps(frozenset(found), made)


def _is_counting(change: Cursor, counters: frozenset[int]) -> bool:
    """Whether *change* gives a variable a new value from the counters and constants alone."""
    target, *values = children(change)
    if target._kind_id != _REFERENCE:
        return False
    for value in values:
        found = variables(value)
        if found is None or not found <= counters:
            return False
    return True


def continues(body: Cursor) -> bool:
    """Whether *body* can begin the next round of the loop that it belongs to."""
    found: bool = body._kind_id == _CONTINUE

    def look(cursor: Cursor, _: Cursor) -> int:
        nonlocal found
        # A continue in a switch is of the loop around it.
        found = found or cursor._kind_id == _CONTINUE
        return CONTINUE if found or cursor._kind_id in LOOP_IDS else RECURSE

    visit(body, look)
    return found


#: v[0] is a part of vector v; behind p[0], p is no counter.
_PART_OF = _PARTS | {Kind.PAREN_EXPR.value, Kind.UNEXPOSED_EXPR.value}


def base(target: Cursor) -> int:
    """The variable that *target* is, or is a part of, or a pointer to it; 0 if there is none."""
    variable = _base(target)
    return 0 if variable is None else identity(variable)


def _base(target: Cursor) -> Cursor | None:
    while target._kind_id in _PART_OF:
        parts = children(target)
        if not parts:
            return None
        target = parts[0]
    return referenced(target) if target._kind_id == _REFERENCE else None


def untouched(part: Cursor, counters: frozenset[int], counting: set[int]) -> bool:
    """Whether nothing in *part* changes *counters* or takes their address, but for *counting*."""
    happens = Happens()

    def look(cursor: Cursor, _: Cursor) -> int:
        kind = cursor._kind_id
        if kind in WRITES:
            how = None if kind == COMPOUND else operator(cursor)
            if how in WRITES[kind]:
                happens.writes.append((base(children(cursor)[0]), place(cursor)))
        elif kind == _VARIABLE:
            happens.writes.append((identity(cursor), 0))
        return RECURSE

    look(part, part)
    visit(part, look)
    return happens.spares(counters, counting)
