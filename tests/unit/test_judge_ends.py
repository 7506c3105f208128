"""Loops that may be left early: which of them come to an end whatever memory holds.

Beside them the kernel has an atomic.  A loop that may go on for ever while it looks at memory is a
way to wait for another work-group, so it is refused.
"""

from __future__ import annotations

import pytest
from test_judge import body, examine

PARAMETERS = "global int *a, uint n, int m"


@pytest.mark.parametrize(
    "loop",
    [
        "for (uint r = n; r; r >>= 1) { if (a[r]) return; }",
        "for (uint l = 0, r = n; r; r >>= 1) { uint q = r >> 1; int c = a[l + q];"
        " if (c > 0) { l += q + 1; r--; } if (c == 0) return; }",
        "for (uint r = n; r != 0; r /= 3) { if (a[r]) break; }",
        "for (uint r = n; 0 < r; r = r >> 1) { if (a[r]) break; }",
        "for (uint r = n; r > m; r = r / 2) { if (a[r]) break; }",
        "for (int r = m; r > 0; r >>= 1) { if (a[r]) break; }",
        "for (int r = m; r; r /= 2) { if (a[r]) break; }",
        "for (int r = m; r >= 1; r >>= 1) { if (a[r]) { continue; } if (a[2]) break; }",
        "uint r = n; while (r) { if (a[r]) break; r >>= 1; }",
        "uint r = n; while (r) { if (a[r]) break; r >>= 1; a[0] = 3; }",
        "uint r = n; while (r) { if (a[r]) { r--; } if (a[1]) break; r >>= 1; }",
        "uint r = n; do { if (a[r]) break; r >>= 1; } while (r);",
        "uint r = n; do { if (a[r]) { r /= 2; } if (a[1]) break; r >>= 1; } while (r > 0);",
        "uint r = n; while (r && a[r]) { r >>= 1; if (a[0] == 1) break; }",
        "for (int i = 24, j = 6; i < m; i += 4, j += 1) if (a[j]) return;",
        "for (int i = 0; i <= m; i++) if (a[i]) return;",
        "for (uint i = 0; i <= n / 2 + 1; ++i) if (a[i]) return;",
        "for (uint i = 0; i <= ((n >> 3) & m); ++i) if (a[i]) return;",
        "for (uint i = 0; i <= (n & 0xffff); ++i) if (a[i]) return;",
        "for (uint i = 0; i <= n % 1000; ++i) if (a[i]) return;",
        "for (ulong i = 0; i <= n; ++i) if (a[i]) return;",
        "for (uint i = 0; i <= (ushort)n; ++i) if (a[i]) return;",
        "for (uint i = 0; i <= 77; ++i) if (a[i]) return;",
        "for (int i = 0; i <= m - 1; i++) if (a[i]) return;",
        "for (int i = m; i >= 0; i--) if (a[i]) break;",
        "for (uint i = n; i >= 1; i--) if (a[i]) break;",
        "for (uint i = n; i > 0; i -= 1) if (a[i]) break;",
        "for (uint i = n; i != m; i--) if (a[i]) break;",
        "for (uint i = 0; i < get_global_size(0); i++) if (a[i]) break;",
        "for (ulong i = 0; i < n; i++) if (a[i]) break;",
        "int i = 0; while (i < 9 && !a[i]) { i++; if (a[3]) break; }",
        "for (uint r = n; r; r >>= 1) { for (uint j = 0; j < 3; j++) r >>= 1; if (a[r]) break; }",
    ],
)
def test_a_search_ends_whatever_it_finds(loop: str) -> None:
    assert body(f"{loop} atomic_inc(a);", parameters=PARAMETERS).refusal is None


@pytest.mark.parametrize(
    "loop",
    [
        # A host may pass the largest number.
        "for (uint i = 0; i <= n; i++) if (a[i]) break;",
        "for (uint i = 0; i <= m; i++) if (a[i]) break;",
        "for (uint i = 0; i <= n + 7; i++) if (a[i]) break;",
        "for (uint i = 0; i <= n / 2 * 2 + 1; i++) if (a[i]) break;",
        "for (uint i = 0; i <= n >> m; i++) if (a[i]) break;",
        "for (uint i = 0; i <= n >> 32; i++) if (a[i]) break;",
        "for (uint i = 0; i <= (n & -1); i++) if (a[i]) break;",
        "for (uint i = 0; i <= (short)n; i++) if (a[i]) break;",
        "for (uint i = 0; i <= max(n, 3u); i++) if (a[i]) break;",
        "for (uint i = 0; i <= get_global_size(0); i++) if (a[i]) break;",
        "const uint last = n; for (uint i = 0; i <= last; i++) if (a[i]) break;",
        "for (uint i = 0; i <= (n | 0xffffffffu); i++) if (a[i]) break;",
        "for (uint i = 0; i <= ~n; i++) if (a[i]) break;",
        "for (uint i = 0; i <= n - 1; i++) if (a[i]) break;",
        "for (uint i = 0; i <= (m ? UINT_MAX : n); i++) if (a[i]) break;",
        "const uint last = UINT_MAX; for (uint i = 0; i <= last; i++) if (a[i]) break;",
        "for (uint r = n; r; r >>= 1) { if (a[1]) r--; if (a[2]) r--; if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { for (int j = 0; j < 2; j++) r--; if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { if (a[1]) { r++; } if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { if (a[1]) { r -= 2; } if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { r >>= 1; r--; if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1, r--) { if (a[0]) break; }",
        "for (uint r = n; r; r--) { if (a[1]) r--; if (a[0]) break; }",
        "for (uint r = n; r; r--) { if (a[1]) r >>= 1; if (a[0]) break; }",
        "for (uint r = n; r; r--, r >>= 1) { if (a[1]) r--; if (a[0]) break; }",
        "for (uint r = n; r; r >>= 0) { if (a[0]) break; }",
        "for (uint r = n; r; r >>= 32) { if (a[0]) break; }",
        "for (uint r = n; r; r >>= m) { if (a[0]) break; }",
        "for (uint r = n; r; r /= 1) { if (a[0]) break; }",
        "for (uint r = n; r; r /= a[1]) { if (a[0]) break; }",
        "for (uint r = n; r; r = n >> 1) { if (a[0]) break; }",
        "for (uint r = n; r; r = (r >> 1) + 1) { if (a[0]) break; }",
        "for (uint r = n; r >= 0; r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; r < 9; r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; r != 7; r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; r || a[1]; r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; r + 1; r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; !r; r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; r | 1; r >>= 1) { if (a[0]) break; }",
        "for (int r = m; r; r >>= 1) { if (a[0]) break; }",
        "for (int r = m; r > -2; r >>= 1) { if (a[0]) break; }",
        "for (int r = m; r > n; r >>= 1) { if (a[0]) break; }",
        "for (int r = m; r > 0u; r >>= 1) { if (a[0]) break; }",
        "for (int r = m; r; r /= 2) { if (a[1]) r--; if (a[0]) break; }",
        "for (int r = m; r >= 0; r >>= 1) { if (a[0]) break; }",
        "uint r = n; while (r) { if (a[1]) continue; r >>= 1; if (a[0]) break; }",
        "uint r = n; while (r) { if (a[1]) r >>= 1; if (a[0]) break; }",
        "uint r = n; while (r) { if (a[1]) break; switch (a[2]) { default: continue; } r >>= 1; }",
        "uint r = n; while (r) { r >>= 1; if (a[1]) r--; if (a[0]) break; }",
        "uint r = n; while (r) { r >>= 1; r--; if (a[0]) break; }",
        "uint r = n; do { r--; if (a[0]) break; r >>= 1; } while (r);",
        "uint r = n; while (r) { uint r = a[1]; r >>= 1; if (a[0]) break; }",
        "volatile uint r = n; while (r) { r >>= 1; if (a[0]) break; }",
        "uint r = n; while (r) { r >>= 1; uint *p = &r; *p = a[1]; if (a[0]) break; }",
        "uint r = n; uint *p = &r; while (r) { r >>= 1; *p = a[1]; if (a[0]) break; }",
        "local uint r; r = n; while (r) { r >>= 1; if (a[0]) break; }",
        "uint r[1]; r[0] = n; while (*r) { *r >>= 1; if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { if (atomic_or(a, 0)) break; }",
        "for (uint r = n; r; r >>= 1) { while (!a[1]) ; if (a[0]) break; }",
        "uint r = n; x: while (r) { r >>= 1; if (a[0]) goto x; }",
        "for (uint r = n; r; r >>= 1) { if (a[0]) { r = n; } if (a[1]) break; }",
        "for (uint r = n, s = 0; r; s = r >>= 1) { if (a[0]) break; r = 5; }",
        "for (uint r = n; (r = a[2]); r >>= 1) { if (a[0]) break; }",
        "for (uint r = n; r && r++; r >>= 1) { if (a[0]) break; }",
        "for (uchar i = 0; i < 300; i++) { if (a[0]) break; }",
        "for (uint i = 0; i < 0x100000000L; i++) { if (a[0]) break; }",
        "for (uint i = 0; i <= 0xffffffffu; i++) { if (a[0]) break; }",
        "for (uint i = 0; i < 1e10f; i++) { if (a[0]) break; }",
        "for (uint i = n; i >= 0; i--) { if (a[0]) break; }",
        "for (uint i = n; i < 9; i--) { if (a[0]) break; }",
        "for (uint i = 0; i < n; i += 3) { if (a[0]) break; }",
        "for (uint i = 0; i < n; i++) { n++; if (a[0]) break; }",
        "for (uint i = 0; i < n; i++) { i -= a[0]; if (a[0]) break; }",
        "for (int i = 0; i != m; i += 2) { if (a[0]) break; }",
        "for (int i = 0; i < m; i += 0) { if (a[0]) break; }",
        "for (int i = 0; i < m; i -= 1) { if (a[0]) break; }",
        "for (int i = 0; i < m; i += -1) { if (a[0]) break; }",
        "for (uint i = 0; i * 2 != 7; i++) { if (a[0]) break; }",
        "for (uint i = 0; i < (ulong)n + 0xffffffff; i++) { if (a[0]) break; }",
        "for (uint i = 0; i < a[7]; i++) { if (a[0]) break; }",
        "uint r = n; while (r) { for (;;) { r >>= 1; if (a[0]) break; } }",
        "uint r = n; while (r) { { if (a[0]) break; } (void)(r >>= 1); for (;;) ; }",
        "uint r = n; while (r) ({ if (a[0]) break; r >>= 1; r++; });",
        "for (uint r = n; r; r >>= 1)"
        " { switch (a[1]) { case 1: r--; case 2: r--; } if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { r--, r--; if (a[0]) break; }",
        "for (uint r = n; r; r >>= 1) { (a[1] ? r-- : r--); if (a[0]) break; }",
        "int s = n; for (uint r = n; r > s; r >>= 1) { s--; if (a[0]) break; }",
        "char4 v = 1; while (as_int(v)) { v[0] = a[0]; }",
    ],
)
def test_what_may_go_on_for_ever_stays_whole(loop: str) -> None:
    refusal = body(f"{loop} atomic_inc(a);", parameters=PARAMETERS).refusal
    assert "may wait" in (refusal or "")


SEARCH = """
    int compare(int x, global const int *a, uint at) {{ {} return x < a[at]; }}
    int find(int x, global const int *a, uint n) {{
        for (uint l = 0, r = n; r; r >>= 1) {{
            const uint m = r >> 1;
            const int c = compare(x, a, l + m);
            if (c > 0) {{ l += m + 1; r--; }}
            if (c == 0) return l + m;
        }}
        return -1;
    }}
    kernel void k(global int *a, global int *hits) {{ if (find(7, a, 9) >= 0) atomic_inc(hits); }}
"""


def test_what_a_search_calls_must_see_nothing_new_of_other_groups() -> None:
    assert examine(SEARCH.format("")).refusal is None
    for news in (
        "while (((volatile global const int *)a)[0]) ;",
        "atomic_or((volatile global int *)a, 0);",
        "mem_fence(CLK_GLOBAL_MEM_FENCE);",
        "barrier(CLK_GLOBAL_MEM_FENCE);",
        "if (((volatile global const int *)a)[at]) return 0;",
        "x: if (a[0]) goto x;",
    ):
        assert "may wait" in (examine(SEARCH.format(news)).refusal or ""), news


POINTERS = """
    void bounds(int *low, int *high) { *low = 0; *high = 3; }
    int *same(int *x) { return x; }
    void keep(int **p, int *x) { *p = x; }
    struct kept { int *p; };
    void hold(struct kept *s, int *x) { s->p = x; }
"""


def test_a_bound_that_a_function_writes_once_is_a_bound() -> None:
    text = "int l, h; bounds(&l, &h); for (int i = l; i < h; i++) atomic_inc(a);"
    assert body(text, POINTERS).refusal is None


@pytest.mark.parametrize(
    "text",
    [
        "int i; int *p = &i; for (i = 0; i < 9; i++) *p = atomic_add(a, 0);",
        "int h, *p; for (int i = 0; i < h; i++) { atomic_inc(a); *p = 8; } p = &h;",
        "int h, *p; for (int i = 0; i < h; i++) { if (a[0]) break; *p = 8; } p = &(h);",
        "int h, *p = same(&h); for (int i = 0; i < h; i++) *p = atomic_add(a, 0);",
        "int h, *p; keep(&p, &h); for (int i = 0; i < h; i++) *p = atomic_add(a, 0);",
        "int h; struct kept s; hold(&s, &h); for (int i = 0; i < h; i++) *s.p = atomic_add(a, 0);",
        "struct { int h; } s; int *p = &s.h; for (int i = 0; i < s.h; i++) *p = atomic_add(a, 0);",
    ],
)
def test_a_counter_that_a_pointer_may_change_counts_nothing(text: str) -> None:
    assert "may wait" in (body(text + " atomic_inc(a);", POINTERS).refusal or "")
