"""A whole program: what is outside its functions, and each of these."""

from __future__ import annotations

from pathlib import Path

from clang.cindex import CursorKind as Kind

from gpusplit.judge import base, pointers
from gpusplit.judge.facts import NAMES, PART_OF_NAME, TYPED, Reader, pasted, shared_volatile
from gpusplit.judge.frontend import (
    CONTINUE,
    RECURSE,
    Cursor,
    Unit,
    children,
    identity,
    printed,
    visit,
)
from gpusplit.judge.functions import Function, Program
from gpusplit.judge.prelude import READ_AS

_FUNCTION, _VARIABLE = Kind.FUNCTION_DECL.value, Kind.VAR_DECL.value
_UNEXPOSED = Kind.UNEXPOSED_DECL.value
_LABEL = Kind.ASM_LABEL_ATTR.value
_LINKED = (_FUNCTION, _VARIABLE)
#: How compilers name the language's own functions to the linker, since they have many types.
_MANGLED = "_Z"
_AS_ANOTHER = "gives something a name by which the linker may take it for a function of OpenCL's"


def collect(unit: Unit, pastes: bool) -> Program:
    """The functions of a translation unit; *pastes*: names in it may be made of parts."""
    program = Program(pastes=pastes)
    bodies: list[tuple[Function, Cursor]] = []

    def outside(cursor: Cursor, parent: Cursor) -> int:
        kind = cursor._kind_id
        if pastes and kind in NAMES and pasted(cursor.spelling):
            program.problem = PART_OF_NAME
        if kind == _LABEL or (kind in _LINKED and cursor.spelling.startswith(_MANGLED)):
            program.problem = _AS_ANOTHER
        if kind == _FUNCTION:
            if any(part._kind_id == _LABEL for part in children(cursor)):
                program.problem = _AS_ANOTHER
            if cursor.is_definition():
                function = Function(cursor.spelling, cursor=cursor)
                if function.name.startswith(READ_AS):
                    program.ours.setdefault(function.name, identity(cursor.canonical))
                program.functions[identity(cursor)] = function
                bodies.append((function, cursor))
            # Built-in functions are declared where nobody sees it, and defined nowhere.
            elif Path(cursor.location.file.name).name == base.NAME:
                return CONTINUE
            program.declared.add(cursor.spelling)
            return CONTINUE
        # An empty declaration, which is a lone semicolon, prints as nothing.
        if kind == _UNEXPOSED and printed(cursor) != "":
            program.problem = "holds assembly outside its functions, or what looks like it"
        if kind == _VARIABLE:
            program.variables.add(identity(cursor))
        if kind in TYPED and (shared_volatile(cursor) or pointers.in_union(cursor, parent)):
            program.shares = True
        return RECURSE

    visit(unit.cursor, outside)
    _mark_telling(program, unit.telling)
    for function, cursor in bodies:
        Reader(program, function).read(cursor)
    return program


def _mark_telling(program: Program, telling: dict[tuple[str, int], str]) -> None:
    """Refuse the functions between whose braces something stands; all where it is elsewhere."""
    functions = program.functions.values() if telling else ()
    ranges = [(function, children(function.cursor)[-1].extent) for function in functions]
    for (file, at), what in telling.items():
        inside = [
            function
            for function, extent in ranges
            if extent.start.file.name == extent.end.file.name == file
            and extent.start.offset <= at <= extent.end.offset
        ]
        for function in inside:
            function.problem = what
        if not inside:
            program.problem = what
