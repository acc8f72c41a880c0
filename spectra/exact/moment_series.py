"""Moments of JJᵀ by series: exact rationals, balls, or polynomials in the depth.

With log S = Σ_l log S_l, u(w) = (w/(1 + w)) S(w) and m_k = (1/k) [w^{k−1}] (w/u(w))^k (Lagrange); ψ_{JJᵀ} inverts u.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .chain import chi_from_psi, log_s_from_s, psi_from_moments, s_from_chi
from .power_series import PowerSeries, Ring


@dataclass(frozen=True)
class Layers:
    """`count` layers with one law of D² and one share ρ = N_L/N_l; all over one ring.

    Parameters
    ----------
    slopes : μ_1 … μ_n, moments of D².
    ratio : ρ.
    count : number of layers, or a symbol for it.
    """

    slopes: tuple[Any, ...]
    ratio: Any
    count: Any


def log_s_of_slopes(ring: Ring, layers: Layers, order: int) -> PowerSeries:
    """log(S/S(0)) of D² at ρ w, `order` coefficients; S(0) = 1/μ_1."""
    psi = psi_from_moments(ring, layers.slopes[:order])
    return log_s_from_s(s_from_chi(chi_from_psi(psi))).at_multiple(layers.ratio)


def log_generator(ring: Ring, shifts: Sequence[tuple[Any, Any]], laws: Sequence[Layers], order: int) -> PowerSeries:
    """log(u/w) less its constant, `order` coefficients.

    Parameters
    ----------
    shifts : pairs (r, e) of terms e log(1 + r w).
    """
    x = ring.variable(order)
    total = ring.series([ring.number(0)] * order)
    for ratio, exponent in shifts:
        total = total + (x * ratio + ring.number(1)).log() * exponent
    for one in laws:
        total = total + log_s_of_slopes(ring, one, order) * one.count
    return total


def scaled_moments(generator: PowerSeries) -> list[Any]:
    """m_k/m_1^k, k = 1 … n, from log(u/w): the inverse series of w exp(log(u/w))."""
    return generator.exp().times_x().revert().coefficients[1:]


def scaled_moments_by_lagrange(generator: PowerSeries) -> list[Any]:
    """The same, one coefficient at a time: over rings where reversion would divide by symbols, or be slow."""
    found = []
    for k in range(1, generator.order + 1):
        part = generator.like(generator.coefficients[:k])
        power = (part * -k).exp().coefficients[k - 1]
        found.append(power * Fraction(1, k) if isinstance(power, int) else power / k)
    return found
