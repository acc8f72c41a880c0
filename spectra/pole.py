"""Where w = ψ_{JJᵀ} is infinite: the place and mass of an atom, and the equation in relative distances from there.

With ζ = 1 − s and v_k = (1 − ε_k)/a_k, where a_k is an atom of mass m_k of law k:
  ω_k + (1 − ω_k) s = s (m_k/ε_k + r_k(ε_k)),      r_k the part of 1 + ψ_k that stays finite,
  log u − log u_0 = −(mass/rank) s + (1 − Σ n_k) ℓ(−s) + Σ e_i ℓ(d_i s/(1 − d_i))
      + Σ n_k [ℓ(−ε_k) − (ε_k − m_k s/ω_k) + ℓ((1 − ω_k) s/ω_k)],      ℓ(x) = log(1 + x) − x,
  ε_k − m_k s/ω_k = ε_k s (r_k − (1 − ω_k))/ω_k.
Nothing cancels: s and ε_k keep all digits however near the pole, where log u itself has lost them; their imaginary
parts, too, where a law has a density beside its atom and the atom of the product is left with a mass of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._types import Array
from .laws.nodes import TAIL_HEIGHT
from .master import MasterEquation

# An atom of less mass than this is none: the density has an inverse square root there instead.
MARGINAL = 1e-11
# An atom of so little mass, or so little short of one, has an edge within the rounding of λ.
NEARLY = 1e-4
# Newton steps from a neighbouring solution; four suffice.
MAX_STEPS = 30
# Steps after the residual stopped falling: it is that of the real parts, and the imaginary ones may be far smaller.
POLISH = 2
# Relative distance from an atom at which a law is asked whether it has a density there.
BESIDE = 1e-6


@dataclass(frozen=True)
class LocalRoots:
    """Solutions beside a pole: s (n,), ε (K, n), their relative residual, and d log|log u − log u_0|/d log s."""

    s: Array
    epsilon: Array
    residual: Array
    power: Array


@dataclass(frozen=True)
class Pole:
    """A common pole of w and of every ψ_k.

    Attributes
    ----------
    equation : the master equation.
    log_u : log u there; the atom is at λ = 1/u.
    mass : of the atom; where it is not positive there is none.
    places, weights : a_k and m_k, (K,).
    """

    equation: MasterEquation
    log_u: float
    mass: float
    places: Array
    weights: Array

    @property
    def v(self) -> Array:
        """v_k = 1/a_k at the pole, (K,)."""
        return (1.0 / self.places).astype(complex)

    def beside(self, zeta: complex) -> Array:
        """v_k (K,) for ζ near 1, to first order."""
        w = self.equation.rank * zeta / (1.0 - zeta)
        return (1.0 - self.weights * self.equation.rank / (self.equation.omegas.ravel() * w)) / self.places

    @property
    def drift(self) -> float:
        """−d log u/ds at the pole: mass/rank, 0 where the mass is only rounding."""
        return self.mass / self.equation.rank if abs(self.mass) >= MARGINAL else 0.0

    def touched(self, side: int) -> bool:
        """Whether a law has a density right beside its atom, towards larger u (side 1) or smaller u (side −1)."""
        for factor, place in zip(self.equation.factors, self.places, strict=True):
            density = factor.law.cut_density
            v = np.array([(1.0 + side * BESIDE) / place])
            inside = factor.law.smallest < 1.0 / v[0] < factor.law.largest
            if density is not None and inside and density(v)[0] > 0.0:
                return True
        return False

    @property
    def hidden(self) -> bool:
        """Whether there is an edge nearby that λ can hardly tell from it: an atom of nearly no mass, or nearly one."""
        return MARGINAL <= abs(self.mass) < NEARLY and all(f.law.cut_density is None for f in self.equation.factors)

    @cached_property
    def edge(self) -> tuple[float, Array, float]:
        """The hidden edge: s, v (K,) and log u − log u_0."""
        s = np.array([1e-6])
        bent = self._bent(s, self._straight(s))
        for _ in range(10):
            # The displacement without its drift is a square, but for relative corrections of the size of s.
            rate = (self.displacement(s, bent)[1] + self.drift * s).real
            new = s * (self.drift * s / rate)
            s, bent = new, self._bent(new, bent * (new / s))
        return float(s[0]), (1.0 - bent[:, 0].real) / self.places, float(self.displacement(s, bent)[0][0].real)

    def displacement(self, s: Array, epsilon: Array) -> tuple[Array, Array, Array]:
        """Log u − log u_0, its derivative in log s (n,), and by how much each ε_k misses, (K, n), at s, ε (K, n)."""
        equation = self.equation
        counts, omegas = equation.counts.ravel(), equation.omegas.ravel()
        plain = 1.0 - counts.sum()
        value, rate = plain * _log_less_linear(-s) - self.drift * s, -plain * s * s / (1.0 - s) - self.drift * s
        for d, e in equation.terms:
            x = d * s / (1.0 - d)
            value, rate = value + e * _log_less_linear(x), rate - e * x * x / (1.0 + x)
        misses = np.zeros(epsilon.shape, complex)
        for k, (n, omega) in enumerate(zip(counts, omegas, strict=True)):
            x, bent = (1.0 - omega) * s / omega, epsilon[k]
            rest, rest_slope = self._finite_part(k, bent)
            excess = (rest - (1.0 - omega)) / omega
            value = value + n * (_log_less_linear(-bent) - bent * s * excess + _log_less_linear(x))
            # d log ε/d log s along the constraint ε = s (m/ω + ε·excess).
            relative = 1.0 - s * excess
            speed = 1.0 / (relative - s * bent * rest_slope / omega)
            turn = bent * s * (excess * (1.0 + speed) + bent * speed * rest_slope / omega)
            rate = rate - n * (bent * bent * speed / (1.0 - bent) + turn + x * x / (1.0 + x))
            misses[k] = relative - s * self.weights[k] / (omega * bent)
        return value, rate, misses

    def solve(self, log_distance: Array, side: int, s: Array, epsilon: Array, offset: float = 0.0) -> LocalRoots:
        """Newton's method for log u = log u_0 + `offset` + `side`·e^{log_distance} (n,) from the start (s, ε)."""
        here, bent = s.astype(complex), epsilon.astype(complex)
        best = LocalRoots(here, bent, np.full(here.size, math.inf), np.full(here.size, math.nan))
        stalled = 0
        with np.errstate(all="ignore"):
            for _ in range(MAX_STEPS):
                bent = self._bent(here, bent)
                value, rate, misses = self.displacement(here, bent)
                value = value - offset
                miss = np.log(value * side) - log_distance
                residual = np.max(np.abs(misses), axis=0, initial=0.0)
                residual = np.maximum(residual, np.abs(miss))
                better = residual < (best.residual if not stalled else 2.0 * np.maximum(best.residual, 1e-15))
                best = LocalRoots(
                    np.where(better, here, best.s),
                    np.where(better, bent, best.epsilon),
                    np.where(better, residual, best.residual),
                    np.where(better, rate / value, best.power),
                )
                stalled += int(stalled > 0 or not np.any(better & (residual > 1e-15)))
                if stalled > POLISH:
                    break
                step = _short(-miss * value / rate)
                new, bent = here * np.exp(step), bent * np.exp(step)
                # ζ stays in the upper half plane, s in the lower.
                here = np.where((new.imag >= 0.0) & (here.imag < 0.0), new.real + 0.2j * here.imag, new)
        return best

    def leave(self, distance: float) -> tuple[complex, Array] | None:
        """The solution (ζ, v) at log u = log u_0 + `distance` in the upper half plane; None where it is not found."""
        if self.drift > 0.0:
            s = np.array([-distance / self.drift * (1.0 + 0.1j)])
        else:
            # Without a drift the displacement is a square, with a logarithm at most.
            s = np.array([-1e-2j])
            value = self.displacement(s, self._bent(s, self._straight(s)))[0]
            root = np.sqrt(distance / value) * s
            s = np.where(root.imag > 0.0, -root, root)
        bent = self._bent(s, self._straight(s))
        roots = self.solve(np.array([math.log(distance)]), 1, s, bent)
        inside = roots.residual[0] < 1e-11 and roots.s[0].imag < 0.0 and bool(np.all(roots.epsilon.imag < 0.0))
        return (complex(1.0 - roots.s[0]), (1.0 - roots.epsilon[:, 0]) / self.places) if inside else None

    def _straight(self, s: Array) -> Array:
        """ε (K, n) to first order."""
        return np.outer(self.weights / self.equation.omegas.ravel(), s)

    def _bent(self, s: Array, epsilon: Array) -> Array:
        """ε (K, n) closer to what the constraints demand at s, by two steps of Newton's method."""
        bent = epsilon.astype(complex)
        for k, omega in enumerate(self.equation.omegas.ravel()):
            for _ in range(2):
                rest, rest_slope = self._finite_part(k, bent[k])
                miss = bent[k] * (1.0 - s * (rest - (1.0 - omega)) / omega) - s * self.weights[k] / omega
                slope = 1.0 - s * (rest - (1.0 - omega) + bent[k] * rest_slope) / omega
                bent[k] = bent[k] * np.exp(_short(-miss / (slope * bent[k])))
        return bent

    def _finite_part(self, k: int, epsilon: Array) -> tuple[Array, Array]:
        """r_k(ε) and its derivative."""
        law, place = self.equation.factors[k].law, self.places[k]
        others = np.abs(law.points / place - 1.0) > 1e-14
        t, weights = law.points[others] / place, law.weights[others]
        inverse = 1.0 / ((1.0 - t) + epsilon[:, None] * t)
        rest, slope = inverse @ weights, -(inverse * inverse) @ (weights * t)
        near = np.abs(epsilon.imag) < TAIL_HEIGHT * np.abs(epsilon)
        if self.drift > 0.0 and law.cut_density is not None and near.any():
            # As in `LawStack`: the density beside the atom is in Im r, which the sum knows to its share of all only.
            real, height = epsilon[near].real, -epsilon[near].imag
            v = (1.0 - real) / place
            inside = (v * law.smallest < 1.0) & (v * law.largest > 1.0)
            jump = np.zeros(v.size)
            jump[inside] = law.cut_density(v[inside])
            between = (inverse[near] / ((1.0 - t) + real[:, None] * t)) @ (weights * t)
            rest[near] = rest[near].real + 1j * (jump + height * between.real)
        return rest, slope


def pole_near(equation: MasterEquation, v: Array) -> Pole | None:
    """The pole with all v_k near `v` (K,), if there is one."""
    if any(d == 1.0 and abs(e) > 1e-12 for d, e in equation.terms):
        return None
    rank = equation.rank
    terms = [(d, e) for d, e in equation.terms if d != 1.0]
    # log u = total − mass/w + …, w = rank/(1 − ζ): each factor adds the first term of its expansion at w = ∞.
    total = equation.constant + math.log(rank) + sum(e * math.log1p(-d) for d, e in terms)
    mass = rank - sum(e * d / (1.0 - d) for d, e in terms) * rank
    places, weights = [], []
    for factor, x, omega in zip(equation.factors, v.ravel(), equation.omegas.ravel(), strict=True):
        near = [(p, m) for p, m in factor.law.atoms if p > 0.0 and abs(x * p - 1.0) < 0.2]
        if not near:
            return None
        place, weight = min(near, key=lambda pm: abs(x * pm[0] - 1.0))
        places.append(place)
        weights.append(weight)
        total -= factor.count * math.log(place)
        mass -= factor.count * (1.0 - weight) * rank / omega
    return Pole(equation, float(total), float(mass), np.array(places), np.array(weights))


def _log_less_linear(x: Array) -> Array:
    """Log(1 + x) − x with relative accuracy, |x| < 1 or so."""
    small = np.where(np.abs(x) < 0.1, x, 0.0)
    series = np.zeros_like(small)
    # The terms beyond x^18 are below 1e-17 of the first.
    for k in range(18, 1, -1):
        series = small * series + (-1.0) ** (k + 1) / k
    return np.where(np.abs(x) < 0.1, small * small * series, np.log1p(x) - x)


def _short(step: Array) -> Array:
    """A step in a logarithm, of size 1/2 at most."""
    return step / np.maximum(1.0, 2.0 * np.abs(step))
