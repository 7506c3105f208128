"""Loops that read only memory which nothing in reach writes, beside atomics on other memory."""

from __future__ import annotations

import pytest
from test_judge import NEW, body, examine

TYPES = """
typedef struct { int n; int begins[4]; uint4 v; } range;
void count(volatile global int *hits) { atomic_inc(hits); }
"""
PARAMETERS = "global const range *r, constant int *c, global int *hits, global int *out, int m"


def still(text: str, before: str = "") -> tuple[int, ...] | None:
    """The arguments that must stay as they are; None if the kernel stays whole."""
    verdict = body(text, TYPES + before, PARAMETERS)
    if verdict.refusal is not None:
        assert "may wait" in verdict.refusal
        return None
    assert 2 in verdict.changed or not verdict.still
    return verdict.still


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        # As hashcat's main loops are.
        ("for (uint i = 0; i < r->n; i++) if (out[i] == m) atomic_inc(hits);", (0,)),
        ("for (uint i = 0; i < r[m].begins[2]; i += 1) count(&hits[i]);", (0,)),
        ("for (int i = 0; i < c[0] && i < r[0].v.x; i++) atomic_inc(hits);", (0, 1)),
        ("int i = 0; while (i < *c) { atomic_inc(hits); i++; }", (1,)),
        ("for (int i = 0; i < c[1]; i++) { if (out[i]) continue; atomic_inc(hits); }", (1,)),
        ("global const range *s = r + 1; for (int i = 0; i < s->n; i++) atomic_inc(hits);", (0,)),
        # Left early, but what it sees is what it saw.
        ("for (int i = 0;; i++) { if (r->begins[i] == m) break; } atomic_inc(hits);", (0,)),
        ("int x = m; while (x != 1) x = x & 1 ? 3 * x + 1 : x >> 1; atomic_inc(hits);", ()),
        ("int t[4] = {m}, i = 0; while (t[i & 3]) t[i++ & 3] -= c[i]; atomic_inc(hits);", (1,)),
        ("while (m) { m ^= c[m]; out[0] = m; } atomic_inc(hits);", (1,)),
        ("int x = m; while (x > get_num_groups(0)) x = c[x] + abs(m); atomic_inc(hits);", (1,)),
        ("int x = atomic_inc(hits); while (x) { x = c[x]; }", (1,)),
        ("int i = 0; uint4 v; do { v = vload4(i++, (global const uint *)r); } while (v.x);"
         " atomic_inc(hits);", (0,)),
    ],
)  # fmt: skip
def test_it_waits_for_nobody(text: str, arguments: tuple[int, ...]) -> None:
    assert still(text) == arguments


HELPERS = """
int step(int x, global const int *table) { while (x > table[x]) x = table[x]; return x; }
int deep(int x, constant int *c, global const range *r) { return step(x + c[0], r->begins); }
void put(global int *to, int x) { *to = x; }
constant int squares[3] = {0, 1, 4};
int square(int x) { constant int *s = squares; while (x > *s) s++; return *s; }
"""


def test_what_a_function_is_given_is_followed() -> None:
    assert still("out[0] = deep(m, c, r); atomic_inc(hits);", HELPERS) == (0,)
    assert still("put(out, step(m, r->begins)); atomic_inc(hits);", HELPERS) == (0,)
    assert still("out[0] = square(m); atomic_inc(hits);", HELPERS) == ()
    assert still("put(out, step(m, out)); atomic_inc(hits);", HELPERS) is None
    assert still("put((global int *)r, step(m, r->begins)); atomic_inc(hits);", HELPERS) is None


@pytest.mark.parametrize(
    "text",
    [
        # It is written, here or there.
        "for (int i = 0; i < *out; i++) { atomic_inc(hits); out[0] = 7; }",
        "for (int i = 0; i < *hits; i++) atomic_inc(hits);",
        "for (int i = 0; i < r->n; i++) atomic_inc((global int *)&r->n);",
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); *(global int *)r = 0;",
        "global int *p = (global int *)r; for (int i = 0; i < r->n; i++) atomic_inc(p);",
        "global int *p; p = r->begins; for (int i = 0; i < r->n; i++) atomic_inc(hits); p[m]++;",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); set(out);",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); vstore2((int2)(1), 0, out);",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); set(m ? out : hits);",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); (out + 1)[2] += 2;",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); --*(1 + out);",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); ((global uint4 *)out)->x = 2;",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); ((global uint4 *)out)[0][1] = 2;",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); (0, out)[0] = 2;",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); ({ out; })[0] = 2;",
        "for (int i = 0; i < *out; i++) atomic_inc(hits); local int l[1]; "
        "async_work_group_copy(out, l, 1, 0);",
        # By a pointer that nobody can follow.
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); *same(out) = 3;",
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); *(global int *)(ulong)m = 3;",
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); global int *p[1] = {out}; *p[0] = 3;",
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); struct { global int *p; } s; "
        "s.p = out; *s.p = 3;",
        "global int *p = out; for (int i = 0; i < r->n; i++) atomic_inc(hits); "
        "vstore2((uint2)(m), 0, (uint *)&p); *p = 3;",
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); *as_pointer(m) = 3;",
        "global const int *q; for (int i = 0; i < *q; i++) atomic_inc(hits);",
        # What is read is another in every round, or the end is.
        "global const int *q = c ? out : hits; for (int i = 0; i < *q; i++) atomic_inc(hits);",
        "for (int i = 0; i < r->n; i++) if (atomic_inc(hits)) break;",
        "for (int i = 0; i < r->n; i += atomic_inc(hits)) ;",
        "for (int i = 0; i < r->n; i++) { while (!out[0]) ; atomic_inc(hits); } out[0] = 1;",
        "while (m) { m ^= out[m]; out[0] = m; } atomic_inc(hits);",
        "while (m) m = get(out); atomic_inc(hits); out[0] = 3;",
        "while (m) m = ticket(hits);",
        # Other ways to see what others do.
        "local int l; while (!l) ; atomic_inc(hits);",
        "local int l; while (atomic_or(&l, 0)) ; atomic_inc(hits);",
        "local int l[4], *p = l; while (m) m = *p; atomic_inc(hits);",
        "while (((volatile global const range *)r)->n) ; atomic_inc(hits);",
        "volatile global const range *v = r; for (int i = 0; i < v->n; i++) atomic_inc(hits);",
        "for (int i = 0; i < r->n; i++) { atomic_inc(hits); barrier(CLK_GLOBAL_MEM_FENCE); }",
        "for (int i = 0; i < r->n; i++) atomic_inc(hits); mem_fence(CLK_GLOBAL_MEM_FENCE);",
        "while (m) { m = c[m]; barrier(CLK_LOCAL_MEM_FENCE); } atomic_inc(hits);",
        "again: if (r->n) goto again; atomic_inc(hits);",
    ],
)
def test_what_may_see_what_others_write_stays_whole(text: str) -> None:
    before = """
    void set(global int *p) { p[1] = 2; }
    int get(global const int *p) { return *p; }
    int ticket(global int *p) { return atomic_dec(p); }
    global int *same(global int *p) { return p; }
    #define as_pointer(x) __builtin_astype((ulong)x, global int *)
    """
    assert still(text, before) is None


@pytest.mark.parametrize(
    "text",
    [
        # A spin lock, one with an end in sight, and one by tickets.
        "while (atomic_cmpxchg(lock, 0, 1)) ; *n += 1; atomic_xchg(lock, 0);",
        "for (int i = 0; i < limit[0]; i++) if (!atomic_cmpxchg(lock, 0, 1)) break;",
        "for (uint i = 0; i < limit[0] && atomic_cmpxchg(lock, 0, 1); i++) ;",
        "int mine = atomic_inc(lock); while (atomic_add(lock + 1, 0) != mine) ; atomic_inc(lock);",
        # Persistent threads that take from a queue until it is empty.
        "for (int job; (job = atomic_inc(lock)) < limit[0];) n[job] = 1;",
        "while (1) { int job = atomic_inc(lock); if (job >= limit[0]) break; n[job] = 1; }",
        "int job = 0; while (job < limit[0]) { job = atomic_inc(lock); n[job] = 1; }",
        # One whose jobs make more.
        "for (int i = 0; i < *n; i++) { if (limit[i]) atomic_inc(n); }",
        "int i = 0; while (i < *lock) { if (limit[i]) atomic_inc(lock); i++; }",
        # The last work-group adds up, or all wait for it.
        "if (atomic_inc(lock) == limit[0]) { int i = 0; while (n[i] < 0) i++; n[0] = i; }",
        "atomic_inc(lock); while (*n < limit[0]) *n = *lock;",
        "n[limit[0]] = 1; mem_fence(CLK_GLOBAL_MEM_FENCE); while (!n[limit[1]]) ;",
    ],
)
def test_ways_to_wait_are_known(text: str) -> None:
    parameters = "volatile global int *lock, global int *n, global const int *limit"
    assert "may wait" in (body(text, parameters=parameters).refusal or "")


def test_a_generic_pointer_may_write_anywhere() -> None:
    before = "void put(int *p) { *p = 3; } "
    text = "for (int i = 0; i < n[0]; i++) atomic_inc(a); "
    parameters = "global int *a, global int *n"
    for more in ("put(n);", "int *p = n; *p = 2;", "int *p; p = a; p = n + 1; p[0]++;"):
        assert "may wait" in (body(text + more, before, parameters, NEW).refusal or ""), more
    verdict = body(text + "int x; put(&x); put(a);", before, parameters, NEW)
    assert (verdict.still, verdict.changed) == ((1,), (0,))


def test_images_that_are_written_are_told_of() -> None:
    parameters = "global const int *n, global int *a, write_only image2d_t w, read_only image2d_t i"
    text = "for (int j = 0; j < *n; j++) atomic_inc(a); write_imagei(w, (int2)(0), (int4)(0));"
    verdict = body(text, parameters=parameters)
    assert (verdict.still, verdict.changed) == ((0,), (1, 2))


def test_more_arguments_than_can_be_told_of_leave_it_whole() -> None:
    many = "".join(f"int x{at}, " for at in range(63)) + "global const int *n, global int *a"
    text = "for (int i = 0; i < *n; i++) atomic_inc(a);"
    assert "may wait" in (body(text, parameters=many).refusal or "")


def test_without_another_way_to_share_memory_nothing_is_asked_of_arguments() -> None:
    source = (
        "kernel void k(global const int *n, global int *a) { for (int i = 0; i < *n; i++) a[i]++; }"
    )
    assert examine(source).still == ()
