"""pyclesperanto's prototype comes without tests: its filters against scipy's, and one pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyclesperanto_prototype as cle
import pytest
from scipy import ndimage  # type: ignore[import-untyped]
from skimage import measure

Image = np.ndarray[Any, np.dtype[np.float32]]
SHAPES = [(65, 130), (20, 33, 47)]
INSIDE = 6  # what is done at the borders differs from scipy


@pytest.fixture(params=SHAPES, ids=str)
def image(request: pytest.FixtureRequest) -> Image:
    numbers: Image = np.random.default_rng(5).uniform(0, 100, request.param).astype(np.float32)
    return numbers


def inside(array: Any) -> Any:
    return np.asarray(array)[(slice(INSIDE, -INSIDE),) * np.ndim(array)]


def same(found: Any, wanted: Any, tolerance: float = 1e-3) -> None:
    np.testing.assert_allclose(inside(found), inside(wanted), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "of_numpy"),
    [
        ("absolute", np.abs),
        ("square", np.square),
        ("square_root", np.sqrt),
        ("exponential", np.exp),
        ("logarithm", np.log),
    ],
)
def test_arithmetic_of_one_image(image: Image, name: str, of_numpy: Callable[..., Any]) -> None:
    small = image / 50 + 0.1
    same(getattr(cle, name)(small), of_numpy(small))


@pytest.mark.parametrize(
    ("name", "of_numpy"),
    [
        ("add_images", np.add),
        ("subtract_images", np.subtract),
        ("multiply_images", np.multiply),
        ("divide_images", np.divide),
        ("maximum_images", np.maximum),
        ("minimum_images", np.minimum),
    ],
)
def test_arithmetic_of_two_images(image: Image, name: str, of_numpy: Callable[..., Any]) -> None:
    other = image[::-1].copy() + 1
    same(getattr(cle, name)(image, other), of_numpy(image, other))


@pytest.mark.parametrize(
    ("name", "of_scipy"),
    [
        ("mean_box", ndimage.uniform_filter),
        ("maximum_box", ndimage.maximum_filter),
        ("minimum_box", ndimage.minimum_filter),
        ("median_box", ndimage.median_filter),
    ],
)
def test_box_filters(image: Image, name: str, of_scipy: Callable[..., Any]) -> None:
    radii = {f"radius_{axis}": 1 for axis in "xyz"[: image.ndim]}
    same(getattr(cle, name)(image, **radii), of_scipy(image, size=3))


def test_gaussian_blur(image: Image) -> None:
    sigmas = {f"sigma_{axis}": 1 for axis in "xyz"[: image.ndim]}
    found = cle.gaussian_blur(image, **sigmas)
    same(found, ndimage.gaussian_filter(image, 1, truncate=3.5), 0.02)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize(
    ("name", "of_numpy"),
    [("sum", np.sum), ("maximum", np.max), ("mean", np.mean), ("minimum", np.min)],
)
def test_projections(name: str, of_numpy: Callable[..., Any], axis: str) -> None:
    image = np.random.default_rng(6).uniform(0, 9, (12, 40, 31)).astype(np.float32)
    found = np.asarray(getattr(cle, f"{name}_{axis}_projection")(image))
    wanted = of_numpy(image, axis="zyx".index(axis))
    assert sorted(found.shape) == sorted(wanted.shape)
    if found.shape != wanted.shape:
        found = found.T
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "of_numpy"),
    [
        ("sum_of_all_pixels", np.sum),
        ("maximum_of_all_pixels", np.max),
        ("minimum_of_all_pixels", np.min),
        ("mean_of_all_pixels", np.mean),
    ],
)
def test_reductions(image: Image, name: str, of_numpy: Callable[..., Any]) -> None:
    assert getattr(cle, name)(image) == pytest.approx(of_numpy(image), rel=1e-4)


@pytest.mark.parametrize("name", ["transpose_xy", "transpose_xz", "transpose_yz"])
def test_transpositions(name: str) -> None:
    image = np.random.default_rng(7).uniform(0, 9, (12, 40, 31)).astype(np.float32)
    axes = {"xy": (0, 2, 1), "xz": (2, 1, 0), "yz": (1, 0, 2)}[name[-2:]]
    np.testing.assert_array_equal(np.asarray(getattr(cle, name)(image)), image.transpose(axes))


def test_histogram(image: Image) -> None:
    found = np.asarray(cle.histogram(image, num_bins=64)).ravel()
    assert found.sum() == image.size


def test_labelling_of_components() -> None:
    blobs = ndimage.gaussian_filter(np.random.default_rng(8).uniform(0, 1, (120, 130)), 3)
    binary = (blobs > np.median(blobs)).astype(np.float32)
    found = np.asarray(cle.connected_components_labeling_box(binary)).astype(int)
    wanted = measure.label(binary, connectivity=2)
    assert found.max() == wanted.max()
    np.testing.assert_array_equal(found > 0, wanted > 0)
    pairs = {(a, b) for a, b in zip(found.ravel(), wanted.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_voronoi_otsu_labelling_finds_the_blobs() -> None:
    centres = np.zeros((150, 160))
    centres[20::40, 20::40] = 1
    blobs = ndimage.gaussian_filter(centres, 5) * 1000
    assert np.asarray(cle.voronoi_otsu_labeling(blobs, spot_sigma=3, outline_sigma=1)).max() == 16
