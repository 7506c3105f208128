"""What a publisher may say about the number of VMs, and for how long it is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusplit.count import (
    MOST_VMS,
    STALE_AFTER,
    Message,
    TenancyError,
    View,
    expired,
    failed,
    heard,
    parse_count,
    parse_message,
)

NONSENSE = ["", "x", "-1", "0", "1.5", "99999999", "9" * 5000, "²", "1 2", "+3", "0x3", "1_0"]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_no_count(text: str) -> None:
    with pytest.raises(TenancyError):
        parse_count(text)


@pytest.mark.parametrize("text", [*NONSENSE[:-4], "3 x", "3 -1", "3 4 5", "3  4", "3 " + "9" * 19])
def test_nonsense_is_no_message(text: str) -> None:
    with pytest.raises(TenancyError):
        parse_message(text)


@given(st.integers(1, MOST_VMS), st.none() | st.integers(0, 10**18 - 1))
def test_what_a_publisher_writes_is_read_back(count: int, beat: int | None) -> None:
    text = str(count) if beat is None else f"{count} {beat}"
    assert parse_message(text) == Message(count, beat)


@given(st.text() | st.from_regex(r"[0-9 \-+._e]{0,80}"))
def test_any_text_is_a_possible_message_or_an_error(text: str) -> None:
    try:
        message = parse_message(text)
    except TenancyError:
        return
    assert 1 <= message.count <= MOST_VMS
    assert message.beat is None or message.beat >= 0


@given(st.text(min_size=100).map(lambda text: 20 * text))
def test_an_error_does_not_repeat_all_of_what_was_read(text: str) -> None:
    with pytest.raises(TenancyError) as error:
        parse_message(text)
    assert len(str(error.value)) < 300


def test_a_heartbeat_that_goes_on_keeps_the_count() -> None:
    view: View | None = None
    for beat in range(100):
        view = heard(view, Message(3, beat), beat * 2.0)
        assert view.count == 3


def test_a_heartbeat_that_stops_makes_the_count_unknown() -> None:
    view = heard(None, Message(3, 7), 100.0)
    assert heard(view, Message(3, 7), 100.0 + STALE_AFTER - 0.1).count == 3
    assert expired(view, 100.0 + STALE_AFTER - 0.1).count == 3
    for stale in (heard(view, Message(3, 7), 100.0 + STALE_AFTER), expired(view, 111.0)):
        assert stale.count is None
        assert "silent" in str(stale.trouble)


def test_a_heartbeat_that_starts_again_is_believed_whatever_number_it_starts_from() -> None:
    stale = expired(heard(None, Message(3, 7), 0.0), 60.0)
    assert stale.count is None
    assert heard(stale, Message(2, 0), 61.0).count == 2


def test_a_publisher_without_a_heartbeat_is_never_stale() -> None:
    view = heard(None, Message(3), 0.0)
    assert expired(view, 1e9).count == 3
    assert heard(view, Message(3), 1e9).count == 3


def test_a_failed_reading_makes_the_count_unknown_until_the_next_good_one() -> None:
    view = failed(heard(None, Message(3, 7), 0.0), "ENOENT")
    assert (view.count, view.trouble) == (None, "ENOENT")
    assert heard(view, Message(3, 7), 1.0).count == 3


def test_reading_the_same_again_is_no_proof_of_life() -> None:
    """Failures in between neither: only what changes shows that the publisher lives."""
    view = heard(None, Message(3, 7), 0.0)
    view = heard(failed(view, "EIO"), Message(3, 7), 9.0)
    assert heard(view, Message(3, 7), 10.5).count is None
