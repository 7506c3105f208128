"""What a device reads, the judge reads as well, however it is hidden from who reads text."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from test_judge import NEW, OLD, body, examine, judge

from gpusplit.judge import options
from gpusplit.judge.examine import answer
from gpusplit.judge.verdict import Header, Request

#: It waits for another work-group, or does no harm, by how the program is read.
WAITS, HARMLESS = "while (atomic_or(a, 0) == 0);", "a[0] = 1;"
CHOSEN = f"#define BODY {WAITS}\n#else\n#define BODY {HARMLESS}\n#endif"
DEVICE = {**OLD, "THERE": 1, "__VERSION_OF_IT__": 15}


@pytest.mark.parametrize(
    "directive",
    [
        "#\\\f\nifdef THERE",  # any space may stand between a backslash and the end of its line
        "#i\\\nfdef THERE",
        "\\\\\\\n\n#ifdef THERE",  # the second backslash joins nothing: lines are joined once
        "\u00a0#ifdef THERE",  # what does not show may be space
        "\0#ifdef THERE",
        "#\u2003ifdef THERE",
        "\ufeff#ifdef THERE",
    ],
)
def test_the_device_is_asked_what_a_directive_tests_however_it_is_written(directive: str) -> None:
    source = f"{directive}\n{CHOSEN.replace('#endif', '#endi' + chr(92) + chr(10) + 'f')}\n"
    with tempfile.TemporaryDirectory() as folder:
        assert "THERE" in answer(Request(source), Path(folder).resolve()).ask


@pytest.mark.parametrize(
    "line", ["#warning see /*", "#error see /*", "#/**/warning /* x */ /*", "#pragma mark /*"]
)
def test_a_comment_that_begins_where_some_compilers_see_none_hides_nothing(line: str) -> None:
    """They take the line as it is, and what follows as well."""
    text = f"#if 1\n{line}\n#ifdef THERE\n{CHOSEN}\n#endif /**/"
    assert "where it may be none" in (body("BODY", text, macros=DEVICE).refusal or "")
    closed = line.replace("#error", "#warning").removesuffix("/*") + "/* comment */"
    assert body(HARMLESS, closed).refusal is None


def test_what_a_compiler_defines_itself_is_what_the_device_says_outside_directives_too() -> None:
    """A macro need not be tested to choose what is read."""
    pastes = "#define PASTE(x, y) x##y\n#define CALL(x, y) PASTE(x, y)\n"
    pastes += f"#define BODY_15 {WAITS}\n#define BODY_16 {HARMLESS}\n"
    for version, harmless in ((15, False), (16, True)):
        device = {**OLD, "__VERSION_OF_IT__": version, "__clang_major__": version}
        for name in ("__VERSION_OF_IT__", "__clang_major__"):
            found = body(f"CALL(BODY_, {name})", pastes, macros=device)
            assert (found.refusal is None) == harmless, (version, name)
    # An extension's name, too; and made of parts none of them is a macro to the judge.
    named = pastes + f"#define BODY_1 {WAITS}\n#define BODY_cl_khr_fp64 {HARMLESS}\n"
    assert body("CALL(BODY_, cl_khr_fp64)", named, macros={**OLD, "cl_khr_fp64": 1}).refusal
    assert body("CALL(BODY_, cl_khr_fp64)", named, macros=OLD).refusal is None
    made = pastes + "".join(f"#define BODY_{at} {HARMLESS}\n" for at in range(100))
    assert body("CALL(BODY_, PASTE(__clang_, major__))", made).refusal
    text = f"#define __clang_major__18 {HARMLESS}\n"
    assert body("CALL(BODY_, __clang_major__)", pastes + text).refusal is not None
    # What is no number may be anything; what a place tells is no question to a device.
    assert body("a[0] = __clang_major__;", macros={**OLD, "__clang_major__": ""}).refusal
    for text in ("a[0] = __LINE__ + __COUNTER__;", "a[0] = __INCLUDE_LEVEL__;"):
        assert body(text).refusal is None


def test_a_header_is_the_programs_own_whatever_its_name() -> None:
    """The judge's own files have names that no program can say."""
    for name in ("device.h", "program.cl", "include0/one.h", "base/one.h"):
        header = Header(0, name, f"#define BODY {WAITS}\n")
        source = f'#include "{name}"\n#ifndef BODY\n#define BODY {HARMLESS}\n#endif\n'
        source += "kernel void k(global int *a) { BODY }"
        found = judge(source, "-I.", OLD, header).verdict("k")
        assert "wait" in (found.refusal or ""), (name, found)
    header = Header(0, "opencl-c-base.h", "")
    source = '#include "opencl-c-base.h"\nkernel void k(global int *a) { a[0] = 1; }'
    assert "of its own" in (judge(source, "-I.", OLD, header).verdict("k").refusal or "")


def test_the_last_option_of_a_name_counts() -> None:
    source = (
        f"#ifndef BODY\n#define BODY {HARMLESS}\n#endif\nkernel void k(global int *a) {{ BODY }}"
    )
    defined, undefined = f'-D "BODY={WAITS}"', "-UBODY"
    assert examine(source, options=f"{defined} {undefined}").refusal is None
    assert "wait" in (examine(source, options=f"{undefined} {defined}").refusal or "")


@pytest.mark.parametrize("option", ["-DN='1'", "-D N='1'", "-DN=\"'1'\"", '-DS=\\"text\\"'])
def test_an_option_that_devices_read_differently_leaves_the_program_whole(option: str) -> None:
    """PoCL leaves single quotes where they are: N is the number of a character."""
    assert "read differently" in options.read(option).problem


def test_quotes_that_hold_an_option_together_and_tell_nothing_else_are_read() -> None:
    found = options.read("-D 'TEXT(x)=#x' -DN=\"1\" -I 'my headers'")
    assert (found.defined, found.folders) == ([("TEXT(x)", "#x"), ("N", "1")], ["my headers"])
    assert not found.problem
    # Only some spaces end an option.
    assert options.read("-DA=1\u00a0-DB=2").defined == [("A", "1\u00a0-DB=2")]


@pytest.mark.parametrize(
    "text",
    [
        'int f(int x) __asm__("_Z14get_local_sizej"); int f(int x) { return x; }',
        'int f(int x) __asm__("g"); int f(int x) { return x; }',
        "int _Z14get_local_sizej(uint x) { return x; }",
        "int f(int x) { return x; }\n#pragma weak _Z14get_local_sizej = f",
        "#pragma redefine_extname f _Z14get_local_sizej\nint f(int x) { return x; }",
        '_Pragma("redefine_extname f _Z14get_local_sizej") int f(int x) { return x; }',
    ],
)
def test_what_the_linker_may_take_for_a_function_of_the_languages_leaves_it_whole(
    text: str,
) -> None:
    """The kernel calls a function that is not in its tree."""
    assert "name" in (body("a[0] = get_local_size(0);", text).refusal or "")


def test_a_function_of_the_programs_own_is_not_steady_by_its_name() -> None:
    own = "int __attribute__((overloadable)) min(int x, int y, int z)"
    loop = "while (min(1, 2, 3) == 0); atomic_inc(a);"
    for rest in ("{ return flag; }", "{ return atomic_or(&flag, 0); }"):
        found = body(loop, f"global int flag; {own} {rest}", macros=NEW)
        assert "wait" in (found.refusal or "")
    assert body("for (int i = 0; i < min(1, 2); i++) atomic_inc(a);").refusal is None


@pytest.mark.parametrize(
    "text",
    [
        "while (a[0] == 0) sub_group_barrier(CLK_GLOBAL_MEM_FENCE);",
        "while (a[0] == 0) sub_group_barrier(CLK_GLOBAL_MEM_FENCE, memory_scope_device);",
        "local int l[1]; do { event_t e = async_work_group_copy(l, a, 1, 0); "
        "wait_group_events(1, &e); } while (l[0] == 0);",
        "local int l[1]; do { event_t e = async_work_group_strided_copy(l, a, 1, 1, 0); "
        "wait_group_events(1, &e); } while (l[0] == 0);",
    ],
)
def test_a_loop_that_has_memory_read_anew_may_wait(text: str) -> None:
    assert "wait" in (body(text, macros={**NEW, "__OPENCL_C_VERSION__": 300}).refusal or "")


def test_copies_and_barriers_of_sub_groups_in_counted_loops_wait_for_nobody() -> None:
    for text in (
        "local int l[1]; for (int i = 0; i < 9; i++) { event_t e = "
        "async_work_group_copy(l, a + i, 1, 0); wait_group_events(1, &e); a[9] += l[0]; }",
        "for (int i = 0; i < 9; i++) { sub_group_barrier(CLK_GLOBAL_MEM_FENCE); a[i] += 1; }",
    ):
        assert body(text, macros={**NEW, "__OPENCL_C_VERSION__": 300}).refusal is None


def test_what_is_done_once_is_no_loop_however_it_is_left() -> None:
    """As macros of several statements are written."""
    for leave in ("break", "continue", "return"):
        text = f"do {{ if (a[0]) {leave}; atomic_inc(a); }} while (0);"
        assert body(text).refusal is None, leave
        assert (
            body(f"for (int i = 0; i < 9; i++) {text.replace('return', 'break')}").refusal is None
        )
        for again in ("1", "a[1]", "atomic_or(a, 0)"):
            assert "wait" in (body(text.replace("while (0)", f"while ({again})")).refusal or "")
    assert "wait" in (
        body("do { if (a[0]) return; } while (0); while (!atomic_or(a, 0));").refusal or ""
    )
    inside = "while (!atomic_or(a, 0));"
    assert "wait" in (body(f"do {{ {inside} break; }} while (0);").refusal or "")
    # The loop around it goes on from there, and is left by what leaves both.
    around = "for (int i = 0; i < 9; i++) do { if (atomic_or(a, 0)) return; } while (0);"
    assert "wait" in (body(around).refusal or "")


def test_a_variable_is_a_constant_by_where_it_lies_and_not_by_what_it_points_to() -> None:
    before = "constant int t[2] = {1, 2}; "
    text = "a[0] = *p + get_group_id(0);"
    assert "of its own" in (body(text, f"{before} constant int *p = t;", macros=NEW).refusal or "")
    assert body(text, f"{before} constant int *constant p = t;", macros=NEW).refusal is None
