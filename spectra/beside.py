"""The master equation in relative distances from a common pole of w and of all ψ_k.

With ζ = 1 − s and v_k = (1 − ε_k)/a_k, where a_k is an atom of mass m_k of law k:
  ω_k + (1 − ω_k) s = s (m_k/ε_k + r_k(ε_k)),      r_k the part of 1 + ψ_k that stays finite,
  log u − log u_0 = −drift·s + (1 − Σ n_k) ℓ(−s) + Σ e_i ℓ(d_i s/(1 − d_i))
      + Σ n_k [ℓ(−ε_k) − (ε_k − m_k s/ω_k) + ℓ((1 − ω_k) s/ω_k)],      ℓ(x) = log(1 + x) − x,
  ε_k − m_k s/ω_k = ε_k s (r_k − (1 − ω_k))/ω_k.
Nothing cancels: s and ε_k keep all digits however near the pole, where log u itself has lost them; their imaginary
parts, too, where a law has a density beside its atom and the atom of the product is left with a mass of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce

import numpy as np

from ._types import Array
from .compiled import CompiledLocal
from .effort import spend
from .laws.nodes import TAIL_HEIGHT, NodeLaw
from .laws.sums import NodeSums
from .solve import CERTIFIED

# Newton steps from a neighbouring solution; four suffice.
MAX_STEPS = 30
# Steps after the residual stopped falling: it is that of the real parts, and the imaginary ones may be far smaller.
POLISH = 2
# Steps of Newton's method from a residual like this lead to rounding.
ARRIVED = 1e-8
# By how much the misses of the constraints may change the distance, relative, for the linear order in its logarithm.
BEARABLE = 0.1
# Points that are solved together where there is no compiled code.
TOGETHER = 16
# Nodes nearer to an atom than this, relative, are the atom itself.
SAME = 1e-14


@dataclass(frozen=True)
class LocalPoint:
    """The equation at n trial points: s (n,), ε (K, n).

    `value` is log u − log u_0 and `rate` its derivative in log s along the constraints; `misses` is by how much each
    constraint is missed, relative, `mends` the change of log ε_k that makes up for it, `pushes` ∂ value/∂ log ε_k and
    `speeds` d log ε_k/d log s, all (K, n).
    """

    value: Array
    rate: Array
    misses: Array
    mends: Array
    pushes: Array
    speeds: Array


@dataclass(frozen=True)
class LocalRoots:
    """Solutions at log distances `at` (n,): s (n,), ε (K, n), relative residual, and d log|log u − log u_0|/d log s."""

    at: Array
    s: Array
    epsilon: Array
    residual: Array
    power: Array

    @classmethod
    def guessed(cls, at: Array, s: Array, epsilon: Array) -> LocalRoots:
        """Starting values."""
        return cls(at, s, epsilon, np.full(s.size, math.inf), np.ones(s.size, complex))

    @property
    def _rows(self) -> tuple[Array, ...]:
        return self.at, self.s, self.epsilon, self.residual, self.power

    def part(self, which: Array) -> LocalRoots:
        """Return those of some indices."""
        return LocalRoots(*[row.take(which, -1) for row in self._rows])

    def nearest(self, at: Array) -> LocalRoots:
        """For each log distance `at` the nearest that is not nearer to the pole, or else the outermost."""
        if self.at.size == 1:
            return self.part(np.zeros(at.size, int))
        gap = self.at - at[:, None]
        return self.part(np.argmin(np.where(gap >= 0.0, gap, 1e3 - gap), axis=1))

    def joined(self, other: LocalRoots) -> LocalRoots:
        """Return these and others."""
        return LocalRoots(*[np.concatenate(pair, axis=-1) for pair in zip(self._rows, other._rows, strict=True)])

    @property
    def size(self) -> float:
        """Largest |s| or |ε_k|."""
        return float(max(np.abs(self.s).max(), np.abs(self.epsilon).max(initial=0.0)))

    @property
    def certified(self) -> Array:
        """Whether the residual is small and every variable in its half plane."""
        inside = (self.s.imag < 0.0) & (self.epsilon.imag < 0.0).all(axis=0)
        return inside & (self.residual < CERTIFIED)


class LocalEquation:
    """The equation beside one pole.

    Parameters
    ----------
    drift : −d log u/ds at the pole.
    terms : pairs (d_i, e_i), d_i < 1.
    laws, counts, omegas : of the factors; multiplicities n_k and ratios ω_k, (K,).
    places, masses : the atoms a_k and m_k, (K,).
    """

    def __init__(
        self,
        drift: float,
        terms: list[tuple[float, float]],
        laws: tuple[NodeLaw, ...],
        counts: Array,
        omegas: Array,
        places: Array,
        masses: Array,
    ) -> None:
        self.drift, self.terms, self.laws = drift, terms, laws
        self.counts, self.omegas, self.places, self.masses = counts, omegas, places, masses
        self._plain = 1.0 - float(counts.sum())
        self._sums = [_others(law, place) for law, place in zip(laws, places, strict=True)]
        self.size = sum(law.points.size for law in laws)

    @cached_property
    def compiled(self) -> CompiledLocal | None:
        """The same in compiled code."""
        if not CompiledLocal.fits(self.masses.size):
            return None
        d, e = np.array(self.terms, float).reshape(-1, 2).T
        continuous = [law.cut_density is not None for law in self.laws]
        return CompiledLocal(self.drift, d, e, self._sums, self.counts, self.omegas, self.masses, continuous)

    def straight(self, s: Array) -> Array:
        """ε (K, n) to first order."""
        return np.outer(self.masses / self.omegas, s)

    def bent(self, s: Array, epsilon: Array) -> Array:
        """ε (K, n) closer to what the constraints demand at s, by two steps of Newton's method."""
        for _ in range(2):
            epsilon = epsilon * np.exp(_short(self.at(s, epsilon).mends))
        return epsilon

    def at(self, s: Array, epsilon: Array) -> LocalPoint:
        """The equation and its derivatives at s (n,), ε (K, n)."""
        s, epsilon = s.astype(complex), epsilon.astype(complex)
        spend(self.size * s.size, len(self.laws))
        if self.compiled is None:
            return self._at(s, epsilon)
        rows, done = self.compiled.at(s, epsilon)
        if not done.all():
            rest = self._at(s[~done], epsilon[:, ~done])
            parts = (rest.value[None], rest.rate[None], rest.misses, rest.mends, rest.pushes, rest.speeds)
            rows[:, ~done] = np.concatenate(parts)
        return LocalPoint(rows[0], rows[1], *rows[2:].reshape(4, len(epsilon), s.size))

    def _at(self, s: Array, epsilon: Array) -> LocalPoint:
        value, rate = -self.drift * s, -self.drift * s
        if self._plain:
            value, rate = value + self._plain * log_less_linear(-s), rate - self._plain * s * s / (1.0 - s)
        for d, e in self.terms:
            x = d * s / (1.0 - d)
            value, rate = value + e * log_less_linear(x), rate - e * x * x / (1.0 + x)
        misses, mends, pushes, speeds = np.zeros((4, *epsilon.shape), complex)
        for k, (n, omega, mass) in enumerate(zip(self.counts, self.omegas, self.masses, strict=True)):
            x, bent = (1.0 - omega) * s / omega, epsilon[k]
            rest, turn = self._finite_part(k, bent)
            excess = (rest - (1.0 - omega)) / omega
            # The constraint is ε·relative = m s/ω.
            relative, pole = 1.0 - s * excess, s * mass / (omega * bent)
            slope = relative - s * turn / omega
            misses[k], mends[k] = relative - pole, (pole - relative) / slope
            speeds[k] = (s * excess + pole) / slope
            push = -bent * bent / (1.0 - bent) - bent * s * (excess + turn / omega)
            pushes[k] = n * push
            value = value + n * (log_less_linear(-bent) - bent * s * excess + log_less_linear(x))
            rate = rate + n * (push * speeds[k] - bent * s * excess - x * x / (1.0 + x))
        return LocalPoint(value, rate, misses, mends, pushes, speeds)

    def solve(self, log_distance: Array, side: int, near: LocalRoots, offset: float = 0.0) -> LocalRoots:
        """Newton's method for log u = log u_0 + `offset` + `side`·e^{log_distance} (n,) from known solutions.

        Each from the `nearest`, or from one that is found on the way.
        """
        spend(4 * self.size * log_distance.size, 4 * len(self.laws))
        if self.compiled is None:
            return self._in_turn(log_distance, side, near, offset)
        start = near.nearest(log_distance)
        s, epsilon, residual, power, done = self.compiled.solve(
            log_distance, (side, offset, CERTIFIED), start.at, start.s, start.epsilon, start.power
        )
        if not done.all():
            rest = self._in_turn(log_distance[~done], side, near, offset)
            s[~done], epsilon[:, ~done] = rest.s, rest.epsilon
            residual[~done], power[~done] = rest.residual, rest.power
        return LocalRoots(log_distance, s, epsilon, residual, power)

    def _in_turn(self, log_distance: Array, side: int, near: LocalRoots, offset: float) -> LocalRoots:
        """`solve` with arrays, some at a time."""
        found: list[LocalRoots] = []
        for begin in range(0, log_distance.size, TOGETHER):
            at = log_distance[begin : begin + TOGETHER]
            found.append(self._solve(at, side, near.nearest(at), offset))
            near = near.joined(found[-1].part(np.flatnonzero(found[-1].residual < CERTIFIED)))
        return reduce(LocalRoots.joined, found)

    def _solve(self, log_distance: Array, side: int, start: LocalRoots, offset: float) -> LocalRoots:
        growth = np.exp((log_distance - start.at) / start.power)
        here, bent = start.s * growth, start.epsilon * growth
        # An extrapolation may turn too far.
        here.imag, bent.imag = -np.abs(here.imag), -np.abs(bent.imag)
        best = LocalRoots(log_distance, here, bent, np.full(here.size, math.inf), start.power)
        stalled = 0
        with np.errstate(all="ignore"):
            for _ in range(MAX_STEPS):
                point = self._at(here, bent)
                distance = point.value - offset
                miss = np.log(distance * side) - log_distance
                residual = np.maximum(np.max(np.abs(point.misses), axis=0, initial=0.0), np.abs(miss))
                better = residual < (best.residual if not stalled else 2.0 * np.maximum(best.residual, 1e-15))
                best = LocalRoots(
                    log_distance,
                    np.where(better, here, best.s),
                    np.where(better, bent, best.epsilon),
                    np.where(better, residual, best.residual),
                    np.where(better, point.rate / distance, best.power),
                )
                # On the way the residual may rise.
                going = (better & (residual > 1e-15)) | ~(best.residual < ARRIVED)
                stalled += int(stalled > 0 or not going.any())
                if stalled > POLISH:
                    break
                pull = np.sum(point.pushes * point.mends, axis=0)
                move = _short((-miss * distance - pull) / point.rate)
                # Where the distance depends on the constraints more than the logarithm can bear, these come first.
                move = np.where(np.abs(pull) < BEARABLE * np.abs(distance), move, 0.0)
                new = here * np.exp(move)
                bent = bent * np.exp(_short(point.mends + point.speeds * move))
                # ζ stays in the upper half plane, s in the lower.
                here = np.where((new.imag >= 0.0) & (here.imag < 0.0), new.real + 0.2j * here.imag, new)
        return best

    def _finite_part(self, k: int, epsilon: Array) -> tuple[Array, Array]:
        """r_k(ε) = Σ W/(x + ε(1 − x)), x = 1 − t/a, and ε r_k'(ε): sums over 1/(1 − xy) with y = 1 − 1/ε."""
        sums = np.empty((epsilon.size, 4), complex)
        self._sums[k].add_up(1.0 - 1.0 / epsilon, sums)
        rest = sums[:, 2] / epsilon
        turn = sums[:, 3] / epsilon**2 - rest
        law, place = self.laws[k], self.places[k]
        near = np.abs(epsilon.imag) < TAIL_HEIGHT * np.abs(epsilon)
        if self.drift > 0.0 and law.cut_density is not None and near.any():
            # As in `LawStack`: the density beside the atom is in Im r, which the sum knows to its share of all only.
            real, height = epsilon[near].real, -epsilon[near].imag
            v = (1.0 - real) / place
            inside = law.on_cut(v)
            jump = np.zeros(v.size)
            jump[inside] = law.cut_density(v[inside])
            t, weights = law.points / place, law.weights
            others = np.abs(t - 1.0) > SAME
            t, weights = t[others], weights[others]
            between = 1.0 / ((1.0 - t) + epsilon[near][:, None] * t) / ((1.0 - t) + real[:, None] * t) @ (weights * t)
            rest[near] = rest[near].real + 1j * (jump + height * between.real)
        return rest, turn


@lru_cache(maxsize=16)
def _others(law: NodeLaw, place: float) -> NodeSums:
    """Sums over the nodes t but the one at `place` a, as distances x = 1 − t/a from it."""
    x = 1.0 - law.points / place
    others = np.abs(x) > SAME
    # None at all are one that weighs nothing.
    return NodeSums(x[others], law.weights[others]) if others.any() else NodeSums(np.ones(1), np.zeros(1))


def log_less_linear(x: Array) -> Array:
    """Log(1 + x) − x with relative accuracy: −xy + 2y³/3 + 2y⁵/5 + …, y = x/(2 + x)."""
    near = np.abs(x) < 0.5
    small = np.where(near, x, 0.0)
    y = small / (2.0 + small)
    series = np.zeros_like(y)
    # The terms beyond y^37 are below 1e-17 of the first.
    for k in range(37, 1, -2):
        series = y * y * series + 2.0 / k
    return np.where(near, y * (y * y * series - small), np.log1p(x) - x)


def _short(step: Array) -> Array:
    """A step in a logarithm, of size 1/2 at most."""
    return step / np.maximum(1.0, 2.0 * np.abs(step))
