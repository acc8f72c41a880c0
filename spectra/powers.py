"""⊠ of laws known by the factors of their S-transforms: S_{μ⊠ν} = S_μ S_ν, and their powers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial, reduce
from typing import TYPE_CHECKING, Any, cast

from .laws import Dirac, Discrete
from .line.atoms import AtomsCurve
from .line.marks import hull_of_power, marks_of_power, multiplied
from .line.numbers import Number, exactly
from .line.series import moments_from_s, moments_of_power, s_from_moments
from .master import Factor
from .positive_law import PositiveLaw
from .series import log_scaled_moments

if TYPE_CHECKING:
    from .exact.power_series import Ring
    from .law import Law
    from .spectrum import Spectrum

# Products of atoms are looked at where they are no more than this.
MOST_PLACES = 256


class _OfFactors(PositiveLaw):
    """What products and powers share."""

    def _otherwise(self) -> tuple[Spectrum, float]:
        from .line.equation import by_atoms, is_of_atoms

        if not is_of_atoms(self.equation):
            return super()._otherwise()
        built = by_atoms(self.equation)
        return built.spectrum, built.residual


@dataclass(frozen=True)
class FreeProduct(_OfFactors):
    """μ_1 ⊠ μ_2 ⊠ …: the law of √A B √A and so on, for free A, B ≥ 0; S = Π S_i.

    Parameters
    ----------
    laws : at least one; products among them are opened up.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235.
    """

    laws: tuple[PositiveLaw, ...]

    def __post_init__(self) -> None:
        opened: list[PositiveLaw] = []
        for law in self.laws:
            if not isinstance(law, PositiveLaw):
                raise ValueError(f"`FreeProduct`: every factor must be a `PositiveLaw`, not {law!r}.")
            opened += law.laws if isinstance(law, FreeProduct) else (law,)
        if not opened:
            raise ValueError("`FreeProduct(())`: at least one law is needed; the neutral one is `Dirac(1)`.")
        object.__setattr__(self, "laws", tuple(opened))

    @property
    def mean(self) -> float:
        """Π m_1."""
        return math.prod(law.mean for law in self.laws)

    @property
    def log_mean(self) -> float:
        """Σ log m_1."""
        return math.fsum(law.log_mean for law in self.laws)

    @property
    def hull(self) -> tuple[float, float]:
        """Products of the ends."""
        return math.prod(law.hull[0] for law in self.laws), math.prod(law.hull[1] for law in self.laws)

    @cached_property
    def places(self) -> tuple[Number, ...]:
        """Products of those of the factors."""
        found: set[Number] = {1}
        for law in self.laws:
            found = {a * b for a in found for b in law.places}
            if len(found) > MOST_PLACES:
                return ()
        return tuple(found)

    @cached_property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Those of all factors, together."""
        return reduce(multiplied, (law.marks for law in self.laws))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From the product of all S."""
        series = [s_from_moments(ring, law.moment_list(ring, order)) for law in self.laws]
        whole = series[0]
        for s in series[1:]:
            whole = whole * s
        return moments_from_s(whole)

    @property
    def is_rational(self) -> bool:
        """Whether all factors are."""
        return all(law.is_rational for law in self.laws)

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """Those of all factors."""
        return tuple(pair for law in self.laws for pair in law.shifts())

    def factors(self, level: int = 0) -> tuple[Factor, ...]:
        """Those of all factors."""
        return tuple(factor for law in self.laws for factor in law.factors(level))

    def _otherwise(self) -> tuple[Spectrum, float]:
        """Of atoms and projections as their product: an edge may lie where a subordination point is infinite."""
        from .line.assembly import spectrum_of
        from .line.products import Product

        points = [law for law in self.laws if isinstance(law, Dirac)]
        parts: list[Any] = [law for law in self.laws if not isinstance(law, Dirac)]
        if len(parts) < 2 or not all(isinstance(law, AtomsCurve) for law in parts):
            return super()._otherwise()
        # Projections last.
        first, *rest = sorted(parts, key=lambda law: any(place == 0 for place in law.locations))
        scale = math.prod(exactly(law.location) for law in points)
        curve: Law = Discrete([scale * exactly(x) for x in first.locations], first.masses) if points else first
        for law in rest:
            curve = Product(curve, law)
        found = spectrum_of(curve, logarithmic=True)
        law = replace(
            cast("Spectrum", found.spectrum),
            log_scaled_moments=partial(log_scaled_moments, self.equation),
            log_mean=self.log_mean,
        )
        return law, found.residual


@dataclass(frozen=True)
class FreePower(_OfFactors):
    """μ^{⊠t}, t ≥ 1 real: S = S_μ^t.

    Parameters
    ----------
    law : μ.
    exponent : t; the cost does not depend on it.

    Source
    ------
    Belinschi and Bercovici, Int. Math. Res. Not. 2005, 65-101, Theorem 2.6: it is a law for every real t ≥ 1.
    """

    law: PositiveLaw
    exponent: Number

    def __post_init__(self) -> None:
        if not isinstance(self.law, PositiveLaw):
            raise ValueError(f"`FreePower`: the base must be a `PositiveLaw`, not {self.law!r}.")
        if not (math.isfinite(self.exponent) and self.exponent >= 1):
            raise ValueError(
                f"`FreePower(exponent={self.exponent})`: `exponent` must be a finite number ≥ 1; below 1 the power "
                "need not be a law."
            )

    @property
    def mean(self) -> float:
        """m_1^t; inf or 0 beyond the range of doubles."""
        try:
            return self.law.mean ** float(self.exponent)
        except OverflowError:
            return math.inf

    @property
    def log_mean(self) -> float:
        """Logarithm of m_1^t."""
        return float(self.exponent) * self.law.log_mean

    @property
    def hull(self) -> tuple[float, float]:
        """Powers of the ends."""
        return hull_of_power(self.law.hull, float(self.exponent))

    @property
    def places(self) -> tuple[Number, ...]:
        """a^t, where t is whole."""
        power = exactly(self.exponent)
        if power.denominator != 1 or not 1 <= power <= MOST_PLACES:
            return ()
        return tuple(a ** int(power) for a in self.law.places)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """a^t of mass 1 − t (1 − p)."""
        return marks_of_power(self.law.marks, float(self.exponent))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """From S^t; a power of the mean that is not whole is taken in doubles."""
        return moments_of_power(ring, self.law.moment_list(ring, order), self.exponent, self.mean)

    @property
    def is_rational(self) -> bool:
        """Whether μ is, and m_1^t."""
        from .exact.power_series import rationals

        whole = exactly(self.exponent).denominator == 1
        return self.law.is_rational and (whole or self.law.moment_list(rationals(), 1)[0] == 1)

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """Those of μ, t times."""
        return tuple((r, float(self.exponent) * e) for r, e in self.law.shifts())

    def factors(self, level: int = 0) -> tuple[Factor, ...]:
        """Those of μ, t times."""
        return tuple(replace(factor, count=float(self.exponent) * factor.count) for factor in self.law.factors(level))
