"""What the judge is asked and what it answers; both travel as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: Requests and answers of another version are not understood.
VERSION = 2

#: The library below OpenCL counts arguments by the bits of a number.
LAST_ARGUMENT = 63


class Unreadable(Exception):
    """A program is not understood; the message says why."""


#: What the device says of a macro before the first line of a program: its integer value, None if
#: it is not defined, or the empty text if it is defined as something else or nobody asked for it.
Macros = Mapping[str, int | str | None]


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it was when the program was built.

    folder: which of the include folders it was found in; name: its path from there.
    path: its whole path, if a macro names it or what includes it, and so perhaps by that path.
    """

    folder: int
    name: str
    text: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A program to be judged.

    Attributes
    ----------
    source: OpenCL C; empty if there is none.
    spirv, ptx: the program in these forms, empty if it has none.  PTX beside a source is a second
        opinion: what either refuses stays whole.
    headers: those that the program may include; trouble: why they may be incomplete, or empty.
    options: the options of clBuildProgram.
    address_bits: of the device, 32 or 64.
    macros: what the device's compiler says of the macros that matter, see Answer.ask.
    """

    source: str = ""
    spirv: bytes = b""
    ptx: str = ""
    headers: tuple[Header, ...] = ()
    trouble: str = ""
    options: str = ""
    address_bits: int = 64
    macros: Macros = field(default_factory=dict)

    def to_json(self) -> str:
        """The request as one JSON object."""
        fields = {**asdict(self), "spirv": self.spirv.hex(), "version": VERSION}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Read to_json's result; ValueError if it is anything else."""
        fields = _object(text)
        headers = tuple(Header(**header) for header in fields.pop("headers"))
        return cls(**{**fields, "spirv": bytes.fromhex(fields["spirv"]), "headers": headers})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found for one kernel.

    Attributes
    ----------
    refusal: why the kernel must stay whole; None if it may be split.
    asks: functions whose results a slice changes and that the kernel asks for; a slice needs the
        program's variant, which puts them right, unless there are none.
    shows_work_group: whether the kernel can see how work-items are grouped, so that it matters
        which local size a driver chooses for local_size=None.
    notes: what may differ all the same, within the specification.
    still, changed: arguments by their positions, up to LAST_ARGUMENT: a launch may be split only if
        no memory object of the first is, or shares memory with, one of the second.
    """

    refusal: str | None = None
    asks: frozenset[str] = frozenset()
    shows_work_group: bool = False
    notes: tuple[str, ...] = ()
    still: tuple[int, ...] = ()
    changed: tuple[int, ...] = ()

    def describe(self) -> str:
        """One line for people."""
        if self.refusal is not None:
            return f"whole: {self.refusal}"
        text = "split as it is"
        if self.asks:
            text = f"split as a variant with the whole launch's {', '.join(sorted(self.asks))}"
        return "; ".join((text, *self.notes))


def whole(reason: str) -> Verdict:
    """The verdict on a kernel that must not be split."""
    return Verdict(refusal=reason)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the judge says of a program.

    Attributes
    ----------
    kernels: the verdicts by the kernels' names.
    otherwise: why a kernel that is not among them stays whole.
    variant: the source that shows slices the whole launch (prelude.py); empty if none needs it.
    ask, ask_values: macros of which the device has to be asked first whether it defines them, and
        what their integer values are; nothing else is said then.
    """

    kernels: Mapping[str, Verdict] = field(default_factory=dict)
    otherwise: str = "the program has no such kernel"
    variant: str = ""
    ask: tuple[str, ...] = ()
    ask_values: tuple[str, ...] = ()

    def verdict(self, kernel: str) -> Verdict:
        """The verdict on *kernel*."""
        return self.kernels.get(kernel) or whole(self.otherwise)

    def to_json(self) -> str:
        """The answer as one JSON object."""
        fields = asdict(self)
        for kernel in fields["kernels"].values():
            kernel["asks"] = sorted(kernel["asks"])
        return json.dumps({**fields, "version": VERSION}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Answer:
        """Read to_json's result; ValueError if it is anything else."""
        fields = _object(text)
        try:
            kernels = {
                name: Verdict(
                    **{
                        **given,
                        "asks": frozenset(given["asks"]),
                        **{each: tuple(given[each]) for each in ("notes", "still", "changed")},
                    }
                )
                for name, given in fields.pop("kernels").items()
            }
            fields |= {name: tuple(fields[name]) for name in ("ask", "ask_values")}
            return cls(**{**fields, "kernels": kernels})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not an answer of the judge: {error!r}") from None


def _object(text: str) -> dict[str, Any]:
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.pop("version", None) != VERSION:
        raise ValueError("not written by this version of gpusplit")
    return fields
