"""A plain run against a split one, test by test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: Outcomes of a test that did what its author expects.
_GOOD = frozenset({"passed", "xfailed", "skipped", "xpassed"})


class Kind(StrEnum):
    """What the two outcomes of a test mean together."""

    SAME = "same"
    ALSO_PLAIN = "fails plain, too"
    BROKEN = "breaks when split"
    MENDED = "fails plain only"
    LEFT = "not run in both"


def kind(plain: str | None, split: str | None) -> Kind:
    """What these outcomes mean; None where a run did not come to the test.

    A test that was skipped or passed by surprise in one run and not in the other is a difference,
    too: something that the test asks for has changed.
    """
    if plain is None or split is None:
        return Kind.LEFT
    if plain not in _GOOD:
        return Kind.MENDED if split in _GOOD else Kind.ALSO_PLAIN
    return Kind.SAME if plain == split else Kind.BROKEN


@dataclass(frozen=True, slots=True)
class Comparison:
    """Names of tests by what became of them."""

    tests: dict[Kind, list[str]] = field(default_factory=dict)

    def count(self, kind: Kind) -> int:
        """How many tests are of this kind."""
        return len(self.tests.get(kind, ()))


def compare(plain: Mapping[str, str], split: Mapping[str, str]) -> Comparison:
    """All tests of two runs."""
    tests: dict[Kind, list[str]] = {}
    for name in sorted(plain.keys() | split.keys()):
        tests.setdefault(kind(plain.get(name), split.get(name)), []).append(name)
    return Comparison(tests)
