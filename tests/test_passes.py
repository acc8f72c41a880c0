"""One pass over a matrix, compiled or not, against plain numpy; what is left out of a triangular product."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from spectra import Network
from spectra.native import NATIVE
from spectra.sampling import arrays as arrays_module
from spectra.sampling.arrays import HostArrays
from spectra.sampling.run import sample
from spectra.sampling.units import unit_matrix, unit_rows
from spectra.sampling.weights import draw_weights

# Fewer rows than are summed side by side, as many, and more, with some left over.
SHAPES = [(1, 1), (3, 7), (7, 3), (32, 4), (64, 64), (71, 90), (0, 3), (3, 0)]


@pytest.fixture(params=[(how, kind) for how in ("compiled", "numpy") for kind in (np.float64, np.float32)])
def arrays(request: Any, monkeypatch: Any) -> HostArrays:
    how, kind = request.param
    if how == "numpy":
        monkeypatch.setattr(arrays_module, "NATIVE", None)
    elif NATIVE is None:
        pytest.skip("installed without a compiler")
    return HostArrays(kind)


def part(arrays: HostArrays, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Columns that lie apart: part of a larger matrix in Fortran order."""
    rows, columns = shape
    whole = arrays.array(np.random.default_rng(seed).standard_normal((columns + 2, rows + 5)))
    return whole.T[2 : rows + 2, 1 : columns + 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_scaled_and_sizes_found(arrays: HostArrays, shape: tuple[int, int]) -> None:
    matrix, slopes = part(arrays, shape), np.random.default_rng(1).uniform(-2.0, 2.0, shape[0])
    expected = arrays.array(slopes)[:, None] * matrix
    if 0 not in shape:
        norms, sizes = arrays.sizes(matrix)
        np.testing.assert_allclose(norms, np.linalg.norm(matrix, axis=0), rtol=50 * np.finfo(arrays.dtype).eps)
        np.testing.assert_array_equal(sizes, np.abs(matrix).max(axis=1))
    found, scale = arrays.scaled(matrix, slopes)
    assert scale == 1.0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [1e-300, 1e-25, 1e-15, 1e-4, 0.01, 1.0, 100.0, 1e4, 1e15, 1e25, 1e200])
def test_a_matrix_is_divided_by_its_largest_entry_where_that_is_far_from_one(arrays: HostArrays, size: float) -> None:
    near, exact = (1e20, 1e-15) if arrays.dtype is np.float64 else (1e3, 1e-6)
    if arrays.dtype is np.float32 and not 1e-30 < size < 1e30:
        return
    matrix = np.asfortranarray(arrays.array(np.full((40, 5), 0.25)))
    matrix[3, 2] = -1.0
    found, scale = arrays.scaled(matrix.copy(order="F"), np.full(40, size))
    assert scale == pytest.approx(size if not 1 / near < size < near else 1.0, rel=exact)
    np.testing.assert_allclose(scale * found.astype(float), size * matrix.astype(float), rtol=2 * exact)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 9), (33, 40), (64, 100)])
def test_triangles_are_scaled(arrays: HostArrays, shape: tuple[int, int]) -> None:
    matrix, rng = part(arrays, shape), np.random.default_rng(2)
    rows, columns = rng.uniform(0.5, 2.0, shape[0]), rng.uniform(0.5, 2.0, shape[1])
    found = arrays.scaled_triangle(matrix, rows, columns)
    np.testing.assert_array_equal(found, arrays.array(np.triu(matrix * columns * rows[:, None])))
    assert found.dtype == arrays.dtype


def test_what_is_left_out_of_a_triangle_is_negligible(arrays: HostArrays) -> None:
    # Three decades a row: rows far apart do not feel each other, those beside each other do. The least underflow.
    double = arrays.dtype is np.float64
    n, exactly, lost, negligible = (200, 1e-12, 1e-150, 1e-25) if double else (200, 1e-6, 1e-30, 1e-16)
    left = np.random.default_rng(3).standard_normal((n, n))
    log_d = -3.0 * np.log(10.0) * np.arange(n)
    r = np.linalg.qr(left)[1]
    log_rows = log_d + np.log(np.abs(np.diagonal(r)))
    whole = unit_matrix(arrays, np.asfortranarray(arrays.array(r)), log_rows, log_d)
    with np.errstate(under="ignore"):
        exact = np.triu(r * np.exp(np.minimum(log_d - log_rows[:, None], 700.0)))
    np.testing.assert_allclose(whole, exact, rtol=exactly, atol=lost)
    start, wide = 0, 0
    log_sizes = np.log(np.linalg.norm(left, axis=0)) + log_d
    for block in unit_rows(arrays, np.asfortranarray(arrays.array(r)), log_rows, log_d, log_sizes):
        stop, reach = start + block.shape[0], start + block.shape[1]
        np.testing.assert_allclose(block, exact[start:stop, start:reach], rtol=exactly, atol=lost)
        assert not exact[start:stop, reach:].size or np.abs(exact[start:stop, reach:]).max() < negligible
        wide += block.shape[0] * block.shape[1]
        start = stop
    assert start == n
    assert wide < 0.5 * n * n / 2


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_compiled_or_not_the_singular_values_are_the_same(weights: str, monkeypatch: Any) -> None:
    deep = Network(depth=40, activation="tanh", sigma_w="critical", q_star=0.5, weights=weights)
    compiled = sample(deep, 70, 1).log_singular_values
    monkeypatch.setattr(arrays_module, "NATIVE", None)
    np.testing.assert_allclose(sample(deep, 70, 1).log_singular_values, compiled, rtol=0, atol=1e-9)


@pytest.mark.skipif(NATIVE is None, reason="installed without a compiler")
def test_other_matrices_are_refused() -> None:
    assert NATIVE is not None
    ones = np.ones(4)
    for matrix in (np.ones((4, 4)), np.ones((4, 4), complex, order="F"), np.ones((4, 4), int, order="F"), ones):
        with pytest.raises(TypeError, match="Fortran order"):
            NATIVE.scale_rows(matrix, ones)
    matrix = np.ones((4, 4), order="F")
    for call in (
        lambda: NATIVE.scale_rows(matrix, ones[:3]),
        lambda: NATIVE.sizes(matrix, ones.copy(), np.ones(5)),
        lambda: NATIVE.scaled_triangle(matrix, ones, ones, np.ones((4, 5), order="F")),
        lambda: NATIVE.scaled_triangle(matrix, ones, ones, np.ones((4, 4), np.float32, order="F")),
        lambda: NATIVE.scaled_triangle(matrix.astype(np.float32), ones[:3], ones, np.ones((4, 4), np.float32, "F")),
        lambda: NATIVE.scaled_triangle(matrix, ones, ones[:3], matrix.copy(order="F")),
    ):
        with pytest.raises(ValueError, match="is needed"):
            call()
    with pytest.raises(TypeError, match="of format 'd'"):
        NATIVE.scale_rows(matrix, ones.astype(np.float32))
    np.testing.assert_array_equal(matrix, 1.0)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_haar_matrix_takes_vectors_in_single_precision(transposed: bool) -> None:
    shape = (30, 50) if transposed else (50, 30)
    held = draw_weights("orthogonal", *shape, 1.3, np.random.default_rng(4), np.float32)
    vector = np.random.default_rng(5).standard_normal(shape[1]).astype(np.float32)
    assert (held @ vector).dtype == np.float32
    assert not isinstance(held, np.ndarray)
    np.testing.assert_allclose(held @ vector, held.dense() @ vector, atol=2e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="of the GNU C library")
def test_memory_that_is_freed_is_not_cleared_again() -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from spectra.sampling.heap import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': keep_freed_memory()\n"
        "for _ in range(21):\n"
        "    if _ == 1: before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    matrices = [np.ones((250, 250)) for _ in range(8)]\n"
        "    del matrices\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "not")
    )
    # A matrix is 122 pages of 4 kB. Another C library than GNU's may never give back, but none gives back more.
    assert kept < 200 or kept <= given_back
    assert given_back > 2000 or platform.libc_ver()[0] != "glibc"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="of the GNU C library")
def test_memory_of_all_threads_is_given_back_in_the_end() -> None:
    code = (
        "import os, resource\n"
        "from spectra import Network\n"
        "from spectra.sampling import sample\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') // 1024\n"
        "net = Network(depth=2, activation='tanh', sigma_w=1.5, sigma_b=0.0, input_variance=1.0)\n"
        "sample(net, 20, 4, n_jobs=4)\n"
        "before = resident()\n"
        "sample(net, 800, 4, n_jobs=4)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, resident() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    most, left = map(int, run.stdout.split())
    # A matrix is 5 MB, and one worker alone holds five at once; each of four keeps 8 MB.
    assert most > 25_000
    assert left < most / 3
