"""Lyapunov exponents, lim (1/L) log s of products of L wide layers, as a law.

Width first, then depth: JJᵀ of L layers has S = S_1^L, and λ^{1/L} tends to a law whose quantiles are 1/S_1(p − 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..convolve import free_product
from ..errors import ConfigError
from ..law import Law
from ..laws import Dirac, MarchenkoPastur, SquaredSlope
from ..network.architectures import architecture_of, refuse_but_free
from ..network.config import Network
from ..network.meanfield import mean_field
from ..transforms import s_transform

# Shares of the law closer to its ends than this have no doubles beside 1.
FINEST = 2e-15
# A step of differences, relative to the distance from the nearer end, and their weights: error about 5 step⁶.
STEP, DIFFERENCES = 0.01, np.array([45.0, -9.0, 1.0]) / 60.0
# Of the inverse: nodes of its table, steps from there, and what is rounding.
TABLE, STEPS, ROUNDING = 200, 60, 2e-15
# Nodes of the quadrature of moments, and the reach of its double exponential.
NODES, REACH = 160, 3.4


@dataclass(frozen=True)
class LyapunovLaw:
    """Law of x = lim (1/L) log s, N → ∞ before L → ∞: quantiles x(p) = −½ Σ_i f_i log S_i(p − 1), s ~ e^{xL}.

    For linear Gaussian layers e^x has the density 2r on (0, 1), the triangular law.

    Parameters
    ----------
    layers : pairs (law of JJᵀ of a layer, its share f_i of all layers), f_i > 0; scaled to sum to 1.

    Raises
    ------
    ConfigError : no layer, or a share that is not positive.

    Accuracy
    --------
    `icdf` 1e-12, `cdf` 1e-14 + 1e-12 relative, `pdf` 1e-9 relative, `mean` and `variance` 1e-10
    (tests/test_gaussian_limits.py).

    Source
    ------
    Haagerup and Möller, The law of large numbers for the free multiplicative convolution (2013), Theorem 2; Tucci, J.
    Funct. Anal. 259 (2010); Gaussian: Newman, Comm. Math. Phys. 103 (1986), Isopi and Newman, ibid. 143 (1992).

    Examples
    --------
    >>> law = LyapunovLaw.of(Network(depth=1, activation="identity", sigma_w=1.0))
    >>> round(float(law.cdf(-1.0)), 12) == round(math.exp(-2.0), 12), round(law.mean, 9), law.support()
    (True, -0.5, (-inf, 0.0))
    """

    layers: tuple[tuple[Law, float], ...]

    def __post_init__(self) -> None:
        if not self.layers or not all(math.isfinite(f) and f > 0.0 for _, f in self.layers):
            raise ConfigError("`LyapunovLaw(layers=…)`: at least one layer, each with a share > 0.")

    @staticmethod
    def of(network: Network) -> LyapunovLaw:
        """The exponents of a network: its layers, repeated without end, in their shares.

        Raises
        ------
        ConfigError : layers of different widths, whose product has no square power; layers with a skip.
        """
        refuse_but_free(network.layers)
        state = mean_field(network)
        if len({w for run in state.runs for w in (run.fan_in, run.fan_out)}) > 1:
            raise ConfigError("`LyapunovLaw.of`: all layers must have one width; give the law of a layer instead.")
        layers = []
        for run in state.runs:
            spec, square = run.spec, architecture_of(run.spec).gain(run.spec, run.level)
            weights = Dirac(square) if spec.weights == "orthogonal" else MarchenkoPastur(1.0, square)
            layers.append((free_product(SquaredSlope(spec.activation, run.q), weights), float(run.repeat)))
        return LyapunovLaw(tuple(layers))

    @cached_property
    def _shares(self) -> Array:
        shares = np.array([f for _, f in self.layers])
        return shares / shares.sum()

    @cached_property
    def lost(self) -> float:
        """Mass at x = −∞: the largest atom at zero of a layer."""
        return max(_atom_at_zero(law) for law, _ in self.layers)

    def icdf(self, p: ArrayLike) -> Array:
        """Exponent x with cdf(x) = p; −inf up to `lost`, NaN outside [0, 1]."""
        p = np.asarray(p, float)
        flat = np.atleast_1d(p).ravel()
        result = np.where((flat >= 0.0) & (flat <= 1.0), -np.inf, np.nan)
        result[(flat > self.lost) & (flat <= 1.0)] = self.support()[0]
        inside = (flat > self.lost + FINEST) & (flat <= 1.0)
        result[inside] = self._exponent(flat[inside] - 1.0)
        return result.reshape(p.shape)[()]

    def cdf(self, x: ArrayLike) -> Array:
        """P(exponent ≤ x), `lost` included."""
        x = np.asarray(x, float)
        flat = np.atleast_1d(x).ravel()
        bottom, top = self.support()
        result = np.where(flat >= top, 1.0, self.lost)
        inside = (flat > bottom) & (flat < top)
        result[inside] = 1.0 - (1.0 - self.lost) * _share(-self._logit(flat[inside]))
        result[np.isnan(flat)] = np.nan
        return result.reshape(x.shape)[()]

    def pdf(self, x: ArrayLike) -> Array:
        """Density of the exponents that are finite; 0 outside the support."""
        x = np.asarray(x, float)
        flat = np.atleast_1d(x).ravel()
        bottom, top = self.support()
        inside = (flat > bottom) & (flat < top)
        result = np.where(np.isnan(flat), np.nan, 0.0)
        if inside.any():
            tau, mass = self._logit(flat[inside]), 1.0 - self.lost
            w = -mass * _share(-tau)
            # Differences must not leave the interval.
            step = STEP * mass * np.minimum(_share(tau), _share(-tau))
            terms = [
                weight * (self._exponent(w + k * step) - self._exponent(w - k * step))
                for k, weight in enumerate(DIFFERENCES, 1)
            ]
            result[inside] = step / sum(terms)
        return result.reshape(x.shape)[()]

    def _logit(self, x: Array) -> Array:
        """τ at x inside the support, cdf = lost + (1 − lost)/(1 + e^{−τ}): a bracket from a table, then Illinois."""
        nodes, values = self._table
        index = np.clip(np.searchsorted(values, x), 1, nodes.size - 1)
        low, high = nodes[index - 1], nodes[index]
        below, above = values[index - 1] - x, values[index] - x
        side = np.zeros(x.shape)
        for _ in range(STEPS):
            with np.errstate(invalid="ignore", divide="ignore"):
                new = high - above * (high - low) / (above - below)
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            miss = self._at(new) - x
            left = miss < 0.0
            # An end that stays twice counts for half.
            above = np.where(left & (side < 0.0), 0.5 * above, above)
            below = np.where(~left & (side > 0.0), 0.5 * below, below)
            low, below = np.where(left, new, low), np.where(left, miss, below)
            high, above = np.where(left, high, new), np.where(left, above, miss)
            side = np.where(left, -1.0, 1.0)
            if np.all((np.abs(miss) <= ROUNDING * (1.0 + np.abs(x))) | (high - low <= ROUNDING * (1.0 + np.abs(high)))):
                break
        return new

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        nodes = np.linspace(math.log(FINEST), -math.log(FINEST), TABLE)
        return nodes, np.maximum.accumulate(self._at(nodes))

    def _at(self, tau: Array) -> Array:
        return self._exponent(-(1.0 - self.lost) * _share(-tau))

    @cached_property
    def mean(self) -> float:
        """E x = ½ E log λ of a layer: (1/L) E log s is that at any L; −inf where there is mass at −∞."""
        return -math.inf if self.lost > 0.0 else self.moment(1)

    @property
    def variance(self) -> float:
        """Of the exponents that are finite."""
        mass = 1.0 - self.lost
        return self.moment(2) / mass - (self.moment(1) / mass) ** 2

    def moment(self, k: int) -> float:
        """∫ x^k over the exponents that are finite, k ≥ 0."""
        # p − lost = mass/(1 + e^{−π sinh τ}): ends that diverge like a logarithm cost nothing.
        tau, step = np.linspace(-REACH, REACH, NODES, retstep=True)
        swing = math.pi * np.sinh(tau)
        weights = (1.0 - self.lost) * step * math.pi * np.cosh(tau) * _share(swing) * _share(-swing)
        kept = _share(swing) > FINEST
        return float(np.sum(weights[kept] * self._at(swing[kept]) ** k))

    def support(self) -> tuple[float, float]:
        """From −½ Σ f_i log m_{−1} to ½ Σ f_i log m_1 of the layers."""
        return self._support

    @cached_property
    def _support(self) -> tuple[float, float]:
        top = 0.5 * float(np.dot(self._shares, [math.log(law.mean) for law, _ in self.layers]))
        if self.lost > 0.0:
            return -math.inf, top
        inverse = [_inverse_moment(law) for law, _ in self.layers]
        return -0.5 * float(np.dot(self._shares, np.log(inverse))), top

    def _exponent(self, w: Array) -> Array:
        """X where 1 + w of the law is at or below it."""
        total = np.zeros(w.shape)
        for (law, _), share in zip(self.layers, self._shares, strict=True):
            total -= 0.5 * share * np.log(np.real(s_transform(law, w)))
        return total


def _share(tau: Array) -> Array:
    """1/(1 + e^{−τ})."""
    return 1.0 / (1.0 + np.exp(-tau))


def _atom_at_zero(law: Law) -> float:
    return sum(atom.mass for atom in law.spectrum().atoms if atom.location == 0.0)


def _inverse_moment(law: Law) -> float:
    """E 1/λ, inf where it diverges."""
    low = law.spectrum().support()[0]
    if low == 0.0:
        return math.inf
    x, weights = law.spectrum().quadrature()
    return float(weights @ (1.0 / x)) + sum(atom.mass / atom.location for atom in law.spectrum().atoms)
