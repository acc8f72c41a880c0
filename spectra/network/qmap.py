"""The variance map q → σ_w² E φ(√q z)² + σ_b² and all of its fixed points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spectra.activations import Activation
from spectra.network.expectations import gaussian_moments
from spectra.network.gaussian import value_at_zero
from spectra.network.zeros import bracketed_newton
from spectra.quadrature import Array

#: Variances sampled in the search: four a decade where activations have their structure; below, they are linear.
_SCAN: Array = np.concatenate([np.logspace(-100.0, -20.0, 11), np.logspace(-12.0, 8.0, 81)])

# log(q-map/q) is a difference of logarithms of relative accuracy 1e-15: signs below this are rounding.
_ROUNDING = 4e-15

# Cubic interpolation of log(q-map/q) over a quarter of a decade is better than this.
_CUBIC_ERROR = 1e-2

# Newton's steps from a cubic's zero: three as a rule.
_STEPS = 8
_EPS = 2.0**-52

#: |χ − 1| up to which a network counts as critical.
CRITICAL_TOLERANCE = 1e-12


@dataclass(frozen=True)
class FixedPoint:
    """A fixed point q* of the variance map.

    Parameters
    ----------
    q : q* ≥ 0.
    slope : d q'/dq at q*, = χ_1 + σ_w² E φ''φ.
    stable : variances near q* (above it, for q* = 0) converge to it.
    """

    q: float
    slope: float
    stable: bool


@dataclass(frozen=True)
class FixedPoints:
    """All fixed points of a variance map, ascending.

    Parameters
    ----------
    points : isolated fixed points.
    line : every q ≥ 0 is fixed (positively homogeneous φ, σ_b = 0, σ_w² E φ² = q); `points` is then empty.
    diverges : large variances grow without bound.
    """

    points: tuple[FixedPoint, ...]
    line: bool = False
    diverges: bool = False

    @property
    def stable_positive(self) -> tuple[FixedPoint, ...]:
        """Stable fixed points with q* > 0."""
        return tuple(p for p in self.points if p.stable and p.q > 0.0)


@dataclass(frozen=True)
class VarianceMap:
    """q → σ_w² E φ(√q z)² + σ_b², z ~ N(0, 1).

    Parameters
    ----------
    activation : φ.
    sigma_w, sigma_b : Var W = σ_w²/fan_in, Var b = σ_b².
    """

    activation: Activation
    sigma_w: float
    sigma_b: float

    def __call__(self, q: float) -> float:
        """Variance one layer on."""
        return self.sigma_w**2 * gaussian_moments(self.activation).at(q).second + self.sigma_b**2

    def slope(self, q: float) -> float:
        """Slope d q'/dq = σ_w² E[xφφ']/q, x = √q z; by Stein's lemma σ_w² E[φ'² + φφ''], deltas included."""
        return self.sigma_w**2 * gaussian_moments(self.activation).at(q).gain

    def fixed_points(self) -> FixedPoints:
        """All fixed points in [0, 1e8], with their stability.

        Accuracy
        --------
        q* to 1e-15/|1 − slope| relative. Pairs closer than a tenth of a decade are found where the map's slope
        between them shows; a double root (half-stable) may be missed by rounding.
        """
        moments = gaussian_moments(self.activation)
        if moments.scale_free is not None:
            return self._homogeneous(moments.scale_free)
        q, table = scan(self.activation)
        residual, gradient = self._log_residual(q, table[:, 0], table[:, 3])
        roots = [self._refine(*bracket) for bracket in self._brackets(q, residual, gradient)]
        points = [FixedPoint(r, s := self.slope(r), abs(s) < 1.0 - CRITICAL_TOLERANCE) for r in roots]
        if self.sigma_b == 0.0 and value_at_zero(self.activation) == 0.0:
            points.insert(0, self._at_zero(residual))
        signs = residual[np.abs(residual) > _ROUNDING]
        return FixedPoints(tuple(points), diverges=bool(signs.size and signs[-1] > 0.0))

    def _homogeneous(self, kappa: float) -> FixedPoints:
        """Solve q = σ_w² κ q + σ_b²."""
        factor, bias = self.sigma_w**2 * kappa, self.sigma_b**2
        if abs(factor - 1.0) <= 8.0 * np.finfo(float).eps:
            return FixedPoints((), line=bias == 0.0, diverges=bias > 0.0)
        if bias == 0.0:
            return FixedPoints((FixedPoint(0.0, factor, factor < 1.0),), diverges=factor > 1.0)
        if factor > 1.0:
            return FixedPoints((), diverges=True)
        return FixedPoints((FixedPoint(bias / (1.0 - factor), factor, True),))

    def _at_zero(self, residual: Array) -> FixedPoint:
        slope = self.slope(0.0)
        if abs(slope - 1.0) > CRITICAL_TOLERANCE:
            return FixedPoint(0.0, slope, slope < 1.0)
        # At slope 1 the next order decides: does the map fall below the diagonal just above 0?
        signs = residual[np.abs(residual) > _ROUNDING]
        return FixedPoint(0.0, slope, bool(signs.size and signs[0] < 0.0))

    def _log_residual(self, q: Array, second: Array, gain: Array) -> tuple[Array, Array]:
        """log(q'/q) and its derivative in log q: smooth, of order one, with the fixed points as zeros."""
        with np.errstate(all="ignore"):
            image = self.sigma_w**2 * second + self.sigma_b**2
            residual = np.log(image / q)
            gradient = self.sigma_w**2 * gain * q / image - 1.0
        return np.where(np.isfinite(residual), residual, np.inf), np.where(np.isfinite(gradient), gradient, 0.0)

    def _brackets(self, q: Array, residual: Array, gradient: Array) -> list[tuple[float, float, float]]:
        """(low, high, guess), ascending: fixed points lie between `low` and `high`, each near its guess."""
        keep = np.abs(residual) > _ROUNDING
        places, residuals, slopes = q[keep], residual[keep], gradient[keep]
        positive = residuals > 0.0
        crosses = positive[1:] != positive[:-1]
        # Both ends on one side, leaning towards zero: two roots may hide between.
        leans = positive != (slopes > 0.0)
        hides = ~crosses & leans[:-1] & ~leans[1:] & (slopes[:-1] != 0.0) & (slopes[1:] != 0.0)
        found: list[tuple[float, float, float]] = []
        for i in np.flatnonzero(crosses | (hides & np.isfinite(residuals[1:]))).tolist():
            low, high = places[i : i + 2].tolist()
            (a, b), step = residuals[i : i + 2].tolist(), math.log(high / low)
            start, end = (slopes[i : i + 2] * step).tolist()
            if a * b < 0.0:
                found.append((low, high, low * math.exp(step * _cubic_root(a, b, start, end))))
                continue
            if _cubic_minimum(abs(a), abs(b), -abs(start), abs(end)) > _CUBIC_ERROR:
                continue
            dip = self._lowest(low, high, math.copysign(1.0, a))
            if dip is not None:
                found += [(low, dip, math.sqrt(low * dip)), (dip, high, math.sqrt(dip * high))]
        return found

    def _lowest(self, lower: float, upper: float, sign: float) -> float | None:
        """Search (lower, upper) by golden sections for a point beyond the diagonal."""
        ratio = (math.sqrt(5.0) - 1.0) / 2.0
        a, b = math.log(lower), math.log(upper)
        for _ in range(40):
            c, d = b - ratio * (b - a), a + ratio * (b - a)
            at_c, at_d = (sign * math.log(self(math.exp(t)) / math.exp(t)) for t in (c, d))
            if min(at_c, at_d) < -_ROUNDING:
                return math.exp(c if at_c < at_d else d)
            a, b = (a, d) if at_c < at_d else (c, b)
        return None

    def _refine(self, lower: float, upper: float, guess: float) -> float:
        """The fixed point between `lower` and `upper`, by Newton's method on q; with a bracket where that fails."""
        moments = gaussian_moments(self.activation)
        w, b = self.sigma_w**2, self.sigma_b**2
        q = guess
        for _ in range(_STEPS):
            m = moments.at(q)
            slope = w * m.gain
            if not abs(slope - 1.0) > 1e-6:
                break
            step = (q - (w * m.second + b)) / (1.0 - slope)
            # What rounding of the map allows; no step of that size is worth another evaluation.
            if abs(step) <= 2.0 * _EPS * q / min(abs(1.0 - slope), 1.0):
                return q
            q -= step
            if not lower < q < upper:
                break

        def residual(log_q: float) -> tuple[float, float]:
            q = math.exp(log_q)
            m = moments.at(q)
            image = w * m.second + b
            if image <= 0.0:
                return -math.inf, -1.0
            return math.log(image) - log_q, w * m.gain * q / image - 1.0

        q = math.exp(bracketed_newton(residual, math.log(lower), math.log(upper)))
        # exp and log cost a few units in the last place; one plain Newton step on q restores them.
        m = moments.at(q)
        slope = w * m.gain
        polished = q - (q - (w * m.second + b)) / (1.0 - slope) if abs(slope - 1.0) > 1e-6 else q
        return polished if abs(polished - q) <= 1e-9 * q else q


@lru_cache(maxsize=256)
def scan(activation: Activation) -> tuple[Array, Array]:
    """Variances from 1e-100 to 1e8 and the activation's moments there: shapes (n,), (n, 4). Cached per activation.

    Activations that oscillate too fast to be resolved at the largest variances are scanned as far as they are.
    """
    rows = gaussian_moments(activation).table(_SCAN)
    return _SCAN[: len(rows)], rows


def _cubic_root(start: float, end: float, start_slope: float, end_slope: float) -> float:
    """About where in [0, 1] the cubic with these values, of opposite sign, and slopes at the ends is zero."""
    if not (math.isfinite(start) and math.isfinite(end)):
        return 0.5
    second, third = 3.0 * (end - start) - 2.0 * start_slope - end_slope, 2.0 * (start - end) + start_slope + end_slope
    t = start / (start - end)
    for _ in range(4):
        slope = start_slope + t * (2.0 * second + 3.0 * t * third)
        if slope == 0.0:
            break
        t -= (start + t * (start_slope + t * (second + t * third))) / slope
    return min(max(t, 0.01), 0.99)


def _cubic_minimum(start: float, end: float, start_slope: float, end_slope: float) -> float:
    """Least value on a grid of [0, 1] of the cubic with these values and slopes at the ends."""
    t = np.linspace(0.0, 1.0, 17)
    cubic = (1.0 - t) ** 2 * ((1.0 + 2.0 * t) * start + t * start_slope)
    return float((cubic + t * t * ((3.0 - 2.0 * t) * end + (t - 1.0) * end_slope)).min())
