"""pyopencl's own features under a forced split give what numpy gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyopencl as cl
import pyopencl.array as cl_array
import pyopencl.clrandom as cl_random
import pytest
from gpusplit_device import context, split

import gpusplit

pytest.importorskip("mako", reason="pyopencl's reductions and scans need Mako")

from pyopencl.algorithm import RadixSort, copy_if, partition, unique
from pyopencl.bitonic_sort import BitonicSort
from pyopencl.elementwise import ElementwiseKernel
from pyopencl.reduction import ReductionKernel
from pyopencl.scan import ExclusiveScanKernel, InclusiveScanKernel

pytestmark = [
    pytest.mark.opencl,
    # PoCL's compiler speaks of unused functions in pyopencl's templates.
    pytest.mark.filterwarnings("ignore::pyopencl.CompilerWarning"),
]

RNG = np.random.default_rng(20261121)
FLOATS = RNG.random(10_007, np.float32)
INTS = RNG.integers(0, 1000, 100_003).astype(np.int32)


@pytest.fixture
def queue() -> Iterator[cl.CommandQueue]:
    queue = cl.CommandQueue(context())
    yield queue
    queue.finish()


@pytest.fixture(autouse=True)
def launches() -> Iterator[Sequence[gpusplit.Launch]]:
    with split() as launches:
        yield launches


def were_split(launches: Sequence[gpusplit.Launch], *kernels: str) -> bool:
    """Whether kernels whose names contain these were split."""
    return all(any(part in entry.kernel and entry.groups > 1 for entry in launches)
               for part in kernels)  # fmt: skip


def test_array_arithmetic(queue: cl.CommandQueue, launches: Sequence[gpusplit.Launch]) -> None:
    x = cl_array.to_device(queue, FLOATS)
    np.testing.assert_allclose((x * 2 + 1).get(), FLOATS * 2 + 1, rtol=1e-6)
    assert (cl_array.arange(queue, 5000, dtype=np.int32).get() == np.arange(5000)).all()
    assert were_split(launches, "axpb", "arange")


def test_complex_arrays(queue: cl.CommandQueue, launches: Sequence[gpusplit.Launch]) -> None:
    host = (FLOATS + 1j * FLOATS[::-1]).astype(np.complex64)
    x = cl_array.to_device(queue, host)
    np.testing.assert_allclose((x * x).get(), host * host, rtol=1e-5)
    assert were_split(launches, "multiply")


def test_elementwise(queue: cl.CommandQueue, launches: Sequence[gpusplit.Launch]) -> None:
    linear = ElementwiseKernel(
        context(), "float a, float *x, float b, float *y, float *z", "z[i] = a*x[i] + b*y[i]",
        "linear",
    )  # fmt: skip
    x, y = cl_array.to_device(queue, FLOATS), cl_array.to_device(queue, FLOATS[::-1].copy())
    z = cl_array.empty_like(x)
    linear(np.float32(5), x, np.float32(6), y, z)
    np.testing.assert_allclose(z.get(), 5 * FLOATS + 6 * FLOATS[::-1], rtol=1e-6)
    assert were_split(launches, "linear")


def test_reductions(queue: cl.CommandQueue, launches: Sequence[gpusplit.Launch]) -> None:
    x = cl_array.to_device(queue, FLOATS)
    np.testing.assert_allclose(cl_array.sum(x).get(), FLOATS.sum(), rtol=1e-5)
    np.testing.assert_allclose(cl_array.dot(x, x).get(), FLOATS.dot(FLOATS), rtol=1e-5)
    assert cl_array.max(x).get() == FLOATS.max()
    krnl: Any = ReductionKernel(
        context(), np.int32, neutral="0", reduce_expr="a+b", map_expr="x[i] % 7",
        arguments="__global int *x",
    )  # fmt: skip
    assert krnl(cl_array.to_device(queue, INTS)).get() == (INTS % 7).sum()
    assert were_split(launches, "reduce_kernel_stage1")


def test_scans(queue: cl.CommandQueue, launches: Sequence[gpusplit.Launch]) -> None:
    x = cl_array.to_device(queue, INTS)
    out = cl_array.empty_like(x)
    InclusiveScanKernel(context(), np.dtype(np.int32), "a+b", neutral="0")(x, out)
    assert (out.get() == np.cumsum(INTS)).all()
    ExclusiveScanKernel(context(), np.dtype(np.int32), "a+b", neutral="0")(x, out)
    assert (out.get() == np.cumsum(INTS) - INTS).all()
    assert were_split(launches, "scan_final_update")


def test_compaction(queue: cl.CommandQueue) -> None:
    x = cl_array.to_device(queue, INTS)
    kept, count, _ = copy_if(x, "ary[i] > 300")
    assert (kept.get()[: count.get()] == INTS[INTS > 300]).all()
    yes, no, count, _ = partition(x, "ary[i] > 300")
    n = count.get()
    assert (yes.get()[:n] == INTS[INTS > 300]).all()
    assert (no.get()[: len(INTS) - n] == INTS[INTS <= 300]).all()
    host = np.sort(INTS)
    different, count, _ = unique(cl_array.to_device(queue, host))
    assert (different.get()[: count.get()] == np.unique(host)).all()


def test_sorts(queue: cl.CommandQueue) -> None:
    sort = RadixSort(context(), "int *ary", key_expr="ary[i]", sort_arg_names=["ary"])
    (result,), _ = sort(cl_array.to_device(queue, INTS), key_bits=10)
    assert (result.get() == np.sort(INTS)).all()
    host = FLOATS[:1024].copy()
    bitonic: Any = BitonicSort  # it has no types
    result, _ = bitonic(context())(cl_array.to_device(queue, host))
    assert (result.get() == np.sort(host)).all()


@pytest.mark.parametrize("generator", [cl_random.PhiloxGenerator, cl_random.ThreefryGenerator])
def test_random_numbers_are_those_of_an_unsplit_generator(
    queue: cl.CommandQueue, launches: Sequence[gpusplit.Launch], generator: type
) -> None:
    split_uniform = generator(context(), seed=3).uniform(queue, 10_000, np.float32).get()
    split_normal = generator(context(), seed=4).normal(queue, 10_000, np.float32).get()
    assert were_split(launches, "uniform", "normal")
    with gpusplit.active(gpusplit.Config(policy="unsplit")):
        assert (
            split_uniform == generator(context(), seed=3).uniform(queue, 10_000, np.float32).get()
        ).all()
        assert (
            split_normal == generator(context(), seed=4).normal(queue, 10_000, np.float32).get()
        ).all()
