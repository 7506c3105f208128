"""Compare-and-swap tried again until it succeeds waits for nobody; a lock waits."""

from __future__ import annotations

import pytest
from test_judge import OLD, body

BEFORE = "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable\n"
DEVICE = {**OLD, "cl_khr_int64_base_atomics": 1}
PARAMETERS = "volatile global float *p, volatile global uint *q, global float *plain, int i"


def refusal(text: str, before: str = "") -> str:
    """Why a kernel with this body stays whole; empty if it does not."""
    return body(text, BEFORE + before, PARAMETERS, DEVICE).refusal or ""


UNION = "union { uint u; float f; } old, now, next;"


@pytest.mark.parametrize(
    "text",
    [
        # As in a thousand programs.
        UNION + """
        do { old.f = *p; next.f = old.f + 1; }
        while (atomic_cmpxchg((volatile global uint *)p, old.u, next.u) != old.u);""",
        UNION + """
        now.f = *p;
        do { old.f = now.f; next.f = old.f + 1;
             now.u = atomic_cmpxchg((volatile global uint *)p, old.u, next.u); }
        while (now.u != old.u);""",
        "uint n = *q, old; do { old = n; n = atomic_cmpxchg(q, old, 7); } while (old != n);",
        "uint n, old; do { old = *q; n = atomic_cmpxchg(q, old, old + i); } while (n != old);",
        # As loopy writes it.
        """float old, next;
        do { old = p[i + 2]; next = old * 2; }
        while (atomic_cmpxchg((volatile global int *)&(p[i + 2]), *(int *)&old, *(int *)&next)
               != *(int *)&old);""",
        # An end before success, and functions of numbers.
        """uint old, next;
        do { old = as_uint(p[i]); if (as_float(old) <= 2) break; next = as_uint(sqrt(2.0f)); }
        while (atomic_cmpxchg((volatile global uint *)&p[i], old, next) != old);""",
        """uint old;
        do { old = q[0]; if (old > 9) return; uint more = old; more += min(old, 3u); more++;
             plain[0] + 1; }
        while (old != atom_cmpxchg(&q[0], old, old * 2));""",
        """volatile global ulong *w = (volatile global ulong *)p; ulong old, now = *w;
        do { old = now; now = atom_cmpxchg(w, old, as_ulong(as_double(old) + 1.0)); }
        while (now != old);""",
    ],
)  # fmt: skip
def test_it_waits_for_nobody(text: str) -> None:
    assert refusal(text) == ""


def test_one_of_them_does_not_excuse_another_loop() -> None:
    text = "uint old; do { old = *q; } while (atomic_cmpxchg(q, old, 1) != old);"
    assert refusal(text) == ""
    assert "may wait" in refusal(text + "while (*q) ;")
    assert "may wait" in refusal(f"while (*q) {{ {text} }}")


@pytest.mark.parametrize(
    "text",
    [
        # A value is waited for.
        "do { } while (atomic_cmpxchg(q, 0, 1) != 0);",
        "uint old = 0; do { } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = 0; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; } while (atomic_cmpxchg(q, old, 1) == old);",
        "uint old; do { old = *q; } while (atomic_cmpxchg(q, old, 1) != 0);",
        "uint old; do { old = *q; } while (atomic_cmpxchg(q, 0, 1) != old);",
        "uint old; do { old = *q; } while (old || atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q & ~1; } while (atomic_cmpxchg(q, old, old | 1) != old);",
        "uint old; do { old = *q; old &= ~1; } while (atomic_cmpxchg(q, old, old | 1) != old);",
        "uint old; do { old = *q; } while (atomic_cmpxchg(q, old & ~1, old | 1) != old);",
        "uint old; do { old = *q; if (i) continue; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; while (*q) ; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old, n; do { old = *q & ~1; n = atomic_cmpxchg(q, old, 1); } while (n != old);",
        "uint old, n; do { old = n; n = atomic_cmpxchg(q, old, 1); n &= 1; } while (n != old);",
        "uint old, n = 0; do { old = n; n = atomic_cmpxchg(q, old, 1) & 1; } while (n != old);",
        "uint old, n = 0; do { n = atomic_cmpxchg(q, old, 1); old = 0; } while (n != old);",
        "uint old, n = 0; do { n = atomic_cmpxchg(q, old, 1); old = n; } while (n == old);",
        "uint old, n = 0; do { old = n; if (i) n = atomic_cmpxchg(q, 0, 1); } while (n != old);",
        # Read elsewhere, or only once.
        "uint old; do { old = q[1]; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; q++; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = q[i]; } while (atomic_cmpxchg(&q[i++], old, 1) != old);",
        "uint old; do { old = q[i]; i = 3; } while (atomic_cmpxchg(&q[i], old, 1) != old);",
        "uint old; do { old = q[q[1]]; } while (atomic_cmpxchg(&q[q[1]], old, 1) != old);",
        "uint old; do { old = as_uint(plain[0]); } "
        "while (atomic_cmpxchg((global uint *)&plain[0], old, 1) != old);",
        # Not all of its bits, or others.
        "uint old; do { old = *p; } "
        "while (atomic_cmpxchg((volatile global uint *)p, old, 1) != old);",
        "ulong old; do { old = *(volatile global ulong *)p; } "
        "while (atomic_cmpxchg((volatile global uint *)p, old, 1) != old);",
        "union { ulong u; double f; } old; do { old.f = *(volatile global double *)p; } "
        "while (atomic_cmpxchg((volatile global uint *)p, old.u, 1) != old.u);",
        "union { uint u; uchar c; } old; do { old.u = *q; old.c = 0; } "
        "while (atomic_cmpxchg(q, old.u, 1) != old.u);",
        "struct { uint u, v; } old; do { old.u = *q; } "
        "while (atomic_cmpxchg(q, old.u, 1) != old.u);",
        "uint old; do { old = *q; *(uint *)&old = 0; } while (atomic_cmpxchg(q, old, 1) != old);",
        UNION + "do { old.f = *p; } "
        "while ((float)atomic_cmpxchg((volatile global uint *)p, old.u, 1u) != old.f);",
        # It undoes its own success, or calls what might.
        "uint old; do { old = *q; *q = 3; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; plain[0] = 3; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; atomic_inc(q); } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; barrier(1); } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old, *o = &old; do { old = *q; *o = 0; } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; clear(&old); } while (atomic_cmpxchg(q, old, 1) != old);",
        "uint old; do { old = *q; vstore2((float2)(0), 0, plain); } "
        "while (atomic_cmpxchg(q, old, 1) != old);",
        "local uint old; do { old = *q; } while (atomic_cmpxchg(q, old, 1) != old);",
    ],
)
def test_what_may_be_a_lock_stays_whole(text: str) -> None:
    assert "may wait" in refusal(text, "void clear(uint *x) { *x = 0; }")


def test_a_function_of_the_program_by_that_name_is_not_the_languages() -> None:
    own = "uint atom_cmpxchg(volatile global uint *q, float a, int b) { return atomic_inc(q); }"
    text = "uint old; do { old = *q; } while (atom_cmpxchg(q, old, 1) != old);"
    assert refusal(text, own) != ""
