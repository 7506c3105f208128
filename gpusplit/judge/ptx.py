"""What NVIDIA's PTX says about splitting its kernels.

clGetProgramInfo gives PTX as a program's binary on NVIDIA's driver.  OpenCL's values are in
special registers (seen on an H200, driver 580): %envreg0-2 the group offset, %envreg3-5 the global
offset, %envreg6-8 the number of work-groups, %envreg9 the work dimension.  get_global_id is
%ctaid * %ntid + %tid + %envreg3; get_group_id is %envreg0 + %ctaid, and all that a slice changes
reads %envreg0-2 or %envreg6-8.  A kernel that uses %ctaid for anything but get_global_id may come
from another compiler or from assembly, and stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gpusplit.judge.verdict import Verdict, whole

_HEADER = re.compile(r"\.version\s+[0-9]+\.[0-9]+\b")
_FUNCTION = re.compile(
    r"(?P<entry>\.entry|\.func)\s*(?:\((?P<result>[^)]*)\)\s*)?(?P<name>[\w$]+)\s*"
    r"(?:\((?P<parameters>[^)]*)\))?[^{;]*\{",
)
_CALL = re.compile(r"\bcall(?:\.uni)?\s+(?:\([^)]*\)\s*,\s*)?(?P<target>[\w$%]+)")
_REGISTER = re.compile(r"%?[A-Za-z_$][\w$]*")
_SPECIAL = re.compile(r"%[A-Za-z_]\w*(?:\.[a-z]\b)?")
_DECLARED = re.compile(r"\.reg\s+(?:\.\w+\s+)+([^;]*);")
_SPECIAL_NAME = re.compile(r"%(?:n?ctaid\.[xyz]|n?tid\.[xyz]|envreg[0-9]+)")
#: Those on memory that other work-groups see; a name without a state space may mean any.
_ATOMICS = re.compile(r"\b(atom|red)\.(?![\w.]*\bshared\b)")
_SHARES = re.compile(
    r"\b(membar|fence)\.(?!cta\b)|\b(ld|st)\.volatile\.(?!shared|local|param)"
    r"|\b(ld|st|atom|red|fence)\.(acquire|release|relaxed|acq_rel|sc)\.(?!cta)"
)
#: %envreg3-5 and 9 are the same in every slice that has the launch's offset and dimensions.
_HARMLESS = re.compile(r"%(ctaid\.[xyz]|n?tid(\.[xyz])?|envreg[3459]|laneid|lanemask_\w+)")


def is_ptx(image: bytes) -> bool:
    """Whether a program's binary is PTX text."""
    return _HEADER.search(image[:4096].decode("ascii", "replace")) is not None


class _Entry(NamedTuple):
    """What an entry of a module can do, by all that it calls."""

    problem: str
    reads: tuple[str, ...]
    loops: bool
    atomics: bool
    communicates: bool
    reads_surfaces: bool


def examine_all(module: str) -> dict[str, Verdict]:
    """The verdicts on the entries of a *module* that has no source: split as they are, or whole."""
    functions = _functions(module)
    return {name: _verdict(functions, name) for name, (kind, _) in functions.items() if kind}


def doubt(module: str, kernel: str, needs_variant: bool, communicates: bool) -> str:
    """What the driver's PTX shows of *kernel* and its source does not; empty if nothing.

    needs_variant, communicates: what its source says.
    """
    functions = _functions(module)
    if kernel not in functions:
        return "the driver's PTX has no such entry"
    entry = _entry(functions, kernel)
    if entry.problem:
        return entry.problem
    asks = [name for name in entry.reads if re.fullmatch(r"%envreg[012678]", name)]
    if asks and not needs_variant:
        return f"the driver's PTX reads {asks[0]}, and the source does not show why"
    strange = [name for name in entry.reads if name not in asks]
    if strange:
        return f"the driver's PTX reads {strange[0]}"
    if entry.communicates and not communicates:
        return "the driver's PTX shares memory between work-groups, and the source does not"
    return ""


def _functions(module: str) -> dict[str, tuple[bool, str]]:
    """Whether it is an entry, and the body, of each function by name."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", " ", module, flags=re.DOTALL)
    return {
        match["name"]: (match["entry"] == ".entry", _body(code, match.end()))
        for match in _FUNCTION.finditer(code)
    }


def _entry(functions: dict[str, tuple[bool, str]], kernel: str) -> _Entry:
    todo, seen = [kernel], set[str]()
    communicates = loops = atomics = surfaces = False
    reads: list[str] = []
    problem = ""
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in functions:
            problem = problem or f"its PTX calls {name}, which the module does not define"
            continue
        body = functions[name][1]
        for match in _CALL.finditer(body):
            if match["target"].startswith("%"):
                problem = problem or "its PTX calls through a pointer"
            # What is called again may call itself, which is a loop as well.
            loops = loops or match["target"] in seen
            todo.append(match["target"])
        reads += _special_registers(body)
        atomics = atomics or _ATOMICS.search(body) is not None
        communicates = communicates or atomics or _SHARES.search(body) is not None
        surfaces = surfaces or "suld." in body
        loops = loops or _has_loop(body)
    return _Entry(problem, tuple(reads), loops, atomics, communicates, surfaces)


def _verdict(functions: dict[str, tuple[bool, str]], kernel: str) -> Verdict:
    entry = _entry(functions, kernel)
    if entry.problem:
        return whole(entry.problem)
    if entry.reads:
        return whole(f"its PTX reads {entry.reads[0]}, and it has no source")
    why = _misuse_of_ctaid(functions[kernel][1])
    for name, (is_entry, body) in functions.items():
        if not is_entry and name != kernel:
            why = why or _misuse_of_ctaid(body)
    if why is not None:
        return whole(f"its PTX {why}, and it has no source")
    # Which images are read and written at once is not seen here.
    if entry.loops and (entry.communicates or entry.reads_surfaces):
        return whole("has loops and atomics, fences or volatile: it may wait for other work-groups")
    notes = ("the order of atomic operations may differ",) if entry.atomics else ()
    # Every global ID is made from the local one.
    return Verdict(shows_work_group=True, notes=notes)


def _body(code: str, start: int) -> str:
    depth = 1
    for position in range(start, len(code)):
        if code[position] == "{":
            depth += 1
        elif code[position] == "}":
            depth -= 1
            if depth == 0:
                return code[start:position]
    return code[start:]


def _has_loop(body: str) -> bool:
    """A branch to a label that stands before it."""
    labels: dict[str, int] = {
        match[1]: match.start() for match in re.finditer(r"([\w$]+)\s*:(?!:)", body)
    }
    for match in re.finditer(r"\bbra(?:\.uni)?\s+([\w$]+)", body):
        if labels.get(match[1], -1) < match.start():
            return True
    return re.search(r"\bbrx\.", body) is not None


def _special_registers(body: str) -> list[str]:
    """The special registers that *body* reads and that may differ in a slice."""
    # "%r<5>" declares %r0 to %r4.
    declared = {
        name.strip() for names in _DECLARED.findall(body) for name in re.split(r"<\d+>|,", names)
    }
    return [
        special
        for special in _SPECIAL.findall(body)
        if not (_HARMLESS.fullmatch(special) or {special, special.rstrip("0123456789")} & declared)
    ]


def _misuse_of_ctaid(body: str) -> str | None:
    """How *body* can tell a slice by its %ctaid; None if it cannot."""
    statements = list(_statements(body))
    flow = _Flow(statements)
    moves = [
        (statement.target, statement.sources[0][-1])
        for statement in statements
        if statement.operation in ("mov.u32", "mov.b32")
        and re.fullmatch(r"%ctaid\.[xyz]", ",".join(statement.sources))
    ]
    if len(moves) != body.count("%ctaid"):
        return "uses %ctaid in an unknown way"
    for target, axis in moves:
        for use in flow.uses(target):
            if not flow.begins_global_id(use, target, axis):
                return "uses %ctaid otherwise than get_global_id does"
    return None


#: Instructions whose first operand is no target though it may be a register.
_NO_TARGET = ("st.", "br", "call", "ret", "red.", "bar")


class _Statement(NamedTuple):
    operation: str
    target: str
    sources: tuple[str, ...]


def _statements(body: str) -> Iterator[_Statement]:
    for text in body.split(";"):
        match = re.fullmatch(
            r"[\s{}]*(?:[\w$]+:[\s{}]*)*(?:@!?[%\w$]+\s+)?([\w.:]+)\s*(.*)", text, re.DOTALL
        )
        if match is None:
            # Whatever it is, it may use every register that it names.
            yield _Statement("", "", (text,))
        elif not match[1].startswith("."):
            operands = [part.strip() for part in match[2].split(",")]
            # What has no target, or not just one, uses all that it names.
            plain = _REGISTER.fullmatch(operands[0]) and not match[1].startswith(_NO_TARGET)
            sources = tuple(operands[1:] if plain else operands)
            yield _Statement(match[1], operands[0] if plain else "", sources)


_COPY = re.compile(r"mov\.[bsu](32|64)|cvt\.[su]64\.[su]32")
_PRODUCT, _UNKNOWN = "product", "unknown"


class _Flow:
    """Which statement makes a register, and which use it."""

    def __init__(self, statements: list[_Statement]) -> None:
        self._made: dict[str, list[_Statement]] = {}
        self._uses: dict[str, list[_Statement]] = {}
        for statement in statements:
            self._made.setdefault(statement.target, []).append(statement)
            for source in statement.sources:
                for register in _REGISTER.findall(source):
                    self._uses.setdefault(register, []).append(statement)

    def uses(self, register: str) -> list[_Statement]:
        return self._uses.get(register, [])

    def begins_global_id(self, use: _Statement, ctaid: str, axis: str) -> bool:
        """Whether *use* is ctaid x ntid of one axis, and all that becomes of it has the offset.

        get_global_id is ctaid * ntid + tid + offset, the sum in any order; a product to which the
        offset is never added would be something that restarts in every slice.
        """
        if not re.fullmatch(r"(mul|mad)\.(lo|wide)\.[su](32|64)", use.operation):
            return False
        factors = set(use.sources[:2]) - {ctaid}
        if len(factors) != 1 or self._special(factors.pop()) != f"%ntid.{axis}":
            return False
        return self._offset_is_added(use.target, f"%envreg{3 + 'xyz'.index(axis)}", 0)

    def _offset_is_added(self, register: str, offset: str, depth: int) -> bool:
        if len(self._made.get(register, ())) != 1 or depth > 4:
            return False
        summands = self._summands(register, 0)
        if offset in summands:
            # As often as the product, which would otherwise grow faster than the offset.
            return summands.count(offset) == summands.count(_PRODUCT) and _UNKNOWN not in summands
        uses = self.uses(register)
        return bool(uses) and all(
            re.fullmatch(r"add\.[su](32|64)", use.operation)
            and self._offset_is_added(use.target, offset, depth + 1)
            for use in uses
        )

    def _summands(self, register: str, depth: int) -> list[str]:
        """The special registers and products of %ctaid that *register* is a sum of."""
        special = self._special(register)
        if special is not None:
            return [special]
        made = self._made.get(register, ())
        if depth > 6:
            return [_UNKNOWN]
        if len(made) != 1:
            return []
        (statement,) = made
        found: list[str] = []
        parts: tuple[str, ...] = ()
        if re.fullmatch(r"add\.[su](32|64)", statement.operation):
            parts = statement.sources
        elif statement.operation.startswith(("mad.", "mul.")):
            factors = [self._special(source) or "" for source in statement.sources[:2]]
            found = [_PRODUCT for factor in factors if factor.startswith("%ctaid")]
            parts = statement.sources[2:]
        return found + [name for part in parts for name in self._summands(part, depth + 1)]

    def _special(self, register: str) -> str | None:
        """The special register that *register* is a copy of, perhaps widened."""
        for _ in range(3):
            made = self._made.get(register, ())
            if len(made) != 1 or not _COPY.fullmatch(made[0].operation):
                return None
            register = made[0].sources[0]
            if _SPECIAL_NAME.fullmatch(register):
                return register
        return None
