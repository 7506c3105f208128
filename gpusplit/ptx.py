"""What NVIDIA's PTX says about splitting its kernels.

clGetProgramInfo gives PTX as a program's binary on NVIDIA's driver.  OpenCL's values are in
special registers (seen on an H200, driver 580): %envreg0-2 the group offset, %envreg3-5 the global
offset, %envreg6-8 the number of work-groups, %envreg9 the work dimension.  get_global_id reads the
global offset and %ctaid; a kernel that uses %ctaid for anything else sees the slice's work-groups.
"""

from __future__ import annotations

import re

from gpusplit.safety import Verdict, whole

_HEADER = re.compile(r"\.version\s+[0-9]+\.[0-9]+\b")
_FUNCTION = re.compile(
    r"(?P<entry>\.entry|\.func)\s*(?:\((?P<result>[^)]*)\)\s*)?(?P<name>[\w$]+)\s*"
    r"(?:\((?P<parameters>[^)]*)\))?[^{;]*\{",
)
_CALL = re.compile(r"\bcall(?:\.uni)?\s+(?:\([^)]*\)\s*,\s*)?(?P<target>[\w$%]+)")
_REGISTER = re.compile(r"%[A-Za-z_][\w$]*")
_SPECIAL = re.compile(r"%(?:n?ctaid(?:\.[xyz])?|envreg[0-9]+|gridid|smid|warpid|globaltimer\w*)")


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
    """Why the function can tell a slice from the whole launch; None if it cannot.

    Registers are assigned once (PTX from NVIDIA's compiler is in that form; if one is assigned
    twice, the answer is that it can tell).
    """
    statements = [part.split() for part in re.split(r"[;\n]", body) if part.strip()]
    reads: dict[str, str] = {}
    for parts in statements:
        line = " ".join(parts)
        for special in _SPECIAL.findall(line):
            kind = special.split(".")[0]
            if kind in ("%smid", "%warpid", "%gridid") or kind.startswith("%globaltimer"):
                return f"reads {kind}"
            if kind.startswith("%nctaid") or kind in (
                "%envreg0", "%envreg1", "%envreg2", "%envreg6", "%envreg7", "%envreg8"
            ):  # fmt: skip
                return f"reads {kind}"
            if kind == "%envreg9":
                continue
            move = re.fullmatch(rf"mov\.[bu]32 (%[\w$]+), {re.escape(special)}", line)
            if move is None or move[1] in reads:
                return f"reads {kind} in an unknown way"
            reads[move[1]] = special
    return _only_global_ids(statements, reads)


def _only_global_ids(statements: list[list[str]], reads: dict[str, str]) -> str | None:
    """Check that %ctaid and the global offset are only used together, as get_global_id does."""
    for register, special in reads.items():
        uses = [
            " ".join(parts)
            for parts in statements
            if register in _REGISTER.findall(" ".join(parts)[len(parts[0]) :].partition(",")[2])
        ]
        axis = _axis(special)
        if len(uses) != 1:
            return f"uses {special} {len(uses)} times"
        # get_global_id: ctaid * ntid + (tid + offset), or ((ctaid * ntid) + tid) + offset
        if not _is_global_id(statements, reads, uses[0], register, axis):
            return f"uses {special} otherwise than get_global_id does"
    return None


def _axis(special: str) -> int:
    if special.startswith("%ctaid"):
        return "xyz".index(special[-1])
    return int(special.removeprefix("%envreg")) - 3


def _is_global_id(
    statements: list[list[str]], reads: dict[str, str], use: str, register: str, axis: int
) -> bool:
    """Whether *use* is part of ctaid * ntid + tid + offset along *axis*, all of it."""
    producers: dict[str, str] = {}
    for parts in statements:
        line = " ".join(parts)
        target = re.match(r"[\w.]+ (%[\w$]+),", line)
        if target is not None:
            if target[1] in producers:
                return False
            producers[target[1]] = line
    wanted = {f"%ctaid.{'xyz'[axis]}": 1, f"%envreg{3 + axis}": 1}
    # Follow the sum downwards until it holds both, through nothing but mad and add.
    line = use
    for _ in range(4):
        target = re.match(r"(?:mad\.lo|add)\.[su]32 (%[\w$]+),", line)
        if target is None:
            return False
        leaves = _leaves(target[1], producers, reads, 0)
        if leaves is None:
            return False
        if all(leaves.count(name) == count for name, count in wanted.items()):
            return leaves.count(f"%ntid.{'xyz'[axis]}") == 1
        followers = [
            entry
            for entry in producers.values()
            if target[1] in _REGISTER.findall(entry.partition(",")[2])
        ]
        if len(followers) != 1:
            return False
        line = followers[0]
    return False


def _leaves(
    register: str, producers: dict[str, str], reads: dict[str, str], depth: int
) -> list[str] | None:
    """The special registers that a sum of products is made of; None if it is something else."""
    if register in reads:
        return [reads[register]]
    line = producers.get(register)
    if line is None or depth > 4:
        return None
    move = re.fullmatch(r"mov\.[bu]32 %[\w$]+, (%n?tid\.[xyz])", line)
    if move is not None:
        return [move[1]]
    terms = re.fullmatch(
        r"(mad\.lo|add)\.[su]32 %[\w$]+, (%[\w$]+), (%[\w$]+)(?:, (%[\w$]+))?", line
    )
    if terms is None:
        return None
    found: list[str] = []
    for term in terms.groups()[1:]:
        if term is None:
            continue
        part = _leaves(term, producers, reads, depth + 1)
        if part is None:
            return None
        found += part
    return found
