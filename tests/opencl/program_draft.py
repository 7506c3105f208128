"""An OpenCL C program while it is being written: what program_maker.py and its spellings share."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

#: Part of the programs that have a way of each list of those that nobody can be asked to split.
RARE = 0.08

#: True or false of a device, or of any compiler; whoever reads a program has to know which.
_DEVICE_CONDITIONS = (
    "#if __OPENCL_VERSION__ >= 120",
    "#if __OPENCL_C_VERSION__ < 120",
    "#if defined(__OPENCL_VERSION__) && __OPENCL_VERSION__ > CL_VERSION_1_1",
    "#ifdef cl_khr_fp64",
    "#if !defined(cl_khr_fp64) || defined(cl_amd_fp64)",
    "#ifdef cl_khr_int64_base_atomics",
    "#ifdef cl_nv_pragma_unroll",
    "#ifdef cl_intel_subgroups",
    "#ifdef __ENDIAN_LITTLE__",
    "#ifdef __IMAGE_SUPPORT__",
    "#ifdef __FAST_RELAXED_MATH__",
    "#ifdef __NV_CL_C_VERSION",
    "#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 300",
    "#if defined(__AMDGCN__) || defined(__GPU__)",
    "#ifdef __POCL__",
    "#if defined(POCL_VERSION_MAJOR) && POCL_VERSION_MAJOR > 2",
    "#ifdef __x86_64__",
    "#if defined(__SPIR__) || defined(__SPIR64__)",
    "#ifdef __APPLE__",
    "#if __clang_major__ > 3",
    "#if __SIZEOF_POINTER__ == 8",
    "#ifdef __CPU__",
    "#define HAS_POCL defined(__POCL__)\n#if HAS_POCL",
    "#define NEWER(n) (LANGUAGE > (n))\n#define LANGUAGE __OPENCL_C_VERSION__\n#if NEWER(100)",
)

#: What a text behind a prelude must not see otherwise; one that asks may well stay whole.
_RARE_CONDITIONS = (
    "#ifdef get_group_id",
    "#if !defined get_num_groups && !defined(get_global_size)",
    "#if __LINE__ % 2",
    "#if __LINE__ < 40",
    "#if __COUNTER__ % 2",
    "#define NEXT __COUNTER__\n#if NEXT % 2",
    "#define PASTE(x, y) x##y\n#if PASTE(__PO, CL__)",
    '#if __has_include("nowhere.h")',
)

_COMMENTS = (
    "//***** here it begins *****",
    "/* ** stars ** and /* another beginning **/",
    "// what is this for?? or that ??/?",
    "/* don't, or \"do */",
    "#if 0\n  don't: it's \"unclosed /*\n  kernel void none() { get_group_id(0; }\n#endif",
    "// it goes on \\\n   return get_group_id(0); } {",
    "/**/ /*/ still a comment /*/",
    "// größer → ∞",
    "#ifndef __OPENCL_VERSION__\n#define kernel\nint get_group_id(int d) { return d; }\n#endif",
    "#pragma OPENCL EXTENSION cl_khr_global_int32_base_atomics : enable",
    "#line 3000",
    ";",
)


class Draft:
    """File scope as it grows.

    parts: declarations in order; tail: those after all kernels; headers: text by name; options:
    of the build; used: the features so far; expressions: those spelled so far, for whoever
    wants one again.  Every expression may use a variable `k`, an uint.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(f"program {seed}")
        self.parts: list[str] = []
        self.tail: list[str] = []
        self.headers: dict[str, str] = {}
        self.options: list[str] = []
        self.used: list[str] = []
        self.expressions: list[str] = []
        self.once: set[str] = set()
        self._names = 0
        self._comments = self.some(_COMMENTS) if self.chance(0.5) else ()
        self._conditions = self.some(_DEVICE_CONDITIONS)
        if self.chance(RARE):
            self._conditions += self.some(_RARE_CONDITIONS, 1)
        self._named_headers = self.chance(RARE)
        self._headers = 5 if self.chance(0.4) else 0

    def some(self, ways: Sequence[T], count: int = 4) -> tuple[T, ...]:
        """Those of *ways* that this program uses.

        A program that has all of them would be refused for the oddest, or fail by the first that
        is not understood, and say nothing about the others.
        """
        return tuple(self.rng.sample(ways, min(count, len(ways))))

    def name(self, stem: str) -> str:
        """A new name."""
        self._names += 1
        return f"{stem}_{self._names}"

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def first(self, key: str) -> bool:
        """Whether *key* is new: some things can be in a program but once."""
        new = key not in self.once
        self.once.add(key)
        return new

    def declare(self, text: str) -> None:
        """Put *text* at file scope, by way of a header now and then, with odd comments."""
        if self._comments and self.chance(0.2):
            self.parts.append(self.rng.choice(self._comments))
        if len(self.headers) < self._headers and self.chance(0.3):
            text = self._in_header(text)
            if self.chance(0.3):
                text = self._in_header(text)
        self.parts.append(text)

    def _in_header(self, text: str) -> str:
        """Move *text* into a header; the line that includes it."""
        self.used.append("header")
        name = self.name("part") + self.rng.choice((".h", ".cl", ".inc"))
        if self.chance(0.3):
            name = f"deep/{name}"
        guard = self.name("GUARD")
        self.headers[name] = self.rng.choice(
            (
                f"#ifndef {guard}\n#define {guard}\n{text}\n#endif",
                f"#pragma once\n{text}\n",
                f"#if !defined({guard})\n# define {guard} 1\n{text}\n#endif // {guard}\n",
            )
        )
        include = self.rng.choice((f'#include "{name}"', f"#include <{name}>"))
        if self._named_headers:
            macro = self.name("HEADER")
            return f'#define {macro} "{name}"\n#include {macro}'
        if self.chance(0.2):
            return f"{include}\n{include}"
        return include

    def condition(self) -> str:
        """An #if line, of which nobody says here whether it holds."""
        self.used.append("condition")
        kind = self.rng.choice(("flag", "value", "device", "device"))
        if kind == "device":
            return self.rng.choice(self._conditions)
        name = self.name("WITH")
        if kind == "flag":
            if self.chance(0.5):
                self.options.append(f"-D{name}")
            return self.rng.choice(
                (
                    f"#ifdef {name}",
                    f"#if defined {name}",
                    f"#ifndef {name}",
                    f"# if !defined({name})",
                )
            )
        number = self.rng.randrange(4)
        self.options += self.rng.choice(([f"-D{name}={number}"], ["-D", f"{name}={number}"]))
        return self.rng.choice(
            (
                f"#if {name} > 1",
                f"#if ({name} + 1) / 2 & 1",
                f"#if {name} == 2 || {name} < 1 && !defined(NOWHERE)",
                f"#if {name} \\\n    >= 2",
            )
        )

    def either(self, first: str, second: str) -> str:
        """One of two pieces of text, as an #if decides."""
        if self.chance(0.2):
            number = self.name("CASE")
            self.options.append(f"-D{number}={self.rng.randrange(3)}")
            return (
                f"\n#if {number} == 0\n{first}\n#elif {number} == 1\n{second}"
                f"\n#else\n{self.either(second, first)}\n#endif\n"
            )
        return f"\n{self.condition()}\n{first}\n#else\n{second}\n#endif\n"

    def continued(self, word: str) -> str:
        """*word* with a line continuation in it."""
        at = self.rng.randrange(1, len(word))
        return f"{word[:at]}\\\n{word[at:]}"
