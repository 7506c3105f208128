"""silx's tests take an image that scipy downloads; scikit-image brings one of the same kind."""

from __future__ import annotations

import scipy.datasets  # type: ignore[import-untyped]
from skimage import data

scipy.datasets.ascent = data.camera
