"""Where w = ψ_{JJᵀ} is infinite: the place and mass of an atom, and the equation in relative distances from there.

With ζ = 1 − s and v_k = (1 − ε_k)/a_k, where a_k is an atom of mass m_k of law k:
  ω_k + (1 − ω_k) s = s (m_k/ε_k + r_k(ε_k)),      r_k the part of 1 + ψ_k that stays finite,
  log u − log u_0 = −(mass/rank) s + (1 − Σ n_k) ℓ(−s) + Σ e_i ℓ(d_i s/(1 − d_i))
      + Σ n_k [ℓ(−ε_k) − (ε_k − m_k s/ω_k) + ℓ((1 − ω_k) s/ω_k)],      ℓ(x) = log(1 + x) − x,
  ε_k − m_k s/ω_k = ε_k s (r_k − (1 − ω_k))/ω_k.
Nothing cancels: s and ε_k keep all digits however near the pole, where log u itself has lost them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .master import MasterEquation

# An atom of less mass than this is none: the density has an inverse square root there instead.
MARGINAL = 1e-11
# Newton steps from a neighbouring solution; four suffice.
MAX_STEPS = 30


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

    def displacement(self, s: Array, epsilon: Array) -> tuple[Array, Array, Array]:
        """Log u − log u_0 as it is without an atom, its derivative in log s, and the residual, at s (n,), ε (K, n)."""
        equation = self.equation
        counts, omegas = equation.counts.ravel(), equation.omegas.ravel()
        plain = 1.0 - counts.sum()
        value, rate = plain * _log_less_linear(-s), -plain * s * s / (1.0 - s)
        for d, e in equation.terms:
            x = d * s / (1.0 - d)
            value, rate = value + e * _log_less_linear(x), rate - e * x * x / (1.0 + x)
        residual = np.zeros(s.size)
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
            residual = np.maximum(residual, np.abs(relative - s * self.weights[k] / (omega * bent)))
        return value, rate, residual

    def solve(self, log_distance: float, side: int, s: complex, epsilon: Array) -> LocalRoots:
        """Newton's method for log u = log u_0 + `side`·e^{log_distance} from the start (s, ε)."""
        here, bent = np.array([s]), epsilon.reshape(-1, 1).astype(complex)
        omegas = self.equation.omegas.ravel()
        best = LocalRoots(here, bent, np.array([math.inf]), np.array([math.nan]))
        for _ in range(MAX_STEPS):
            for k, omega in enumerate(omegas):
                for _ in range(2):
                    rest, rest_slope = self._finite_part(k, bent[k])
                    miss = bent[k] * (1.0 - here * (rest - (1.0 - omega)) / omega) - here * self.weights[k] / omega
                    slope = 1.0 - here * (rest - (1.0 - omega) + bent[k] * rest_slope) / omega
                    bent[k] = bent[k] * np.exp(_short(-miss / (slope * bent[k])))
            value, rate, residual = self.displacement(here, bent)
            miss = np.log(value * side) - log_distance
            residual = np.maximum(residual, np.abs(miss))
            if not residual[0] < best.residual[0]:
                break
            best = LocalRoots(here, bent.copy(), residual, rate / value)
            step = _short(-miss * value / rate)
            here, bent = here * np.exp(step), bent * np.exp(step)
        return best

    def _finite_part(self, k: int, epsilon: Array) -> tuple[Array, Array]:
        """r_k(ε) and its derivative."""
        law, place = self.equation.factors[k].law, self.places[k]
        others = np.abs(law.points / place - 1.0) > 1e-14
        t, weights = law.points[others] / place, law.weights[others]
        inverse = 1.0 / ((1.0 - t) + epsilon[:, None] * t)
        return inverse @ weights, -(inverse * inverse) @ (weights * t)


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
