"""Why launches stayed whole, in few words: names and numbers of single kernels taken out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

#: Reasons that have nothing to do with what the kernel is: the launch is too small, or the policy
#: asked for nothing.
_SMALL = re.compile(
    r"N work-items for N cores|one slice fills the device|policy unsplit|"
    r"policy fixed: 1 groups?|empty|a launch of no work-items|"
    # In the native library's words.
    r"fewer work-items than the device has cores|a task is one work-item"
)
_RULES = (
    # Only the first line of what a compiler said, and nothing of its program.
    (re.compile(r"the compiler refused the prelude.*", re.S), "the compiler refused the prelude"),
    (re.compile(r"^calls \w+, which"), "calls a function which"),
    (re.compile(r"^the header \S+ "), "a header "),
    (re.compile(r"^(mentions|the program has its own) \w+"), r"\1 an ID function"),
    (re.compile(r"\b(a slice was refused|no slice could be enqueued): .*", re.S), r"\1"),
    (re.compile(r"\b\d+\b"), "N"),
)


def normal(reason: str) -> str:
    """The reason without what differs between two kernels that it holds for.

    >>> normal("17 work-items for 480 cores")
    'N work-items for N cores'
    """
    for pattern, replacement in _RULES:
        reason = pattern.sub(replacement, reason)
    return reason.strip()


def is_large(reason: str) -> bool:
    """Whether a launch that stayed whole for this (normal) reason was large enough to be split."""
    return _SMALL.fullmatch(reason) is None


def whole(launches: Mapping[tuple[str, bool, str], int]) -> Counter[str]:
    """How many launches stayed whole, by reason."""
    found: Counter[str] = Counter()
    for (_, split, reason), count in launches.items():
        if not split:
            found[normal(reason)] += count
    return found


def kernels_whole(launches: Mapping[tuple[str, bool, str], int]) -> dict[str, list[str]]:
    """The kernels that stayed whole though a launch was large enough, by reason."""
    found: dict[str, set[str]] = {}
    for kernel, split, reason in launches:
        if not split and is_large(normal(reason)):
            found.setdefault(normal(reason), set()).add(kernel)
    return {reason: sorted(names) for reason, names in sorted(found.items())}
