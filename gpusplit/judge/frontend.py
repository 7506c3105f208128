"""libclang: a program's text becomes a tree.

The program is laid out in a folder of its own, with its headers as they were when it was built, so
that nothing else can be read.  Vendors' functions, and whatever else clang does not know, are
errors, and a program with errors stays whole.
"""

from __future__ import annotations

import ctypes
import glob
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from clang import cindex

from gpusplit.judge import base
from gpusplit.judge.options import Options
from gpusplit.judge.prelude import READ_AS
from gpusplit.judge.reading import LANGUAGE_VERSION
from gpusplit.judge.verdict import Header, Unreadable

#: A CXCursor; its binding has no types.
Cursor = Any

#: What a visitor answers (CXChildVisitResult): nothing more, not the children, or these as well.
STOP, CONTINUE, RECURSE = 0, 1, 2
_UNARY = cindex.CursorKind.UNARY_OPERATOR.value

#: A file's name where the program tells it, as READ_AS has it for functions' names.
_LONG_NAME = 5000 * "x"
#: Warnings by which the front end says where a variant would tell something else: wherever it
#: stands, in an attribute or a #line as well.
_TELLS = {
    "-Woverlength-strings": "makes text of the name of a function that a variant names otherwise, "
    "tells the name of its file, or has text of more than 4,095 characters",
    "-Wdate-time": "tells when it was compiled",
}


def load() -> Any:
    """libclang; Unreadable if it is not there."""
    try:
        return cindex.conf.lib
    except cindex.LibclangError:
        pass
    # Debian's python3-clang looks for a link that only the -dev package has.
    for path in sorted(glob.glob("/usr/lib/*/libclang-*.so.1"), reverse=True):
        cindex.Config.set_library_file(path)
        try:
            return cindex.conf.lib
        except cindex.LibclangError:
            continue
    raise Unreadable("libclang is not installed")


class Unit(NamedTuple):
    """A translation unit, and where (file, offset) it tells what: see _TELLS."""

    cursor: Cursor
    telling: dict[tuple[str, int], str]


def parse(
    text: str,
    headers: Sequence[Header],
    device: str,
    options: Options,
    address_bits: int,
    folder: Path,
) -> Unit:
    """The translation unit of *text*.

    headers: what may be included; device: the header that makes macros the device's.
    folder: an empty one for all of it.  Unreadable if the program has errors.
    """
    load()
    # No program may say gpusplit_: what it includes is none of these.
    known, given, main = (folder / f"gpusplit_{name}" for name in ("base", "device.h", "main.cl"))
    known.mkdir()
    (known / base.NAME).write_text(base.TEXT)
    given.write_text(device)
    _write(main, text)
    for header in headers:
        if Path(header.name).name == base.NAME:
            raise Unreadable(f"it has a {base.NAME} of its own")
        path = _include(folder, header.folder) / header.name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, header.text)
    # What lies there by now is not looked at.
    elsewhere = [(header.path, _bytes(header.text)) for header in headers if header.path]
    arguments = [
        "-x", "cl", f"-cl-std={options.standard}", "-target", f"spir{_bits(address_bits)}",
        # Of the compiler's own macros there are none: what the device has of them it was asked for.
        "-undef", f"-D{LANGUAGE_VERSION}={_number(options.standard)}",
        "-nostdinc", "-isystem", str(known), "-Xclang", "-fdeclare-opencl-builtins",
        "-Xclang", "-finclude-default-header", "-include", str(given),
        f"-fmacro-prefix-map={folder}={_LONG_NAME}",
        # Wherever it stands: a `# 1 "x" 3` makes a header of a system's of what follows.
        "-ferror-limit=1", "-Wno-everything", "-Wsystem-headers", *_TELLS,
        # Pointers and numbers become each other by casts alone; functions say what they take.
        "-Werror=int-conversion", "-Werror=strict-prototypes",
        *options.macros,
        *(f"-I{_include(folder, at)}" for at in sorted({header.folder for header in headers})),
    ]  # fmt: skip
    try:
        unit = cindex.Index.create().parse(str(main), args=arguments, unsaved_files=elsewhere)
    except cindex.TranslationUnitLoadError:
        raise Unreadable("the compiler's front end gave up") from None
    telling: dict[tuple[str, int], str] = {}
    for found in unit.diagnostics:
        if found.option in _TELLS:
            at = found.location
            telling[at.file.name if at.file else "", at.offset] = _TELLS[found.option]
        elif found.severity >= cindex.Diagnostic.Error:
            # Perhaps because of how long it is read.
            if telling:
                raise Unreadable(f"it {min(telling.values())}")
            said = found.spelling.replace(READ_AS, "")
            raise Unreadable(f"the compiler's front end says: {said} (line {found.location.line})")
    paths = {path for path, _ in elsewhere}
    for included in unit.get_includes():
        name = included.include.name
        if name not in paths and folder not in Path(name).resolve().parents:
            raise Unreadable(f"it includes {name}, which may have changed")
    # One program in a process: to tell each cursor of its unit would take as long as all the rest.
    cindex.Cursor._tu = unit
    _canonical.clear()
    return Unit(unit.cursor, telling)


def _number(standard: str) -> str:
    """What a device says of a language such as CL1.2: 120."""
    return standard.removeprefix("CL").replace(".", "") + "0"


def _include(folder: Path, at: int) -> Path:
    return folder / f"gpusplit_include{at}"


def _write(path: Path, text: str) -> None:
    path.write_bytes(_bytes(text))


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Unreadable("it has characters that are no text") from None


def _bits(address_bits: int) -> str:
    return "64" if address_bits == 64 else ""


def visit(cursor: Cursor, visitor: Callable[[Cursor, Cursor], int]) -> None:
    """Call visitor(child, its parent) for the descendants of *cursor* that it asks for.

    The binding's own get_children makes a list at every level, which takes ten times as long.
    """
    _visits.append(visitor)
    try:
        cindex.conf.lib.clang_visitChildren(cursor, _VISIT, None)
    finally:
        _visits.pop()
    if _failures:
        raise _failures.pop()


#: The visitors at work, the innermost one last; C has one function for all of them, since to make
#: one takes longer than most visits.
_visits: list[Callable[[Cursor, Cursor], int]] = []
_failures: list[BaseException] = []


def _visit(child: Cursor, parent: Cursor, _: object) -> int:
    try:
        return _visits[-1](child, parent)
    except BaseException as error:
        _failures.append(error)
        return STOP


_VISITOR = cindex.callbacks["cursor_visit"] if hasattr(cindex, "callbacks") else ctypes.CFUNCTYPE(
    ctypes.c_int, cindex.Cursor, cindex.Cursor, ctypes.py_object
)  # fmt: skip
_VISIT = _VISITOR(_visit)


def children(cursor: Cursor) -> list[Cursor]:
    """The children of *cursor*."""
    found: list[Cursor] = []

    def collect(child: Cursor, _: Cursor) -> int:
        found.append(child)
        return CONTINUE

    visit(cursor, collect)
    return found


def referenced(cursor: Cursor) -> Cursor:
    """What *cursor* names; its _kind_id is that of no declaration if it names nothing.

    The binding's own makes three more calls each time.
    """
    return _raw("clang_getCursorReferenced", cindex.Cursor)(cursor)


def type_of(cursor: Cursor) -> int:
    """What tells the type of *cursor* from others."""
    return int(_raw("clang_getCursorType", cindex.Type)(cursor).data[0] or 0)


def canonical(cursor: Cursor) -> str:
    """The type of *cursor* as it is spelled without the program's own names for it."""
    place = type_of(cursor)
    shown = _canonical.get(place)
    if shown is None:
        shown = _canonical[place] = str(cursor.type.get_canonical().spelling)
    return shown


#: By type_of: types are few, and cursors many.
_canonical: dict[int, str] = {}


def storage(cursor: Cursor) -> int:
    """The storage class of a declaration (CX_StorageClass): see referenced."""
    return int(_raw("clang_Cursor_getStorageClass", ctypes.c_int)(cursor))


@cache
def _raw(name: str, result: Any) -> Any:
    """libclang's function *name*, of a cursor, without what the binding does to its results."""
    function = cindex.conf.lib[name]
    function.argtypes, function.restype = [cindex.Cursor], result
    return function


def identity(cursor: Cursor) -> int:
    """What tells one declaration from another, whatever their names."""
    return int(cursor.data[0] or 0)


def operator(cursor: Cursor) -> int | None:
    """Which unary or binary operator it is (CXUnaryOperatorKind, CXBinaryOperatorKind).

    None if libclang is too old (before 17) to tell.
    """
    ask = _operator("Unary" if cursor._kind_id == _UNARY else "Binary")
    return None if ask is None else int(ask(cursor))


@cache
def _operator(name: str) -> Any:
    try:
        ask = getattr(cindex.conf.lib, f"clang_getCursor{name}OperatorKind")
    except AttributeError:
        return None
    ask.argtypes, ask.restype = [cindex.Cursor], ctypes.c_int
    return ask


def printed(cursor: Cursor) -> str | None:
    """The text of a declaration; None if libclang is too old (before 7) to tell."""
    try:
        ask = cindex.conf.lib.clang_getCursorPrettyPrinted
    except AttributeError:
        return None
    ask.argtypes, ask.restype = [cindex.Cursor, ctypes.c_void_p], cindex._CXString
    text = ask(cursor, None)
    return str(cindex.conf.lib.clang_getCString(text))


def constant(cursor: Cursor) -> int | None:
    """The value of an integer constant expression; None if it is none."""
    lib = cindex.conf.lib
    for name, result, arguments in (
        ("clang_Cursor_Evaluate", ctypes.c_void_p, [cindex.Cursor]),
        ("clang_EvalResult_getKind", ctypes.c_int, [ctypes.c_void_p]),
        ("clang_EvalResult_getAsLongLong", ctypes.c_longlong, [ctypes.c_void_p]),
        ("clang_EvalResult_dispose", None, [ctypes.c_void_p]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    found = lib.clang_Cursor_Evaluate(cursor)
    if not found:
        return None
    try:
        is_integer = lib.clang_EvalResult_getKind(found) == 1  # CXEval_Int
        return int(lib.clang_EvalResult_getAsLongLong(found)) if is_integer else None
    finally:
        lib.clang_EvalResult_dispose(found)
