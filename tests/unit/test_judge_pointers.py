"""Pointers made numbers and numbers made pointers: nobody knows then who changes what."""

from __future__ import annotations

import pytest
from test_judge import NEW, OLD, body

from gpusplit.judge.verdict import Macros

PARAMETERS = "global int *a, ulong number"
LOOP = "int i = 5; ulong q; f(&i, &q); while (i) { i--; *(int *)q = a[3]; } atomic_inc(a);"


@pytest.mark.parametrize(
    "function",
    [
        "void f(int *p, ulong *q) { *p = 5; *q = 1; }",
        "void f(int *p, ulong *q) { int *r = p + 1; if (p) *q = (ulong)*r + as_uint(1.5f); }",
        "void g(int *p) { *p = 3; } void f(int *p, ulong *q) { if (p != NULL) g(p); *q = 0; }",
        "int keep(global int *p) { return (ulong)p; } void f(int *p, ulong *q) { *q = *p; }",
    ],
)
def test_a_function_that_keeps_no_pointer_may_be_given_one_to_a_counter(function: str) -> None:
    assert body(LOOP, function, PARAMETERS).refusal is None


@pytest.mark.parametrize(
    "function",
    [
        "void f(int *p, ulong *q) { *q = (ulong)p; }",
        "void f(int *p, ulong *q) { *q = (ulong)(p + 1) - 4; }",
        "void f(int *p, ulong *q) { *q = as_ulong(p); }",
        "void f(int *p, ulong *q) { *q = __builtin_astype(p, ulong); }",
        "void f(int *p, ulong *q) { *q = (p - (int *)0) * 4; }",
        "void f(int *p, ulong *q) { union { int *p; ulong u; } x; x.p = p; *q = x.u; }",
        "union u { int *p; ulong u; }; void f(int *p, ulong *q) { union u x = {p}; *q = x.u; }",
        "void f(int *p, ulong *q) { vstore2(*(uint2 *)&p, 0, (uint *)q); }",
        "void f(int *p, ulong *q) { *(int **)q = p; }",
        "void f(int *p, ulong *q) { struct { int *p; } s = {p}; *q = *(ulong *)&s; }",
        "void f(int *p, ulong *q) { int *s[1] = {p}; *q = *(ulong *)s; }",
        "void g(int *p, ulong *q) { *q = (ulong)p; } void f(int *p, ulong *q) { g(p, q); }",
        "void f(int *p, ulong *q) { for (; *q;) if (*p) break; else *q = (ulong)p; }",
    ],
)
def test_one_that_makes_a_number_of_it_or_puts_it_in_memory_keeps_it(function: str) -> None:
    assert "may wait" in (body(LOOP, function, PARAMETERS).refusal or "")


def test_a_number_is_no_pointer_without_a_cast() -> None:
    for text in ("ulong q = a;", "local int *p = number;"):
        assert "front end" in (body(text, parameters=PARAMETERS).refusal or "")


def test_a_cast_that_keeps_the_bits_has_no_other_meaning() -> None:
    assert "another meaning" in (body("", "#undef __builtin_astype").refusal or "")


@pytest.mark.parametrize(
    "text",
    [
        "local int l[4], *p = l; p = 0; p = NULL; while (atomic_add((local int *)p + 1, 0)) ;",
        "local float l[4]; while (atomic_add((local int *)&l[1], 0)) ;",
        "local int *p = (local int *)number; atomic_inc(p);",
    ],
)
def test_local_memory_is_of_one_work_group(text: str) -> None:
    assert body(text, parameters=PARAMETERS).refusal is None


@pytest.mark.parametrize(
    "text",
    [
        "while (atomic_add((local int *)number, 0)) ;",
        "local int *p = (local int *)number; while (atomic_add(p, 0)) ;",
        "local int *p = __builtin_astype(number, local int *); while (atomic_add(p, 0)) ;",
        "union { ulong u; local int *p; } x; x.u = number; while (atomic_add(x.p, 0)) ;",
        "local int *p = *(local int **)&number; while (atomic_add(p, 0)) ;",
        "local int *p; ulong *u = &p; *u = number; while (atomic_add(p, 0)) ;",
        "local int *p[1]; ulong *u = p; u[0] = number; while (atomic_add(p[0], 0)) ;",
        "local int *p[1]; fill(p, number); while (atomic_add(p[0], 0)) ;",
        "local int *p[2][2]; ulong *u = p[1]; u[0] = number; while (atomic_add(p[1][0], 0)) ;",
        "local int *p[1]; ulong (*u)[1] = &p; u[0][0] = number; while (atomic_add(p[0], 0)) ;",
        "struct { local int *p; } s; ulong *u = &s; *u = number; while (atomic_add(s.p, 0)) ;",
        "volatile int *p[1]; ulong *u = (ulong *)p; u[0] = number; while (*p[0]) ;",
        "volatile int *p[1]; ulong u[1]; u[0] = number; volatile int **q = u; while (**q) ;",
        "while (*(volatile local int *)number) ;",
        "while (*(volatile int *)number) ;",
    ],
)
def test_what_is_behind_a_pointer_made_of_a_number_is_not_known(text: str) -> None:
    fill = "void fill(ulong *u, ulong number) { *u = number; }"
    assert "may wait" in (body(text, fill, PARAMETERS).refusal or "")


def test_a_function_without_a_prototype_is_refused() -> None:
    before = "int f(p, n) global int *p; int n; { return p[n]; } int g() { return 1; }"
    assert "prototype" in (body("a[0] = f(a, 1);", before).refusal or "")
    assert "prototype" in (body("a[0] = 1;", before).refusal or "")
    assert body("a[0] = g();", "int g() { return 1; } int g();").refusal is None


IMAGE = "read_write image2d_t image"


def test_a_loop_that_may_wait_for_a_pixel_stays_whole() -> None:
    pixel = "read_image{}(image, (int2)(0)).x"
    for kind in ("i", "ui", "f"):
        loop = f"while ({pixel.format(kind)} == 0) ;"
        assert "may wait" in (body(loop, "", IMAGE, NEW).refusal or "")
        assert body(loop, "", IMAGE.replace("write", "only"), NEW).refusal is None
    counted = f"for (int i = 0; i < 9; i++) write_imagei(image, (int2)(i), {pixel.format('i')});"
    assert body(counted, "", IMAGE, NEW).refusal is None


def test_assembly_outside_functions_is_refused_and_a_lone_semicolon_is_not() -> None:
    for text in ('__asm__("nop");', '#define NOP __asm__("nop")\nNOP;'):
        assert "assembly" in (body("a[0] = 1;", text).refusal or "")
    assert body("a[0] = f(1);", "int f(int x) { return x; };;").refusal is None


@pytest.mark.parametrize("macros", [OLD, NEW])
def test_where_a_pointer_lies_in_memory_makes_no_number_of_it(macros: Macros) -> None:
    """OpenCL C 2.0 makes a pointer to any memory of one to private memory, as in sasmodels."""
    parameters = "global int *a, global const int *n"
    loop = "for (int i = 0; i < n[0]; i++) a[i] += t[i];"
    before = "constant int table[] = {1, 2}; void f(constant int **p) { *p = table; }"
    assert body(f"constant int *t; f(&t); {loop}", before, parameters, macros).refusal is None
    before = "void f(ulong *p) { *p = 0; }"
    text = f"constant int *t, **where = &t; f((ulong *)where); {loop}"
    assert "may wait" in (body(text, before, parameters, macros).refusal or "")
