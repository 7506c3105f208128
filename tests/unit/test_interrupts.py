"""Ctrl-C is deferred, never lost, and the program's handler is its own again afterwards."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from gpusplit.interrupts import Deferred


@pytest.fixture
def calls() -> Iterator[list[int]]:
    """The calls of the program's handler, which raises nothing."""
    found: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGINT, before)


def test_the_handler_is_called_at_the_end(calls: list[int]) -> None:
    with Deferred() as deferred:
        assert not deferred.arrived
        signal.raise_signal(signal.SIGINT)
        assert deferred.arrived
        assert not calls
    assert calls == [signal.SIGINT]
    signal.raise_signal(signal.SIGINT)
    assert len(calls) == 2


def test_by_default_it_is_a_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), Deferred():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_is_ready_for_it_hears_of_it_at_once_and_once(calls: list[int]) -> None:
    with Deferred() as deferred:
        deferred.raises = True
        signal.raise_signal(signal.SIGINT)
        assert len(calls) == 1
        signal.raise_signal(signal.SIGINT)
        assert len(calls) == 1
    assert len(calls) == 2


def test_an_error_of_the_launch_is_seen_beside_it() -> None:
    def launch() -> None:
        with Deferred():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("of the launch")

    with pytest.raises(KeyboardInterrupt) as caught:
        launch()
    assert isinstance(caught.value.__context__, ValueError)


def test_a_handler_that_puts_another_into_its_place_is_obeyed(calls: list[int]) -> None:
    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    signal.signal(signal.SIGINT, first)
    with Deferred() as deferred:
        deferred.raises = True
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_program_that_ignores_it_still_does(calls: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Deferred() as deferred:
        signal.raise_signal(signal.SIGINT)
        assert not deferred.arrived
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_have_nothing_to_defer(calls: list[int]) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with Deferred():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
