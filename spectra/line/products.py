"""⊠ where not all is known by factors of S: ψ(1/z) = z G(z) − 1 is what the parts share.

w = ψ_A(1/ω_A) = ψ_B(1/ω_B) and z = ω_A ω_B w/(1 + w).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array
from ..exact.chain import moments_from_psi, psi_from_moments
from ..law import Law
from ..positive_law import PositiveLaw
from ..powers import FreeProduct
from .assembly import moments_in_doubles
from .law import LineLaw
from .marks import hull_of_power, marks_of_power, multiplied
from .numbers import Number, exactly
from .series import moments_of_power, s_from_moments
from .symmetric import SymmetricSpectrum, square_of_symmetric
from .trace import FLAT, Trace, same_side, side_by_side

if TYPE_CHECKING:
    from ..distribution import Distribution
    from ..exact.power_series import Ring


# w this small beside the terms it is what is left of has lost its digits.
LOST = 1e-8


@dataclass(frozen=True)
class Product(LineLaw):
    """μ ⊠ ν: the law of √A B √A, A ≥ 0 free from B.

    For z in the upper half plane there is one solution with ω_B there and ω_A off [0, ∞): the fixed point of a map of
    the half plane into itself.

    Parameters
    ----------
    positive : μ, on [0, ∞), not δ_0.
    other : ν, anywhere.

    Source
    ------
    Belinschi, Speicher, Treilhard, Vargas, Int. Math. Res. Not. 2015, 5933-5958, Theorem 2.2; ν on [0, ∞): Belinschi
    and Bercovici, J. Anal. Math. 101 (2007), 357-365.
    """

    positive: Law
    other: Law

    def spectrum(self) -> Distribution:
        """Density and all that; of a symmetric ν whose square is a law at hand through that of the square."""
        return self._through_square or super().spectrum()

    @cached_property
    def _through_square(self) -> Distribution | None:
        square = self._square
        return SymmetricSpectrum(square.spectrum(), partial(moments_in_doubles, self)) if square else None

    @cached_property
    def _square(self) -> Law | None:
        square = square_of_symmetric(self.other)
        if square is None:
            return None
        if isinstance(self.positive, PositiveLaw) and isinstance(square, PositiveLaw):
            return FreeProduct((self.positive, self.positive, square))
        return Product(self.positive, Product(self.positive, square))

    @property
    def residual(self) -> float:
        """Largest residual of the equations at the points the spectrum was made of, relative to their terms."""
        return self._square.residual if self._square else super().residual

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the spectrum, or of that of the square."""
        return self._square.notes if self._square else super().notes

    @property
    def mean(self) -> float:
        """Product of the means."""
        return self.positive.mean * self.other.mean

    @property
    def unknowns(self) -> int:
        """Those of both."""
        return self.positive.unknowns + self.other.unknowns

    @cached_property
    def _both_positive(self) -> bool:
        return self.other.hull[0] >= 0.0

    def trace(self, t: Array) -> Trace:
        """At z = ω_A ω_B w/(1 + w), w = ω_A G_A(ω_A) − 1 = ω_B G_B(ω_B) − 1."""
        here = self.positive.unknowns
        a, b = side_by_side([self.positive.trace(t[:here]), self.other.trace(t[here:])])
        # w/(1 + w) = w/(ω_A G_A).  Near −1 it is 1 + w that has the digits; near 0, where ω_A is infinite, the w of A.
        sharper = a.w_size * np.abs(b.w) < b.w_size * np.abs(a.w)
        w, w_size = np.where(sharper, a.w, b.w), np.where(sharper, a.w_size, b.w_size)
        dw = np.where(sharper, a.dw, b.dw)
        low = np.abs(1.0 + w) < 0.5
        miss = np.where(low, a.z * a.g - b.z * b.g, a.w - b.w)
        terms = np.where(low, a.end_size + b.end_size, a.w_size + b.w_size)
        z = b.z * w / a.g
        turn = dw / w - a.dg / a.g
        if a.turn is not None:
            turn = np.where(sharper, a.turn, turn)
        dz = z * (b.dz / b.z + turn)
        ends, drifts = [one.z * one.g for one in (a, b)], [one.dz * one.g + one.z * one.dg for one in (a, b)]
        g = ends[1] / z
        dg = drifts[1] / z - dz * g / z
        size = np.abs(z) * (a.sizes[-1] / np.abs(a.z) + b.sizes[-1] / np.abs(b.z) + w_size / np.abs(w))
        # Where w is lost in its terms, z is, and anything would pass.
        valid = (np.abs(w) > LOST * w_size) & a.valid & b.valid & same_side(b.z, b.sizes[-1], z, size)
        valid &= same_side(-g, np.abs(g) * size / np.abs(z), z, size)
        if self._both_positive:
            valid &= same_side(a.z, a.sizes[-1], z, size)
        rising = [b.dz, a.dz] if self._both_positive else [b.dz]
        inner = (*a.inner, *b.inner, (np.array(rising), dz))
        return Trace(
            z,
            g,
            w,
            dz,
            dg,
            dw,
            np.concatenate([a.equations, b.equations, miss[None]]),
            np.concatenate([a.slopes, b.slopes, np.where(low, drifts[0] - drifts[1], a.dw - b.dw)[None]]),
            valid,
            inner,
            np.concatenate([a.sizes[:-1], b.sizes[:-1], [terms], [size]]),
            w_size,
        )

    def start(self, z: Array) -> Array:
        """ω_B = z/m_1(A) and ω_A = z/m_1(B), or what ψ_B(1/ω_B) asks for where m_1(B) = 0."""
        outer = z / self.positive.mean
        if abs(self.other.mean) > 1e-12 * max(abs(x) for x in self.other.hull):
            inner = z / self.other.mean
        else:
            from ..exact.power_series import rationals

            second = float(self.other.moment_list(rationals(), 2)[1])
            inner = self.positive.mean * outer**2 / second
        return np.concatenate([self.positive.start(inner), self.other.start(outer)])

    @cached_property
    def hull(self) -> tuple[float, float]:
        """Smallest and largest products of ends."""
        (a, b), (c, d) = self.positive.hull, self.other.hull
        ends = [x * y for x in (a, b) for y in (c, d)]
        return min(ends), max(ends)

    @cached_property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Off zero products a b of mass p + q − 1; at zero the larger of the two masses."""
        return multiplied(self.positive.marks, self.other.marks)

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From w = ψ_B(u/S_A(w)), of any mean of B."""
        inverse = s_from_moments(ring, self.positive.moment_list(ring, order)).inverse()
        outer = psi_from_moments(ring, self.other.moment_list(ring, order))
        w = outer
        for _ in range(order):
            # Every round gives one more coefficient.
            inner = inverse.compose(w.like(w.coefficients[: inverse.order])).times_x()
            w = outer.compose(inner.like(inner.coefficients[: order + 1]))
        return moments_from_psi(w)

    @property
    def is_rational(self) -> bool:
        """Whether both are."""
        return self.positive.is_rational and self.other.is_rational


@dataclass(frozen=True)
class ProductPower(LineLaw):
    """μ^{⊠t}, t ≥ 1, of a law on [0, ∞) known by its curve: S = S_μ^t.

    Parameters
    ----------
    law : μ, not δ_0.
    exponent : t.

    Source
    ------
    Belinschi and Bercovici, Int. Math. Res. Not. 2005, 65-101, Theorem 2.6 (existence), 4.1 (atoms).
    """

    law: Law
    exponent: Number

    @property
    def mean(self) -> float:
        """m_1^t."""
        return self.law.mean ** float(self.exponent)

    @property
    def unknowns(self) -> int:
        """Those of μ."""
        return self.law.unknowns

    def trace(self, t: Array) -> Trace:
        """Log z = log((1 + w)/w) − t log((1 + w)/(w ω)): principal logarithms, whose sum must be one."""
        a, n = self.law.trace(t), float(self.exponent)
        w, dw = a.w, a.dw
        # For z in the upper half plane all of these lie in the lower one, and so does u = 1/z.
        share, drift = np.log(w / (1.0 + w)), dw / (w * (1.0 + w))
        log_u = share + n * (-share - np.log(a.z))
        z = np.exp(-log_u)
        dz = -z * (drift + n * (-drift - a.dz / a.z))
        g = (1.0 + w) / z
        dg = dw / z - dz * g / z
        side = np.where(a.z.imag < 0.0, 1.0, -1.0)
        turn = side * log_u.imag
        # On the axis the logarithm of a negative number is the limit from above, whatever the side.
        turn = np.where(a.z.imag == 0.0, np.abs(turn), turn)
        relative = n * a.sizes[-1] / np.abs(a.z)
        valid = a.valid & (turn >= -FLAT * relative) & (turn <= np.pi + FLAT * relative)
        valid &= same_side(-g, np.abs(g) * relative, z, np.abs(z) * relative)
        inner = (*a.inner, (a.dz[None], dz))
        sizes = np.concatenate([a.sizes[:-1], [np.abs(z) * relative]])
        return Trace(z, g, w, dz, dg, dw, a.equations, a.slopes, valid, inner, sizes, a.w_size)

    def start(self, z: Array) -> Array:
        """ω = z/m_1^{t−1}."""
        return self.law.start(z / self.law.mean ** (float(self.exponent) - 1.0))

    @cached_property
    def hull(self) -> tuple[float, float]:
        """Powers of the ends."""
        return hull_of_power(self.law.hull, float(self.exponent))

    @cached_property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """a^t of mass 1 − t(1 − p); at zero the mass stays."""
        return marks_of_power(self.law.marks, float(self.exponent))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From t log S; the mean to a power that is whole, or in doubles."""
        return moments_of_power(ring, self.law.moment_list(ring, order), self.exponent, self.mean)

    @property
    def is_rational(self) -> bool:
        """Whether μ is, and t whole."""
        return self.law.is_rational and exactly(self.exponent).denominator == 1
