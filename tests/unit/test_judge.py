"""Which kernels may be split, as a compiler's front end reads them: when in doubt, none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from gpusplit.judge import builtins, prelude
from gpusplit.judge.examine import answer
from gpusplit.judge.verdict import Answer, Header, Macros, Request, Verdict

#: A device with OpenCL C 1.2 that defines nothing that anybody asks for.
OLD: Macros = {"__OPENCL_C_VERSION__": 120}
NEW: Macros = {"__OPENCL_C_VERSION__": 200}


def judge(source: str, options: str = "", macros: Macros = OLD, *headers: Header) -> Answer:
    """The judge's answer for a device that knows *macros* and no others."""
    request = Request(source, options=options, headers=headers, macros=macros)
    with tempfile.TemporaryDirectory() as folder:
        found = answer(request, Path(folder).resolve())
    if not (found.ask or found.ask_values):
        return found
    asked = dict.fromkeys(found.ask + found.ask_values)
    return judge(source, options, {**asked, **macros}, *headers)


def examine(source: str, kernel: str = "k", options: str = "", macros: Macros = OLD) -> Verdict:
    return judge(source, options, macros).verdict(kernel)


def body(
    text: str, before: str = "", parameters: str = "global int *a", macros: Macros = OLD
) -> Verdict:
    """The verdict on a kernel with this body."""
    return examine(f"{before}\nkernel void k({parameters}) {{ {text} }}", macros=macros)


@pytest.mark.parametrize(
    "text",
    [
        "a[get_global_id(0)] = 1;",
        "a[get_global_id(0)] = get_local_id(0) + get_local_size(1) + get_work_dim();",
        "local int s[8]; s[get_local_id(0)] = 1; barrier(CLK_LOCAL_MEM_FENCE); a[0] = s[0];",
        "for (int i = 0; i < 9; i++) { barrier(CLK_LOCAL_MEM_FENCE); a[i] += 1; }",
        "a[0] = sin((float)a[1]) + vload4(0, a).x + convert_int_sat_rte(1.5f) + as_int(1.0f);",
        "/* get_group_id(0) */ a[0] = 1; // get_num_groups(0)\n",
        "while (a[0]) a[0]--;",
        "event_t e = 0; local int l[4]; e = async_work_group_copy(l, a, 4, e); "
        "wait_group_events(1, &e);",
        "float4 v = (float4)(1, 2, 3, 4); a[0] = (int)dot(v, v) + (NULL == a) + (int)M_PI;",
    ],
)
def test_split_as_it_is(text: str) -> None:
    verdict = body(text)
    assert verdict.refusal is None
    assert not verdict.asks


@pytest.mark.parametrize("function", prelude.RANGE_FUNCTIONS)
def test_what_a_slice_would_show_wrongly_needs_the_variant(function: str) -> None:
    argument = "" if function == "get_global_linear_id" else "0"
    for before, text in (
        ("", f"a[0] = {function}({argument});"),
        (f"#define ID {function}({argument})", "a[0] = ID;"),
        (f"#define ID(d) {function} ({argument})", "a[0] = ID(0);"),
        ("#define CAT(x, y) x##y", f"a[0] = CAT({function[:9]}, {function[9:]})({argument});"),
        ("#define CALL(f) f(" + argument + ")", f"a[0] = CALL({function});"),
    ):  # fmt: skip
        assert body(text, before, macros=NEW).asks == {function}, (before, text)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("#define INDEX_group get_group_id(0)\n#define INDEX(kind) INDEX_##kind",
         "a[0] = INDEX(group);"),
        ("#define SCALE(T) scale_##T\nint scale_int(int x) { return x * get_group_id(0); }",
         "a[0] = SCALE(int)(2);"),
        ("#define GID(s) get_group_##s(0)\n#define S id\n#define G(s) GID(s)", "a[0] = G(S);"),
        ("int f(void)\n#ifdef FIRST\n{ return 0; }\n#else\n{ return get_group_id(0); }\n#endif",
         "a[0] = f();"),
        ("#define MAKE(n) int n(void) { return get_group_id(0); }\nMAKE(helper)",
         "a[0] = helper();"),
        ("#define BEGIN {", "BEGIN a[0] = get_group_id(0); }"),
        ("", "a[0] = get_\\\ngroup_id(0);"),
        ("", "// x \\ \n/*\na[0] = get_group_id(0); /* */"),
        ("", "/* a *\\\n/ a[0] = get_group_id(0); /* */"),
        ("//***** begins with a star\n// what for??\n#if 0\n don't\n#endif",
         "a[0] = get_group_id(0);"),
        ("static inline int twice(int x) { return 2 * x; }", "a[0] = twice(get_group_id(0));"),
        ("size_t get_group_id(uint);", "a[0] = get_group_id(0);"),
        ("%:define X get_group_id(0)", "a[0] = X;"),
    ],
)  # fmt: skip
def test_however_a_program_asks_it_is_seen(before: str, text: str) -> None:
    assert body(text, before).asks == {"get_group_id"}


def test_functions_that_the_kernel_calls_count_and_others_do_not() -> None:
    source = """
        int used(int d) { return get_group_id(d); }
        int unused(global int *a) { while (atomic_inc(a)); return get_num_groups(0); }
        kernel void other(global int *a) { printf("%d", unused(a)); }
        kernel void k(global int *a) { a[0] = used(0); }
    """
    assert examine(source, "k") == Verdict(asks=frozenset({"get_group_id"}), shows_work_group=True)
    assert examine(source, "other").refusal is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("while (atomic_cmpxchg(a, 0, 1)) ;", "may wait"),
        ("while (atom_xchg(a, 1)) ;", "may wait"),
        ("do { } while (((volatile global int *)a)[0]);", "may wait"),
        ("do { } while (((__volatile__ global int *)a)[0]);", "may wait"),
        ("global __volatile int *v = a; while (*v) ;", "may wait"),
        ("x: if (atomic_add(a, 0) < 7) goto x;", "may wait"),
        ("while (a[0]) mem_fence(CLK_GLOBAL_MEM_FENCE);", "may wait"),
        ("while (a[0]) barrier(CLK_GLOBAL_MEM_FENCE);", "may wait"),
        ("while (a[0]) barrier(3);", "may wait"),
        ("for (int i = 0; i < 9; i++) { if (atomic_add(a, 0)) break; }", "may wait"),
        ("for (int i = 0; i < 9; i++) { if (atomic_add(a, 0)) return; }", "may wait"),
        ("for (int i = 0; i < 9; i++) { i = atomic_add(a, 0); }", "may wait"),
        ("for (int i = 0; i < 9; i++) { int *p = &i; *p = atomic_add(a, 0); }", "may wait"),
        ("for (int i = 0, n = 9; i < n; i++) { n = atomic_add(a, 0); }", "may wait"),
        ("for (int i = 0; i < a[1]; i++) atomic_inc(a);", "may wait"),
        ("for (int done = 0; !done; done = atomic_add(a, 0)) ;", "may wait"),
        ("int n = 9; while (n > 0) { n--; if (atomic_add(a, 0)) n = 9; }", "may wait"),
        ("for (;;) { if (atomic_add(a, 0)) break; }", "may wait"),
        ("int n = 0; while (n < 9) { int s = atomic_add(a, 0); n += s; }", "may wait"),
        ("int n = 0, s = 1; while (n < 9) { n += s; s = atomic_add(a, 0); }", "may wait"),
        ("int s = 1; for (int i = 0; i < 9; i += s) if (atomic_add(a, 0)) s = 0;", "may wait"),
        ("x: barrier(CLK_GLOBAL_MEM_FENCE); if (a[0]) goto x;", "may wait"),
        ("mem_fence(CLK_GLOBAL_MEM_FENCE); while (a[0]) ;", "may wait"),
        ("while (a[0]) { for (int i = 0; i < 9; i++) barrier(CLK_GLOBAL_MEM_FENCE); }", "may wait"),
        ("int i = 0; while (i < 9) { if (atomic_add(a, 0)) continue; i++; }", "may wait"),
        ("while (1) { if (a[0]) break; } atomic_inc(a);", "may wait"),
        ("int n = 1; while (n) { if (a[0]) break; } atomic_inc(a);", "may wait"),
        ("for (int i = 0; i < 9; i ^= 1) { if (a[0]) break; } atomic_inc(a);", "may wait"),
        ("for (int i = 0; i < 9; i += a[1]) { if (a[0]) break; } atomic_inc(a);", "may wait"),
        (
            "for (int i = 0; i < 9; i++) { if (a[i]) break; } mem_fence(CLK_GLOBAL_MEM_FENCE);",
            "may wait",
        ),
        (
            "for (int i = 0; i < 9; i++) { while (!a[i]) ; if (a[i]) break; } atomic_inc(a);",
            "may wait",
        ),
        ('printf("%d", 1);', "prints"),
        ("a[0] = __builtin_amdgcn_workgroup_id_x();", "__builtin_amdgcn"),
        ("a[0] = __builtin_popcount(a[1]);", "__builtin_popcount"),
        ("a[0] = __spirv_BuiltInWorkgroupId(0);", "__spirv"),
        ('asm("mov.u32 %0, %ctaid.x;" : "=r"(a[0]));', "asm"),
        ('__asm volatile("");', "assembly"),
        ("a[0] = _Z12get_group_idj(0);", "_Z12"),
        ("a[0] = mystery(1);", "mystery"),
    ],
)
def test_never_split(text: str, why: str) -> None:
    refusal = body(text).refusal
    assert refusal is not None
    assert why in refusal


def test_device_side_launches_and_c11_atomics_in_loops_are_never_split() -> None:
    enqueue = "ndrange_t n = ndrange_1D(1); enqueue_kernel(get_default_queue(), 0, n, ^{ });"
    assert body(enqueue, macros=NEW).refusal is not None
    spin = "while (atomic_load_explicit((volatile global atomic_int *)a, memory_order_relaxed)) ;"
    assert "may wait" in (body(spin, macros=NEW).refusal or "")


@pytest.mark.parametrize(
    "text",
    [
        "for (int i = 0; i < n; i++) atomic_inc(a + i);",
        "for (int i = get_local_id(0); i < n * 2; i += get_local_size(0)) atomic_add(a + i, 2);",
        "for (int s = n / 2; s > 0; s >>= 1) { barrier(CLK_GLOBAL_MEM_FENCE); a[s] += 1; }",
        "int m = n; while (m > 1) { atomic_inc(a); m /= 2; }",
        "int s = get_global_size(0); for (int i = get_global_id(0); i < n; i += s) atomic_inc(a);",
        "int s = 1, i = 1; while (i < n) { atomic_inc(a); i += s; s = s * 2; }",
        "while (a[0]) a[0]--; barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);",
        "for (int i = 0; i < n; i++) { switch (a[i]) { case 1: atomic_inc(a); break; } }",
        "local int l[4]; while (atomic_cmpxchg(l, 0, 1)) ;",
        "volatile local int *v; while (*v) ;",
        "for (int i = 0; i < n; i++) { if (a[i]) break; } atomic_inc(a);",
        "for (int i = 0, j = 0; i < n; i++, j++) { atomic_inc(a + j); }",
        "int i = 0; while (i < n) { if (a[i]) return; i++; } atomic_inc(a);",
        "volatile int v = 3; while (v) v--;",
    ],
)
def test_loops_that_end_by_themselves_wait_for_nobody(text: str) -> None:
    assert body(text, parameters="global int *a, int n").refusal is None


def test_an_old_version_of_the_language_is_judged_and_has_no_printf() -> None:
    for standard in ("CL1.0", "CL1.1"):
        options = f"-cl-std={standard}"
        macros: Macros = {"__OPENCL_C_VERSION__": int(standard[2] + standard[4] + "0")}
        text = "kernel void k(global int *a) { a[get_global_id(0)] = 1; }"
        assert examine(text, options=options, macros=macros).refusal is None
        printing = 'kernel void k(global int *a) { printf("1"); }'
        assert examine(printing, options=options, macros=macros).refusal is not None


def test_a_barrier_in_a_function_is_in_the_loop_that_calls_it() -> None:
    helper = "void all_of_us(void) { barrier(CLK_GLOBAL_MEM_FENCE); }"
    assert "may wait" in (body("while (a[0]) all_of_us();", helper).refusal or "")


def test_a_loop_that_only_looks_for_something_is_no_wait_and_one_that_sees_news_is() -> None:
    looks = """
    int same(global const int *a, int at) {{ return {} == 3; }}
    int find(global const int *a, int n) {{
        for (int i = 0; i < n; i++) if (same(a, i)) return i;
        return -1;
    }}
    kernel void k(global int *a) {{ if (find(a, 9) >= 0) atomic_inc(a); }}
    """
    assert examine(looks.format("a[at]")).refusal is None
    news = "((volatile global const int *)a)[at]"
    assert "may wait" in (examine(looks.format(news)).refusal or "")


def test_calls_that_go_round_in_a_circle_are_a_loop() -> None:
    source = """
        void even(global int *a, int n);
        void odd(global int *a, int n) { if (atomic_add(a, 0)) even(a, n); }
        void even(global int *a, int n) { if (atomic_add(a, 0)) odd(a, n); }
        kernel void k(global int *a) { even(a, 1); }
    """
    assert "may wait" in (examine(source).refusal or "")


#: The text of what its argument expands to.
TEXT = "#define TEXT_(x) #x\n#define TEXT(x) TEXT_(x)\n"


@pytest.mark.parametrize(
    ("before", "text", "why"),
    [
        ("#undef get_num_groups", "a[0] = get_num_groups(0);", "cannot be put right"),
        ("#ifdef get_group_id\n#define X 1\n#endif", "a[0] = get_group_id(0);", "is a macro"),
        ("uint get_group_id(uint);", "a[0] = get_group_id(0);", "front end"),
        ("size_t get_group_id(uint d) { return 1; }", "a[0] = get_group_id(0);", "front end"),
        ("int gpusplit_get_group_id;", "a[0] = 1;", "gpusplit's own"),
        ("#include MACRO", "a[0] = 1;", "front end"),
        ('#include "nowhere.h"', "a[0] = 1;", "nowhere.h"),
        ('#include "/etc/passwd"', "a[0] = 1;", "front end"),
        ("int f(); int g() { return f(); }", "a[0] = g();", "does not define"),
        ("/* never closed", "a[0] = 1;", "comment"),
        ("", "// a\ra[0] = get_group_id(0);\n", "carriage return"),
        ("??=define X", "a[0] = 1;", "trigraph"),
        ("// ??/\n", "a[0] = 1;", "trigraph"),
        ("#if __has_include(<x.h>)\n#endif", "a[0] = 1;", "__has_include"),
        ("struct s { volatile int flag; };", "while (((global struct s *)a)->flag);", "may wait"),
        ("typedef volatile int flag;", "while (*(global flag *)a);", "may wait"),
        (TEXT, "a[0] = get_group_id(0) + sizeof(TEXT(get_group_id(0)));", "makes text"),
        (f"{TEXT}struct s {{ char t[sizeof(TEXT(get_group_id))]; }};",
         "a[0] = get_group_id(0) + sizeof(struct s);", "makes text"),
        (f"{TEXT}constant char t[] = TEXT(get_group_id);",
         "a[0] = get_group_id(0) + t[3];", "makes text"),
        ("#define VOLA(x) vola##x\nstruct s { VOLA(tile) int flag; };",
         "while (((global struct s *)a)->flag);", "may wait"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_clearly_is_not_split(before: str, text: str, why: str) -> None:
    refusal = body(text, before).refusal
    assert refusal is not None
    assert why in refusal


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("", "int x __attribute__((aligned(sizeof(TEXT(get_group_id)) & 16 ? 16 : 32)));"),
        ("struct __attribute__((aligned(sizeof(TEXT(get_group_id)) & 16))) s { int x; };", ""),
        ("constant int x __attribute__((section(TEXT(get_group_id)))) = 1;", ""),
        ("typedef int t __attribute__((annotate(TEXT(get_group_id))));", ""),
        ("typedef int t __attribute__((vector_size(sizeof(TEXT(get_group_id)) & 16)));", ""),
        ("_Static_assert(sizeof(TEXT(get_group_id)) == 13, TEXT(no));", ""),
        ("_Static_assert(1, TEXT(get_group_id));", ""),
        ("typedef char t[sizeof(TEXT(get_group_id))];", ""),
        ("enum { N = sizeof(TEXT(get_group_id)) };", ""),
        ("struct s { int x : sizeof(TEXT(get_group_id)) & 31; };", ""),
        ("constant char s[] = TEXT(get_group_id);", ""),
        ("constant char s[] = \"a\" TEXT(get_group_id) \"b\";", ""),
        ("kernel __attribute__((work_group_size_hint(sizeof(TEXT(get_group_id)), 1, 1))) "
         "void other() { }", ""),
        ("int other(int x) { return x + sizeof(TEXT(get_group_id)); }", "a[1] = other(2);"),
        ("void other(global int *a);\n"
         "#define OTHER } void other(global int *a) { a[0] = sizeof(TEXT(get_group_id));",
         "other(a); OTHER"),
        ('# 1 "x" 3', "a[1] = sizeof(TEXT(get_group_id));"),
        ("#define NAME get_group_id", "a[1] = sizeof(TEXT(NAME));"),
        ("#define NAME(x) get_##x##_id", "a[1] = sizeof(TEXT(NAME(group)));"),
        ("#define WRAP(f) f(get_group_id)", "a[1] = sizeof(WRAP(TEXT));"),
        ("#define OPEN TEXT(", "a[1] = sizeof(OPEN get_group_id));"),
        ("#define ALL_(...) #__VA_ARGS__\n#define ALL(...) ALL_(__VA_ARGS__)",
         "a[1] = sizeof(ALL(1, get_group_id));"),
        ("", "switch (a[1]) { case sizeof(TEXT(get_group_id)): a[1] = 2; }"),
        ("", "__typeof__(char[sizeof(TEXT(get_group_id))]) t; a[1] = sizeof(t);"),
        ("", "char t[] = TEXT(get_group_id);"),
        ("", "\n#line 7 TEXT(get_group_id)\na[1] = sizeof(__FILE__);"),
    ],
)  # fmt: skip
def test_text_of_a_renamed_name_is_seen_wherever_it_stands(before: str, text: str) -> None:
    refusal = body(f"a[0] = get_group_id(0); {text}", f"{TEXT}{before}").refusal
    assert "makes text" in (refusal or "")


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("#define NOW(x) #x", "a[1] = sizeof(NOW(get_group_id));"),
        ("constant char s[] = TEXT(other);", "a[1] = s[0];"),
        ("#define DO(x) _Pragma(#x)", "DO(unroll 4) for (int i = 0; i < 9; i++) a[1]++;"),
        ('constant char s[] = "get_group_id";', "a[1] = s[0];"),
    ],
)
def test_text_that_is_the_same_in_the_variant_does_no_harm(before: str, text: str) -> None:
    verdict = body(f"a[0] = get_group_id(0); {text}", f"{TEXT}{before}")
    assert verdict.refusal is None
    assert verdict.asks == {"get_group_id"}


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("", "int my_get_group_id = 1;"
         "{ int CAT(my_, get_group_id) = 2; a[0] = my_get_group_id; }"),
        ("int CAT(my_, get_group_id)(void) { return 1; }\n#define my_get_group_id two\n"
         "int two(void) { return 2; }", "a[0] = CAT(my_, get_group_id)();"),
        ("constant int CAT(get_group_id, _) = 1;\n#define get_group_id_ 2",
         "a[0] = CAT(get_group_id, _);"),
        ("", "{ enum { CAT(my_, get_group_id) }; } CAT(x, get_group_id): a[0] = 1;"),
    ],
)  # fmt: skip
def test_a_name_that_is_another_in_the_variant_may_no_longer_hide_what_it_hid(
    before: str, text: str
) -> None:
    cat = "#define CAT_(x, y) x##y\n#define CAT(x, y) CAT_(x, y)\n"
    assert "pastes" in (body(text, cat + before).refusal or "")


def test_what_would_hush_the_front_end_is_not_split() -> None:
    for before in (
        '#pragma clang diagnostic ignored "-Woverlength-strings"',
        '#pragma GCC diag\\\nnostic ignored "-Weverything"',
        "#pragma clang system_header",
        '_Pragma("clang diagnostic ignored \\"-Wpedantic\\"")',
        '#pragma clang /*\n*/ diagnostic /*\n*/ ignored "-Woverlength-strings"',
        "#define I ignored\n#define D diagnostic\n#define P_(x) _Pragma(#x)\n#define P(x) P_(x)\n"
        'P(clang D I "-Woverlength-strings")',
        "#define C(a, b) a##b\n#define P_(x) _Pragma(#x)\n#define P(x) P_(x)\n"
        'P(clang C(diag, nostic) C(ign, ored) "-Woverlength-strings")',
    ):
        assert "what not to say" in (body("a[0] = 1;", before).refusal or ""), before


def test_a_macro_that_makes_pragmas_does_no_harm() -> None:
    before = "#define UNROLL(n) _Pragma(#n)\n#define CAT(a, b) a##b"
    assert (
        body("UNROLL(unroll 3) for (int i = 0; i < 9; i++) a[i] = CAT(1, 2);", before).refusal
        is None
    )


@pytest.mark.parametrize(
    "text",
    [
        "while (__opencl_atomic_load((global atomic_int *)a, 5, 2) == 0) ;",
        "while (__atomic_load_n(a, 5) == 0) ;",
        "a[1] = __atomic_fetch_add(a, 1, 5);",
        "ulong p = (ulong)a; while (__atomic_load_n((global int *)p, 5)) ;",
    ],
)
def test_the_compilers_own_atomics_are_not_split(text: str) -> None:
    assert "compiler's own" in (body(text, macros=NEW).refusal or "")


def test_a_designated_initializer_is_no_atomic() -> None:
    before = "typedef struct { global int *p; int n; } s;"
    text = "s x = { .p = a, .n = 2 }; int y[3] = { [0] = 1, [2] = 2 }; x.p[x.n] = y[0] ?: 3;"
    assert body(text, before).refusal is None


def test_volatile_memory_that_a_function_or_a_cast_gives_can_be_waited_for() -> None:
    before = "volatile global int *same(global int *p) { return p; }"
    assert "may wait" in (body("while (*same(a)) ;", before).refusal or "")
    for memory in ("*P", "P[0]"):
        text = f"while ({memory}) ;".replace("P", "__builtin_astype(a, volatile global int *)")
        assert "may wait" in (body(text).refusal or "")


def test_a_function_in_parentheses_is_no_way_around_the_judge() -> None:
    assert "may wait" in (body("while ((atomic_or)(a, 0)) ;").refusal or "")
    assert "may wait" in (body("while (((atomic_cmpxchg))(a, 0, 1)) ;").refusal or "")
    assert body("local int l; while ((atomic_or)(&l, 0)) ;").refusal is None
    assert body("while (a[1]) a[1] = (max)(a[0], 1);").refusal is None
    assert body("a[0] = (get_group_id)(0);").refusal is not None  # an error to the front end


def test_variables_that_a_variant_would_have_twice_leave_it_whole() -> None:
    before = "global int counter;"
    assert "counter" in (
        body("a[0] = get_group_id(0) + counter;", before, macros=NEW).refusal or ""
    )
    assert body("a[0] = counter;", before, macros=NEW).refusal is None
    assert body("a[0] = get_group_id(0);", before, macros=NEW).refusal is None
    static = "static global int n; a[0] = get_group_id(0) + n;"
    assert "a variable" in (body(static, macros=NEW).refusal or "")


def test_constants_and_types_are_no_variables() -> None:
    before = """
        constant float table[2] = {1, 2};
        __constant int one = 1;
        typedef struct { int x; } pair;
        struct named { int y; };
        enum { A, B };
        const sampler_t s = CLK_FILTER_NEAREST;
        int helper(int);
    """
    read = "a[0] = get_group_id(0) + table[0] + one + read_imagei(i, s, (int2)(0, 0)).x;"
    assert body(read, before, "global int *a, read_only image2d_t i").refusal is None


def test_atomics_without_a_loop_are_split_with_a_note() -> None:
    verdict = body("atomic_inc(a + get_global_id(0) % 7);")
    assert verdict.refusal is None
    assert "order" in verdict.notes[0]


def test_build_options_count() -> None:
    source = "kernel void k(global int *a) { a[0] = ID; }"
    assert examine(source, options="-DID=get_group_id(0)").asks == {"get_group_id"}
    assert examine(source, options="-D ID=get_local_id(0) -cl-mad-enable").refusal is None
    assert examine(source, options="-DID=0 -include other.h").refusal is not None
    assert examine(source, options="-DID=0 -Wp,-DX=1").refusal is not None
    assert examine(source, options="-DID=0 -cl-std=CLC++").refusal is not None
    assert "defines uint" in (examine(source, options="-DID=0 -Duint=int").refusal or "")
    assert "defines if" in (examine(source, options="-DID=0 -Dif=while").refusal or "")


@pytest.mark.parametrize(
    "tells",
    [
        "__FILE__[0]", "__BASE_FILE__[0]", "__FILE_NAME__[0]", "__builtin_FILE()[0]",
        "__builtin_FILE_NAME ( ) [0]", "sizeof(__FILE__)", "sizeof(\"a\" __FILE__)",
        "__TIME__[7]", "__DATE__[0]", "__TIMESTAMP__[0]",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("", "a[0] = TELLS;"),
        ("", "{ }\n#line 7\na[0] = TELLS;"),
        ("", "local int l[1 + (int)sizeof(char[TELLS & 1])]; a[0] = sizeof(l);"),
        ("#define NOW TELLS", "a[0] = NOW;"),
        ("#define SAME(x) x", "a[0] = SAME(TELLS);"),
        ("int f(int x) { return x + TELLS; }", "a[0] = f(1);"),
        ("typedef struct { int x[sizeof(int[TELLS & 1])]; } s;", "a[0] = sizeof(s);"),
    ],
)
def test_its_files_name_and_when_it_was_compiled_must_not_show(
    tells: str, before: str, text: str
) -> None:
    """A variant is compiled from other text, and later."""
    refusal = body(text.replace("TELLS", tells), before.replace("TELLS", tells)).refusal
    assert "tells" in (refusal or "")


def test_what_tells_its_files_name_leaves_whole_what_reaches_it_and_no_more() -> None:
    source = """
        #define CHECK(x) if (!(x)) printf(__FILE__ ":%d", __LINE__)
        kernel void checked(global int *a) { CHECK(a[0] == 0); }
        kernel void k(global int *a) { a[get_group_id(0)] = 1; }
        """
    assert "file" in (examine(source, "checked").refusal or "")
    assert examine(source).refusal is None


@pytest.mark.parametrize(
    "text",
    [
        "a[0] = __LINE__ + get_group_id(0);",
        "a[0] = __COUNTER__ + __INCLUDE_LEVEL__ + get_group_id(0);",
        "a[0] = __builtin_LINE() + get_group_id(0);",
        "a[0] = sizeof(__func__) + get_group_id(0);",
        '\n#line 7 "mine.cl"\na[0] = sizeof(__FILE__) + get_group_id(0);',
    ],
)
def test_what_is_the_same_in_the_variant_may_show(text: str) -> None:
    assert body(text).refusal is None


def test_a_function_of_the_programs_own_that_is_called_as_one_of_the_languages_is_no_such_one() -> (
    None
):
    """It may do anything, and be told its name."""
    own = "int __attribute__((overloadable)) get_group_id(int4 x)"
    called = "a[0] = get_group_id((int4)(1));"
    loop = f"while (get_group_id((int4)(1))) a[0]++; {called}"
    for rest in (";", "{ return sizeof(__func__); }", "{ return 1; }"):
        for text in (called, loop, f"{own}; {called}"):
            assert "of its own" in (body(text, f"{own} {rest}").refusal or "")
    assert body("a[0] = get_group_id(0);", f"{own} {{ return 1; }}").refusal is None
    assert body("a[0] = get_group_id(0);", "size_t get_group_id(uint);").refusal is None


def test_the_devices_macros_choose_what_is_read() -> None:
    """Whatever clang itself would define."""
    source = """
        #if defined(__clang__) || VENDOR > 2
        #define BODY atomic_inc(a)
        #else
        #define BODY a[0] = get_group_id(0)
        #endif
        kernel void k(global int *a) { BODY; }
    """
    assert examine(source).asks == {"get_group_id"}
    assert examine(source, macros={**OLD, "VENDOR": 2}).asks == {"get_group_id"}
    assert examine(source, macros={**OLD, "VENDOR": 3}).notes
    assert examine(source, macros={**OLD, "__clang__": ""}).notes


def test_the_judge_asks_for_every_name_that_a_directive_tests() -> None:
    source = "/* c */ # /* d */ ifdef A\n#elif B + defined(C) > 1\n#endif\n#ifdef MINE\n#endif"
    request = Request(source, options="-DMINE=1")
    with tempfile.TemporaryDirectory() as folder:
        found = answer(request, Path(folder))
    assert found.ask == ("A", "C")
    assert found.ask_values == ("B", "__OPENCL_C_VERSION__")
    assert not found.kernels


def test_what_a_tested_macro_stands_for_is_asked_as_well() -> None:
    source = """
        #define NEW OURS(VENDOR) > MINE
        #define OURS(x) (x + EXTRA)
        #define HAS (defined(THIS) || defined __clang__)
        #define UNTESTED OTHER
        #ifdef UNTESTED
        #if NEW && HAS
        #define BODY while (atomic_cmpxchg(a, 0, 1))
        #else
        #define BODY a[0] = get_group_id(0)
        #endif
        #endif
        kernel void k(global int *a) { BODY; }
        """
    with tempfile.TemporaryDirectory() as folder:
        found = answer(Request(source, options="-DMINE=3"), Path(folder).resolve())
    assert {"THIS", "__clang__"} <= {*found.ask, *found.ask_values}
    assert {"VENDOR", "EXTRA"} <= set(found.ask_values)
    assert "OTHER" not in found.ask + found.ask_values
    new: Macros = {"VENDOR": 3, "EXTRA": 1, **OLD}
    assert examine(source, options="-DMINE=3", macros=new).asks == {"get_group_id"}
    assert examine(source, options="-DMINE=3", macros={"THIS": 1, **new}).refusal is not None


@pytest.mark.parametrize(
    "text",
    [
        "it's /* no comment", "say \"/* no comment", "#error don't /* stop", "\"/*\" '\"'",
        "// don't /*", "/* don't */", "'\\'/*'", "it's // \\\n /* one line",
    ],
)  # fmt: skip
def test_a_quote_that_none_closes_hides_no_directive(text: str) -> None:
    source = f"#if 0\n{text}\n#endif\n#ifdef THIS\n#endif\n/* */\nkernel void k() {{ }}"
    with tempfile.TemporaryDirectory() as folder:
        assert "THIS" in answer(Request(source), Path(folder).resolve()).ask


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("#define NOW __COUNTER__\n#if NOW > 2\n#endif", "cannot be known"),
        ("#define NOW(x) AT\n#define AT __LINE__\n#if NOW(3) > 2\n#endif", "cannot be known"),
        ("#define HAS defined(__FILE_NAME__)\n#if HAS\n#endif", "cannot be known"),
        ("#ifdef A\n#elifdef B\n#endif", "not every compiler"),
        ("#define CAT(x, y) x##y\n#if CAT(__cla, ng__)\n#endif", "made of parts"),
        ("#define CAT(x, y) x%:%:y\n#define HAS CAT(__cla, ng__)\n#if HAS\n#endif", "of parts"),
    ],
)
def test_an_if_of_which_nobody_knows_what_it_means_leaves_it_whole(before: str, why: str) -> None:
    assert why in (body("a[0] = 1;", before).refusal or "")


def test_a_macro_that_only_the_device_knows_may_be_asked_for_and_no_more() -> None:
    asked = "#ifdef VENDOR\n#define N 1\n#endif\nkernel void k(global int *a) { a[0] = N; }"
    told = "#ifdef VENDOR\n#endif\nkernel void k(global int *a) { a[0] = VENDOR; }"
    valued = "#if VENDOR\n#endif\nkernel void k(global int *a) { a[0] = 1; }"
    macros: Macros = {**OLD, "VENDOR": ""}
    assert examine(asked, macros=macros).refusal is None
    assert examine(told, macros=macros).refusal is not None
    assert "no number" in (examine(valued, macros=macros).refusal or "")


def test_headers_are_read_as_they_were_given() -> None:
    source = '#include "sub/outer.h"\nkernel void k(global int *a) { a[0] = ID; }'
    outer = Header(1, "sub/outer.h", '#include "ids.h"\n')
    ids = Header(1, "sub/ids.h", "#pragma once\n#define ID get_group_id(0)\n")
    assert judge(source, "", OLD, outer, ids).verdict("k").asks == {"get_group_id"}
    body_of_it = Header(0, "body.h", "a[0] = get_group_id(0);")
    source = 'kernel void k(global int *a) {\n#include "body.h"\n}'
    assert judge(source, "", OLD, body_of_it).verdict("k").asks == {"get_group_id"}


@pytest.mark.parametrize(
    ("text", "shows"),
    [
        ("a[get_global_id(0)] = get_global_size(0);", False),
        ("a[0] = get_local_id(0);", True),
        ("a[0] = get_group_id(0);", True),
        ("barrier(CLK_LOCAL_MEM_FENCE);", True),
        ("local int x;", True),
    ],
)
def test_whether_a_kernel_can_see_the_local_size(text: str, shows: bool) -> None:
    assert body(text).shows_work_group is shows


def test_attributes_do_not_hide_a_kernel() -> None:
    source = """
        #define SIZE(X, Y) __attribute__((reqd_work_group_size(X, Y, 1)))
        #define KERNEL __kernel
        KERNEL SIZE(8, 1) void k(global int *a) { a[0] = 1; }
        __attribute__((reqd_work_group_size(8, 1, 1))) kernel void l(global int *a) { a[0] = 1; }
        void no(global int *a) { }
    """
    assert examine(source, "k") == Verdict(shows_work_group=True)
    assert examine(source, "l").refusal is None
    assert sorted(judge(source).kernels) == ["k", "l"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "}", ")", "#", "#define", "#if\n#endif", '"', "/*", "'", "\\", "kernel", "#else\n",
     "kernel void k(", "\0", "é", "#define X(\n", "kernel void k() {} }", "(" * 5000, "\ud800"],
)  # fmt: skip
def test_garbage_is_whole_and_never_an_exception(text: str) -> None:
    assert examine(text).refusal is not None


def test_what_is_not_known_of_the_headers_or_the_language_leaves_it_whole() -> None:
    source = "kernel void k(global int *a) { a[0] = 1; }"
    request = Request(source, trouble="a header changed", macros=OLD)
    with tempfile.TemporaryDirectory() as folder:
        assert answer(request, Path(folder)).verdict("k").refusal == "a header changed"
    assert "version" in (examine(source, macros={"__OPENCL_C_VERSION__": None}).refusal or "")


def test_a_variant_is_the_program_behind_the_prelude() -> None:
    source = "kernel void k(global int *a) { a[0] = get_group_id(0); }"
    found = judge(source)
    assert found.variant == prelude.PRELUDE + source
    assert judge("kernel void k(global int *a) { a[0] = get_global_id(0); }").variant == ""


def test_requests_and_answers_survive_being_written() -> None:
    header = Header(0, "h", "\udcff")
    request = Request("x", b"\1\2", "p", (header,), "t", "-DX", 32, {"A": None, "B": ""})
    assert Request.from_json(request.to_json()) == request
    found = judge("kernel void k(global int *a) { atomic_add(a, get_group_id(0)); }")
    assert Answer.from_json(found.to_json()) == found
    for text in ("", "[]", "{}", '{"version": 1}', '{"version": 1, "kernels": 3}'):
        with pytest.raises(ValueError, match=r".*"):
            Answer.from_json(text)


def test_builtin_functions_that_nobody_knows_are_refused() -> None:
    assert builtins.refusal("sqrt") is None
    assert builtins.refusal("atomic_fetch_add_explicit") is None
    assert builtins.refusal("intel_sub_group_block_read") is not None
    assert builtins.refusal("read_pipe") == "uses a pipe (read_pipe)"
