"""sasmodels' own tests of each of its models, with its OpenCL engine."""

from __future__ import annotations

import pytest
from sasmodels.core import list_models, load_model_info
from sasmodels.model_test import make_suite


def _cases() -> list[object]:
    return list(make_suite(["opencl"], ["all"]))


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_model(case: object) -> None:
    case.run_all()  # type: ignore[attr-defined]


def test_all_models_are_there() -> None:
    assert len(list_models()) > 50
    assert load_model_info("sphere").name == "sphere"
