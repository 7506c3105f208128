"""What PTX and SPIR-V tell about splitting; there is no source to make a variant from."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gpusplit.judge import ptx, spirv
from gpusplit.judge.verdict import Unreadable, Verdict, whole


def examine_ptx(module: str, kernel: str) -> Verdict:
    return ptx.examine_all(module).get(kernel) or whole("no such entry")


def examine_spirv(module: bytes, kernel: str) -> Verdict:
    try:
        return spirv.examine_all(module).get(kernel) or whole("no such entry")
    except Unreadable as error:
        return whole(str(error))


#: What clGetProgramInfo gave on an NVIDIA H200, driver 580.159, for the kernels named below.
SAMPLE = (Path(__file__).parents[1] / "data" / "gpusplit_h200.ptx").read_text()


@pytest.mark.parametrize("kernel", ["ids", "ids2", "loop", "busy"])
def test_ptx_of_kernels_with_global_ids_alone_is_split(kernel: str) -> None:
    assert ptx.is_ptx(SAMPLE.encode())
    assert examine_ptx(SAMPLE, kernel).refusal is None


def test_ptx_with_atomics_and_no_loop_is_split_with_a_note() -> None:
    assert examine_ptx(SAMPLE, "atm").notes


@pytest.mark.parametrize(
    ("kernel", "why"),
    [("grp", "%envreg"), ("both", "%envreg"), ("off", "%envreg"), ("absent", "no such entry")],
)
def test_ptx_that_reads_what_a_slice_changes_is_whole(kernel: str, why: str) -> None:
    refusal = examine_ptx(SAMPLE, kernel).refusal
    assert refusal is not None
    assert why in refusal


GLOBAL_ID = """
    mov.b32 %r1, %envreg3;
    cvt.s64.s32 %rd2, %r1;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %ctaid.x;
    mul.wide.s32 %rd3, %r2, %r3;
    mov.u32 %r4, %tid.x;
    cvt.s64.s32 %rd4, %r4;
    add.s64 %rd5, %rd4, %rd2;
    add.s64 %rd6, %rd5, %rd3;
"""


def entry(body: str, functions: str = "") -> str:
    registers = ".reg .pred %p<9>;\n.reg .b32 %r<10>;\n.reg .b64 %rd<10>;"
    entry = f".entry k(\n.param .u64 p\n)\n{{\n{registers}\n{body}\nret;\n}}\n"
    return f".version 9.0\n{functions}\n{entry}"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (GLOBAL_ID + "st.global.u32 [%rd9], %r3;", "%ctaid"),  # the group's ID itself
        (GLOBAL_ID + "add.s32 %r9, %r3, 1;", "%ctaid"),
        (GLOBAL_ID.replace("%rd5, %rd4, %rd2", "%rd5, %rd4, %rd4"), "%ctaid"),  # no offset
        (GLOBAL_ID.replace("%ntid.x", "%ntid.y"), "%ctaid"),
        (GLOBAL_ID + "mov.u32 %r9, %nctaid.x;", "%nctaid"),
        (GLOBAL_ID + "mov.u32 %r9, %smid;", "%smid"),
        (GLOBAL_ID + "mov.u64 %rd9, %globaltimer;", "%globaltimer"),
        (GLOBAL_ID + "mov.u32 %r9, %clusterid.x;", "%clusterid"),
        (GLOBAL_ID + "mov.v4.u32 {%r5, %r6, %r7, %r8}, %ctaid;", "%ctaid"),
        # Registers may have any name, statements a guard, operations a cache's.
        (".reg .u32 g, n;" + GLOBAL_ID + "mov.u32 g, %ctaid.x;\nst.u32 [%rd9], g;", "%ctaid"),
        (".reg .u32 g, n;" + GLOBAL_ID + "mov.u32 g, %ctaid.x;\nst.v2.u32 [n], {g, n};", "%ctaid"),
        (GLOBAL_ID + "@p st.global.u32 [%rd9], %r3;", "%ctaid"),
        (GLOBAL_ID + "st.global.L1::no_allocate.u32 [%rd9], %r3;", "%ctaid"),
        (GLOBAL_ID + "brx.idx %r3, targets;", "%ctaid"),
        (GLOBAL_ID + "cp.async.ca.shared.global [%r3], [%rd9], 4;", "%ctaid"),
        # Twice the product and once the offset.
        (
            GLOBAL_ID.replace("%rd3, %r2, %r3;", "%rd8, %r2, %r3;\nadd.s64 %rd3, %rd8, %rd8;"),
            "%ctaid",
        ),
        (
            GLOBAL_ID.replace("mov.u32 %r2, %ntid.x", "mov.u32 %r8, %ntid.x;\ncvt.u8.u32 %r2, %r8"),
            "%ctaid",
        ),
        (GLOBAL_ID + "call.uni (r), vprintf, (a, b);", "vprintf"),
        (GLOBAL_ID + "call (r), %rd9, (a), proto;", "pointer"),
        ("L: atom.global.cas.b32 %r1, [%rd1], 0, 1;\n@%p1 bra L;", "may wait"),
        ("L: ld.volatile.global.u32 %r1, [%rd1];\n@%p1 bra L;", "may wait"),
        ("L: suld.b.2d.b32.trap {%r1}, [%rd1, {%r2, %r3}];\n@%p1 bra L;", "may wait"),
        ("L: membar.gl;\nld.global.u32 %r1, [%rd1];\n@%p1 bra L;", "may wait"),
    ],
)
def test_ptx_that_is_not_understood_is_whole(body: str, why: str) -> None:
    refusal = examine_ptx(entry(body), "k").refusal
    assert refusal is not None
    assert why in refusal


def test_ptx_functions_that_are_called_count() -> None:
    assert examine_ptx(entry(GLOBAL_ID), "k").refusal is None
    helper = ".func (.reg .b32 r) helper(.reg .b32 a)\n{\nmov.u32 %r1, %nctaid.x;\nret;\n}"
    assert examine_ptx(entry("call.uni (r), helper, (a);", helper), "k").refusal is not None


def test_a_ptx_function_that_calls_itself_is_a_loop() -> None:
    again = ".func again()\n{\natom.global.inc.u32 %r1, [p], 9;\ncall again, ();\nret;\n}"
    again = again.replace("{", "{\n.reg .b32 %r<2>;")
    assert "may wait" in (examine_ptx(entry("call again, ();", again), "k").refusal or "")


# SPIR-V, assembled by hand.


def op(opcode: int, *operands: int) -> list[int]:
    return [(len(operands) + 1) << 16 | opcode, *operands]


def string(text: str) -> list[int]:
    raw = text.encode() + b"\0"
    raw += b"\0" * (-len(raw) % 4)
    return list(struct.unpack(f"<{len(raw) // 4}I", raw))


def module(*instructions: list[int], order: str = "<", name: str = "k") -> bytes:
    words = [spirv.MAGIC, 0x00010000, 0, 100, 0]
    words += op(15, 6, 1, *string(name))
    for instruction in instructions:
        words += instruction
    return struct.pack(f"{order}{len(words)}I", *words)


LOOP = [op(54, 1, 2, 0, 3), op(248, 10), op(249, 11), op(248, 11), op(249, 11), op(56)]
ATOMIC = op(234, 1, 2, 3, 4, 5, 6)


def constant(result: int, value: int) -> list[int]:
    return op(43, 1, result, value)


def decorate(builtin: int) -> list[int]:
    return op(71, 7, 11, builtin)


@pytest.mark.parametrize("order", ["<", ">"])
def test_spirv_with_global_ids_alone_is_split_in_either_byte_order(order: str) -> None:
    verdict = examine_spirv(module(decorate(28), *LOOP, order=order), "k")
    assert verdict.refusal is None
    assert not verdict.shows_work_group


@pytest.mark.parametrize("builtin", [24, 26, 31, 33, 34])
def test_spirv_that_shows_what_a_slice_changes_is_whole(builtin: int) -> None:
    assert "no source" in (examine_spirv(module(decorate(builtin)), "k").refusal or "")


@pytest.mark.parametrize(
    ("instructions", "why"),
    [
        ([*LOOP, ATOMIC], "may wait"),
        ([*LOOP, op(225, 1, 2)], "may wait"),
        ([constant(4, 0x210), *LOOP, op(224, 1, 2, 4)], "may wait"),  # a barrier of global memory
        ([*LOOP, op(224, 1, 2, 4)], "may wait"),  # what it orders is said when the program is built
        ([*LOOP, op(260, 1, 2, 3)], "may wait"),  # a copy of global memory is waited for
        ([*LOOP, op(25, 1, 2, 1, 0, 0, 0, 0, 0, 2)], "may wait"),  # an image, read and written
        ([*LOOP, op(61, 1, 2, 3, 1)], "may wait"),
        ([*LOOP, op(63, 1, 2, 1)], "may wait"),  # OpCopyMemory of what is volatile
        ([decorate(5374)], "unknown"),
        ([op(38, 1, 2)], "pipe"),
        ([op(292, 1, 2)], "enqueues"),
        ([op(11, 9, *string("OpenCL.std")), op(12, 1, 2, 9, 184)], "prints"),
        ([op(71, 3, 41, *string("elsewhere"), 1)], "imports elsewhere"),
    ],
)
def test_spirv_that_may_not_be_split_is_whole(instructions: list[list[int]], why: str) -> None:
    assert why in (examine_spirv(module(*instructions), "k").refusal or "")


def test_spirv_with_barriers_of_local_memory_in_a_loop_is_split() -> None:
    verdict = examine_spirv(module(constant(4, 0x110), *LOOP, op(224, 1, 2, 4)), "k")
    assert verdict.refusal is None
    assert verdict.shows_work_group


def test_spirv_with_atomics_and_no_loop_is_split_with_a_note() -> None:
    assert examine_spirv(module(ATOMIC), "k").notes


@pytest.mark.parametrize(
    "image", [b"", b"abc", b"\0" * 40, module()[:-2], module() + b"\xff\xff\xff\xff"]
)
def test_what_is_no_spirv_is_whole(image: bytes) -> None:
    assert examine_spirv(image, "k").refusal is not None


def test_another_kernels_name_is_not_this_ones() -> None:
    assert examine_spirv(module(name="other"), "k").refusal is not None
