"""The odd places in which programs keep an expression; see program_spellings.py."""

from __future__ import annotations

from collections.abc import Callable

from program_draft import Draft

Wrapping = Callable[[Draft, str], str]

_QUALIFIERS = (
    "",
    "static ",
    "inline ",
    "static inline ",
    "inline static ",
    "__attribute__((always_inline)) ",
    "__attribute__((noinline)) static ",
    "static __inline__ ",
    "const ",
)


def _function(draft: Draft, body: str, name: str, parameters: str = "uint k") -> str:
    """The text of a helper, with odd qualifiers, and now and then with a prototype before."""
    qualifiers = draft.rng.choice(_QUALIFIERS)
    head = f"{qualifiers}ulong {name}({parameters})"
    if draft.chance(0.3):
        draft.used.append("prototype")
        draft.declare(f"{head};")
    brace = draft.rng.choice((" {", "\n{", " /* body */ {"))
    return f"{head}{brace}\n    {body}\n}}"


def macro(draft: Draft, e: str) -> str:
    draft.used.append("macro")
    name = draft.name("VALUE")
    draft.declare(f"#define {name} \\\n    ({e})" if draft.chance(0.3) else f"#define {name} ({e})")
    return name


def macro_of(draft: Draft, e: str) -> str:
    """A macro with parameters of which it may take none."""
    draft.used.append("macro with parameters")
    name = draft.name("TAKE")
    text, call = draft.rng.choice(
        (
            (f"{name}(x) (x)", f"{name}(({e}))"),
            (f"{name}(x, ...) ((x) + 0)", f"{name}(({e}), get_group_id(0))"),
            (f"{name}(k) ({e})", f"{name}(k)"),
            (f"{name}() ({e})", f"{name}()"),
            (f"{name}(own) ({{ ulong own##_ = ({e}); own##_; }})", f"{name}(v)"),
        )
    )
    draft.declare(f"#define {text}")
    return call


def helper(draft: Draft, e: str) -> str:
    draft.used.append("helper")
    name = draft.name("helper")
    draft.declare(_function(draft, f"return {e};", name))
    return f"{name}(k)"


def chain(draft: Draft, e: str) -> str:
    draft.used.append("chain of helpers")
    names = [draft.name("link") for _ in range(3)]
    call = e
    for name in names:
        draft.declare(_function(draft, f"return {call};", name))
        call = f"{name}(k) + 1"
    return f"({call})"


def later(draft: Draft, e: str) -> str:
    """Defined behind the kernels that call it."""
    draft.used.append("defined later")
    name = draft.name("later")
    static = draft.rng.choice(("", "", "static ", "extern "))
    draft.declare(f"{static}ulong {name}(uint k);")
    draft.tail.append(
        f"{static.replace('extern ', '')}ulong {name}(uint k)\n{{\n    return {e};\n}}"
    )
    return f"{name}(k)"


def if_bodies(draft: Draft, e: str) -> str:
    """One signature, and an #if that chooses between two bodies."""
    draft.used.append("#if bodies")
    name = draft.name("either")
    other = draft.rng.choice(("return 0;", "return k;", "return get_group_id(0) + 3;"))
    bodies = [f"{{\n    return {e};\n}}", f"{{\n    {other}\n}}"]
    draft.rng.shuffle(bodies)
    head = draft.rng.choice(("ulong", "static ulong", "inline static ulong"))
    draft.declare(f"{head} {name}(uint k){draft.either(*bodies)}")
    return f"{name}(k)"


def if_parameters(draft: Draft, e: str) -> str:
    draft.used.append("#if parameters")
    name = draft.name("list")
    lists = ["uint k)", "const uint k)"]
    draft.rng.shuffle(lists)
    draft.declare(f"static ulong {name}({draft.either(*lists)}{{\n    return {e};\n}}")
    return f"{name}(k)"


def if_functions(draft: Draft, e: str) -> str:
    draft.used.append("#if functions")
    name = draft.name("choice")
    other = draft.rng.choice(
        (
            f"static inline ulong {name}(uint k) {{ return get_num_groups(0) * 5; }}",
            f"#define {name}(k) (get_group_id(k % 2u))",
        )
    )
    both = [f"static ulong {name}(uint k)\n{{\n    return {e};\n}}", other]
    draft.rng.shuffle(both)
    draft.declare(draft.either(*both))
    return f"{name}(k)"


def if_macro(draft: Draft, e: str) -> str:
    draft.used.append("#if macro")
    name = draft.name("VARIES")
    both = [f"#define {name} ({e})", f"#  define {name} (get_group_id(1) + 9)"]
    draft.rng.shuffle(both)
    draft.declare(draft.either(*both))
    return name


def if_statement(draft: Draft, e: str) -> str:
    """Within a function, an #if that chooses statements."""
    draft.used.append("#if statements")
    name = draft.name("within")
    both = [f"    v += {e};", "    v ^= get_global_size(0);"]
    draft.rng.shuffle(both)
    body = f"ulong v = 1;{draft.either(*both)}    return v;"
    draft.declare(_function(draft, body, name))
    return f"{name}(k)"


def pasted_function(draft: Draft, e: str) -> str:
    """A macro that pastes the name of a function of the program."""
    draft.used.append("pasted function")
    name, paste = draft.name("scale"), draft.name("SCALE")
    kind = draft.rng.choice(("int", "float", "group"))
    draft.declare(_function(draft, f"return {e};", f"{name}_{kind}"))
    draft.declare(f"ulong {name}_other(uint k) {{ return 0; }}")
    draft.declare(f"#define {paste}(T) {name}_##T")
    return f"{paste}({kind})(k)"


def made_function(draft: Draft, e: str) -> str:
    """A macro that makes the function."""
    draft.used.append("made function")
    make, name = draft.name("MAKE"), draft.name("made")
    flat = e.replace("\\\n", "")
    draft.declare(
        f"#define {make}(T, N) \\\n    static T N##_##T(uint k) \\\n    {{ \\\n"
        f"        return (T)({flat}); \\\n    }}"
    )
    kinds = draft.rng.choice((("ulong",), ("ulong", "uint")))
    for kind in kinds:
        draft.declare(f"{make}({kind}, {name})" + draft.rng.choice(("", ";")))
    return f"{name}_{kinds[-1]}(k)"


def overloadable(draft: Draft, e: str) -> str:
    draft.used.append("overloadable")
    name = draft.name("over")
    word = draft.rng.choice(("overloadable", "__overloadable__"))
    for kind, value in (("uint k", e), ("uint2 k", "k.x"), ("float k", "(ulong)k")):
        draft.declare(f"ulong __attribute__(({word})) {name}({kind}) {{ return {value}; }}")
    return f"({name}(k) + {name}((uint2)(k, 2)))"


def by_struct(draft: Draft, e: str) -> str:
    draft.used.append("struct")
    kind, name = draft.name("place"), draft.name("find")
    fields = "{ uint other; ulong get_group_id; }"
    draft.declare(
        draft.rng.choice(
            (
                f"typedef struct {fields} {kind};",
                f"struct {kind}_ {fields};\ntypedef struct {kind}_ {kind};",
            )
        )
    )
    if draft.chance(0.5):
        draft.declare(
            f"{kind} {name}(uint k) {{ {kind} p; p.other = k; p.get_group_id = {e}; return p; }}"
        )
        return f"{name}(k).get_group_id"
    draft.declare(f"static void {name}({kind} *p, uint k)\n{{\n    p->get_group_id = {e};\n}}")
    return f"({{ {kind} p; p.other = 1; {name}(&p, k); p.get_group_id + p.other; }})"


def switched(draft: Draft, e: str) -> str:
    draft.used.append("switch")
    name = draft.name("pick")
    body = (
        f"ulong v = 0;\n    switch (k % 4u) {{\n    case 0: return {e};\n"
        f"    case 1: return get_group_id(0) * 2;\n    case 2:\n    default: v = {e};\n"
        "        { ulong get_num_groups = v; return get_num_groups + 1; }\n    }"
    )
    draft.declare(_function(draft, body, name))
    return f"{name}(k)"


def ternary(draft: Draft, e: str) -> str:
    draft.used.append("ternary")
    return f"(k % 2u ? {e} : (ulong)get_num_groups(0) + ({e}))"


def arithmetic(draft: Draft, e: str) -> str:
    other = draft.rng.choice((*draft.expressions[-3:], "get_group_id(0)", "get_local_id(0)"))
    return f"({e} * 1000ul + {other})"


def in_table(draft: Draft, e: str) -> str:
    """A program-scope constant array tells what becomes of it."""
    draft.used.append("constant table")
    name = draft.name("table")
    constant = draft.rng.choice(("constant", "__constant", "static constant", "constant const"))
    draft.declare(f"{constant} uint {name}[4] = {{ 3, 1, 4, 15 }};")
    return f"({e} + {name}[({e}) % 4u])"


def summed(draft: Draft, e: str) -> str:
    draft.used.append("private loop")
    name = draft.name("sum")
    loop = draft.rng.choice(
        (
            f"for (uint i = 0; i < k % 5u + 1; ++i) v = v * 31 + ({e});",
            f"uint i = 3;\n    while (i-- > 0) {{ v += {e}; if (v % 7 == 6) break; }}",
            f"uint i = 0;\n    do {{ v ^= ({e}) << i; }} while (++i < 3);",
        )
    )
    draft.declare(_function(draft, f"ulong v = 0;\n    {loop}\n    return v;", name))
    return f"{name}(k)"


def typedefs(draft: Draft, e: str) -> str:
    draft.used.append("typedef")
    name = draft.name("real")
    draft.declare(f"typedef {draft.rng.choice(('ulong', 'unsigned int', 'size_t'))} {name};")
    return f"(({name})({e}))"


def decoy(draft: Draft, e: str) -> str:
    """Another helper that asks and that nobody calls, or that only an unused macro calls."""
    draft.used.append("unused helper")
    name = draft.name("unused")
    draft.declare(_function(draft, f"return {e} + get_group_id(0);", name))
    draft.declare(f"#define {name.upper()} {name}(0) + get_global_size(")
    return e


WRAPPINGS: tuple[Wrapping, ...] = (
    macro, macro_of, helper, chain, later, if_bodies, if_parameters,
    if_functions, if_macro, if_statement, pasted_function, made_function, overloadable, by_struct,
    switched, ternary, arithmetic, in_table, summed, typedefs, decoy,
)  # fmt: skip
