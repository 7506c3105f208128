"""What a publisher on the host says about the number of running VMs, and how long to believe it.

Pure functions and values: texts and times go in, a View comes out.  docs/decisions/count-channel.md
has the format.  A publisher that is alive says so by a heartbeat, a number that it changes at least
every few seconds.  Only the *change* counts, timed by this guest's own monotonic clock, so host and
guest need not agree on the time of day.
"""

from __future__ import annotations

from dataclasses import dataclass

#: More VMs than any host runs: such a number is a mistake of whoever wrote it.
MOST_VMS = 10_000
#: Without a heartbeat for so many seconds the publisher counts as dead: five that did not come.
STALE_AFTER = 10.0
#: A message is a few digits; whatever is longer is none.
LONGEST_MESSAGE = 64


class TenancyWarning(UserWarning):
    """The VM count is missing, stale or makes no sense; launches stay whole."""


class TenancyError(Exception):
    """The VM count could not be read this time."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the publisher said last.

    Attributes
    ----------
    count: running VMs, the reader's own included.
    beat: its heartbeat; None from a publisher that has none, which is never stale.
    """

    count: int
    beat: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What this guest holds for true at a moment.

    Attributes
    ----------
    count: running VMs, or None where that is unknown.
    trouble: why it is unknown, in words; None where it is known.
    message: the last message that made sense, if any came.
    news_at: when the publisher last said something new, in seconds of the monotonic clock.
    stale: whether the trouble is that the publisher fell silent.
    """

    count: int | None
    trouble: str | None
    message: Message | None = None
    news_at: float = float("-inf")
    stale: bool = False


def parse_count(text: str) -> int:
    """The count that *text*, an ASCII integer, stands for; TenancyError where it is none.

    >>> parse_count("3")
    3
    """
    count = _number(text.strip().strip("\0"), 9)
    if not 1 <= count <= MOST_VMS:
        raise TenancyError(f"not a possible number of VMs: {count}")
    return count


def parse_message(text: str) -> Message:
    """The message that *text* is, "COUNT" or "COUNT BEAT"; TenancyError where it is none.

    >>> parse_message("3 1742")
    Message(count=3, beat=1742)
    """
    if len(text) > LONGEST_MESSAGE:
        raise TenancyError(f"a message of {len(text)} characters")
    count, *rest = text.strip().split(" ")
    if len(rest) > 1:
        raise TenancyError(f"not a count and a heartbeat: {text!r}")
    return Message(parse_count(count), parse_beat(rest[0]) if rest else None)


def parse_beat(text: str) -> int:
    """The heartbeat that *text* is; TenancyError where it is none."""
    return _number(text.strip().strip("\0"), 18)


def _number(digits: str, most_digits: int) -> int:
    # Length before int(): thousands of digits are refused by Python itself with another message.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= most_digits):
        raise TenancyError(f"not a number: {digits[:40]!r}")
    return int(digits)


def heard(view: View | None, message: Message, now: float) -> View:
    """The view after *message* was read at *now*; it may say nothing new."""
    if view is None or message != view.message:
        return View(message.count, None, message, now)
    return expired(View(message.count, None, message, view.news_at), now)


def expired(view: View, now: float) -> View:
    """*view* at *now*: unknown if its publisher has a heartbeat and it stopped."""
    if view.message is None or view.message.beat is None or view.trouble is not None:
        return view
    silence = now - view.news_at
    if silence < STALE_AFTER:
        return view
    trouble = f"its publisher has been silent for more than {STALE_AFTER:g} s"
    return View(None, trouble, view.message, view.news_at, stale=True)


def failed(view: View | None, reason: str) -> View:
    """The view after a reading failed for *reason*."""
    if view is None:
        return View(None, reason)
    return View(None, reason, view.message, view.news_at)
