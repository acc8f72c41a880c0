"""Compound free Poisson laws: g R(g) is λ times the ψ of the jumps at g."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array
from ..exact.chain import moments_from_cumulants
from ..law import Law
from .law import LineLaw
from .marks import kept
from .numbers import Number, exactly
from .trace import Trace, same_side

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class CompoundPoisson(LineLaw):
    """The compound free Poisson law of rate λ and jumps ν: κ_k = λ m_k(ν), g R(g) = λ ψ_ν(g).

    Parameters
    ----------
    rate : λ > 0.
    jumps : ν.

    Source
    ------
    Nica and Speicher, Lectures on the Combinatorics of Free Probability (2006), Definition 12.16.
    """

    rate: Number
    jumps: Law

    @property
    def mean(self) -> float:
        """λ m_1(ν)."""
        return float(self.rate) * self.jumps.mean

    @property
    def unknowns(self) -> int:
        """Those of ν."""
        return self.jumps.unknowns

    def trace(self, t: Array) -> Trace:
        """1/g = ω, z = ω (1 + λ w), w = ω G_ν(ω) − 1."""
        a, rate = self.jumps.trace(t), float(self.rate)
        w, grown = rate * a.w, 1.0 + rate * a.w
        z, dz = a.z * grown, a.dz * grown + a.z * rate * a.dw
        g = 1.0 / a.z
        inner = (*a.inner, (a.dz[None], dz))
        size = a.sizes[-1] * (1.0 + rate + rate * np.abs(a.z * a.g))
        sizes = np.concatenate([a.sizes[:-1], [size]])
        valid = a.valid & same_side(a.z, a.sizes[-1], z, size)
        return Trace(
            z, g, w, dz, -a.dz * g**2, rate * a.dw, a.equations, a.slopes, valid, inner, sizes, rate * a.w_size
        )

    def start(self, z: Array) -> Array:
        """ω = z."""
        return self.jumps.start(z)

    @cached_property
    def hull(self) -> tuple[float, float]:
        """Between those of free Poisson laws whose jumps are all as small, and all as large, as they can be."""
        a, b = self.jumps.hull
        reach = (1.0 + float(self.rate) ** 0.5) ** 2
        return min(0.0, a * reach), max(0.0, b * reach)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """1 − λ(1 − ν{0}) at 0."""
        still = sum(p for a, p in self.jumps.marks if a == 0.0)
        return kept([(0.0, 1.0 - float(self.rate) * (1.0 - still))])

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From κ_k = λ m_k(ν)."""
        rate = ring.number(exactly(self.rate))
        return moments_from_cumulants(ring, [m * rate for m in self.jumps.moment_list(ring, order)])

    @property
    def is_rational(self) -> bool:
        """Whether ν is."""
        return self.jumps.is_rational
