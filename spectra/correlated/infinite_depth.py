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
from typing import NamedTuple

import numpy as np

from .._types import Array
from ..activations import Activation
from ..network.expectations import gaussian_moments
from .grid import LONGEST, Grid

# Gauss–Legendre nodes in t and in √(1 − s/t), where covariances of kinked slopes are smooth.
NODES = 20


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
    times, weights = _on(0.0, 1.0)
    variance_at = _variances(activation, scale, variance, sigma_w, sigma_b)
    moments = gaussian_moments(activation)

    def log_first(t: float) -> float:
        inner, shares = _on(0.0, t)
        return c * float(shares @ [moments.at(variance_at(float(s))).slope2 for s in inner])

    whole = log_first(1.0)
    total = 0.0
    roots, steps = _on(0.0, 1.0)
    for t, weight in zip(times.tolist(), weights.tolist(), strict=True):
        here = log_first(t)
        # s = t (1 − v²).
        for v, step in zip(roots.tolist(), steps.tolist(), strict=True):
            s = t * (1.0 - v * v)
            both = _covariance(activation, variance_at(s), variance_at(t))
            total += weight * step * 2.0 * t * v * math.exp(log_first(s) - here) * both
    first = math.exp(whole)
    second = first**2 + 2.0 * first * (first - 1.0) + 2.0 * c**2 * first**2 * total
    return LimitMoments(first, second, first**2 * (1.0 + 2.0 * whole))


def _on(a: float, b: float) -> tuple[Array, Array]:
    """Nodes and weights of an integral from a to b."""
    x, weights = np.polynomial.legendre.leggauss(NODES)
    return a + 0.5 * (b - a) * (x + 1.0), 0.5 * (b - a) * weights


def _variances(activation: Activation, scale: float, variance: float, sigma_w: float, sigma_b: float):
    """The variance of x at t: dr/dt = `scale` (σ_w² E φ(√r z)² + σ_b²)."""
    from scipy.integrate import solve_ivp

    moments = gaussian_moments(activation)
    if moments.scale_free is not None:
        # r grows by an affine rate.
        rate, shift = scale * sigma_w**2 * moments.scale_free, scale * sigma_b**2
        return lambda t: variance * math.exp(rate * t) + (shift * math.expm1(rate * t) / rate if rate else shift * t)
    found = solve_ivp(
        lambda _, r: scale * (sigma_w**2 * moments.at(float(r[0])).second + sigma_b**2),
        (0.0, 1.0),
        [variance],
        method="DOP853",
        rtol=1e-11,
        atol=1e-13,
        dense_output=True,
    )
    return lambda t: float(found.sol(t)[0])


def _covariance(activation: Activation, before: float, after: float) -> float:
    """E φ'(x_s)² φ'(x_t)², x_t = x_s and noise, of variances `before` and `after`."""
    ratio = math.sqrt(before / after)
    width = math.sqrt(max(1.0 - ratio**2, 1e-14))
    grids = []
    for r in (before, after):
        sigma = math.sqrt(r)
        kinks = np.array(activation.kinks, float) / sigma
        grids.append(Grid.between(kinks, width, min(LONGEST, LONGEST / sigma), even=activation.even_slope))
    early, late = (
        activation.derivative(math.sqrt(r) * grid.nodes) ** 2 for r, grid in zip((before, after), grids, strict=True)
    )
    return float(grids[0].share @ (early * (grids[1].expectation(grids[0].nodes, ratio) @ late)))
