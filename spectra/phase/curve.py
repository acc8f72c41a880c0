"""The edge of chaos as a curve traced by q*: its branches, where it turns, and every critical point of a given bias."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev as series_of
from numpy.typing import ArrayLike

from .._types import Array
from ..activations import Activation, get_activation
from ..errors import ConfigError, ConvergenceError
from ..network.criticality import CriticalPoint, bias_variance, critical_point, root_between
from ..network.expectations import gaussian_moments
from ..network.gaussian import value_at_zero
from ..network.zeros import bracketed_zero
from .bias import LOWEST, BiasCurve, bias_curve, zeros_of
from .interpolated import InterpolatedMoments

# Where a curve that begins at q* → 0 is taken to begin: σ_b² is a power of q there, or an exponential of −1/q.
BEGINNING = 1e-100


@dataclass(frozen=True)
class Branch:
    """A stretch of the edge of chaos, low ≤ q* ≤ high, on which σ_b² ≥ 0.

    Parameters
    ----------
    low, high : q* at its ends. At `low` σ_b = 0: `low` is 0 where the curve begins as a linear network.
    ends : σ_b² falls to zero at `high`; False where the branch goes on beyond the largest q* searched.
    """

    low: float
    high: float
    ends: bool


@dataclass(frozen=True, eq=False)
class CurvePoints:
    """Points of the curve: arrays of one shape.

    Parameters
    ----------
    q_star, sigma_w, sigma_b : the point.
    slope : d q'/dq at q*: above 1 the critical fixed point is unstable.
    """

    q_star: Array
    sigma_w: Array
    sigma_b: Array
    slope: Array


@dataclass(frozen=True, eq=False)
class EdgeOfChaos:
    """The curve σ_w² = 1/E φ'², σ_b² = q* − σ_w² E φ² for one activation.

    Parameters
    ----------
    activation : φ.
    branches : ascending in q*; empty where no bias is critical.
    bias_turns, weight_turns : q* at which σ_b, or σ_w, has a largest or smallest value along the curve.
    stability_changes : q* at which d q'/dq passes 1; below −½ it never is.
    single : the one point (σ_w, 0) of a positively homogeneous φ, where every q* is fixed; else None.
    searched : the largest q* looked at.
    """

    activation: Activation
    branches: tuple[Branch, ...]
    bias_turns: tuple[float, ...]
    weight_turns: tuple[float, ...]
    stability_changes: tuple[float, ...]
    single: CriticalPoint | None
    searched: float

    def points(self, q_star: ArrayLike) -> CurvePoints:
        """Points at given q* of the branches, any shape.

        Raises
        ------
        ConfigError : a q* that is not on the curve.
        """
        q = np.asarray(q_star, dtype=float)
        found = [critical_point(self.activation, q_star=float(one)) for one in q.ravel()]
        columns = ([p.sigma_w for p in found], [p.sigma_b for p in found], [p.slope for p in found])
        return CurvePoints(q, *(np.array(c, dtype=float).reshape(q.shape) for c in columns))

    def spaced(self, count: int, low: float = 1e-4, high: float = 1e2) -> Array:
        """About `count` values of q* on the branches within [low, high], evenly in log q*.

        A branch that begins above `high` is followed over two decades all the same, if it is the first.
        """
        spans = []
        for branch in self.branches:
            start = max(branch.low, low)
            end = min(branch.high, 1e2 * start if branch is self.branches[0] and high <= start else high)
            if end > start:
                spans.append((math.log(start), math.log(end)))
        total = sum(b - a for a, b in spans)
        parts = []
        for a, b in spans:
            part = np.exp(np.linspace(a, b, max(2, round(count * (b - a) / total))))
            # Not a rounding beyond the ends, where σ_b² would be negative.
            part[0], part[-1] = max(part[0], math.exp(a)), min(part[-1], math.exp(b))
            parts.append(part)
        return np.concatenate(parts) if parts else np.empty(0)

    def traced(self, count: int = 200, low: float = 1e-4, high: float = 1e2) -> CurvePoints:
        """The points of `spaced`; of a positively homogeneous φ its one point, with q* NaN."""
        if self.single is None:
            return self.points(self.spaced(count, low, high))
        return CurvePoints(*(np.array([x]) for x in (math.nan, self.single.sigma_w, 0.0, self.single.slope)))

    def within(self, weight_variance: float, bias_variance: float, count: int = 400) -> CurvePoints:
        """About `count` points of the part of the curve with smaller σ_w² and σ_b², and a little beyond."""
        coarse = self.traced(120, 1e-6, 1e6)
        if self.single is not None or not coarse.q_star.size:
            return coarse
        inside = (coarse.sigma_w**2 <= weight_variance) & (coarse.sigma_b**2 <= bias_variance)
        places = np.flatnonzero(inside) if inside.any() else np.arange(2)
        low, high = (float(coarse.q_star[i]) for i in (max(places[0] - 1, 0), min(places[-1] + 1, inside.size - 1)))
        return self.points(self.spaced(count, low, high))

    def widest_weight(self) -> float:
        """σ_w² up to which a picture shows how the curve begins: 4, or 1.6 times where it begins."""
        if not self.branches:
            return 4.0
        begin = critical_point(self.activation, q_star=max(self.branches[0].low, LOWEST)).sigma_w ** 2
        return max(4.0, float(f"{1.6 * begin:.1g}")) if begin > 4.0 + 1e-9 else 4.0

    def at_bias(self, sigma_b: float) -> tuple[CriticalPoint, ...]:
        """All critical points with this σ_b, ascending in q*: one from each stretch on which σ_b is monotone.

        Returns
        -------
        () where none exists, which the shape of the curve shows: σ_b lies outside what every stretch reaches.

        Accuracy
        --------
        σ_w to 1e-13 relative (tests/test_phase_curve.py).
        """
        if not (sigma_b >= 0.0 and math.isfinite(sigma_b)):
            raise ConfigError(f"`sigma_b = {sigma_b!r}`: must be a number ≥ 0.")
        if self.single is not None:
            return (self.single,) if sigma_b == 0.0 else ()
        found: list[float] = []
        for low, high in self._stretches(self.bias_turns):
            if low == 0.0 and sigma_b == 0.0:
                found.append(0.0)
                continue
            ends = [self._bias(q) - sigma_b**2 for q in (low, high)]
            if 0.0 in ends:
                found.append((low, high)[ends.index(0.0)])
            elif ends[0] * ends[1] < 0.0:
                found.append(root_between(self.activation, sigma_b**2, max(low, BEGINNING), high))
        return tuple(self._exact(q, sigma_b) for q in _apart(found))

    def at_weight(self, sigma_w: float) -> tuple[CriticalPoint, ...]:
        """All critical points with this σ_w, ascending in q*; () where none exists.

        Accuracy
        --------
        q* to 1e-15 over |d log σ_w²/d log q*|.
        """
        if not (sigma_w > 0.0 and math.isfinite(sigma_w)):
            raise ConfigError(f"`sigma_w = {sigma_w!r}`: must be a number > 0.")
        if self.single is not None:
            return (self.single,) if abs(sigma_w / self.single.sigma_w - 1.0) <= 1e-15 else ()
        moments, found = gaussian_moments(self.activation), []
        if self.branches and self.branches[0].low == 0.0:
            # Where the curve begins, q* = 0: σ_w is 1 over the slope at 0.
            begin = critical_point(self.activation, q_star=0.0).sigma_w
            found += [0.0] if abs(sigma_w / begin - 1.0) <= 1e-15 else []

        def excess(t: float) -> float:
            return math.log(sigma_w**2 * moments.at(math.exp(t)).slope2)

        for low, high in self._stretches(self.weight_turns):
            a, b = math.log(max(low, LOWEST)), math.log(high)
            ends = excess(a), excess(b)
            if ends[0] * ends[1] < 0.0:
                found.append(math.exp(bracketed_zero(excess, a, b)))
        return tuple(critical_point(self.activation, q_star=q) for q in _apart(found))

    def shape(self) -> str:
        """The shape of the curve in words: what σ_b it has, and hence which it has not."""
        name = self.activation.name
        if self.single is not None:
            return (
                f"{name}: one point, sigma_w = {self.single.sigma_w:.6g}, sigma_b = 0, where every variance is fixed: "
                "φ is positively homogeneous, and any bias makes the variance grow without bound"
            )
        if not self.branches:
            return (
                f"{name}: no edge of chaos: sigma_b² = q* − E φ²/E φ'² is negative at every q* "
                f"up to {self.searched:.0e}, as φ(0) ≠ 0"
            )
        parts = []
        for branch in self.branches:
            stretches = [s for s in self._stretches(self.bias_turns) if branch.low <= s[0] and s[1] <= branch.high]
            words = [self._stretch_in_words(*s) for s in stretches]
            beyond = "" if branch.ends else ", as far as searched"
            parts.append(f"q* from {branch.low:.6g} to {branch.high:.6g}: sigma_b {', '.join(words)}{beyond}")
        text = f"{name}: {'; '.join(parts)}"
        if self.stability_changes:
            places = ", ".join(f"{q:.6g}" for q in self.stability_changes)
            text += f"; the fixed point changes its stability at q* = {places}"
        return text

    def none_exists(self, sigma_b: float) -> str:
        """Why no critical point has this σ_b."""
        return f"`sigma_b = {sigma_b:g}`: no point of the edge of chaos has it. {self.shape()}."

    def _stretch_in_words(self, low: float, high: float) -> str:
        start, end = (math.sqrt(max(self._bias(q), 0.0)) for q in (low, high))
        return f"{'rises' if end > start else 'falls'} from {start:.6g} to {end:.6g}"

    def _stretches(self, cuts: tuple[float, ...]) -> list[tuple[float, float]]:
        """The branches cut at `cuts`."""
        found = []
        for branch in self.branches:
            inner = [q for q in cuts if branch.low < q < branch.high]
            found += list(pairwise([branch.low, *inner, branch.high]))
        return found

    def _bias(self, q: float) -> float:
        """σ_b² at the end of a stretch."""
        if q == 0.0 or any(q == b.low or (b.ends and q == b.high) for b in self.branches):
            return 0.0
        return bias_variance(self.activation, q)[0]

    def _exact(self, q: float, sigma_b: float) -> CriticalPoint:
        point = critical_point(self.activation, **({"q_star": q} if q > 0.0 else {"sigma_b": 0.0}))
        return replace(point, sigma_b=sigma_b)


def edge_of_chaos(activation: object) -> EdgeOfChaos:
    """The edge of chaos of φ, all of it, with its shape.

    Where φ(0) = 0 every q* > 0 is on it: φ(x)² ≤ |x| ∫_0^x φ'² gives E φ² ≤ q E φ'². Where φ(0) ≠ 0 it begins where
    q E φ'² − E φ² leaves the negative.

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.

    Raises
    ------
    ConfigError : unknown activation, or φ' is zero everywhere.
    ConvergenceError : the curve is not resolved.

    Accuracy
    --------
    Ends of branches to rounding; q* at turns and changes of stability to 1e-8, found as all zeros of Chebyshev series
    that carry 1e-12 (tests/test_phase_curve.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, section 2, for the curve; Boyd, SIAM J. Numer. Anal. 40 (2002), for
    zeros of series.

    Examples
    --------
    >>> edge = edge_of_chaos("tanh")
    >>> round(edge.at_bias(0.05)[0].sigma_w, 12)
    1.12253900477
    >>> edge_of_chaos("relu").at_bias(0.1)
    ()
    """
    return _edge(get_activation(activation))  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _edge(activation: Activation) -> EdgeOfChaos:
    moments = gaussian_moments(activation)
    if moments.scale_free is not None:
        point = critical_point(activation, sigma_b=0.0)
        return EdgeOfChaos(activation, (), (), (), (), point, math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        curve = bias_curve(activation)
    fast = curve.moments
    searched = math.exp(fast.highest) if not curve.panels else math.exp(curve.panels[-1].upper)
    branches = _branches(activation, curve, searched)
    inside = [math.exp(t) for t in curve.turns()]
    rows = fast.series
    weight = _zeros_along(fast, rows[1], derivative=True)
    changes = _zeros_along(fast, rows[2] - rows[1])
    turns, weight_turns, stability = (tuple(q for q in one if _on(branches, q)) for one in (inside, weight, changes))
    return EdgeOfChaos(activation, branches, turns, weight_turns, stability, None, searched)


def _branches(activation: Activation, curve: BiasCurve, searched: float) -> tuple[Branch, ...]:
    zeros = [_bias_zero(activation, math.exp(t)) for t in curve.zeros()]
    at_zero = value_at_zero(activation) == 0.0
    marks = [0.0, *zeros, searched]
    found = []
    for index, (low, high) in enumerate(pairwise(marks)):
        middle = math.sqrt(max(low, LOWEST) * high)
        # Exponentially small biases are lost below the range of doubles: at φ(0) = 0 they are positive all the same.
        square, error = bias_variance(activation, middle)
        if square > error or (at_zero and square >= -error):
            found.append(Branch(low, high, index < len(marks) - 2))
    return tuple(found)


def _bias_zero(activation: Activation, near: float) -> float:
    """Zero of σ_b² to rounding, on the side where it is not negative."""
    low, high = near * (1.0 - 1e-6), near * (1.0 + 1e-6)
    signs = [bias_variance(activation, q)[0] > 0.0 for q in (low, high)]
    if signs[0] == signs[1]:
        raise ConvergenceError(f"edge of chaos of `{activation.name}`: no sign change at q* = {near:.6g}.")
    root = root_between(activation, 0.0, low, high)
    for step in range(60):
        square, error = bias_variance(activation, root)
        if square >= -error:
            return root
        root *= 1.0 + (1.0 if signs[1] else -1.0) * 2.0**-52 * 2.0**step
    raise ConvergenceError(f"edge of chaos of `{activation.name}`: σ_b² stays negative at q* = {near:.6g}.")


def _zeros_along(fast: InterpolatedMoments, rows: Array, *, derivative: bool = False) -> list[float]:
    """Q at which a function of log q, or its derivative, changes sign by more than rounding."""
    found: list[float] = []
    for (low, high), row, scale in zip(pairwise(fast.edges.tolist()), rows, fast.series[1], strict=True):
        size = float(np.abs(scale).max())
        if low < math.log(LOWEST) or size <= 1e-200:
            continue
        series = (series_of.chebder(row) if derivative else row) / size
        for x in zeros_of(series, 1e-9):
            q = math.exp((low + high) / 2.0 + (high - low) / 2.0 * x)
            if not found or q > found[-1] * (1.0 + 1e-6):
                found.append(q)
    return found


def _on(branches: tuple[Branch, ...], q: float) -> bool:
    return any(b.low < q < b.high for b in branches)


def _apart(found: list[float]) -> list[float]:
    """Ascending, ends that two stretches share counted once."""
    kept: list[float] = []
    for q in sorted(found):
        if not kept or q > kept[-1] * (1.0 + 1e-12):
            kept.append(q)
    return kept
