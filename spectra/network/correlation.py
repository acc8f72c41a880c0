"""The correlation map c → [σ_w² E φ(u_1)φ(u_2) + σ_b²]/q*, its slope and its fixed point c*.

Two routes: Hermite coefficients, C(c) = Σ a_n² cⁿ, whose tail is bounded by what Σ a_n² leaves of E φ²; and, near
c = 1 where that converges slowly, double integrals cut along both families of kink lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spectra.activations import Activation
from spectra.errors import ConvergenceError
from spectra.network.expectations import gaussian_moments
from spectra.network.zeros import bracketed_zero
from spectra.quadrature import STANDARD_EDGES, Array, gaussian_expectation, panel_rule

# Hermite functions h_n exp(−z²/4) do not decay before 2√n: the integral runs until exp(−z²/4) is 1e-19.
_HERMITE_REACH = 13.5
_MAX_PAIR_NODES = 4_000_000


@dataclass(frozen=True)
class CorrelationMap:
    """c → [σ_w² E φ(u_1)φ(u_2) + σ_b²]/q with u_1, u_2 of variance q and correlation c.

    Parameters
    ----------
    activation : φ.
    sigma_w, sigma_b : Var W = σ_w²/fan_in, Var b = σ_b².
    q : variance of u_1 and u_2, > 0; at a fixed point q* of the variance map c = 1 is fixed.

    Accuracy
    --------
    1e-12 absolute, for kinked φ too (tests/test_correlation.py).

    Source
    ------
    Poole et al., NeurIPS 2016, eqs. 5–6; Hermite (Mehler) expansion, e.g. Daniely, Frostig, Singer (2016).
    """

    activation: Activation
    sigma_w: float
    sigma_b: float
    q: float

    def __call__(self, c: float) -> float:
        """Correlation one layer on, |c| ≤ 1."""
        c = _checked(c)
        series = self._series(c)
        if series is not None:
            product = series.value(c)
        else:
            second = gaussian_moments(self.activation).at(self.q).second
            product = second - (_pair(self.activation, self.q, 1.0 - c)[0] if c < 1.0 else 0.0)
        return (self.sigma_w**2 * product + self.sigma_b**2) / self.q

    def slope(self, c: float) -> float:
        """Slope χ_c = σ_w² E φ'(u_1)φ'(u_2)."""
        c = _checked(c)
        if c == 1.0:
            return self.sigma_w**2 * gaussian_moments(self.activation).at(self.q).slope2
        series = self._series(c)
        if series is not None:
            return self.sigma_w**2 * series.slope(c) / self.q
        return self.sigma_w**2 * _pair(self.activation, self.q, 1.0 - c)[1]

    @cached_property
    def fixed_point(self) -> float:
        """Stable c* in [0, 1]: 1 where χ_1 ≤ 1, else the one fixed point below 1 (the map is convex on [0, 1])."""
        if self.slope(1.0) <= 1.0:
            return 1.0
        c = 0.0
        for series in (lambda: self._short, lambda: self._long):
            c = self._newton(series(), c)
            if series().covers(c):
                return c
        return 1.0 - self._fixed_decorrelation(1.0 - c)

    def _newton(self, series: _HermiteSeries, c: float) -> float:
        """Find the fixed point of a truncated series: convex and too small, so the steps from below increase to it."""
        factor, bias = self.sigma_w**2 / self.q, self.sigma_b**2 / self.q
        for _ in range(100):
            step = (factor * series.value(c) + bias - c) / (1.0 - factor * series.slope(c))
            if not (0.0 < step < 1.0 - c):
                break
            c += step
            if step <= 1e-16 * c:
                break
        return c

    def _fixed_decorrelation(self, upper: float) -> float:
        """1 − c* < upper, from σ_w² (E φ² − C(1 − γ))/(qγ) = 1: the trivial root γ = 0 has been divided out."""
        factor = self.sigma_w**2 / self.q

        def excess(log_gamma: float) -> float:
            gamma = math.exp(log_gamma)
            return factor * _pair(self.activation, self.q, gamma)[0] / gamma - 1.0

        high = low = math.log(upper)
        while excess(low) < 0.0:
            high, low = low, low - 1.0
            if low < -36.0:  # γ below rounding of c
                return 0.0
        return math.exp(bracketed_zero(excess, low, high, tolerance=1e-14)) if low < high else upper

    def _series(self, c: float) -> _HermiteSeries | None:
        """Pick a series that serves at c, where one does."""
        if self._short.covers(c):
            return self._short
        # Not worth making where it cannot converge.
        return self._long if abs(c) < 0.95 and self._long.covers(c) else None

    @cached_property
    def _short(self) -> _HermiteSeries:
        return hermite_series(self.activation, self.q, terms=160, width=1.0)

    @cached_property
    def _long(self) -> _HermiteSeries:
        return hermite_series(self.activation, self.q, terms=640, width=0.5)


def _checked(c: float) -> float:
    if not abs(c) <= 1.0:
        raise ValueError(f"`CorrelationMap(...)({c!r})`: a correlation must lie in [−1, 1].")
    return float(c)


@dataclass(frozen=True)
class _HermiteSeries:
    """C(c) = Σ a_n² cⁿ, cut after `squares.size` terms; `rest` = E φ² − Σ a_n² bounds the tail at any |c| ≤ 1."""

    squares: Array
    rest: float
    total: float

    def covers(self, c: float) -> bool:
        """Whether the tails of C and of its slope at c are below 1e-15 of E φ²."""
        n = self.squares.size
        return self.rest * n * abs(c) ** (n - 1) <= 1e-15 * self.total and abs(c) < 1.0 - 1.0 / n

    def value(self, c: float) -> float:
        return float(np.polynomial.polynomial.polyval(c, self.squares))

    def slope(self, c: float) -> float:
        return float(np.polynomial.polynomial.polyval(c, self.squares[1:] * np.arange(1, self.squares.size)))


def hermite_series(activation: Activation, q: float, *, terms: int, width: float) -> _HermiteSeries:
    """Squares of a_n = E φ(√q z) h_n(z), h_n orthonormal Hermite polynomials.

    Panels of one deviation resolve the product with h_160, of a half with h_640 (wave number √n).
    """
    moments = gaussian_moments(activation)
    root = math.sqrt(q)
    uniform = np.linspace(-_HERMITE_REACH, _HERMITE_REACH, round(2.0 * _HERMITE_REACH / width) + 1)
    edges = np.union1d(uniform, moments.edges(_HERMITE_REACH * root) / root)
    z, weights = (a.ravel() for a in panel_rule(edges[:-1], edges[1:]))
    g = np.exp(-z * z / 4.0)
    source = weights * g * activation(root * z) / math.sqrt(2.0 * math.pi)
    coefficients = np.empty(terms)
    previous, current = np.zeros_like(z), g
    for n in range(terms):
        coefficients[n] = source @ current
        following = (z * current - math.sqrt(n) * previous) / math.sqrt(n + 1.0)
        previous, current = current, following
    squares = coefficients**2
    total = moments.at(q).second
    return _HermiteSeries(squares, max(total - float(squares.sum()), 0.0) + 1e-15 * total, total)


def _pair(activation: Activation, q: float, gamma: float) -> tuple[float, float]:
    """E[(φ(u_1) − φ(u_2))²]/2 and E φ'(u_1)φ'(u_2) at correlation 1 − γ, 0 < γ ≤ 2.

    u_{1,2} = s ± t with s, t independent Gaussians of variances q(1 − γ/2) and qγ/2. The narrower is integrated last;
    for each of its values the line of the other is cut where u_1 or u_2 meets an edge of φ, and its own line where
    two such cuts meet.
    """
    if gamma == 2.0:
        return _mirrored(activation, q)
    narrow, wide = math.sqrt(q * gamma / 2.0), math.sqrt(q * (1.0 - gamma / 2.0))
    sign = 1.0  # u_1 = inner + outer, u_2 = ±(inner − outer)
    if narrow > wide:
        narrow, wide, sign = wide, narrow, -1.0
    reach = STANDARD_EDGES[-1]
    edges = gaussian_moments(activation).edges(reach * (narrow + wide))
    kinks = np.array(activation.kinks)
    meetings = np.subtract.outer(kinks, sign * kinks).ravel() / 2.0
    standard = np.concatenate([-np.array(STANDARD_EDGES[:0:-1]), STANDARD_EDGES])
    cuts = np.concatenate([standard * narrow, meetings, edges])
    cuts = np.unique(np.clip(cuts, -reach * narrow if sign < 0.0 else 0.0, reach * narrow))
    outer, weights = (a.ravel() for a in panel_rule(cuts[:-1], cuts[1:]))
    # Exchanging u_1 and u_2 mirrors t: where t is the outer variable its half-line is enough.
    weights = weights * _density(outer, narrow) * (2.0 if sign > 0.0 else 1.0)
    own = np.broadcast_to(standard * wide, (outer.size, standard.size))
    lines = [own, np.add.outer(-outer, edges), np.add.outer(outer, sign * edges)]
    lines = np.sort(np.clip(np.concatenate(lines, axis=1), -reach * wide, reach * wide), axis=1)
    if lines.size * 16 > _MAX_PAIR_NODES:
        raise ConvergenceError(f"correlation map of `{activation.name}` at q = {q:g}: too many panels to resolve it.")
    inner, inner_weights = panel_rule(lines[:, :-1], lines[:, 1:])
    inner_weights = inner_weights * _density(inner, wide)
    first, second = inner + outer[:, None, None], sign * (inner - outer[:, None, None])
    difference = activation(first) - activation(second)
    product = activation.derivative(first) * activation.derivative(second)
    half_square = float((difference**2 * inner_weights).sum(axis=(1, 2)) @ weights) / 2.0
    return half_square, float((product * inner_weights).sum(axis=(1, 2)) @ weights)


def _density(x: Array, scale: float) -> Array:
    return np.exp(-((x / scale) ** 2) / 2.0) / (scale * math.sqrt(2.0 * math.pi))


def _mirrored(activation: Activation, q: float) -> tuple[float, float]:
    """`_pair` at correlation −1."""

    def integrand(x: Array) -> Array:
        difference = activation(x) - activation(-x)
        return np.stack([difference**2 / 2.0, activation.derivative(x) * activation.derivative(-x)])

    edges = gaussian_moments(activation).edges(STANDARD_EDGES[-1] * math.sqrt(q))
    value = np.asarray(gaussian_expectation(integrand, q, breaks=tuple(np.union1d(edges, -edges))).value)
    return float(value[0]), float(value[1])
