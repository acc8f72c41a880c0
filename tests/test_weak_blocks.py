"""Residual blocks that add little, as networks begin with small branches: narrow laws about Π β² = 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spectra import ConvergenceError, Network, predict
from spectra.correlated.grid import Grid
from spectra.correlated.network import first_two_moments


def network(order: str, activation: str, depth: int, alpha: float) -> Network:
    return Network(
        kind="residual", order=order, depth=depth, activation=activation, alpha=alpha, sigma_w=1.0, input_variance=1.0
    )


def frozen_density(share: float, depth: int, x: float) -> float:
    """Density of (JJᵀ − 1)/α at x, α → 0, of ReLU blocks of order "pre", by its matrix Dyson equation.

    S = Σ (W_l D + D Wᵀ_l), one D of 0 and 1 in all blocks, 1 on a `share`: E S_ij² = L (d_i + d_j)/N, so that
    g_i = 1/(x − Σ_j L (d_i + d_j) g_j/N), solved by Newton's method from above the axis.
    """
    d, masses = np.array([0.0, 1.0]), np.array([1.0 - share, share])
    kernel = depth * (d[:, None] + d) * masses
    g: Any = np.array([-0.1j, -0.1j])
    for height in np.append(10.0 ** -np.arange(-1.0, 7.0, 0.1), 0.0):
        for _ in range(20):
            miss = (x + 1j * height - kernel @ g) * g - 1.0
            slope = np.diag(x + 1j * height - kernel @ g) - g[:, None] * kernel
            g = g - np.linalg.solve(slope, miss)
    assert np.all(g.imag < 0.0)
    return float(-(masses @ g).imag / np.pi)


@pytest.mark.parametrize("alpha", [1e-2, 1e-3])
def test_relu_blocks_that_add_little_have_the_law_of_one_matrix_of_slopes(alpha: float) -> None:
    found = predict(network("pre", "relu", 6, alpha))
    assert found.checks.certified
    for x in (1.0, 2.5):
        # Odd powers of α cancel between x and −x, and λ − 1 and log λ differ by them alone.
        at = 1.0 + alpha * np.array([-x, x])
        density = np.exp(found.spectrum.log_density_at(-np.log(at))) / at
        assert alpha * float(np.mean(density)) == pytest.approx(frozen_density(0.5, 6, x), rel=30.0 * alpha)


@pytest.mark.parametrize(("order", "activation"), [("pre", "tanh"), ("post", "relu"), ("post", "gelu")])
def test_the_width_of_a_narrow_law_is_that_of_the_recursion(order: str, activation: str) -> None:
    # Both subtract numbers near 1: of a variance of 1e-6 are left so many digits less.
    found = predict(network(order, activation, 2, 1e-3))
    assert found.checks.certified
    first, second = first_two_moments(found.mean_field)
    assert found.spectrum.moment(1) == pytest.approx(first, rel=1e-10)
    levels = (np.arange(4000) + 0.5) / 4000
    u = -found.spectrum.quantile_at(levels)
    assert np.var(np.exp(u)) == pytest.approx(second - first**2, rel=2e-3)


@pytest.mark.parametrize("depth", [2, 8])
def test_a_law_as_narrow_as_1e_4_is_certified(depth: int) -> None:
    assert predict(network("post", "relu", depth, 1e-4)).checks.certified


def test_a_law_that_doubles_do_not_tell_from_a_point_is_refused() -> None:
    with pytest.raises(ConvergenceError, match="`alpha`: these blocks add so little"):
        predict(network("post", "relu", 8, 1e-7))


def test_a_narrow_step_of_the_states_keeps_mean_and_variance() -> None:
    grid = Grid.between(np.array([0.0]), 1e-4, 1.8)
    width = 1e-4
    given = np.array([-2.0, -5e-5, 0.0, 3e-5, 1.3])
    matrix = grid.expectation(given, float(np.sqrt(1.0 - width**2)))
    np.testing.assert_allclose(matrix @ grid.nodes, given * np.sqrt(1.0 - width**2), atol=1e-12)
    # Of |z| beside its kink: width √(2/π) at 0.
    assert (matrix @ np.abs(grid.nodes))[2] == pytest.approx(width * np.sqrt(2.0 / np.pi), rel=1e-6)
