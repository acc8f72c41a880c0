"""One layer with orthogonal weights: the law of JJᵀ is that of σ_w² D², known through the real inverse of φ'²."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ._types import Array
from .laws.nodes import NodeLaw


class PushedDensity:
    """One bulk of the law of e^{log_scale}·t, t under `law` in `cut`; mass times `rank`.

    The names are those of `spectra.chart.Chart`; everything is a closed form in the inverse function.
    """

    def __init__(self, law: NodeLaw, log_scale: float, rank: float, cut: tuple[float, float]) -> None:
        assert law.cut_density is not None
        self.log_scale, self.rank = log_scale, rank
        self.density = law.cut_density
        self.low = -log_scale - math.log(cut[1])
        first, last = cut == law.cuts[0], cut == law.cuts[-1]
        end = law.infimum if first and law.infimum is not None else cut[0]
        self.high = -log_scale - math.log(end) if end > 0.0 else math.inf
        # Values of t that belong here: rounding may leave one outside of its interval, but not across half a gap.
        ends = [0.0, *(0.5 * (a[1] + b[0]) for a, b in pairwise(law.cuts)), math.inf]
        index = law.cuts.index(cut)
        self._between = ends[index], ends[index + 1]
        # Of all of the density the mass is known best.
        whole = 1.0 - math.fsum(mass for _, mass in law.atoms)
        bounds = (0.0 if first else cut[0], cut[1])
        self._below, top = (self.density.mass_below(np.array([end]))[0] if end > 0.0 else 0.0 for end in bounds)
        self.mass = rank * ((whole if last else top) - self._below)

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log of the density in U: R(1/t)/π at t = e^{−U − log_scale}."""
        flat = np.asarray(u + correction, float).ravel()
        inside = (flat > self.low) & (flat < self.high)
        result = np.full(flat.shape, -np.inf)
        with np.errstate(divide="ignore"):
            result[inside] = np.log(self.rank / math.pi * self.density(np.exp(flat[inside] + self.log_scale)))
        return result.reshape(u.shape)

    def mass_beyond(self, u: Array) -> Array:
        """P(t below e^{−U − log_scale}), continuous part."""
        # At the top of a law that levels off a part of the mass is within the rounding of t.
        top = u <= self.low + 4e-16 * (1.0 + abs(self.low))
        with np.errstate(over="ignore"):
            below = self.density.mass_below(np.exp(-u.ravel() - self.log_scale)).reshape(u.shape)
        below = np.where(u >= self.high, 0.0, self.rank * (below - self._below))
        return np.where(top, self.mass, below)

    def invert(self, mass: Array) -> Array:
        """U beyond which `mass` lies, by bisection to full precision."""
        low = np.full(mass.shape, self.low)
        high = np.full(mass.shape, min(self.high, self.low + 1400.0))
        for _ in range(100):
            middle = 0.5 * (low + high)
            if np.all((middle <= low) | (middle >= high)):
                break
            above = self.mass_beyond(middle) > mass
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        # Of the two neighbours the one that has all of `mass` beyond it: at the top of a law they may differ by much.
        return low

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes and weights: quadrature in the pre-activation."""
        t, weights = self.density.quadrature()
        low, high = self._between
        good = (t > low) & (t <= high)
        return -np.log(t[good]) - self.log_scale, self.rank * weights[good]
