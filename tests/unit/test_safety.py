"""Which kernels may be split, judged by their source: when in doubt, none."""

from __future__ import annotations

import time
from pathlib import Path

import pyopencl as cl
import pytest

from gpusplit import builtins, clsource, programs, safety
from gpusplit.explain import kernel_names
from gpusplit.safety import Verdict, examine


def body(text: str, before: str = "", parameters: str = "global int *a") -> Verdict:
    """The verdict on a kernel with this body."""
    return examine(f"{before}\nkernel void k({parameters}) {{ {text} }}", "k")


@pytest.mark.parametrize(
    "text",
    [
        "a[get_global_id(0)] = 1;",
        "a[get_global_id(0)] = get_local_id(0) + get_local_size(1) + get_work_dim();",
        "local int s[8]; s[get_local_id(0)] = 1; barrier(CLK_LOCAL_MEM_FENCE); a[0] = s[0];",
        "for (int i = 0; i < 9; i++) { barrier(CLK_LOCAL_MEM_FENCE); a[i] += 1; }",
        "a[0] = sin((float)a[1]) + vload4(0, a).x + convert_int_sat_rte(1.5f) + as_int(1.0f);",
        "/* get_group_id(0) */ a[0] = 1; // get_num_groups(0)\n",
        "a[0] = work_group_reduce_add(a[1]);",
    ],
)
def test_split_as_it_is(text: str) -> None:
    verdict = body(text)
    assert verdict.refusal is None
    assert not verdict.needs_prelude


@pytest.mark.parametrize("function", sorted(builtins.RANGE_FUNCTIONS))
def test_what_a_slice_would_show_wrongly_needs_a_prelude(function: str) -> None:
    argument = "" if function == "get_global_linear_id" else "0"
    assert body(f"a[0] = {function}({argument});").needs_prelude == {function}
    assert body("a[0] = ID;", f"#define ID {function}({argument})").needs_prelude == {function}
    assert body("a[0] = ID(0);", f"#define ID(d) {function} ({argument})").needs_prelude == {
        function
    }


def test_functions_that_the_kernel_calls_count_and_others_do_not() -> None:
    source = """
        int used(int d) { return get_group_id(d); }
        int unused(global int *a) { while (atomic_inc(a)); return get_num_groups(0); }
        kernel void other(global int *a) { printf("%d", unused(a)); }
        kernel void k(global int *a) { a[0] = used(0); }
    """
    verdict = examine(source, "k")
    assert verdict.refusal is None
    assert verdict.needs_prelude == {"get_group_id"}
    assert verdict.helpers
    assert examine(source, "other").refusal is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("while (atomic_cmpxchg(a, 0, 1)) ;", "may wait"),
        ("while (atom_xchg(a, 1)) ;", "may wait"),
        ("do { } while (((volatile global int *)a)[0]);", "may wait"),
        ("x: if (atomic_add(a, 0) < 7) goto x;", "may wait"),
        ("while (a[0]) mem_fence(CLK_GLOBAL_MEM_FENCE);", "may wait"),
        ("while (a[0]) barrier(CLK_GLOBAL_MEM_FENCE);", "may wait"),
        ("while (atomic_load_explicit((global atomic_int *)a, 0, 0)) ;", "may wait"),
        ('printf("%d", 1);', "prints"),
        ("enqueue_kernel(get_default_queue(), 0, nd, ^{ });", "enqueues kernels"),
        ("a[0] = __builtin_amdgcn_workgroup_id_x();", "compiler's own"),
        ("a[0] = __spirv_BuiltInWorkgroupId(0);", "SPIR-V"),
        ('asm("mov.u32 %0, %ctaid.x;" : "=r"(a[0]));', "assembly"),
        ('__asm volatile("");', "assembly"),
        ("a[0] = _Z12get_group_idj(0);", "mangled"),
        ("a[0] = mystery(1);", "mystery"),
        ("a[0] = (get_group_id)(0);", "without calling"),
    ],
)
def test_never_split(text: str, why: str) -> None:
    refusal = body(text).refusal
    assert refusal is not None
    assert why in refusal


@pytest.mark.parametrize(
    ("before", "text", "why"),
    [
        ("#define CAT(x, y) x##y", "a[0] = CAT(get_group, _id)(0);", "pastes"),
        ("#define GID(s) get_group_##s(0)\n#define S id", "a[0] = GID(S);", "pastes"),
        ("#define BEGIN {", "a[0] = 1;", "bracket"),
        ("#if X\nint f(int a) {\n#else\nint f() {\n#endif\nreturn 1; }", "f();", "#if"),
        ("#define get_group_id(x) 0", "a[0] = get_group_id(0);", "its own"),
        ("#undef get_num_groups", "a[0] = get_num_groups(0);", "its own"),
        ("size_t get_global_linear_id() { return 1; }", "a[0] = 1;", "its own"),
        ("#ifdef get_group_id\n#define X 1\n#endif", "a[0] = get_group_id(0);", "defined"),
        ("#include MACRO", "a[0] = 1;", "#include"),
        ('#include "nowhere.h"', "a[0] = 1;", "nowhere.h"),
        ("#embed <x>", "a[0] = 1;", "#embed"),
        ("int f(); int g() { return f(); }", "a[0] = g();", "f"),
        ("/* never closed", "a[0] = 1;", "comment"),
        ("global int counter;", "a[0] = get_group_id(0);", "variables"),
        ("static global int counter = 1;", "a[0] = get_group_id(0);", "variables"),
        ("", "static int n; a[0] = get_group_id(0) + n;", "variables"),
        ("#define V(x) global int x;\nV(counter)", "a[0] = get_group_id(0);", "variables"),
        ("#define V(x) global int x\nV(counter);", "a[0] = get_group_id(0);", "variables"),
        ("", "// a\ra[0] = get_group_id(0);\n", "carriage return"),
        ("", "/* a *\\\n/ a[0] = get_group_id(0); /* */", "mark of a comment"),
        ("??=define X", "a[0] = 1;", "trigraph"),
        ("extern size_t _group_id_x;", "a[get_global_id(0)] = _group_id_x;", "extern"),
        ("", "extern size_t _group_id_x; a[get_global_id(0)] = _group_id_x;", "elsewhere"),
        ("#define CALL(f, x) f(x)", "a[0] = CALL(vendors_group_id, 0);", "calls what"),
        ("struct s { volatile int flag; };", "while (((global struct s *)a)->flag);", "may wait"),
        ("typedef volatile int flag;", "while (*(global flag *)a);", "may wait"),
        ("#define V volatile\nstruct s { V int flag; };", "while (((global struct s *)a)->flag);",
         "may wait"),
        ("constant int *table;", "a[0] = get_group_id(0);", "variables"),
        ("%:define X", "a[0] = 1;", "outside a string"),
        ("#define MAKE(n) kernel void n(global int *a) { a[0] = get_group_id(0); }\n#if 0", "",
         "bracket"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_clearly_is_not_split(before: str, text: str, why: str) -> None:
    verdict = examine(f"{before}\nkernel void k(global int *a) {{ {text} }}", "k")
    if before.endswith("#if 0"):
        verdict = examine(f"{before}\nkernel void k(global int *a) {{\n#endif\nMAKE(k)", "k")
    assert verdict.refusal is not None
    assert why in verdict.refusal


def test_a_kernel_that_a_macro_makes_is_not_split() -> None:
    source = "#define MAKE(n) kernel void n(global int *a) { a[0] = 1; }\nMAKE(k)\n"
    refusal = examine(source, "k").refusal
    assert refusal is not None
    assert "not visible" in refusal


def test_code_that_a_macro_makes_at_file_level_counts_for_every_kernel() -> None:
    source = """
        #define MAKE(n) int n(global int *a) { while (atomic_inc(a)); return 0; }
        #if 0
        int helper(global int *a) { return 1; }
        #else
        MAKE(helper)
        #endif
        kernel void k(global int *a) { a[0] = helper(a); }
    """
    assert examine(source, "k").refusal is not None


def test_constants_and_types_are_no_variables() -> None:
    before = """
        constant float table[2] = {1, 2};
        __constant int one = 1;
        typedef struct { int x; } pair;
        struct named { int y; };
        enum { A, B };
        const sampler_t s = 0;
        int helper(int);
    """
    assert body("a[0] = get_group_id(0) + table[0] + one;", before).refusal is None


def test_atomics_without_a_loop_are_split_with_a_note() -> None:
    verdict = body("atomic_inc(a + get_global_id(0) % 7);")
    assert verdict.refusal is None
    assert "order" in verdict.notes[0]


def test_pasted_tokens_are_harmless_where_their_arguments_are_known() -> None:
    before = "#define ADD(I) float r##I = sqrt(2.0f + I);"
    assert body("ADD(0) ADD(1) a[0] = r0 + r1;", before).refusal is None


def test_what_pyopencls_scans_print_when_debugged_does_not_count() -> None:
    before = "#ifdef DEBUG\n#define SAY(x) printf x\n#else\n#define SAY(x)\n#endif"
    assert body('SAY(("hello")); a[0] = 1;', before).refusal is None
    assert body('SAY(("hello")); a[0] = 1;', "#define DEBUG\n" + before).refusal is not None
    source = f'{before}\nkernel void k(global int *a) {{ SAY(("x")); }}'
    assert examine(source, "k", "-DDEBUG").refusal is not None


def test_build_options_count() -> None:
    source = "kernel void k(global int *a) { a[0] = ID; }"
    assert examine(source, "k", "-DID=get_group_id(0)").needs_prelude == {"get_group_id"}
    assert examine(source, "k", "-D ID=get_local_id(0) -cl-mad-enable").refusal is None
    assert examine(source, "k", "-DID=0 -include other.h").refusal is not None
    assert examine(source, "k", "-DID=0 -cl-std=CLC++").refusal is not None


def test_headers_are_read_from_where_the_compiler_would(tmp_path: Path) -> None:
    def headers(name: str) -> tuple[str, bool] | None:
        return ("#define ID get_group_id(0)", False) if name == "ids.h" else None

    source = '#include "ids.h"\nkernel void k(global int *a) { a[0] = ID; }'
    assert examine(source, "k", "", headers).needs_prelude == {"get_group_id"}


def test_a_header_that_is_part_of_a_function_is_not_split() -> None:
    def headers(_: str) -> tuple[str, bool] | None:
        return "a[0] = get_group_id(0);", False

    source = 'kernel void k(global int *a) {\n#include "body.h"\n}'
    assert examine(source, "k", "", headers).refusal == "an #include stands inside a bracket"


def test_a_header_written_after_the_start_may_be_another_than_the_programs(tmp_path: Path) -> None:
    (tmp_path / "ids.h").write_text("#define ID 1\n")
    assert programs.header_finder(f"-I {tmp_path}")("ids.h") is None
    assert programs.header_finder(f"-I {Path(__file__).parent}")(Path(__file__).name) is not None


def test_of_two_headers_of_one_name_nobody_knows_which_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a header includes is looked for beside it first, and only then on the include path."""
    monkeypatch.setattr(programs, "_STARTED", time.time() + 60)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "outer.h").write_text('#include "ids.h"\n')
    (tmp_path / "ids.h").write_text("#define ID get_global_id(0)\n")
    source = '#include "sub/outer.h"\nkernel void k(global int *a) { a[0] = ID; }'
    options = f"-I {tmp_path}"
    assert examine(source, "k", options, programs.header_finder(options)).refusal is None
    (tmp_path / "sub" / "ids.h").write_text("#define ID get_group_id(0)\n")
    refusal = examine(source, "k", options, programs.header_finder(options)).refusal
    assert refusal is not None
    assert "found twice" in refusal


def test_a_comment_goes_on_after_a_backslash_with_blanks_behind_it() -> None:
    """Else what follows looks like the beginning of another comment, which would hide code."""
    assert body("// x \\ \n/*\na[0] = get_group_id(0); /* */").needs_prelude == {"get_group_id"}


def test_pyopencls_own_headers_deserve_their_trust() -> None:
    """They are not examined at run time: they must not use what the analysis looks for."""
    folder = Path(cl.__file__).parent / "cl"
    texts = [path for path in folder.rglob("*") if path.suffix in (".h", ".cl")]
    assert len(texts) >= 8
    for path in texts:
        tokens, _ = clsource.tokenize(path.read_text(encoding="utf-8"))
        words = {token.text for token in tokens}
        # They print under #if CEPHES_DEBUG, which nobody but their author defines.
        assert not words & (builtins.RANGE_FUNCTIONS | builtins.FENCES | {"barrier"})
        assert not any(builtins.ATOMIC_PATTERN.fullmatch(word) for word in words)


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("a[get_global_id(0)] = get_global_size(0);", False),
        ("a[0] = get_local_id(0);", True),
        ("a[0] = get_group_id(0);", True),
        ("barrier(0);", True),
        ("local int x;", True),
        ("a[0] = sub_group_reduce_add(1);", True),
    ],
)
def test_whether_a_kernel_can_see_the_local_size(text: str, shows: bool) -> None:
    assert body(text).shows_work_group is shows


@pytest.mark.parametrize(
    ("text", "pitfall"),
    [
        ("a[0] = get_local_size(0) + get_global_id(1);", False),
        ("a[0] = get_group_id(a[1]);", False),
        ("a[0] = get_local_size(a[1]);", True),
        ("for (int d = 0; d < 3; d++) a[d] = get_global_id(d);", True),
    ],
)
def test_dimensions_that_are_computed_are_noticed_for_pocls_sake(text: str, pitfall: bool) -> None:
    assert body(text).pocl_pitfall is pitfall


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", ")", "#", "#define", "#if\n#endif", '"', "/*", "'", "\\", "kernel", "#else\n",
     "kernel void k(", "\0", "é", "#define X(\n", "kernel void k() {} }"],
)  # fmt: skip
def test_garbage_is_whole_and_never_an_exception(text: str) -> None:
    assert examine(text, "k").refusal is not None or text == "kernel void k() {}"


def test_kernel_names_are_found_through_macros() -> None:
    source = "#define KERNEL __kernel\nKERNEL void one() {}\nkernel void two() {}\nvoid no() {}"
    assert kernel_names(source) == ["one", "two"]


def test_attributes_do_not_hide_a_kernel() -> None:
    source = """
        #define SIZE(X, Y) __attribute__((reqd_work_group_size(X, Y, 1)))
        __kernel SIZE(8, 1) void k(global int *a) { a[0] = 1; }
        __attribute__((reqd_work_group_size(8, 1, 1))) kernel void l(global int *a) { a[0] = 1; }
    """
    assert examine(source, "k").refusal is None
    assert examine(source, "l").refusal is None
    assert examine(source, "k").shows_work_group


def test_the_parameters_of_a_function_are_found_for_the_variant() -> None:
    source = "kernel void k(global int *a /* ) */, int b) { }"
    (function,) = clsource.parse(source).functions["k"]
    assert source[: function.parameters_end].endswith("int b")
    assert safety.examine(source, "k").refusal is None
