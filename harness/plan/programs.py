"""An operator's own programs, measured in place of the jobs that the harness brings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import StrEnum


class Work(StrEnum):
    """By what a program's work is counted."""

    TIME = "time"
    """It ends: the GPU program's duration is the measure. A CPU program is run again and again."""
    LINES = "lines"
    """It runs on: the lines that it prints are the measure."""


@dataclass(frozen=True)
class Program:
    """A command as an operator would type it, without a shell's help."""

    words: tuple[str, ...]
    work: Work = Work.TIME

    def __post_init__(self) -> None:
        """ValueError for a command without words."""
        if not self.words:
            raise ValueError("a command is empty")

    @classmethod
    def typed(cls, command: str, work: str) -> Program:
        """Return the program of a typed command; ValueError if it is empty or a quote is open."""
        return cls(tuple(shlex.split(command)), Work(work))

    @property
    def command(self) -> str:
        """What would be typed."""
        return shlex.join(self.words)

    @property
    def unit(self) -> str:
        """One piece of its work."""
        return "run" if self.work is Work.TIME else "line"


@dataclass(frozen=True)
class Programs:
    """What takes the place of the GPU job, of the CPU job, or of both."""

    gpu: Program | None = None
    cpu: Program | None = None
