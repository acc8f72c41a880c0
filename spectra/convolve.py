"""Free multiplicative convolution, S_{μ⊠ν} = S_μ S_ν.

Products and powers are laws themselves; nothing is computed until something is asked of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .law import Law
from .master import Factor


@dataclass(frozen=True)
class FreeProduct(Law):
    """μ_1 ⊠ μ_2 ⊠ …: the law of √A B √A and so on, for free A, B ≥ 0; S = Π S_i.

    Parameters
    ----------
    laws : at least one; products among them are opened up.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235.
    """

    laws: tuple[Law, ...]

    def __post_init__(self) -> None:
        opened: list[Law] = []
        for law in self.laws:
            if not isinstance(law, Law):
                raise ValueError(f"`FreeProduct`: every factor must be a `Law`, not {law!r}.")
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

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """Those of all factors."""
        return tuple(pair for law in self.laws for pair in law.shifts())

    def factors(self, level: int = 0) -> tuple[Factor, ...]:
        """Those of all factors."""
        return tuple(factor for law in self.laws for factor in law.factors(level))


@dataclass(frozen=True)
class FreePower(Law):
    """μ^{⊠t}, t ≥ 1 real: S = S_μ^t.

    Parameters
    ----------
    law : μ.
    exponent : t; the cost does not depend on it.

    Source
    ------
    Belinschi and Bercovici, Int. Math. Res. Not. 2005, 65-101, Theorem 2.6: it is a law for every real t ≥ 1.
    """

    law: Law
    exponent: float

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise ValueError(f"`FreePower`: the base must be a `Law`, not {self.law!r}.")
        if not (math.isfinite(self.exponent) and self.exponent >= 1.0):
            raise ValueError(
                f"`FreePower(exponent={self.exponent})`: `exponent` must be a finite number ≥ 1; below 1 the power "
                "need not be a law."
            )

    @property
    def mean(self) -> float:
        """m_1^t; inf or 0 beyond the range of doubles."""
        try:
            return self.law.mean**self.exponent
        except OverflowError:
            return math.inf

    @property
    def log_mean(self) -> float:
        """Logarithm of m_1^t."""
        return self.exponent * self.law.log_mean

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """Those of μ, t times."""
        return tuple((r, self.exponent * e) for r, e in self.law.shifts())

    def factors(self, level: int = 0) -> tuple[Factor, ...]:
        """Those of μ, t times."""
        return tuple(replace(factor, count=self.exponent * factor.count) for factor in self.law.factors(level))


def free_product(*laws: Law) -> Law:
    """μ_1 ⊠ μ_2 ⊠ … as a law: S = Π S_i.

    Raises
    ------
    ValueError : no factor, or one that is not a law.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235.

    Examples
    --------
    >>> from spectra.laws import MarchenkoPastur
    >>> low, high = free_product(MarchenkoPastur(0.5), MarchenkoPastur(0.5)).spectrum().support()
    >>> print(f"{low:.12f} {high:.12f}")
    0.028350136391 4.409149863609
    """
    return laws[0] if len(laws) == 1 and isinstance(laws[0], Law) else FreeProduct(laws)


def free_power(law: Law, exponent: float) -> Law:
    """μ^{⊠t} as a law, for real t ≥ 1: S = S_μ^t.

    Raises
    ------
    ValueError : the base is not a law, or the exponent is below 1.

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235; exponents that are not whole: Belinschi and Bercovici, Int.
    Math. Res. Not. (2005), 65-101.
    """
    return FreePower(law, exponent)
