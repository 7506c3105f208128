"""Telling how far a run is, with elapsed and expected time.

On a terminal a moving line; elsewhere (a log, CI) a plain line at every change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Forecast:
    """How long a run will take, from what it is made of and how its parts went so far.

    Every part has a weight, a guess of its seconds. What finished parts really took
    corrects the guess for the others.
    """

    def __init__(self, weights: list[float]) -> None:
        self._waiting = list(weights)
        self._guessed = 0.0
        self._taken = 0.0

    def done(self, seconds: float) -> None:
        """The next part has ended, after so many seconds."""
        if self._waiting:
            self._guessed += self._waiting.pop(0)
        self._taken += seconds

    @property
    def remaining(self) -> float:
        """Seconds that the parts not done yet will take."""
        pace = self._taken / self._guessed if self._guessed else 1.0
        return pace * sum(self._waiting)


def duration(seconds: float) -> str:
    """Write a duration for people: 8 s, 1 min 40 s, 12 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    return f"{minutes} min" if minutes >= 10 or rest == 0 else f"{minutes} min {rest} s"


class RunProgress:
    """The progress of one run, shown on a console."""

    def __init__(
        self,
        console: Console,
        weights: list[float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._forecast = Forecast(weights)
        self._parts = len(weights)
        self.taken: dict[str, list[float]] = {}
        """Seconds of the parts that are done, by name."""
        self._done = 0
        self._clock = clock
        self._began = clock()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._began = self._clock()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[expected]}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=self._parts, expected="")
        self._say(f"{self._parts} parts, expected to take {duration(self._forecast.remaining)}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Do one part of the run within this."""
        began = self._clock()
        elapsed = duration(began - self._began)
        expected = f"about {duration(self._forecast.remaining)} to go"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name, expected=expected)
        else:
            self._say(f"[{self._done + 1}/{self._parts}] {name} ({elapsed} elapsed, {expected})")
        yield
        seconds = self._clock() - began
        self._forecast.done(seconds)
        self.taken.setdefault(name, []).append(seconds)
        self._done += 1
        if self._bar is not None and self._task is not None:
            # Two numbers of CPU VMs can use the same number of groups: then a part less.
            self._bar.update(self._task, completed=self._done)

    def _say(self, text: str) -> None:
        # No markup and no colours for numbers: file names and labels hold brackets.
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
