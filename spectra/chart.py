"""The density on one arc of the support as piecewise Chebyshev series.

Coordinate: U = log u = −log λ.  Stored: log of the density p in U, less the edge factors e·log|U − edge| (e = ½ at a
square-root edge, −½ beside an atom of mass zero).  What is left is analytic, so that the series converge
geometrically, and the density keeps its relative accuracy at the edges, in tails and where λ → 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ._types import Array
from .chebyshev import clenshaw, fit, integral, nodes, parts

DEGREE = 22
# Last three Chebyshev coefficients of log p below this: relative accuracy of the density.
RESOLUTION = 3e-13
# Last coefficients of the mass series of a piece, relative to the mass of the arc.
MASS_RESOLUTION = 3e-15
MAX_ROUNDS = 40
# Length of a piece, relative to 1 + |U|, below which U itself has too few digits for its parts.
SHORTEST = 1e-11

NODES, FIT = nodes(DEGREE), fit(DEGREE)
PARTS = {n: parts(DEGREE, n) for n in (2, 4)}

# Coefficients → coefficients on either half.
_HALVED = FIT @ PARTS[2] @ np.polynomial.chebyshev.chebvander(NODES, DEGREE - 1)

_MASS_DEGREE = 32
_MASS_NODES = nodes(_MASS_DEGREE)
_TO_MASS = fit(_MASS_DEGREE).T @ integral(_MASS_DEGREE).T
# All T_k at the lower end.
_AT_LOW = (-1.0) ** np.arange(_MASS_DEGREE + 1)
# Where the mass series are tabulated to begin their inversion; dense towards both ends.
_GRID = -np.cos(np.linspace(0.0, np.pi, 33))
_AT_GRID = np.polynomial.chebyshev.chebvander(_GRID, _MASS_DEGREE).T


class _Places:
    """Places in the local coordinates of pieces, and the matrices from coefficients to the values of series there.

    Of a piece inside, with U as local coordinate, and of those with the root of the distance to their lower or upper
    end.
    """

    def __init__(self, places: Array) -> None:
        at_low, at_high = 0.5 * (1.0 + places), 0.5 * (1.0 - places)
        self.inside, self.at_low, self.at_high = places, at_low, at_high
        self.values, self.values_low, self.values_high = (
            np.polynomial.chebyshev.chebvander(x, DEGREE - 1).T
            for x in (places, 2.0 * at_low**2 - 1.0, 1.0 - 2.0 * at_high**2)
        )


_GAUSS, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(20)
# Those of the mass series and of a Gauss rule: both are asked for of every chart.
_PLACES = _Places(np.concatenate([_MASS_NODES, _GAUSS]))
# Length in U of a part of a piece on which these are enough, or relative to the distance from the lower end.
PANEL, SHARE = 2.5, 1.0


@dataclass(frozen=True)
class Chart:
    """Density of one arc.

    Attributes
    ----------
    low, high : ends in U (high: where the sweep stopped, if the arc fades out).
    exponent_low, exponent_high : of the density in the distance to the ends.
    breaks, coefficients : (P + 1,), (P, DEGREE).
    slope : d log p/dU beyond `high` where the arc fades out, else 0.
    residual : largest relative residual of the master equation at the nodes.
    uncertified, thin : number of nodes that no method certified, where the density in U is above or below 1e-9.
    low_tail : what rounding took from `low`.
    until : U where a tail that fades ends all the same, in a gap.
    solutions : log u, ζ, v at some of the nodes, for checks.
    """

    low: float
    high: float
    exponent_low: float
    exponent_high: float
    breaks: Array
    coefficients: Array
    slope: float
    residual: float
    uncertified: int
    low_tail: float = 0.0
    thin: int = 0
    until: float = math.inf
    solutions: tuple[Array, Array, Array] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def mass_series(self) -> Array:
        """Chebyshev coefficients of the mass between a point and the upper end of its piece (P, n)."""
        return self._on_places[1][:, :_MASS_DEGREE] @ _TO_MASS

    @cached_property
    def _on_places(self) -> tuple[Array, Array]:
        """U and p dU/dx at the same local coordinates x of all pieces, `_PLACES`, both (P, n)."""
        places = _PLACES
        a, b = self.breaks[:-1, None], self.breaks[1:, None]
        half = 0.5 * (b - a)
        u = a + half * (1.0 + places.inside)
        log_p = self.coefficients @ places.values
        low, high = bool(self.exponent_low), bool(self.exponent_high)
        if not (low or high):
            return u, np.exp(log_p) * half
        jacobian = np.repeat(half, places.inside.size, axis=1)
        to_low, to_high = u - self.low, self.high - u
        if low:
            width = float(b[0, 0] - a[0, 0])
            to_low[0], jacobian[0] = width * places.at_low**2, width * places.at_low
            u[0] = self.low + to_low[0]
            to_high[0] = self.high - u[0]
            log_p[0] = self.coefficients[0] @ places.values_low
        if high:
            width = float(b[-1, 0] - a[-1, 0])
            to_high[-1], jacobian[-1] = width * places.at_high**2, width * places.at_high
            u[-1] = self.high - to_high[-1]
            to_low[-1] = u[-1] - self.low
            log_p[-1] = self.coefficients[-1] @ places.values_high
        for exponent, distance in ((self.exponent_low, to_low), (self.exponent_high, to_high)):
            if exponent:
                log_p += exponent * np.log(distance)
        return u, np.exp(log_p) * jacobian

    @cached_property
    def beyond(self) -> Array:
        """Mass of all that lies beyond each break, towards λ = 0."""
        masses = self.mass_series @ _AT_LOW
        tail = 0.0
        if self.slope < 0.0:
            tail = math.exp(self._log_density_at_high) / -self.slope
        beyond = np.zeros(masses.size + 1)
        beyond[:-1] = masses[::-1].cumsum()[::-1]
        return beyond + tail

    @property
    def _log_density_at_high(self) -> float:
        """Log p where the arc fades out: all T_k are 1 there."""
        whole = float(self.coefficients[-1].sum())
        return whole + self.exponent_low * math.log(self.high - self.low) if self.exponent_low else whole

    def sloped(self, slope: float) -> Chart:
        """Return the same density with another slope beyond `high`."""
        other = replace(self, slope=slope)
        other.__dict__.update(mass_series=self.mass_series, _on_places=self._on_places)
        return other

    @property
    def mass(self) -> float:
        """Mass of the whole arc."""
        return float(self.beyond[0])

    def rough_in_mass(self) -> Array:
        """Which pieces hold a density whose own series, unlike that of its logarithm, is not resolved."""
        # Of a piece as short as the rounding of U nothing is gained by halving it.
        low, high = self.breaks[:-1], self.breaks[1:]
        long = high - low > SHORTEST * (1.0 + np.abs(low))
        return long & (np.abs(self.mass_series[:, -3:]).max(axis=1) > MASS_RESOLUTION * self.mass)

    def halved(self, which: Array) -> Chart:
        """Return the same density with some pieces halved."""
        middles = 0.5 * (self.breaks[:-1] + self.breaks[1:])[which]
        rows = []
        for k, row in enumerate(self.coefficients):
            rows += list(_HALVED @ row) if which[k] else [row]
        return replace(self, breaks=np.sort(np.concatenate([self.breaks, middles])), coefficients=np.array(rows))

    # Each piece has a local coordinate x in [−1, 1] in which p dU/dx is smooth: U itself, or the root of the distance
    # to an edge.

    def _from_local(self, piece: Array, x: Array) -> tuple[Array, Array, Array, Array]:
        a, b = self.breaks[piece], self.breaks[piece + 1]
        half = 0.5 * (b - a)
        u = a + half * (1.0 + x)
        jacobian = half.copy()
        to_low, to_high = u - self.low, self.high - u
        if self.exponent_low:
            first = piece == 0
            tau = 0.5 * (1.0 + x[first])
            width = (b - a)[first]
            to_low[first] = width * tau**2
            u[first] = self.low + to_low[first]
            to_high[first] = self.high - u[first]
            jacobian[first] = width * tau
        if self.exponent_high:
            last = piece == self.breaks.size - 2
            tau = 0.5 * (1.0 - x[last])
            width = (b - a)[last]
            to_high[last] = width * tau**2
            u[last] = self.high - to_high[last]
            to_low[last] = u[last] - self.low
            jacobian[last] = width * tau
        return u, jacobian, to_low, to_high

    def _to_local(self, piece: Array, u: Array, to_low: Array, to_high: Array) -> Array:
        a, b = self.breaks[piece], self.breaks[piece + 1]
        x = 2.0 * (u - a) / (b - a) - 1.0
        if self.exponent_low:
            first = piece == 0
            x[first] = 2.0 * np.sqrt(to_low[first] / (b - a)[first]) - 1.0
        if self.exponent_high:
            last = piece == self.breaks.size - 2
            x[last] = 1.0 - 2.0 * np.sqrt(to_high[last] / (b - a)[last])
        return np.clip(x, -1.0, 1.0)

    def _log_density(self, piece: Array, u: Array, to_low: Array, to_high: Array) -> Array:
        a, b = self.breaks[piece], self.breaks[piece + 1]
        y = clenshaw(self.coefficients, piece, 2.0 * (u - a) / (b - a) - 1.0)
        with np.errstate(divide="ignore"):
            if self.exponent_low:
                y = y + self.exponent_low * np.log(to_low)
            if self.exponent_high:
                y = y + self.exponent_high * np.log(to_high)
        return y

    def _pieces(self, u: Array) -> Array:
        return self.breaks[1:-1].searchsorted(u, side="right")

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log p(U), −inf off the arc.  `correction`: what rounding took from U (see `Spectrum`)."""
        result = np.full(u.shape, -np.inf)
        to_low = (u - self.low) + (correction - self.low_tail)
        inside = (to_low > 0.0) & (u <= self.high)
        if inside.any():
            here = u[inside]
            result[inside] = self._log_density(self._pieces(here), here, to_low[inside], self.high - here)
        if self.slope < 0.0:
            far = (u > self.high) & (u < self.until)
            if far.any():
                result[far] = self._log_density_at_high + self.slope * (u[far] - self.high)
        return result

    def mass_beyond(self, u: Array) -> Array:
        """∫_u^∞ p dU, relative accuracy kept towards λ = 0."""
        result = np.where(u < self.low, self.mass, 0.0)
        inside = (u >= self.low) & (u <= self.high)
        if inside.any():
            here = u[inside]
            piece = self._pieces(here)
            x = self._to_local(piece, here, here - self.low, self.high - here)
            result[inside] = self.beyond[piece + 1] + clenshaw(self.mass_series, piece, x)
        if self.slope < 0.0:
            far = (u > self.high) & (u < self.until)
            result[far] = self.beyond[-1] * np.exp(self.slope * (u[far] - self.high))
        return result

    def invert(self, mass: Array) -> Array:
        """U with mass_beyond(U) = `mass`, 0 ≤ mass ≤ self.mass."""
        piece = np.clip(np.searchsorted(-self.beyond, -mass, side="right") - 1, 0, self.breaks.size - 2)
        goal = mass - self.beyond[piece + 1]
        x, low, high = self._bracketed(piece, goal)
        # The series are known to their own rounding, and so are the quantiles.
        noise = np.finfo(float).eps * np.maximum(self.beyond[piece] - self.beyond[piece + 1], goal)
        for _ in range(60):
            miss = clenshaw(self.mass_series, piece, x) - goal
            low, high = np.where(miss > 0, x, low), np.where(miss > 0, high, x)
            u, jacobian, to_low, to_high = self._from_local(piece, x)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                rate = np.exp(self._log_density(piece, u, to_low, to_high)) * jacobian
                step = x + miss / rate
            good = (step > low) & (step < high)
            new = np.where(good, step, 0.5 * (low + high))
            settled = (np.abs(miss) <= noise) | (np.abs(new - x) < 1e-15)
            x = np.where(good | ~settled, new, x)
            if settled.all():
                break
        u = self._from_local(piece, x)[0]
        tail = mass < self.beyond[-1]
        if tail.any() and self.slope < 0.0:
            with np.errstate(divide="ignore"):
                reached = self.high + np.log(np.maximum(mass, 0.0) / self.beyond[-1]) / self.slope
                u = np.where(tail, np.minimum(reached, self.until), u)
        return u

    def _bracketed(self, piece: Array, goal: Array) -> tuple[Array, Array, Array]:
        """Starting value and bracket, all in x, for the inversion of the mass series: from their values on a grid."""
        table = self.mass_series[piece] @ _AT_GRID
        index = np.clip(np.count_nonzero(table > goal[:, None], axis=1), 1, _GRID.size - 1)
        rows = np.arange(piece.size)
        above, below = table[rows, index - 1], table[rows, index]
        fraction = np.clip((above - goal) / np.where(above > below, above - below, np.inf), 0.0, 1.0)
        # Beside an edge the mass goes like a power of the distance in x.
        if self.exponent_low:
            fraction = np.where((piece == 0) & (index == 1), fraction ** (0.5 / (1.0 + self.exponent_low)), fraction)
        if self.exponent_high:
            last = (piece == self.breaks.size - 2) & (index == _GRID.size - 1)
            fraction = np.where(last, 1.0 - (1.0 - fraction) ** (0.5 / (1.0 + self.exponent_high)), fraction)
        low, high = _GRID[index - 1], _GRID[index]
        return low + (high - low) * fraction, low, high

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights p dU for integrals of smooth functions of U against the density."""
        return self._rule

    def one_rule_each(self) -> tuple[Array, Array]:
        """The same for functions that are as smooth in U as the density is: a Gauss rule on each piece."""
        u, density = (rows[:, _MASS_DEGREE:] for rows in self._on_places)
        return u.ravel(), (density * _GAUSS_WEIGHTS).ravel()

    @cached_property
    def _rule(self) -> tuple[Array, Array]:
        # A smooth function of λ has singularities in U at a distance of the order of 1, or of where they count.
        a, b = self.breaks[:-1], self.breaks[1:]
        parts = np.ceil((b - a) / np.maximum(PANEL, SHARE * (a - self.low))).astype(int)
        if parts.max() <= 1:
            return self.one_rule_each()
        # Parts of pieces, even in their local coordinates.
        piece = np.repeat(np.arange(parts.size), parts)
        half = 1.0 / parts[piece]
        index = np.arange(piece.size) - np.repeat(np.cumsum(parts) - parts, parts)
        x = ((2.0 * index + 1.0) * half - 1.0)[:, None] + half[:, None] * _GAUSS
        piece = np.repeat(piece, _GAUSS.size)
        u, jacobian, to_low, to_high = self._from_local(piece, x.ravel())
        weights = (half[:, None] * _GAUSS_WEIGHTS).ravel()
        return u, np.exp(self._log_density(piece, u, to_low, to_high)) * jacobian * weights
