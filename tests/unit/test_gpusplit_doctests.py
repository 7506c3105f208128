"""The examples in gpusplit's docstrings are right."""

from __future__ import annotations

import doctest
import importlib

import pytest

WITH_EXAMPLES = [
    "count",
    "devices",
    "doctor",
    "inprocess",
    "judge.builtins",
    "judge.options",
    "judge.reading",
    "ndrange",
    "planning",
    "reaching",
    "running",
    "simulate.card",
    "simulate.predict",
    "telemetry",
    "tenancy",
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    module = importlib.import_module(f"gpusplit.{name}")
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
