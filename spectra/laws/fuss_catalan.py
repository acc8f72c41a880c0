"""The Fuss-Catalan laws S(w) = (1 + w)^{−s}: products of s square Gaussian matrices, for real s > 0 too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..law import Law
from ..transforms import free_cumulants, moments


@dataclass(frozen=True)
class FussCatalan(Law):
    """S(w) = (1 + w)^{−s}; for integer s the law of WWᵀ, W a product of s square Gaussian matrices.

    Moments binom((s + 1)k, k)/(sk + 1), support [0, (s + 1)^{s+1}/s^s].

    Parameters
    ----------
    order : s > 0, real.

    Source
    ------
    Penson and Życzkowski, Phys. Rev. E 83 (2011) 061118; real s: Młotkowski, Doc. Math. 15 (2010), 939-955.
    """

    order: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.order) and self.order > 0.0):
            raise ValueError(f"`FussCatalan(order={self.order})`: `order` must be positive and finite.")

    @property
    def mean(self) -> float:
        """1, whatever the order."""
        return 1.0

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """(1 + w)^{−s}."""
        return ((1.0, -float(self.order)),)


def _binomials_over_k(slope: float, order: int) -> np.ndarray:
    """binom(slope·k, k − 1)/k for k = 1 … order."""
    values = []
    for k in range(1, order + 1):
        value = 1.0 / k
        for j in range(1, k):
            value *= (slope * k + 1.0 - j) / j
        values.append(value)
    return np.array(values)


@moments.register
def _(law: FussCatalan, order: int) -> np.ndarray:
    # (1/k) [w^{k−1}] (1 + w)^{(s+1)k}
    return _binomials_over_k(law.order + 1.0, order)


@free_cumulants.register
def _(law: FussCatalan, order: int) -> np.ndarray:
    # (1/k) [w^{k−1}] (1 + w)^{sk}: the moments at order s − 1.
    return _binomials_over_k(law.order, order)
