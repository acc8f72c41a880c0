"""From moments to free cumulants and back, as series: m_k ↔ ψ ↔ χ ↔ S ↔ log S, and χ or S ↔ R ↔ κ_k.

Every function takes and gives a `PowerSeries` over any ring, or a list m_1 … m_n where its name says moments or
cumulants.  The mean must be a unit of the ring for χ and S; R exists without it.

Source
------
Voiculescu, J. Operator Theory 18 (1987), 223-235 (S); J. Funct. Anal. 66 (1986), 323-346 (R); w S(w) inverts g R(g):
Haagerup and Larsen, J. Funct. Anal. 176 (2000); G(1/z) and R: Nica and Speicher (2006), Lectures 12 and 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .power_series import PowerSeries, Ring
from .units import inverse_of


def psi_from_moments(ring: Ring, moments: Sequence[Any]) -> PowerSeries:
    """ψ(u) = Σ m_k u^k."""
    return ring.series([ring.number(0), *map(ring.number, moments)])


def moments_from_psi(psi: PowerSeries) -> list[Any]:
    """m_1 … m_n, the coefficients of ψ."""
    return psi.coefficients[1:]


def chi_from_psi(psi: PowerSeries) -> PowerSeries:
    """χ = ψ^{−1}.

    Raises
    ------
    ValueError : the mean is 0, or no unit of the ring.
    """
    inverse_of(psi.coefficients[1], "the mean of a law with an S-transform")
    return psi.revert()


def psi_from_chi(chi: PowerSeries) -> PowerSeries:
    """ψ = χ^{−1}."""
    return chi.revert()


def s_from_chi(chi: PowerSeries) -> PowerSeries:
    """S(w) = (1 + w) χ(w)/w, of one order less."""
    quotient = chi.over_x()
    return quotient + quotient.like([quotient.coefficients[0] * 0, *quotient.coefficients[:-1]])


def chi_from_s(s: PowerSeries) -> PowerSeries:
    """χ(w) = w S(w)/(1 + w)."""
    zero = s.coefficients[0] * 0
    one_plus = s.like([zero + 1, zero + 1, *[zero] * (s.order - 2)][: s.order])
    return (s / one_plus).times_x()


def log_s_from_s(s: PowerSeries) -> PowerSeries:
    """Log(S/S(0)): the constant 1/S(0) = m_1 stands apart, where a ring has no logarithms."""
    scale = inverse_of(s.coefficients[0], "S(0)")
    zero, *rest = s.coefficients
    return s.like([zero * 0 + 1, *(x * scale for x in rest)]).log()


def s_from_log_s(log_s: PowerSeries, mean: Any) -> PowerSeries:
    """S = exp(log S)/m_1."""
    return log_s.exp() * inverse_of(mean, "the mean of a law with an S-transform")


def r_from_s(s: PowerSeries) -> PowerSeries:
    """R(g), g R(g) the inverse of w S(w)."""
    return s.times_x().revert().over_x()


def s_from_r(r: PowerSeries) -> PowerSeries:
    """S(w), w S(w) the inverse of g R(g).

    Raises
    ------
    ValueError : κ_1, the mean, is 0 or no unit of the ring.
    """
    inverse_of(r.coefficients[0], "the mean of a law with an S-transform")
    return r.times_x().revert().over_x()


def cumulants_from_r(r: PowerSeries) -> list[Any]:
    """κ_1 … κ_n: R(g) = Σ κ_k g^{k−1}."""
    return r.coefficients


def r_from_cumulants(ring: Ring, cumulants: Sequence[Any]) -> PowerSeries:
    """R(g) = Σ κ_k g^{k−1}."""
    return ring.series([ring.number(x) for x in cumulants])


def cumulants_from_moments(ring: Ring, moments: Sequence[Any]) -> list[Any]:
    """κ_1 … κ_n, of a law of any mean: with C(g) = g R(g), u = g/(1 + C(g)) inverts g = u(1 + ψ(u)), 1 + ψ = 1 + C."""
    psi = psi_from_moments(ring, moments)
    inverse = (psi + ring.number(1)).times_x().revert()
    # u(g) has one order more than ψ; C(g) = ψ(u(g)).
    return psi.compose(inverse.like(inverse.coefficients[:-1])).coefficients[1:]


def moments_from_cumulants(ring: Ring, cumulants: Sequence[Any]) -> list[Any]:
    """m_1 … m_n, of a law of any mean: ψ(u) = C(g(u)), g the inverse of u = g/(1 + C(g))."""
    c = ring.series([ring.number(0), *map(ring.number, cumulants)])
    inverse = (c + ring.number(1)).inverse().times_x().revert()
    return c.compose(inverse.like(inverse.coefficients[:-1])).coefficients[1:]
