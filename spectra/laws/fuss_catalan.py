"""The Fuss-Catalan laws S(w) = (1 + w)^{−s}: products of s square Gaussian matrices, for real s > 0 too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..line.numbers import Number, exactly
from ..positive_law import PositiveLaw
from ..transforms import free_cumulants, moments

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class FussCatalan(PositiveLaw):
    """S(w) = (1 + w)^{−s}; for integer s the law of WWᵀ, W a product of s square Gaussian matrices.

    Moments binom((s + 1)k, k)/(sk + 1), support [0, (s + 1)^{s+1}/s^s].

    Parameters
    ----------
    order : s > 0, real.

    Source
    ------
    Penson and Życzkowski, Phys. Rev. E 83 (2011) 061118; real s: Młotkowski, Doc. Math. 15 (2010), 939-955.
    """

    order: Number

    def __post_init__(self) -> None:
        if not (math.isfinite(self.order) and self.order > 0):
            raise ValueError(f"`FussCatalan(order={self.order})`: `order` must be positive and finite.")

    @property
    def mean(self) -> float:
        """1, whatever the order."""
        return 1.0

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """(1 + w)^{−s}."""
        return ((1.0, -float(self.order)),)

    @property
    def hull(self) -> tuple[float, float]:
        """[0, (s + 1)^{s+1}/s^s], the support."""
        s = float(self.order)
        return 0.0, (s + 1.0) * (1.0 + 1.0 / s) ** s

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """0, where the density diverges."""
        return ((0.0, 0.0),)

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """binom((s + 1)k, k − 1)/k, exactly."""
        return [ring.number(m) for m in _binomials_over_k(exactly(self.order) + 1, order, Fraction(1))]

    @property
    def is_rational(self) -> bool:
        """Always."""
        return True


def _binomials_over_k(slope: Any, order: int, one: Any) -> list[Any]:
    """binom(slope·k, k − 1)/k for k = 1 … order, in the numbers `slope` and `one` are of."""
    values = []
    for k in range(1, order + 1):
        value = one / k
        for j in range(1, k):
            value = value * (slope * k + 1 - j) / j
        values.append(value)
    return values


@moments.register
def _(law: FussCatalan, order: int) -> np.ndarray:
    # (1/k) [w^{k−1}] (1 + w)^{(s+1)k}
    return np.array(_binomials_over_k(float(law.order) + 1.0, order, 1.0))


@free_cumulants.register
def _(law: FussCatalan, order: int) -> np.ndarray:
    # (1/k) [w^{k−1}] (1 + w)^{sk}: the moments at order s − 1.
    return np.array(_binomials_over_k(float(law.order), order, 1.0))
