"""Slope χ_{c*} of the correlation map in the chaotic phase, at thousands of points at once.

With a_n the Hermite coefficients of φ(√q z) and s_n = a_n²/q, c* = 1 − γ solves σ_w² H(γ; q) = 1 with

  H = Σ s_n (1 − (1 − γ)ⁿ)/γ,

which no longer knows σ_b, falls in γ and is E φ'² at γ = 0; and χ_{c*} = σ_w² Σ n s_n (1 − γ)^{n−1}.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .. import chebyshev
from .._types import Array
from ..activations import Activation
from ..errors import ConvergenceError
from ..network.correlation import CorrelationMap, hermite_series
from ..network.expectations import gaussian_moments

TERMS = 320
# Panels of half a decade in q, and of a third in γ from 1e-10 to 1, both in logarithms.
VARIANCES, DECORRELATIONS = 12, 12
SMALLEST = 1e-10
# Terms beyond the last stand for a power law s_n ~ n^−p, n = N e^y, with their true Σ s_n and Σ n s_n. Jumps Δ_k of φ'
# at x_k give p = 5/2 and n s_n ~ A n^(−3/2) on average, A = Σ Δ_k² g_q(x_k) √q/(2π), since with them
# E φ'(u_1)φ'(u_2) = E φ'² − 2√π A √γ for γ → 0.
TAIL_LENGTH, TAIL_NODES = 30.0, 120
TAIL_ROUNDING = 1e-12
# Where terms left out make up more than this of E φ'², beside the law of the kinks, and decide, they are not guessed:
# terms n count up to n γ = FADED. So many points are then done one at a time, the others left out.
GUESSED, FADED, SINGLES = 0.02, 30.0, 8
# Halvings of a panel that bring the root to rounding.
HALVINGS = 50


def decorrelation_slopes(activation: Activation, weight_variance: Array, q: Array, chi_1: Array) -> Array:
    """χ_{c*} = σ_w² E φ'(u_1)φ'(u_2) at the stable c* < 1 of the correlation map, for points with χ_1 > 1.

    Parameters
    ----------
    activation : φ.
    weight_variance, q, chi_1 : σ_w², q* > 0 and χ_1 > 1 of the points, each of shape (n,).

    Returns
    -------
    Array of shape (n,), below 1; NaN close to χ_1 = 1 where φ(√q z) is so steep that 320 Hermite coefficients leave out
    more than 2 % of E φ'² (tanh from q = 60 on, softsign from 15), if there are more than 8 such points.

    Accuracy
    --------
    1e-9 where few are left out (tanh, erf, gelu up to q = 10), 1e-5 where φ has kinks up to q = 10, 3e-4 otherwise
    (tests/test_phase_grid.py).

    Source
    ------
    Mehler's expansion, e.g. Daniely, Frostig, Singer (2016); Poole et al., NeurIPS 2016, for c*.
    """
    result = np.full(q.shape, np.nan)
    if not q.size:
        return result
    t = np.log(q)
    width = 0.5 * math.log(10.0)
    panel = np.floor(t / width).astype(int)
    for index in np.unique(panel):
        here = np.flatnonzero(panel == index)
        values, slopes, guessed = _table(activation, width * index, width)
        x = 2.0 * (t[here] / width - index) - 1.0
        basis = np.polynomial.chebyshev.chebvander(x, VARIANCES - 1) @ chebyshev.fit(VARIANCES)
        closest = FADED / TERMS if guessed > GUESSED else 0.0
        result[here] = _solved(basis, values, slopes, weight_variance[here], closest)
    # Closer to c = 1 than the table reaches, or on the wrong side of it by rounding.
    left = np.flatnonzero(~np.isfinite(result))
    for i in left if left.size <= SINGLES else ():
        result[i] = _single(activation, float(weight_variance[i]), float(q[i]), float(chi_1[i]))
    return result


def _places() -> Array:
    """Nodes log γ, shape (panels, n), ascending."""
    panels = 3 * round(-math.log10(SMALLEST))
    width = -math.log(SMALLEST) / panels
    return math.log(SMALLEST) + width * (np.arange(panels)[:, None] + (chebyshev.nodes(DECORRELATIONS) + 1.0) / 2.0)


def _table(activation: Activation, start: float, width: float) -> tuple[Array, Array, float]:
    """H and χ_c/σ_w² at nodes of log q as series in log γ, (nodes, panels, coefficients), and how much is guessed.

    The last is the largest share of E φ'² that terms left out have, less that of the law of the kinks.
    """
    u = _places()
    log_c = np.log1p(-np.minimum(np.exp(u.ravel()), 1.0 - 1e-15))
    n = np.arange(TERMS)[:, None]
    rest = -np.expm1(n * log_c) / np.exp(u.ravel())
    powers = n * np.exp(np.maximum(n - 1, 0) * log_c)
    variances = np.exp(start + width * (chebyshev.nodes(VARIANCES) + 1.0) / 2.0)
    values, slopes, guessed = [], [], 0.0
    moments = gaussian_moments(activation)
    for q in variances:
        exact = moments.at(float(q))
        s = hermite_series(activation, float(q), terms=TERMS, width=0.7).squares / q
        left_out = exact.second / q - float(s.sum()), exact.slope2 - float(s @ n[:, 0])
        amplitude = _amplitude(activation, float(q))
        guessed = max(guessed, abs(left_out[1] - 2.0 * amplitude / math.sqrt(TERMS)) / exact.slope2)
        place, mass = _tail(*left_out, exact.second / q, amplitude)
        values.append(s @ rest - mass @ np.expm1(np.multiply.outer(place, log_c)) / np.exp(u.ravel()))
        slopes.append(s @ powers + (mass * place) @ np.exp(np.multiply.outer(place - 1.0, log_c)))
    shape = VARIANCES, -1, DECORRELATIONS
    analysis = chebyshev.fit(DECORRELATIONS).T
    return np.array(values).reshape(shape) @ analysis, np.array(slopes).reshape(shape) @ analysis, guessed


def _amplitude(activation: Activation, q: float) -> float:
    """A of the power law that jumps of φ' leave."""
    total = 0.0
    for left, right in pairwise(activation.branches):
        here = np.array([left.upper])
        jump = float(right.slope(here)[0] - left.slope(here)[0])
        total += jump * jump * math.exp(-(left.upper**2) / (2.0 * q))
    return total / (2.0 * math.pi) ** 1.5


def _tail(mass: float, first: float, total: float, amplitude: float) -> tuple[Array, Array]:
    """Places n ≥ N and masses that stand for the terms left out, given their Σ s_n and Σ n s_n."""
    if mass <= TAIL_ROUNDING * total or first <= 0.0:
        return np.array([float(TERMS)]), np.zeros(1)
    ratio = first / (TERMS * mass)
    if amplitude == 0.0 and ratio < 1.05:
        return np.array([TERMS * max(ratio, 1.0)]), np.array([mass])
    power = 2.5 if amplitude > 0.0 else max((2.0 * ratio - 1.0) / (ratio - 1.0), 2.1)
    x, weight = np.polynomial.legendre.leggauss(TAIL_NODES)
    y = TAIL_LENGTH * ((x + 1.0) / 2.0) ** 2
    density = weight * (x + 1.0) * np.exp((1.0 - power) * y)
    place, density = TERMS * np.exp(y), density / density.sum()
    if amplitude == 0.0:
        return place, mass * density
    # The law is that of n → ∞; what the sums differ from it belongs to n not far beyond N.
    density *= amplitude * TERMS**-1.5 / 1.5
    near = TERMS * np.array([1.0, 1.5])
    rest = np.linalg.solve(np.stack([np.ones(2), near]), [mass - density.sum(), first - float(density @ place)])
    return np.concatenate([near, place]), np.concatenate([rest, density])


def _solved(basis: Array, values: Array, slopes: Array, weights: Array, closest: float) -> Array:
    """χ_{c*} of points whose values are `basis` times those of the table; NaN where 1 − c* < `closest`, or 1e-10."""
    width = -math.log(SMALLEST) / values.shape[1]
    result = np.full(weights.size, np.nan)
    # H falls in γ: the root lies on the last panel at whose beginning σ_w² H > 1.
    at_start = weights[:, None] * (basis @ (values @ (-1.0) ** np.arange(DECORRELATIONS)))
    panel = (at_start > 1.0).sum(axis=1) - 1
    for index in np.unique(panel[panel >= 0]):
        here = np.flatnonzero(panel == index)
        series = weights[here, None] * (basis[here] @ values[:, index])
        series[:, 0] -= 1.0
        rows, low, high = np.arange(here.size), np.full(here.size, -1.0), np.full(here.size, 1.0)
        for _ in range(HALVINGS):
            x = (low + high) / 2.0
            above = chebyshev.clenshaw(series, rows, x) > 0.0
            low, high = np.where(above, x, low), np.where(above, high, x)
        x = (low + high) / 2.0
        found = weights[here] * chebyshev.clenshaw(basis[here] @ slopes[:, index], rows, x)
        gamma = SMALLEST * np.exp(width * (index + (x + 1.0) / 2.0))
        result[here] = np.where((found < 1.0) & (gamma >= closest), found, np.nan)
    return result


def _single(activation: Activation, weight: float, q: float, chi_1: float) -> float:
    """χ_{c*} by the correlation map of one network; NaN where it gives up."""
    second = gaussian_moments(activation).at(q).second
    bias = max(q - weight * second, 0.0)
    try:
        correlation = CorrelationMap(activation, math.sqrt(weight), math.sqrt(bias), q)
        c = correlation.fixed_point
        return correlation.slope(c) if c < 1.0 else min(chi_1, 1.0)
    except ConvergenceError:
        return math.nan
