"""A channel listened to in the background: launches look at what is known and never wait."""

from __future__ import annotations

import os
import queue
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from gpusplit import subscription
from gpusplit.count import STALE_AFTER, Message, TenancyError, TenancyWarning
from gpusplit.subscription import Subscription


class Told:
    """A channel on which the test speaks; it counts how often somebody listens."""

    source = "test: channel"

    def __init__(self) -> None:
        self.news: queue.Queue[Message | Exception] = queue.Queue()
        self.listened = 0
        self.closed = False

    def listen(self, seconds: float) -> Message | None:
        self.listened += 1
        try:
            word = self.news.get(timeout=min(seconds, 0.5))
        except queue.Empty:
            return None
        if isinstance(word, Exception):
            raise word
        return word

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(subscription, "RETRY_AFTER", 0.01)
    return Told()


@pytest.fixture
def source(told: Told) -> Iterator[Subscription]:
    made = Subscription(told)
    yield made
    made.stop()
    assert told.closed


def wait_until(source: Subscription, count: int | None) -> None:
    until = time.monotonic() + 10
    while source.view(0.5).count != count:
        assert time.monotonic() < until, source.view()


def test_the_first_launch_gets_the_first_word(told: Told, source: Subscription) -> None:
    told.news.put(Message(3, 1))
    assert source.vm_count() == 3


def test_a_new_count_is_known_within_the_shortest_period(told: Told, source: Subscription) -> None:
    told.news.put(Message(3, 1))
    assert source.vm_count() == 3
    told.news.put(Message(4, 2))
    began = time.monotonic()
    wait_until(source, 4)
    assert time.monotonic() - began < 2
    assert source.vm_count() == 4


def test_asking_does_not_read_the_channel(told: Told, source: Subscription) -> None:
    told.news.put(Message(3, 1))
    assert source.vm_count() == 3
    before = told.listened
    for _ in range(10_000):
        source.vm_count()
    assert told.listened - before <= 2


def test_a_chatty_publisher_is_read_ten_times_a_second_at_most(
    told: Told, source: Subscription
) -> None:
    for beat in range(1000):
        told.news.put(Message(3, beat))
    began = time.monotonic()
    source.start()
    time.sleep(0.5)
    took = time.monotonic() - began
    assert told.listened <= took / subscription.SHORTEST_PERIOD + 1


def test_what_is_missing_warns_once_and_means_unknown_until_it_appears(
    told: Told, source: Subscription
) -> None:
    told.news.put(TenancyError("ENOENT"))
    with pytest.warns(TenancyWarning, match="ENOENT"):
        assert source.vm_count() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert source.vm_count() is None
        told.news.put(Message(2, 1))
        wait_until(source, 2)
        told.news.put(OSError("gone"))
        wait_until(source, None)
        assert source.vm_count() is None


def test_a_publisher_that_dies_is_noticed_though_nobody_says_so(told: Told) -> None:
    now = [0.0]
    source = Subscription(told, clock=lambda: now[0])
    try:
        told.news.put(Message(3, 1))
        assert source.vm_count() == 3
        now[0] = STALE_AFTER + 1
        wait_until(source, None)
        with pytest.warns(TenancyWarning, match="silent"):
            assert source.vm_count() is None
        told.news.put(Message(3, 2))
        wait_until(source, 3)
    finally:
        source.stop()


def test_a_source_that_never_speaks_costs_the_first_launch_a_moment_and_no_other(
    source: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "FIRST_WORD", 0.05)
    with pytest.warns(TenancyWarning, match="no word"):
        assert source.vm_count() is None
    began = time.monotonic()
    for _ in range(100):
        assert source.vm_count() is None
    assert time.monotonic() - began < 2.5, "half of what waiting each time takes"


def test_many_threads_share_one_listener(told: Told, source: Subscription) -> None:
    told.news.put(Message(3, 1))
    before = threading.active_count()
    threads = [threading.Thread(target=source.vm_count) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert threading.active_count() == before + 1


def test_a_forked_child_listens_itself(told: Told, source: Subscription) -> None:
    told.news.put(Message(3, 1))
    assert source.vm_count() == 3
    told.news.put(Message(5, 9))
    wait_until(source, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork
        child = os.fork()
    if child == 0:
        try:
            told.news = queue.Queue()
            told.news.put(Message(7, 1))
            os._exit(source.vm_count() or 0)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert source.vm_count() == 5
