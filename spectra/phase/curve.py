"""The edge of chaos as a curve traced by q*: where it begins, that its σ_b rises without end, where its σ_w turns.

σ_b²/√q never falls along the curve σ_w² = 1/E φ'², σ_b² = q − E φ²/E φ'². Proof: write f = E φ², g = E φ'², λ = q g/f
and x = √q z. Then f' = E[xφφ']/q, and E(xφ' − λφ)² ≥ 0 makes

    g' = (E[x²φ'²] − q g)/(2q²) ≥ (2λ E[xφφ'] − λ² f − q g)/(2q²),

so that (f/g)' = f'/g − f g'/g² ≤ ½ + f/(2qg), which says d σ_b²/dq ≥ σ_b²/(2q).  So the curve is one piece: once σ_b²
is positive it stays so and rises at least like √q, and every σ_b > 0 has one critical point and no other. There is no
curve where σ_b²/√q has a limit ≤ 0 (`spectra.exact.far_field`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev as series_of
from numpy.typing import ArrayLike

from .._types import Array
from ..activations import Activation, get_activation
from ..errors import ConfigError, ConvergenceError
from ..network.criticality import CriticalPoint, beginning, bias_variance, critical_point, farthest
from ..network.expectations import gaussian_moments
from ..network.gaussian import slopes_at_zero
from ..network.zeros import bracketed_zero
from .interpolated import InterpolatedMoments, interpolated_moments
from .zeros import zeros_of

# Where a curve that begins at q* → 0 is taken to begin: below, its σ_w is that of the linear network to 1e-14.
LOWEST = 1e-14
# So near to where stability changes it is seen to.
NEAR = 1e-4


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
    begins : q* from which on σ_b² ≥ 0: there σ_b = 0. 0 where the curve begins as a linear network; None where no bias
        is critical.
    weight_turns : q* at which σ_w has a largest or smallest value along the curve.
    stability_changes : q* at which d q'/dq passes 1; below −½ it never is.
    single : the one point (σ_w, 0) of a positively homogeneous φ, where every q* is fixed; else None.
    searched : the largest q* looked at.
    """

    activation: Activation
    begins: float | None
    weight_turns: tuple[float, ...]
    stability_changes: tuple[float, ...]
    single: CriticalPoint | None
    searched: float

    def points(self, q_star: ArrayLike) -> CurvePoints:
        """Points at given q* of the curve, any shape.

        Raises
        ------
        ConfigError : a q* that is not on the curve.
        """
        q = np.asarray(q_star, dtype=float)
        found = [critical_point(self.activation, q_star=float(one)) for one in q.ravel()]
        columns = ([p.sigma_w for p in found], [p.sigma_b for p in found], [p.slope for p in found])
        return CurvePoints(q, *(np.array(c, dtype=float).reshape(q.shape) for c in columns))

    def spaced(self, count: int, low: float = 1e-4, high: float = 1e2) -> Array:
        """`count` values of q* on the curve within [low, high], evenly in log q*.

        A curve that begins above `high` is followed over two decades all the same.
        """
        if self.begins is None:
            return np.empty(0)
        start = max(self.begins, low)
        end = min(self.searched, 1e2 * start if high <= start else high)
        q = np.exp(np.linspace(math.log(start), math.log(end), max(2, count)))
        # Not a rounding beyond the ends, where σ_b² would be negative.
        q[0], q[-1] = start, end
        return q

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
        if self.begins is None:
            return 4.0
        begin = critical_point(self.activation, q_star=max(self.begins, LOWEST)).sigma_w ** 2
        return max(4.0, float(f"{1.6 * begin:.1g}")) if begin > 4.0 + 1e-9 else 4.0

    def at_bias(self, sigma_b: float) -> tuple[CriticalPoint, ...]:
        """The critical points with this σ_b: one, or () where none exists, which `none_exists` explains.

        Raises
        ------
        ConfigError : not a number ≥ 0, or its q* lies beyond the largest one searched.

        Accuracy
        --------
        σ_w to 1e-13 relative (tests/test_phase_curve.py).
        """
        _refuse_unless(_is_number(sigma_b) and sigma_b >= 0.0, "sigma_b", sigma_b, "a number ≥ 0")
        if self.single is not None:
            return (self.single,) if sigma_b == 0.0 else ()
        if self.begins is None or (sigma_b == 0.0 == self.begins and not any(slopes_at_zero(self.activation))):
            return ()
        if sigma_b == 0.0 < self.begins:
            return (replace(critical_point(self.activation, q_star=self.begins), sigma_b=0.0),)
        return (critical_point(self.activation, sigma_b=sigma_b),)

    def at_weight(self, sigma_w: float) -> tuple[CriticalPoint, ...]:
        """All critical points with this σ_w, ascending in q*, one from each stretch on which σ_w is monotone.

        Returns
        -------
        () where none is found up to the largest q* searched.

        Accuracy
        --------
        q* to 1e-15 over |d log σ_w²/d log q*|.
        """
        _refuse_unless(_is_number(sigma_w) and sigma_w > 0.0, "sigma_w", sigma_w, "a number > 0")
        if self.single is not None:
            return (self.single,) if abs(sigma_w / self.single.sigma_w - 1.0) <= 1e-15 else ()
        moments, found = gaussian_moments(self.activation), []
        if self.begins == 0.0 and any(slopes_at_zero(self.activation)):
            # Where the curve begins, q* = 0: σ_w is 1 over the slope at 0.
            begin = critical_point(self.activation, q_star=0.0).sigma_w
            found += [0.0] if abs(sigma_w / begin - 1.0) <= 1e-15 else []

        def excess(t: float) -> float:
            return math.log(sigma_w**2 * moments.at(math.exp(t)).slope2)

        for low, high in self._stretches():
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
        if self.begins is None:
            return f"{name}: no edge of chaos: sigma_b² = q* − E φ²/E φ'² is negative at every q*{self._why_nowhere}"
        end = math.sqrt(bias_variance(self.activation, self.searched)[0])
        text = (
            f"{name}: q* from {self.begins:.6g} on: sigma_b rises from 0, to {end:.6g} at q* = {self.searched:.0e}, "
            "as far as it is followed; as sigma_b²/√q* never falls, a sigma_b > 0 has one critical point and no other"
        )
        if self.stability_changes:
            places = ", ".join(f"{q:.6g}" for q in self.stability_changes)
            text += f"; the fixed point changes its stability at q* = {places}"
        return text

    def none_exists(self, sigma_b: float) -> str:
        """Why no critical point has this σ_b, and whether that is proven."""
        if self.begins == 0.0 and self.single is None:
            return f"`sigma_b = 0`: `{self.activation.name}` has slope 0 at 0; no sigma_w is critical there."
        return f"`sigma_b = {sigma_b:g}`: no point of the edge of chaos has it. {self.shape()}."

    def no_weight(self, sigma_w: float) -> str:
        """What is said where no critical point with this σ_w was found."""
        if self.single is not None or self.begins is None:
            return f"`sigma_w = {sigma_w:g}`: no point of the edge of chaos has it. {self.shape()}."
        ends = {max(q, LOWEST) for stretch in self._stretches() for q in stretch}
        found = [gaussian_moments(self.activation).at(q).slope2 ** -0.5 for q in ends]
        return (
            f"`sigma_w = {sigma_w:g}`: no point of the edge of chaos was found that has it: up to q* = "
            f"{self.searched:.0e} sigma_w goes from {min(found):.6g} to {max(found):.6g} along it."
        )

    @cached_property
    def _why_nowhere(self) -> str:
        """How it is known that σ_b² is negative at every q*."""
        from ..exact.far_field import limit_of_bias

        try:
            limit = limit_of_bias(self.activation)
        except (ConvergenceError, NotImplementedError) as failure:
            return f" up to {self.searched:.0e}; whether beyond, is not proven ({failure})"
        if limit.sign <= 0:
            return f", proven: sigma_b²/√q* never falls, and tends to {limit.words} as q* → ∞"
        return f" up to {self.searched:.0e}; the curve begins beyond"

    def _stretches(self) -> list[tuple[float, float]]:
        """The curve as far as searched, cut where σ_w turns."""
        if self.begins is None:
            return []
        return list(pairwise([self.begins, *self.weight_turns, self.searched]))


def edge_of_chaos(activation: object) -> EdgeOfChaos:
    """The edge of chaos of φ, all of it, with its shape.

    Where φ(0) = 0 every q* > 0 is on it: φ(x)² ≤ |x| ∫_0^x φ'² gives E φ² ≤ q E φ'². Where φ(0) ≠ 0 it begins where
    q E φ'² − E φ² leaves the negative, which it does once at most.

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.

    Raises
    ------
    ConfigError : unknown activation, or φ' is zero everywhere.
    ConvergenceError : the curve is not resolved.

    Accuracy
    --------
    Where it begins to rounding; q* at turns and changes of stability to 1e-8, found as all zeros of Chebyshev series
    that carry 1e-12 (tests/test_phase_curve.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, section 2, for the curve; its shape is this project's.

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
    if gaussian_moments(activation).scale_free is not None:
        point = critical_point(activation, sigma_b=0.0)
        return EdgeOfChaos(activation, None, (), (), point, math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        fast = interpolated_moments(activation)
        begins = beginning(activation)
    searched = min(math.exp(fast.highest), farthest(activation))
    rows = fast.series
    weight = _zeros_along(fast, rows[1], derivative=True)
    changes = [q for q in _zeros_along(fast, rows[2] - rows[1]) if _changes(activation, q)]
    turns, stability = (tuple(q for q in one if begins is not None and q > begins) for one in (weight, changes))
    return EdgeOfChaos(activation, begins, turns, stability, None, searched)


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


def _changes(activation: Activation, q: float) -> bool:
    """Whether d q'/dq passes 1 there: what a series says where moments grow like exponentials may be noise."""
    here = [gaussian_moments(activation).at(q * factor) for factor in (1.0 - NEAR, 1.0 + NEAR)]
    before, after = (m.gain / m.slope2 - 1.0 for m in here)
    return before * after < 0.0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_unless(good: bool, key: str, value: object, wanted: str) -> None:
    if not good:
        raise ConfigError(f"`{key} = {value!r}`: must be {wanted}.")


def _apart(found: list[float]) -> list[float]:
    """Ascending, ends that two stretches share counted once."""
    kept: list[float] = []
    for q in sorted(found):
        if not kept or q > kept[-1] * (1.0 + 1e-12):
            kept.append(q)
    return kept
