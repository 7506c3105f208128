"""The odd ways in which programs ask where a work-item is.

A *naming* calls one of OpenCL's functions with a dimension; a *wrapping* hides an expression
behind macros, helpers and #if.  Both put what they need into a Draft and return an expression of
an integer type, in which `k` is the kernel's or the helper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from program_draft import RARE, Draft
from program_wrappings import WRAPPINGS, Wrapping

Naming = Callable[[Draft, str, str], str]

#: Of a dimension: all of OpenCL 1.2's.
FUNCTIONS = (
    "get_group_id",
    "get_num_groups",
    "get_global_size",
    "get_global_offset",
    "get_group_id",
    "get_global_id",
    "get_local_id",
    "get_local_size",
)
#: Those of a dimension that the compiler need not know: PoCL 3.1 aborts on some kernels, split or
#: not, that use the others so.
_MAY_BE_COMPUTED = ("get_group_id", "get_num_groups", "get_global_offset")


@dataclass(frozen=True)
class Ways:
    """The ways that one program uses."""

    namings: tuple[Naming, ...]
    wrappings: tuple[Wrapping, ...]

    @classmethod
    def of(cls, draft: Draft) -> Ways:
        """Some, and the plain ways among them."""
        namings = draft.some(NAMINGS, draft.rng.randint(1, 6))
        rare = draft.some(RARE_NAMINGS, 1) if draft.chance(2 * RARE) else ()
        return cls((plain, *namings, *rare), draft.some(WRAPPINGS, draft.rng.randint(2, 8)))


def expression(draft: Draft, ways: Ways, function: str | None = None, depth: int = 3) -> str:
    """Something that OpenCL says of a work-item: *function* of dimension 0, or anything."""
    rng = draft.rng
    if function is None and draft.expressions and draft.chance(0.15):
        draft.used.append("shared")
        return rng.choice(draft.expressions)
    if function is not None:
        text = rng.choice(ways.namings)(draft, function, "0")
    else:
        function = rng.choice(FUNCTIONS)
        text = rng.choice(ways.namings)(draft, function, _dimension(draft, function))
    for _ in range(rng.randint(0, depth)):
        text = rng.choice(ways.wrappings)(draft, text)
    return text


def _dimension(draft: Draft, function: str) -> str:
    rng = draft.rng
    kinds = ["number", "number", "number", "macro", "enum"]
    if function in _MAY_BE_COMPUTED or draft.chance(0.05):
        kinds += ["k", "k % 3u"]
    kind = rng.choice(kinds)
    number = rng.choice("01200013")
    if kind == "number":
        return rng.choice((number, number, f"{number}u", f"({number})", f"0x{number}"))
    if kind == "macro":
        name = draft.name("AXIS")
        draft.declare(f"#define {name} {number}")
        return name
    if kind == "enum":
        name = draft.name("axis")
        draft.declare(f"enum {{ {name} = {number} }};")
        return name
    return kind


def _say(draft: Draft, feature: str, text: str | None = None) -> None:
    draft.used.append(feature)
    if text is not None:
        draft.declare(text)


# --- Namings: how a function gets called.  (f)(d) is not among them: PoCL's clang refuses it.


def plain(draft: Draft, function: str, d: str) -> str:
    return draft.rng.choice((f"{function}({d})", f"{function} ( {d} )", f"{function}/**/({d})"))


def alias(draft: Draft, function: str, d: str) -> str:
    name, other = draft.name("WHERE"), draft.name("where")
    _say(draft, "alias", f"#define {name} {function}")
    if draft.chance(0.3):
        _say(draft, "alias of alias", f"# define {other} {name}")
        name = other
    return f"{name}({d})"


def pasted(draft: Draft, function: str, d: str) -> str:
    """get_##what, get_group_##x, or any other cut; with nothing pasted, too."""
    name = draft.name("PASTE")
    at = draft.rng.choice((4, function.rfind("_") + 1, draft.rng.randrange(1, len(function) + 1)))
    head, rest = function[:at], function[at:]
    kind = draft.rng.choice(("head", "both", "called", "tail"))
    if kind == "head" and rest:
        _say(draft, "pasted", f"#define {name}(what, d) {head}##what(d)")
        return f"{name}({rest}, {d})"
    if kind == "called":
        _say(draft, "pasted", f"#define {name}(a, b, ...) a ## b(__VA_ARGS__)")
        return f"{name}({head}, {rest}, {d})"
    if kind == "tail":
        _say(draft, "pasted", f"#define {name}(begin) begin##{rest or head[-1]}")
        return f"{name}({head if rest else head[:-1]})({d})"
    _say(draft, "pasted", f"#define {name}(a, b) a##b")
    return f"{name}({head},{rest})({d})"


def pasted_macro(draft: Draft, function: str, d: str) -> str:
    """A macro pastes the name of another macro, and that one asks."""
    name, kind = draft.name("INDEX"), draft.rng.choice(("group", "item", "2"))
    _say(draft, "pasted macro", f"#define {name}_{kind} {function}({d})")
    draft.declare(f"#define {name}_other 0\n#define {name}(kind) {name}_##kind")
    return f"{name}({kind})"


def given(draft: Draft, function: str, d: str) -> str:
    """A macro calls what it is given."""
    name = draft.name("APPLY")
    define = draft.rng.choice(
        (
            f"#define {name}(f, x) f(x)",
            f"#define {name}(f, ...) f(__VA_ARGS__)",
            f"#define {name}(f, args...) f(args)",
        )
    )
    _say(draft, "given", define)
    return f"{name}({function}, {d})"


def nested(draft: Draft, function: str, d: str) -> str:
    outer, inner = draft.name("OUTER"), draft.name("INNER")
    # The inner one may well be defined later than the outer one.
    lines = [f"#define {outer}(d) ({inner}(d) + 0)", f"#define {inner}(d) {function}(d)"]
    draft.rng.shuffle(lines)
    _say(draft, "nested", "\n".join(lines))
    return f"{outer}({d})"


def half_bracket(draft: Draft, function: str, d: str) -> str:
    if not draft.first(f"macro {function}"):
        # A macro of that name would look for its bracket in vain.
        return plain(draft, function, d)
    begin, end = draft.name("BEGIN"), draft.name("END")
    _say(draft, "half bracket", f"#define {begin} {function} (\n#define {end} )")
    return f"{begin} {d} {end}"


def by_option(draft: Draft, function: str, d: str) -> str:
    name = draft.name("ASK")
    _say(draft, "option")
    if draft.chance(0.3):
        draft.options.append(f"-D{name}(x)={function}(x)")
    else:
        draft.options += draft.rng.choice(([f"-D{name}={function}"], ["-D", f"{name}={function}"]))
    return f"{name}({d})"


def continued(draft: Draft, function: str, d: str) -> str:
    _say(draft, "continued")
    return f"{draft.continued(function)}({d})"


def own_macro(draft: Draft, function: str, d: str) -> str:
    """The program's own macro of the function's name, from here on."""
    _say(draft, "own macro")
    if draft.first(f"macro {function}"):
        undef = f"#undef {function}\n" if draft.chance(0.5) else ""
        cast = draft.rng.choice(("(uint)", "7 + ", "(size_t)"))
        draft.parts.append(f"{undef}#define {function}(dim) ({cast}{function}(dim))")
    return f"{function}({d})"


def undefined(draft: Draft, function: str, d: str) -> str:
    _say(draft, "undefined")
    if draft.first(f"macro {function}"):
        draft.parts.append(f"#undef {function}")
    return f"{function}({d})"


def redefined(draft: Draft, function: str, d: str) -> str:
    """One macro, several meanings: what counts is the last before its use."""
    name, decoy = draft.name("NOW"), draft.name("decoy")
    other = draft.rng.choice(("get_local_id", "get_group_id", "get_global_size", "(uint)"))
    between = draft.rng.choice((f"ulong {decoy}(uint k) {{ return {name}(0); }}", ""))
    if draft.chance(0.3):
        _say(draft, "pushed macro")
        draft.parts.append(
            f'#define {name} {function}\n#pragma push_macro("{name}")\n#undef {name}\n'
            f'#define {name} {other}\n{between}\n#pragma pop_macro("{name}")'
        )
    else:
        _say(draft, "redefined")
        draft.parts.append(f"#define {name} {other}\n{between}\n#undef {name}")
        draft.parts.append(f"#define {name} {function}")
    return f"{name}({d})"


def stringified(draft: Draft, function: str, d: str) -> str:
    """The text of the call has a length, too."""
    name = draft.name("TEXT")
    _say(draft, "stringified", f"#define {name}_(x) #x\n#define {name}(...) {name}_(__VA_ARGS__)")
    return f"({function}({d}) + sizeof({name}({function}({d}))))"


def listed(draft: Draft, function: str, d: str) -> str:
    """A list as a macro, and another macro for each of its entries."""
    name, table = draft.name("LIST"), draft.name("table")
    what = function.removeprefix("get_")
    _say(draft, "listed", f"#define {name}(X) X(local_id) X({what}) X(work_dim)")
    draft.declare(f"#define {name}_local_id 0\n#define {name}_{what} {d}\n#define {name}_work_dim")
    draft.declare(f"#define ENTRY_{name}(x) get_##x({name}_##x),")
    if d.startswith("k") or what == "local_id":
        return f"{function}({d})"
    draft.declare(
        f"static inline ulong {table}(uint k) {{\n"
        f"    ulong t[] = {{ {name}(ENTRY_{name}) }};\n    return t[k % 3u] + t[1];\n}}"
    )
    return f"{table}(k)"


def looped(draft: Draft, function: str, d: str) -> str:
    """A computed dimension."""
    if function not in _MAY_BE_COMPUTED and draft.chance(0.8):
        function = draft.rng.choice(_MAY_BE_COMPUTED)
    name = draft.name("all_of")
    pragma = draft.rng.choice(
        ("", "#pragma unroll\n", "    __attribute__((opencl_unroll_hint(2)))\n")
    )
    _say(
        draft,
        "computed dimension",
        f"ulong {name}(uint k);\nulong {name}(uint k)\n{{\n    ulong sum = {d};\n{pragma}"
        f"    for (uint d = 0; d < 3; d++)\n        sum = sum * 7 + {function}(d);\n"
        "    return sum;\n}",
    )
    return f"{name}(k)"


def in_vector(draft: Draft, function: str, d: str) -> str:
    _say(draft, "vector")
    return f"((uint2)({function}({d}), get_local_id(1))).x"


def in_comma(draft: Draft, function: str, d: str) -> str:
    _say(draft, "comma")
    return f"((void)get_num_groups(1), {function}({d}))"


def line(draft: Draft, function: str, d: str) -> str:
    _say(draft, "line")
    told = ("__LINE__", "__COUNTER__", "__INCLUDE_LEVEL__", "sizeof(__FILE__)", "sizeof(__func__)")
    return f"({function}({d}) + {draft.rng.choice(told)})"


def of_type(draft: Draft, function: str, d: str) -> str:
    _say(draft, "typeof")
    return f"((__typeof__({function}({d}))){function}({d}) + sizeof(get_group_id(0)))"


def overloaded(draft: Draft, function: str, d: str) -> str:
    """The program's own function of the same name, of another type."""
    _say(draft, "overloaded")
    if draft.first(f"overload {function}") and draft.first(f"macro {function}"):
        draft.parts.append(
            f"__attribute__((overloadable)) size_t {function}(uint2 d) {{ return d.x * 3; }}"
        )
        return f"({function}({d}) + {function}((uint2)(k, 1)))"
    return f"{function}({d})"


def linear(draft: Draft, function: str, d: str) -> str:
    """OpenCL 2.0's functions without a dimension."""
    _say(draft, "linear")
    if not any("-cl-std" in option for option in draft.options):
        draft.options.append(draft.rng.choice(("-cl-std=CL2.0", "-cl-std=CL3.0")))
    return draft.rng.choice(
        (
            "get_global_linear_id()",
            "get_local_linear_id()",
            f"(get_global_linear_id() + {function}({d}))",
            f"(get_enqueued_local_size({d}) + {function}({d}))",
        )
    )


NAMINGS: tuple[Naming, ...] = (
    alias, pasted, pasted_macro, given, nested, by_option, continued, redefined, listed, looped,
    in_vector, in_comma, of_type, linear,
)  # fmt: skip
RARE_NAMINGS: tuple[Naming, ...] = (
    half_bracket, own_macro, undefined, stringified, line, overloaded,
)  # fmt: skip
