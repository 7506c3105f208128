"""The options of clBuildProgram that say how a program's text is read (OpenCL 1.2, 5.6.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", re.ASCII)
#: What some devices take away from a macro's text, and others leave there: -DN='1' is 49 to PoCL.
_LEFT = re.compile(r"[^=']*=.*'|.*\\", re.DOTALL)
#: Those that change nothing of what is read; any other may bring in text that nobody here sees.
_HARMLESS = re.compile(r"-cl-[\w=+,.-]+|-w|-W(?!p,)[\w=-]*|-g\w*|-O\w?|-f(no-)?(mad|fast)\S*")


@dataclass(slots=True)
class Options:
    """What compiler options mean for reading a program.

    defined: macro names and their text, in order; undefined: names after -U.
    macros: these options as they stand, since the last one of a name counts.
    folders: include folders; standard: of -cl-std, such as CL1.2, or empty.
    problem: why the options are not understood, or empty.
    """

    defined: list[tuple[str, str]] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    macros: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    standard: str = ""
    problem: str = ""

    @property
    def places(self) -> list[str]:
        """Folders that headers may come from: those, and what may stand before a name in a macro.

        hashcat says `#include M2S(INCLUDE_PATH/inc_vendor.h)`, and which folder that is by -D.
        """
        named = (text for _, text in self.defined if text.startswith("/"))
        return list(dict.fromkeys([*self.folders, *(text for text in named if len(text) > 1)]))


def read(options: str) -> Options:
    """What *options* mean.

    >>> read("-DN=4 -D HALF -I 'my headers' -cl-std=CL2.0")
    Options(defined=[('N', '4'), ('HALF', '1')], undefined=[], macros=['-DN=4', '-DHALF=1'], folders=['my headers'], standard='CL2.0', problem='')
    """  # noqa: E501 - a doctest's result is one line
    found = Options()
    raw = _WORD.findall(options)
    for word in filter(_LEFT.match, raw):
        found.problem = f"the build option {word} is read differently by compilers"
    words = iter([word.replace('"', "").replace("'", "") for word in raw])
    for word in words:
        flag, value = word[:2], word[2:]
        if flag in ("-D", "-I", "-U"):
            value = value or next(words, "")
            if flag == "-D":
                name, equals, text = value.partition("=")
                text = text if equals else "1"
                found.defined.append((name, text))
                found.macros.append(f"-D{name}={text}")
            elif flag == "-I":
                found.folders.append(value)
            else:
                found.undefined.append(value)
                found.macros.append(f"-U{value}")
        elif word.startswith("-cl-std="):
            found.standard = word.removeprefix("-cl-std=")
            if not re.fullmatch(r"CL[123]\.[0-2]", found.standard):
                found.problem = f"the program is in {found.standard}"
        elif not _HARMLESS.fullmatch(word) and not found.problem:
            found.problem = f"the build option {word} is not understood"
    return found
