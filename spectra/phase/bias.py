"""σ_b²(q*) along the edge of chaos as pieces of Chebyshev series: where it is zero and where it turns.

σ_b² = D/E φ'² with D = q E φ'² − E φ². All zeros of a series on its panel come from the eigenvalues of one matrix, so
that none is missed: the shape of the curve follows, and with it how many critical points a bias has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev as series_of

from .. import chebyshev
from .._types import Array
from ..activations import Activation
from ..errors import ConvergenceError
from ..network.expectations import gaussian_moments
from .interpolated import COUNT, InterpolatedMoments, interpolated_moments

# Below, D is a power of q, or a double no longer holds it.
LOWEST = 1e-14
# Panels on which D is neither of one sign nor resolved are halved so often.
HALVINGS = 4
DEAD = 1e-290
RESOLVED = 1e-10
# A derivative (in log q, relative) below this is rounding: the curve is level there.
LEVEL = 1e-8


@dataclass(frozen=True, eq=False)
class Panel:
    """σ_b² on (lower, upper) in log q: `series` of log σ_b² where `positive`, else of σ_b² over its largest value."""

    lower: float
    upper: float
    positive: bool
    series: Array

    def places(self, x: Iterable[float]) -> list[float]:
        """Log q of points of [−1, 1]."""
        return [(self.lower + self.upper) / 2.0 + (self.upper - self.lower) / 2.0 * one for one in x]


@dataclass(frozen=True, eq=False)
class BiasCurve:
    """Panels of σ_b² over log q, ascending; gaps where σ_b² is negative, or zero to doubles."""

    activation: Activation
    panels: tuple[Panel, ...]
    moments: InterpolatedMoments

    def zeros(self) -> list[float]:
        """Log q where σ_b² changes sign."""
        found = [t for p in self.panels if not p.positive for t in p.places(zeros_of(p.series))]
        return _distinct(found)

    def turns(self) -> list[float]:
        """Log q where σ_b² > 0 has a largest or smallest value."""
        found = []
        for p in self.panels:
            slope = series_of.chebder(p.series) * 2.0 / (p.upper - p.lower)
            if np.abs(slope).sum() > LEVEL:
                found += [t for t in p.places(zeros_of(slope, LEVEL)) if p.positive or self._value(p, t) > 0.0]
        return _distinct(found)

    def _value(self, panel: Panel, t: float) -> float:
        x = (2.0 * t - panel.lower - panel.upper) / (panel.upper - panel.lower)
        return float(series_of.chebval(x, panel.series))


def bias_curve(activation: Activation) -> BiasCurve:
    """σ_b²(q*) of φ from q* = 1e-14 to where φ is resolved.

    Raises
    ------
    ConvergenceError : σ_b² has structure finer than a thirtieth of a decade.
    """
    moments, fast = gaussian_moments(activation), interpolated_moments(activation)
    start = math.log(LOWEST)
    pending = [(a, b, 0) for a, b in pairwise(fast.edges.tolist()) if b > start]
    place, analysis = chebyshev.nodes(COUNT), chebyshev.fit(COUNT)
    panels = []
    while pending:
        lower, upper, depth = pending.pop()
        t = (lower + upper) / 2.0 + (upper - lower) / 2.0 * place
        rows = [moments.deficit(q) for q in np.exp(t)]
        value, error = np.array(rows).T
        # Not the interpolated ones: where units are dead D and E φ'² are exponentially small, their ratio is not.
        slope2 = np.array([moments.at(q).slope2 for q in np.exp(t)])
        above, below = value > np.maximum(4.0 * error, DEAD), value < -4.0 * error
        if not np.isfinite(value).all() or below.all() or not (above | below).any() or (slope2 <= DEAD).any():
            continue
        one_sign = bool(above.all())
        square = value / slope2
        size = float(np.abs(square).max())
        series = analysis @ (np.log(square) if one_sign else square / size)
        bound = RESOLVED * max(1.0, float(np.abs(series).max())) if one_sign else RESOLVED
        if np.abs(series[-2:]).max() <= bound and (one_sign or below.any() or depth == HALVINGS):
            panels.append(Panel(lower, upper, one_sign, series))
        elif depth < HALVINGS:
            middle = (lower + upper) / 2.0
            pending += [(lower, middle, depth + 1), (middle, upper, depth + 1)]
        elif above.any() and below.any():
            raise ConvergenceError(f"edge of chaos of `{activation.name}`: not resolved at q* = {math.exp(lower):.3g}")
    return BiasCurve(activation, tuple(sorted(panels, key=lambda p: p.lower)), fast)


def zeros_of(series: Array, noise: float = 1e-12) -> list[float]:
    """All zeros in [−1, 1] at which a Chebyshev series changes sign by more than noise.

    Source
    ------
    Good, Quart. J. Math. 12 (1961); Boyd, SIAM J. Numer. Anal. 40 (2002).
    """
    size = float(np.abs(series).max())
    if size <= noise:
        return []
    kept = np.trim_zeros(np.where(np.abs(series) > 1e-15 * size, series, 0.0), "b")
    if kept.size < 2:
        return []
    roots = series_of.chebroots(kept)
    real = np.sort(roots[(np.abs(roots.imag) < 1e-6) & (np.abs(roots.real) <= 1.0 + 1e-9)].real)
    marks = np.concatenate([[-1.0 - 1e-3], real, [1.0 + 1e-3]])
    between = series_of.chebval((marks[1:] + marks[:-1]) / 2.0, series)
    return [
        float(np.clip(x, -1.0, 1.0))
        for x, before, after in zip(real, between[:-1], between[1:], strict=True)
        if before * after < 0.0 and min(abs(before), abs(after)) > 1e-3 * noise
    ]


def _distinct(places: list[float]) -> list[float]:
    """Ascending, those found from both sides of a panel's end counted once."""
    kept: list[float] = []
    for t in sorted(places):
        if not kept or t - kept[-1] > 1e-6:
            kept.append(t)
    return kept
