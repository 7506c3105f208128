"""What a SPIR-V module says about splitting its kernels.

There is no source to make a variant from, so a module is split as it is or not at all.  Numbers:
"SPIR-V Specification" 1.6, sections 2.3 (layout), 3.20 (decorations), 3.21 (built-ins), 3.32
(instructions); OpenCL.std's printf: "OpenCL Extended Instruction Set Specification", section 2.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gpusplit.judge.verdict import Unreadable, Verdict, whole

MAGIC = 0x07230203

_OP_EXT_INST_IMPORT = 11
_OP_EXT_INST = 12
_OP_ENTRY_POINT = 15
_OP_TYPE_IMAGE = 25
_OP_TYPE_PIPE = 38
_OP_CONSTANT = 43
_OP_FUNCTION = 54
_OP_FUNCTION_END = 56
#: OpLoad, OpStore, OpCopyMemory and OpCopyMemorySized, and where they say how they access it.
_ACCESS = {61: 3, 62: 2, 63: 2, 64: 3}
_OP_DECORATE = 71
_OP_MEMBER_DECORATE = 72
_OP_CONTROL_BARRIER = 224
_OP_MEMORY_BARRIER = 225
_OP_LABEL = 248
_OP_BRANCHES = (249, 250, 251)
_OP_ATOMICS = {*range(227, 243), 318, 319, 5614, 5615, 6035}
_OP_DEVICE_ENQUEUE = {*range(291, 304)}
_OP_ASM = (5609, 5610)
#: OpGroupAsyncCopy and OpGroupWaitEvents: what they read of global memory they read anew each time.
_OP_COPIES = (259, 260)
_EXECUTION_MODEL_KERNEL = 6
_READ_WRITE = 2
#: Of a barrier's memory semantics: it orders memory that other work-groups see.
_CROSS_WORKGROUP = 0x200

_DECORATION_BUILTIN = 11
_DECORATION_VOLATILE = 21
_DECORATION_LINKAGE = 41
_LINKAGE_IMPORT = 1

#: Built-ins that show a slice something else than the whole launch.
_RANGE_BUILTINS = {24: "NumWorkgroups", 26: "WorkgroupId", 31: "GlobalSize", 33: "GlobalOffset",
                   34: "GlobalLinearId"}  # fmt: skip
#: Built-ins that are right in every slice: GlobalInvocationId, WorkDim.
_ID_BUILTINS = (28, 30)
#: Those right in every slice of the same local size: WorkgroupSize, LocalInvocationId,
#: LocalInvocationIndex, EnqueuedWorkgroupSize, and those of sub-groups.
_LOCAL_BUILTINS = {25, 27, 29, 32, *range(36, 42), *range(4416, 4421)}

_PRINTF = 184


class Malformed(ValueError):
    """Not a SPIR-V module."""


def is_spirv(image: bytes) -> bool:
    """Whether what a program was made from is a SPIR-V module."""
    return image[:4] in (struct.pack("<I", MAGIC), struct.pack(">I", MAGIC))


def words(module: bytes) -> tuple[int, ...]:
    """The module's 32-bit words in the order of this machine; Malformed if it is none."""
    if len(module) < 20 or len(module) % 4:
        raise Malformed("too short, or no whole words")
    for order in "<>":
        found = struct.unpack(f"{order}{len(module) // 4}I", module)
        if found[0] == MAGIC:
            return found
    raise Malformed("no SPIR-V magic number")


def instructions(module: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(opcode, operands) of each instruction; Malformed where one runs past the end."""
    at = 5
    while at < len(module):
        count, opcode = module[at] >> 16, module[at] & 0xFFFF
        if count == 0 or at + count > len(module):
            raise Malformed("an instruction runs past the end")
        yield opcode, module[at + 1 : at + count]
        at += count


def examine_all(module: bytes) -> dict[str, Verdict]:
    """The verdicts on a module's kernels; the whole module counts, not only what each reaches."""
    try:
        found = words(module)
        names = [
            text(operands[2:])
            for opcode, operands in instructions(found)
            if opcode == _OP_ENTRY_POINT and operands[0] == _EXECUTION_MODEL_KERNEL
        ]
        return dict.fromkeys(names, _examine(found))
    except (Malformed, IndexError) as error:
        raise Unreadable(f"its SPIR-V is not understood: {error}") from None


def _examine(module: tuple[int, ...]) -> Verdict:
    labels: set[int] = set()
    constants: dict[int, int] = {}
    loops = atomics = communicates = False
    shows_work_group = False
    opencl_std: set[int] = set()
    for opcode, operands in instructions(module):
        if opcode in (_OP_DECORATE, _OP_MEMBER_DECORATE):
            decoration = operands[1 if opcode == _OP_DECORATE else 2 :]
            if decoration[0] == _DECORATION_BUILTIN:
                if decoration[1] in _RANGE_BUILTINS:
                    return whole(
                        f"its SPIR-V uses {_RANGE_BUILTINS[decoration[1]]}, and it has no source"
                    )
                if decoration[1] in _LOCAL_BUILTINS:
                    shows_work_group = True
                elif decoration[1] not in _ID_BUILTINS:
                    return whole(f"its SPIR-V uses built-in {decoration[1]}, which is unknown here")
            elif decoration[0] == _DECORATION_LINKAGE and decoration[-1] == _LINKAGE_IMPORT:
                return whole(f"its SPIR-V imports {text(decoration[1:-1])}")
            elif decoration[0] == _DECORATION_VOLATILE:
                communicates = True
        elif opcode == _OP_TYPE_IMAGE:
            communicates = communicates or operands[8:] == (_READ_WRITE,)
        elif opcode == _OP_TYPE_PIPE:
            return whole("uses a pipe")
        elif opcode in _OP_DEVICE_ENQUEUE:
            return whole("enqueues kernels itself")
        elif opcode in _OP_ASM:
            return whole("holds assembly")
        elif opcode == _OP_EXT_INST_IMPORT and text(operands[1:]) == "OpenCL.std":
            opencl_std.add(operands[0])
        elif opcode == _OP_EXT_INST and operands[2] in opencl_std and operands[3] == _PRINTF:
            return whole("prints, and the order of lines would change")
        elif opcode in _OP_ATOMICS:
            atomics = communicates = True
        elif opcode == _OP_CONSTANT:
            constants[operands[1]] = operands[2]
        elif opcode == _OP_CONTROL_BARRIER:
            shows_work_group = True
            # In a loop that waits, it has the device read again what other work-groups write.
            orders = constants.get(operands[2], _CROSS_WORKGROUP)
            communicates = communicates or bool(orders & _CROSS_WORKGROUP)
        elif opcode == _OP_MEMORY_BARRIER or opcode in _OP_COPIES:
            communicates = True
        elif opcode == _OP_FUNCTION:
            labels.clear()
        elif opcode == _OP_LABEL:
            labels.add(operands[0])
        elif opcode in _OP_BRANCHES:
            # A branch to a block that came before is a loop.
            loops = loops or bool(labels.intersection(operands))
        elif opcode in _ACCESS:
            access = operands[_ACCESS[opcode] :][:1]
            communicates = communicates or bool(access and access[0] & 1)
    if loops and communicates:
        return whole("has loops and atomics, fences or volatile: it may wait for other work-groups")
    notes = ("the order of atomic operations may differ",) if atomics else ()
    return Verdict(shows_work_group=shows_work_group, notes=notes)


def text(operands: tuple[int, ...]) -> str:
    """The NUL-terminated text that begins *operands*."""
    raw = struct.pack(f"<{len(operands)}I", *operands)
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
