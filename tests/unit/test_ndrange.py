"""An NDRange cut into slices covers every work-item exactly once, in whole work-groups."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusplit.ndrange import NDRange, NotAnNDRange, slices, steps

sizes = st.integers(1, 12)


@st.composite
def ndranges(draw: st.DrawFn) -> NDRange:
    """1 to 3 dimensions, any local size (it need not divide), any offset."""
    dims = draw(st.integers(1, 3))
    return NDRange(
        tuple(draw(sizes) for _ in range(dims)),
        tuple(draw(st.integers(1, 4)) for _ in range(dims)),
        tuple(draw(st.integers(0, 5)) for _ in range(dims)),
    )


def ids(ndrange: NDRange) -> list[tuple[int, ...]]:
    return list(product(*(range(o, e) for o, e in zip(ndrange.offset, ndrange.end, strict=True))))


@given(ndranges(), st.integers(1, 40), st.integers(1, 6))
def test_every_work_item_is_in_exactly_one_slice(whole: NDRange, wanted: int, least: int) -> None:
    step = steps(whole.work_groups, wanted, least)
    covered = [i for part in slices(whole, step) for i in ids(part)]
    assert sorted(covered) == sorted(ids(whole))


@given(ndranges(), st.integers(1, 40))
def test_slices_begin_on_a_work_group_and_have_equal_size_but_for_remainders(
    whole: NDRange, wanted: int
) -> None:
    step = steps(whole.work_groups, wanted)
    assert whole.local_size is not None
    for part in slices(whole, step):
        for dim, local in enumerate(whole.local_size):
            first = part.offset[dim] - whole.offset[dim]
            assert first % local == 0
            full = min(step[dim] * local, whole.global_size[dim])
            at_end = first + part.global_size[dim] == whole.global_size[dim]
            assert part.global_size[dim] == full or at_end


@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)), st.integers(1, 600), st.integers(1, 900)
)
def test_a_slice_is_never_smaller_than_the_least(
    units: tuple[int, int], wanted: int, least: int
) -> None:
    step = steps(units, wanted, least)
    assert math.prod(step) >= min(least, math.prod(units))


@pytest.mark.parametrize(
    ("units", "wanted", "made"),
    [
        ((320, 320), 20, 20),
        ((320, 320), 2, 2),
        ((320, 320), 12, 12),
        ((640, 640), 500, 500),  # rows alone would make 320 or 640
        ((1000,), 7, 7),
        ((64, 2), 16, 16),  # the outermost dimension has too few: the inner one is cut
        ((8, 8, 8), 64, 64),  # no dimension has enough: two are cut
        ((3,), 100, 3),
    ],
)
def test_number_of_groups_comes_near_to_the_wanted_number(
    units: tuple[int, ...], wanted: int, made: int
) -> None:
    whole = NDRange(units, (1,) * len(units), (0,) * len(units))
    assert len(list(slices(whole, steps(units, wanted)))) == made


def test_the_remainder_runs_last() -> None:
    whole = NDRange((100,), (10,), (7,))
    assert [(p.offset, p.global_size) for p in slices(whole, (4,))] == [
        ((7,), (40,)),
        ((47,), (40,)),
        ((87,), (20,)),
    ]


@pytest.mark.parametrize(
    ("size", "local", "expected"),
    [
        ((6,), (4, 2), NDRange((24, 2), (4, 2), (0, 0))),
        ((2, 3, 2), (4,), NDRange((8, 3, 2), (4, 1, 1), (0, 0, 0))),
    ],
)
def test_with_g_times_l_the_shorter_size_goes_on_with_ones_as_pyopencls_does(
    size: tuple[int, ...], local: tuple[int, ...], expected: NDRange
) -> None:
    assert NDRange.from_call(size, local, None, g_times_l=True) == expected
    with pytest.raises(NotAnNDRange):
        NDRange.from_call(size, local, (0,), g_times_l=True)
    with pytest.raises(NotAnNDRange):
        NDRange.from_call(size, local)


def test_g_times_l_counts_sizes_and_offset_in_work_groups() -> None:
    assert NDRange.from_call((4, 2), (8, 3), (1, 0), g_times_l=True) == NDRange(
        (32, 6), (8, 3), (8, 0)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (None, None),
        ((), None),
        ((1, 1, 1, 1), None),
        ((4,), (2, 2)),
        ((4,), (0,)),
        ((-4,), (1,)),
        ((4,), (1,), (1, 1)),
        (("4",), (1,)),
        ((1.5,), (1,)),
    ],
)
def test_what_is_no_ndrange_is_left_to_opencl_to_judge(arguments: tuple[object, ...]) -> None:
    with pytest.raises(NotAnNDRange):
        NDRange.from_call(*arguments)  # type: ignore[arg-type]  # that is the point
