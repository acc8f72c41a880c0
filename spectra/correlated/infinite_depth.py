"""The limit of infinite depth of pre-activation blocks 1 + √(c/L) W_l D_l: its first two moments.

Masks stay correlated as L → ∞, so that the limit is not that of free blocks. With t = l/L, J_t solves
dJ = √c dW_t D_t J. Moments of H = J Jᵀ follow from Itô's formula and freeness over the diagonal matrices:
E_D H = m_1(t), and for A diagonal and fixed, q = E_D(H A H) has

    ∂_t q = c tr(A) E_D(H D_t² H) + 2 c μ_t m_1² A + c tr(D_t² H A H),   μ_t = E D_t²,

a linear system that closes on the covariances of D² alone. Its solution is

    m_1 = exp(c ∫ μ),   m_2 = m_1² + 2 m_1 (m_1 − 1) + 2 c² m_1² ∫∫_{s<t≤1} (m_1(s)/m_1(t)) E[D_s² D_t²] ds dt.

With E D_s² D_t² = μ_s μ_t that is m_1² (1 + 2c ∫μ), the free value.

Source
------
This project's; checked against the equation at finite depth (tests/test_blocks.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._types import Array
from ..activations import Activation
from ..errors import ConvergenceError
from ..network.expectations import gaussian_moments
from .grid import LONGEST, Grid

# Gauss–Legendre nodes in t and in √(1 − s/t), where covariances of kinked slopes are smooth.
NODES = 14
# Nodes on a piece of the noise, and how far it reaches.
PIECE, REACH = 48, 8.0


class LimitMoments(NamedTuple):
    """m_1, m_2 of JJᵀ, and what m_2 would be were the slopes independent from layer to layer."""

    first: float
    second: float
    free_second: float


def infinite_depth_moments(
    activation: Activation, scale: float, *, variance: float = 1.0, sigma_w: float = 1.0, sigma_b: float = 0.0
) -> LimitMoments:
    """m_1 and m_2 of x ← x + √(`scale`/L) (W φ(x) + b), L → ∞, x_0 of this variance.

    Accuracy
    --------
    1e-8; the corrections of finite depth are of order 1/L, 3 % of m_2 at L = 16 for ReLU.
    """
    c = scale * sigma_w**2
    course = _course(activation, scale, variance, sigma_w, sigma_b)
    _, whole = course(1.0)
    total = 0.0
    times, weights = _on(0.0, 1.0)
    roots, steps = _on(0.0, 1.0)
    for t, weight in zip(times.tolist(), weights.tolist(), strict=True):
        after, here = course(t)
        # s = t (1 − v²).
        for v, step in zip(roots.tolist(), steps.tolist(), strict=True):
            before, there = course(t * (1.0 - v * v))
            both = _covariance(activation, before, after)
            total += weight * step * 2.0 * t * v * math.exp(there - here) * both
    first = math.exp(whole)
    second = first**2 + 2.0 * first * (first - 1.0) + 2.0 * c**2 * first**2 * total
    return LimitMoments(first, second, first**2 * (1.0 + 2.0 * whole))


def _on(a: float, b: float) -> tuple[Array, Array]:
    """Nodes and weights of an integral from a to b."""
    x, weights = np.polynomial.legendre.leggauss(NODES)
    return a + 0.5 * (b - a) * (x + 1.0), 0.5 * (b - a) * weights


def _course(
    activation: Activation, scale: float, variance: float, sigma_w: float, sigma_b: float
) -> Callable[[float], tuple[float, float]]:
    """The variance r of x and log m_1 at t: dr/dt = `scale` (σ_w² E φ(√r z)² + σ_b²), d log m_1/dt = c E φ'(√r z)²."""
    from scipy.integrate import solve_ivp

    moments = gaussian_moments(activation)

    def slope(_: float, y: Array) -> list[float]:
        here = moments.at(float(y[0]))
        return [scale * (sigma_w**2 * here.second + sigma_b**2), scale * sigma_w**2 * here.slope2]

    found = solve_ivp(slope, (0.0, 1.0), [variance, 0.0], "DOP853", dense_output=True, rtol=1e-11, atol=1e-13)
    if not found.success:
        raise ConvergenceError(f"the variance of x could not be followed: {found.message}")
    return lambda t: tuple(found.sol(t).tolist())


def _covariance(activation: Activation, before: float, after: float) -> float:
    """E φ'(x_s)² φ'(x_t)², x_t = x_s and noise, of variances `before` and `after`."""
    sigma, noise = math.sqrt(before), math.sqrt(max(after - before, 0.0))
    kinks = np.array(activation.kinks, float)
    grid = Grid.between(kinks / sigma, max(noise / sigma, 1e-9), min(LONGEST, LONGEST / sigma))
    early = sigma * grid.nodes
    if noise == 0.0:
        return float(grid.share @ activation.derivative(early) ** 4)
    # The noise in pieces between the kinks that it meets.
    cuts = np.clip((np.sort(kinks) - early[:, None]) / noise, -REACH, REACH)
    ends = np.concatenate([np.full((early.size, 1), -REACH), cuts, np.full((early.size, 1), REACH)], axis=1)
    x, weights = np.polynomial.legendre.leggauss(PIECE)
    half = 0.5 * np.diff(ends, axis=1)[:, :, None]
    drawn = ends[:, :-1, None] + half * (x + 1.0)
    share = half * weights * np.exp(-0.5 * drawn**2) / math.sqrt(2.0 * math.pi)
    late = activation.derivative(early[:, None, None] + noise * drawn) ** 2
    return float(grid.share @ (activation.derivative(early) ** 2 * np.sum(share * late, axis=(1, 2))))
