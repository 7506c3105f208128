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

from gpusplit.safety import Verdict, whole

_HEADER = re.compile(r"\.version\s+[0-9]+\.[0-9]+\b")
_FUNCTION = re.compile(
    r"(?P<entry>\.entry|\.func)\s*(?:\((?P<result>[^)]*)\)\s*)?(?P<name>[\w$]+)\s*"
    r"(?:\((?P<parameters>[^)]*)\))?[^{;]*\{",
)
_CALL = re.compile(r"\bcall(?:\.uni)?\s+(?:\([^)]*\)\s*,\s*)?(?P<target>[\w$%]+)")
_REGISTER = re.compile(r"%[A-Za-z_][\w$]*")
_SPECIAL = re.compile(
    r"%(?:n?ctaid(?:\.[xyz])?|envreg[0-9]+|gridid|n?smid|n?warpid|laneid|clock\w*|globaltimer\w*)\b"
)
_SPECIAL_NAME = re.compile(r"%(?:n?ctaid\.[xyz]|n?tid\.[xyz]|envreg[0-9]+)")
#: %envreg3-5 and 9 are the same in every slice that has the launch's offset and dimensions.
_HARMLESS = ("%ctaid", "%envreg3", "%envreg4", "%envreg5", "%envreg9", "%laneid")


def is_ptx(image: bytes) -> bool:
    """Whether a program's binary is PTX text."""
    return _HEADER.search(image[:4096].decode("ascii", "replace")) is not None


def examine(module: str, kernel: str) -> Verdict:
    """The verdict on entry *kernel* of *module*: split as it is, or whole."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", " ", module, flags=re.DOTALL)
    functions = {match["name"]: _body(code, match.end()) for match in _FUNCTION.finditer(code)}
    if kernel not in functions:
        return whole("its PTX has no such entry")
    todo, seen = [kernel], set[str]()
    communicates = loops = barrier = atomics = False
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        body = functions.get(name)
        if body is None:
            return whole(f"its PTX calls {name}, which the module does not define")
        for match in _CALL.finditer(body):
            if match["target"].startswith("%"):
                return whole("its PTX calls through a pointer")
            todo.append(match["target"])
        why = _slice_visible(body)
        if why is not None:
            return whole(f"its PTX {why}, and it has no source")
        found = re.search(r"\b(atom|red)\.", body) is not None
        atomics = atomics or found
        communicates = (
            communicates
            or found
            or re.search(
                r"\b(membar|fence)\.|\b(ld|st)\.volatile|\.(acquire|release|relaxed)", body
            )
            is not None
        )
        barrier = barrier or re.search(r"\b(bar|barrier)\.|%tid|%ntid|\.shared", body) is not None
        loops = loops or _has_loop(body)
    if loops and communicates:
        return whole("has loops and atomics, fences or volatile: it may wait for other work-groups")
    notes = ("the order of atomic operations may differ",) if atomics else ()
    return Verdict(shows_work_group=barrier, notes=notes)


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


def _slice_visible(body: str) -> str | None:
    """Why the function can tell a slice from the whole launch; None if it cannot."""
    statements = list(_statements(body))
    for special in _SPECIAL.findall(body):
        kind = special.split(".")[0]
        if kind not in _HARMLESS:
            return f"reads {kind}"
    flow = _Flow(statements)
    for statement in statements:
        if any(source.startswith("%ctaid") for source in statement.sources):
            axis = statement.sources[0][-1]
            if statement.operation not in ("mov.u32", "mov.b32"):
                return "uses %ctaid in an unknown way"
            for use in flow.uses(statement.target):
                if not flow.begins_global_id(use, statement.target, axis):
                    return "uses %ctaid otherwise than get_global_id does"
    return None


class _Statement(NamedTuple):
    operation: str
    target: str
    sources: tuple[str, ...]


def _statements(body: str) -> Iterator[_Statement]:
    for text in re.split(r"[;{}]", body):
        match = re.match(r"\s*(?:[\w$]+:\s*)*(?:@!?%\w+\s+)?([\w.]+)\s+(.*)", text, re.DOTALL)
        if match is None or match[1].startswith("."):
            continue
        operands = [part.strip() for part in match[2].split(",")]
        # Stores and branches have no target; reading their first operand as one does no harm
        # but to uses(), so they are given none.
        stores = match[1].startswith(("st.", "bra", "call", "ret", "red.", "bar"))
        sources = tuple(operands if stores else operands[1:])
        yield _Statement(match[1], "" if stores else operands[0], sources)


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
        if offset in self._summands(register, 0):
            return True
        uses = self.uses(register)
        return bool(uses) and all(
            re.fullmatch(r"add\.[su](32|64)", use.operation)
            and self._offset_is_added(use.target, offset, depth + 1)
            for use in uses
        )

    def _summands(self, register: str, depth: int) -> set[str]:
        """The special registers that *register* is a sum of (and what else it may be)."""
        special = self._special(register)
        if special is not None:
            return {special}
        made = self._made.get(register, ())
        if len(made) != 1 or depth > 4:
            return set()
        (statement,) = made
        if re.fullmatch(r"add\.[su](32|64)", statement.operation):
            parts = statement.sources
        elif statement.operation.startswith("mad."):
            parts = statement.sources[2:]
        else:
            return set()
        return {name for part in parts for name in self._summands(part, depth + 1)}

    def _special(self, register: str) -> str | None:
        """The special register that *register* is a copy of, perhaps widened."""
        for _ in range(3):
            made = self._made.get(register, ())
            if len(made) != 1 or not made[0].operation.startswith(("mov.", "cvt.")):
                return None
            register = made[0].sources[0]
            if _SPECIAL_NAME.fullmatch(register):
                return register
        return None
