"""The library's policy adaptive, called from Python with the test's own clock and counters."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from compiled import PROGRAMS, made


class Phase(IntEnum):
    """Where the outer loop is, as in adapt.h."""

    UNSPLIT = 0
    TRY = 1
    CHECK_UNSPLIT = 2
    CHECK_SPLIT = 3
    SPLIT = 4


class _Control(ctypes.Structure):
    _fields_ = (
        ("phase", ctypes.c_int), ("level", ctypes.c_int), ("reason", ctypes.c_char * 64),
        ("unsplit_use", ctypes.c_double), ("best_level", ctypes.c_int),
        ("best_use", ctypes.c_double), ("rest", ctypes.c_int), ("patience", ctypes.c_int),
        ("strikes", ctypes.c_int), ("quiet", ctypes.c_int),
    )  # fmt: skip


@dataclass(frozen=True)
class Control:
    """The outer loop's state."""

    phase: Phase
    level: int
    reason: str
    others: tuple[float, ...]


@dataclass(frozen=True)
class Decision:
    """So many groups, and why."""

    groups: int
    reason: str


@functools.cache
def law() -> ctypes.CDLL:
    """The law, compiled."""
    name = "adaptive_law.so"
    library = ctypes.CDLL(str(made(PROGRAMS, name) / name))
    library.law_control_size.restype = ctypes.c_size_t
    assert library.law_control_size() == ctypes.sizeof(_Control)
    library.law_meters.argtypes = [ctypes.c_double] * 3
    library.adapt_fit.argtypes = [ctypes.c_int] * 2 + [ctypes.c_double] * 3
    library.law_control.restype = _Control
    library.law_stolen.argtypes = [ctypes.c_char_p]
    library.law_stolen.restype = ctypes.c_double
    library.adaptive_decide.restype = ctypes.c_size_t
    library.adaptive_decide.argtypes = [
        ctypes.c_uint64, ctypes.c_size_t, ctypes.c_uint, ctypes.c_double,
        ctypes.POINTER(ctypes.c_char_p),
    ]  # fmt: skip
    library.adaptive_observe.argtypes = [
        ctypes.c_uint64, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_double,
    ]  # fmt: skip
    return library


def ladder() -> tuple[int, ...]:
    """The numbers of groups that are tried."""
    turns = iter(range(100))
    return tuple(iter(lambda: law().law_rung(next(turns)), 0))


def fit(current: int, level: int, seconds: float, group_cost: float, budget: float) -> int:
    """adapt_fit() of adapt.h."""
    return int(law().adapt_fit(current, level, seconds, group_cost, budget))


def stolen_seconds(path: Path) -> float | None:
    """CPU time that others got, as a file like /proc/stat says; None where unknown."""
    seconds = float(law().law_stolen(str(path).encode()))
    return None if seconds < 0 else seconds


class Adaptive:
    """The policy; there is one in a process, which is the last that was made."""

    def __init__(
        self, budget: float, clock: Callable[[], float], cpu_seconds: Callable[[], float],
        stolen_seconds: Callable[[], float | None],
    ) -> None:  # fmt: skip
        """budget: 0.05 for 5 %; clock and the counters are in seconds."""
        self._budget = budget
        self._meters = (clock, cpu_seconds, stolen_seconds)
        law().law_begin()
        Adaptive._living = self

    def decide(self, kernel: int, work_items: int, vm_count: int | None) -> Decision:
        """The groups of a launch of *kernel* beside so many VMs (None: unknown)."""
        self._read_meters()
        reason = ctypes.c_char_p()
        groups = law().adaptive_decide(
            kernel, work_items, vm_count or 0, self._budget, ctypes.byref(reason)
        )
        assert reason.value is not None
        return Decision(groups, reason.value.decode())

    def observe(self, kernel: int, work_items: int, groups: int, seconds: float) -> None:
        """Such a launch took so many *seconds*."""
        self._read_meters()
        law().adaptive_observe(kernel, work_items, groups, seconds)

    def forget(self) -> None:
        """Know nothing again."""
        assert Adaptive._living is self
        law().adaptive_forget()

    @property
    def control(self) -> Control:
        """The outer loop's state for the VM count of the last launch."""
        assert Adaptive._living is self
        found = law().law_control()
        others = tuple(getattr(found, name) for name, _ in _Control._fields_[3:])
        return Control(Phase(found.phase), found.level, found.reason.decode(), others)

    def _read_meters(self) -> None:
        assert Adaptive._living is self
        clock, cpu, stolen = (read() for read in self._meters)
        assert clock is not None
        law().law_meters(clock, cpu, -1.0 if stolen is None else stolen)

    _living: Adaptive | None = None
