"""The Bernoulli limit of great depth, S = exp(−t w/(1 + w)), by real closed forms; λ = e^{−U}.

With η = w/(1 + w) = (θ cot θ + iθ)/t the equation u = η e^{−tη} is λ = t (sin θ/θ) e^{θ cot θ}, 0 < θ < π, from the
edge e t down to 0.  Then λρ = tθ/(π ((t − θ cot θ)² + θ²)).
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from .._types import Array
from ..errors import ConvergenceError

STEPS = 80
# Steps this short, relative, are rounding; in extended precision, where the machine has it.
ROUNDING = 10.0 * float(np.finfo(np.longdouble).eps)
# Residual of log λ relative to its distance from the edge, or to 1.
CERTIFIED = max(1e-15, 3.0 * ROUNDING)
# Nodes of a panel of the quadrature, and by how much panels grow away from the edge.
NODES, GROWTH, FINEST, LARGEST = 64, 4.0, 1e-9, 1.0
# −log(λ/(e t)) = Σ c_n θ^{2n}, c_n = (1 + 1/(2n)) 4^n |B_2n|/(2n)!; to 1e-19 for θ ≤ 1.
TERMS = 20
PI = np.longdouble("3.14159265358979323846264338327950288")


@cache
def _coefficients() -> list[np.longdouble]:
    # 4^n |B_2n|/(2n)! = 2 ζ(2n)/π^{2n}
    found = []
    for n in range(1, TERMS + 1):
        zeta = sum(np.longdouble(j) ** (-2 * n) for j in range(60, 0, -1))
        # What the sum leaves out, by Euler and Maclaurin.
        m = np.longdouble(61)
        zeta += m ** (1 - 2 * n) / (2 * n - 1) + m ** (-2 * n) / 2 + n * m ** (-2 * n - 1) / 6
        zeta -= np.longdouble(2 * n * (2 * n + 1) * (2 * n + 2)) * m ** (-2 * n - 3) / 720
        zeta += np.longdouble(2 * n * (2 * n + 1) * (2 * n + 2) * (2 * n + 3) * (2 * n + 4)) * m ** (-2 * n - 5) / 30240
        found.append((1 + np.longdouble(1) / (2 * n)) * 2 * zeta / PI ** (2 * n))
    return found


@dataclass(frozen=True, eq=False)
class BernoulliArc:
    """The bulk [0, e t] of S = exp(−t w/(1 + w)), of mass min(1, t); the names are those of `spectra.chart.Chart`.

    In log λ the density falls like t/log²λ: slower than any power, but there is no atom at 0.
    """

    variance: float

    @cached_property
    def _t(self) -> np.longdouble:
        return np.longdouble(self.variance)

    @property
    def low(self) -> float:
        """U at the edge, −1 − log t."""
        return float(-1 - np.log(self._t))

    @property
    def high(self) -> float:
        """Infinite: the bulk begins at 0."""
        return math.inf

    @property
    def slope(self) -> float:
        """λρ ~ λ^{−slope}: a power between 0 and all that are less than 0."""
        return -sys.float_info.min

    @property
    def mass(self) -> float:
        """min(1, t)."""
        return min(1.0, self.variance)

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log of λρ at λ = e^{−u}; −inf above the edge."""
        drop = np.asarray(u, np.longdouble) + correction + 1 + np.log(self._t)
        result = np.full(drop.shape, -np.inf)
        inside = (drop > 0) & np.isfinite(drop)
        result[inside] = np.log(self._density(_angle_at(drop[inside])))
        return result

    def mass_beyond(self, u: Array) -> Array:
        """P(λ < e^{−u})."""
        drop = np.asarray(u, np.longdouble) + 1 + np.log(self._t)
        result = np.where(drop > 0, 0.0, self.mass)
        inside = (drop > 0) & np.isfinite(drop)
        result[inside] = self._below(_angle_at(drop[inside]))
        return result

    def invert(self, mass: Array) -> Array:
        """U beyond which `mass` lies."""
        mass = np.asarray(mass, float)
        result = np.full(mass.shape, np.inf)
        result[mass >= self.mass] = self.low
        inside = (mass > 0.0) & (mass < self.mass)
        if inside.any():
            drop = _drop(self._angle_below(mass[inside].astype(np.longdouble)))
            result[inside] = (drop - 1 - np.log(self._t)).astype(float)
        return result

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights: panels in θ that grow away from where the density turns.

        That is |t − 1| from the edge, and at π − θ = π/t.
        """
        near, near_weights = _panels(abs(self.variance - 1.0))
        far, far_weights = _panels(1.0 / self.variance)
        at = _Angle(np.concatenate([near, PI - far]), np.concatenate([PI - near, far]))
        share = self._density(at) * at.fall * np.concatenate([near_weights, far_weights])
        return (_drop(at) - 1 - np.log(self._t)).astype(float), share.astype(float)

    def moment_function(self, u: Array) -> Array:
        """Value w = ψ(e^u) = η/(1 − η), from above, inside the bulk."""
        at = _angle_at(np.asarray(u, np.longdouble) + 1 + np.log(self._t))
        eta = at.theta * (at.cotangent + 1j) / self._t
        return (eta / (1 - eta)).astype(complex)

    def holds(self, u: Array) -> Array:
        """Whether e^{−u} lies inside the bulk."""
        drop = np.asarray(u, np.longdouble) + 1 + np.log(self._t)
        return (drop > 0) & np.isfinite(drop)

    @cached_property
    def residual(self) -> float:
        """Largest residual of log λ, relative to its distance from the edge, at the quadrature's nodes."""
        drop = self.quadrature()[0].astype(np.longdouble) + 1 + np.log(self._t)
        drop = drop[drop > 0]
        return float(np.max(np.abs(_drop(_angle_at(drop)) / drop - 1)))

    def _density(self, at: _Angle) -> Array:
        """λρ = Im w/π."""
        return self._t * at.theta / (PI * ((self._t - at.theta * at.cotangent) ** 2 + at.theta**2))

    def _below(self, at: _Angle) -> Array:
        """P(λ below) = (π − θ − (1 − t) γ)/π, γ = arg(t − θ cot θ + iθ): the rest of Im ∫ w d log u/π."""
        turn = np.arctan2(at.theta, self._t - at.theta * at.cotangent)
        return np.clip((at.rest - (1 - self._t) * turn) / PI, 0.0, self.mass).astype(float)

    def _angle_below(self, mass: Array) -> _Angle:
        """θ with so much mass below it, by Newton's method kept in a bracket, in π − θ."""
        low, high = np.zeros_like(mass), np.full_like(mass, PI)
        # Towards 0 the mass is t (π − θ)/π.
        rest = np.minimum(PI * mass / self._t, 0.9 * PI)
        for _ in range(STEPS):
            at = _Angle(PI - rest, rest)
            turn = np.arctan2(at.theta, self._t - at.theta * at.cotangent)
            miss = (at.rest - (1 - self._t) * turn) / PI - mass
            low, high = np.where(miss < 0, rest, low), np.where(miss < 0, high, rest)
            with np.errstate(divide="ignore", invalid="ignore"):
                new = rest - miss / (self._density(at) * at.fall)
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            done = np.abs(new - rest) <= ROUNDING * rest
            rest = new
            if done.all():
                break
        return _Angle(PI - rest, rest)


def _panels(finest: float) -> tuple[Array, Array]:
    """Nodes and weights on (0, π/2), in panels that grow away from 0."""
    size = max(finest, FINEST)
    ends = [0.0]
    while size < LARGEST:
        ends.append(size)
        size *= GROWTH
    places = np.array([*ends, 0.5 * PI], np.longdouble)
    x, weights = np.polynomial.legendre.leggauss(NODES)
    half = 0.5 * np.diff(places)[:, None]
    return (places[:-1, None] + half * (1 + x)).ravel(), (half * weights).ravel()


@dataclass(frozen=True, eq=False)
class _Angle:
    """θ and π − θ, each with all its digits where it is small."""

    theta: Array
    rest: Array

    @cached_property
    def cotangent(self) -> Array:
        """Cot θ."""
        return np.where(self.theta < 1, 1, -1) / np.tan(np.where(self.theta < 1, self.theta, self.rest))

    @cached_property
    def fall(self) -> Array:
        """−d log λ/dθ = ((1 − θ cot θ)² + θ²)/θ."""
        return ((1 - self.theta * self.cotangent) ** 2 + self.theta**2) / self.theta


def _drop(at: _Angle) -> Array:
    """−log(λ/(e t)) = 1 − θ cot θ − log(sin θ/θ)."""
    square = at.theta**2
    series = np.zeros_like(square)
    for c in reversed(_coefficients()):
        series = (series + c) * square
    with np.errstate(divide="ignore", invalid="ignore"):
        far = 1 - at.theta * at.cotangent - np.log(np.sin(at.rest) / at.theta)
    return np.where(at.theta < 1, series, far)


def _angle_at(drop: Array) -> _Angle:
    """θ at a distance below the edge in log λ; the drop is steadily rising, from θ²/2 to π/(π − θ).

    Raises
    ------
    ConvergenceError : a residual above `CERTIFIED`.
    """
    # Beside the edge in θ, towards 0 in π − θ.
    near = drop < 0.5
    size = np.where(near, np.sqrt(2 * drop), PI / (1 + drop))
    low, high = np.zeros_like(drop), np.full_like(drop, PI)
    sign = np.where(near, 1, -1)
    at = _Angle(size, PI - size)
    for _ in range(STEPS):
        at = _Angle(np.where(near, size, PI - size), np.where(near, PI - size, size))
        miss = sign * (_drop(at) - drop)
        low, high = np.where(miss < 0, size, low), np.where(miss < 0, high, size)
        # Towards 0 the drop is all but linear in 1/(π − θ).
        step = miss / at.fall
        new = np.where(near, size - step, size / (1 + step / size))
        new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
        done = np.abs(new - size) <= ROUNDING * size
        size = new
        if done.all():
            break
    residual = np.abs(_drop(at) / drop - 1)
    if not np.all(residual < CERTIFIED):
        where = float(drop[~(residual < CERTIFIED)][0])
        raise ConvergenceError(
            f"the Bernoulli limit has no certified root where log λ is {where} below its edge",
            residual=float(np.max(residual)),
            tolerance=CERTIFIED,
        )
    return at
