"""Programs under the layer: the command that splits their launches, and what it says of them."""

from __future__ import annotations

import re
import sys
from collections import Counter

#: As tally.c writes it: a line a kernel with its latest reason, then one for each other reason.
_LINE = re.compile(
    r"gpusplit: (?P<kernel>\w+): (?:(?P<made>\d+) launches, (?P<split>\d+) split, \d+ slices"
    r"(?:; whole: (?P<latest>.*))?|(?P<count>\d+) of these whole: (?P<reason>.*))"
)


def command(words: list[str], groups: int | None) -> list[str]:
    """What runs *words* with every launch that may be split in so many groups; None: plain."""
    if groups is None:
        return words
    forced = ("--policy", "fixed", "--groups", str(groups), "--cores", "1", "--judge", "wait")
    return [sys.executable, "-m", "gpusplit", "run", *forced, "--summary", *words]


def launches(errors: str) -> Counter[tuple[str, bool, str]]:
    """Launches by kernel, whether split, and reason, of all processes that wrote *errors*.

    >>> launches("gpusplit: k: 9 launches, 4 split, 13 slices; whole: b\\n"
    ...          "gpusplit: k: 2 of these whole: a\\n").most_common()
    [(('k', True, ''), 4), (('k', False, 'b'), 3), (('k', False, 'a'), 2)]
    """
    found: Counter[tuple[str, bool, str]] = Counter()
    latest = ""
    for line in errors.splitlines():
        if (fields := _LINE.fullmatch(line)) is None:
            continue
        kernel = fields["kernel"]
        if fields["made"]:
            latest = fields["latest"] or ""
            found[kernel, True, ""] += int(fields["split"])
            found[kernel, False, latest] += int(fields["made"]) - int(fields["split"])
        else:
            # Counted with the latest reason until here.
            found[kernel, False, fields["reason"]] += int(fields["count"])
            found[kernel, False, latest] -= int(fields["count"])
    return +found
