"""sasmodels' own tests of each of its models, with its OpenCL engine; and many points at once.

Its own tests ask for a few points, too few for a split: each model's curve at many of them is
compared with the same points asked for a few at a time.
"""

from __future__ import annotations

import numpy as np
import pytest
from sasmodels.core import list_models, load_model
from sasmodels.direct_model import call_kernel
from sasmodels.model_test import make_suite

POINTS = 4096
AT_A_TIME = 32


def _cases() -> list[object]:
    return list(make_suite(["opencl"], ["all"]))


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_model(case: object) -> None:
    case.run_all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", list_models("c"))
def test_many_points_are_as_a_few(name: str) -> None:
    model = load_model(name, dtype="single", platform="ocl")
    q = np.linspace(0.001, 0.5, POINTS)

    def curve(points: np.ndarray) -> np.ndarray:
        return np.array(call_kernel(model.make_kernel([points]), {}, mono=True))

    many = curve(q)
    for start in range(0, POINTS, POINTS // 16):
        few = slice(start, start + AT_A_TIME)
        np.testing.assert_allclose(many[few], curve(q[few]), rtol=1e-4)


def test_all_models_are_there() -> None:
    assert len(list_models()) > 50
