"""From moments to S and back, over any ring: what products of laws do to their series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..exact.chain import (
    chi_from_psi,
    chi_from_s,
    log_s_from_s,
    moments_from_psi,
    psi_from_chi,
    psi_from_moments,
    s_from_chi,
    s_from_log_s,
)
from .numbers import Number, exactly

if TYPE_CHECKING:
    from ..exact.power_series import PowerSeries, Ring


def s_from_moments(ring: Ring, moments: Sequence[Any]) -> PowerSeries:
    """S, of as many coefficients as there are moments; m_1 ≠ 0."""
    return s_from_chi(chi_from_psi(psi_from_moments(ring, moments)))


def moments_from_s(s: PowerSeries) -> list[Any]:
    """m_1 … m_n from n coefficients of S."""
    return moments_from_psi(psi_from_chi(chi_from_s(s)))


def power_of_s(s: PowerSeries, exponent: Any, mean: Any) -> PowerSeries:
    """S^t, `mean` = m_1^t: a ring need not have such powers."""
    return s_from_log_s(log_s_from_s(s) * exponent, mean)


def moments_of_power(ring: Ring, own: Sequence[Any], exponent: Number, mean: float) -> list[Any]:
    """m_1 … m_n of μ^{⊠t}, `own` those of μ; a power of the mean that is not whole is `mean`, in doubles."""
    t = exactly(exponent)
    whole = t.denominator == 1 or own[0] == 1
    power = own[0] ** int(t) if whole else ring.number(exactly(mean))
    return moments_from_s(power_of_s(s_from_moments(ring, own), ring.number(t), power))
