"""The Bernoulli law (1 − p) δ_0 + p δ_1, S(w) = (1 + w)/(p + w): a projection of rank p."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..line.atoms import AtomsCurve
from ..line.numbers import Number, exactly
from ..positive_law import PositiveLaw
from ..ratio import Ratio
from ..transforms import moments, stieltjes

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class Bernoulli(AtomsCurve, PositiveLaw):
    """(1 − p) δ_0 + p δ_1, 0 < p ≤ 1: S(w) = (1 + w)/(p + w).

    Parameters
    ----------
    probability : p, the mass at 1.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, §4.1: D² of a shifted ReLU or a hard-tanh unit.
    """

    probability: Number

    def __post_init__(self) -> None:
        if not 0.0 < self.probability <= 1.0:
            raise ValueError(f"`Bernoulli(probability={self.probability})`: `probability` must lie in (0, 1].")

    @property
    def mean(self) -> float:
        """The probability p."""
        return float(self.probability)

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """(1 + w)/(1 + w/p)."""
        return ((1.0, 1.0), (Ratio(1.0, self.mean, float(1 - self.probability)), -1.0))

    @property
    def locations(self) -> tuple[int, ...]:
        """0 and 1."""
        return (0, 1)

    @property
    def masses(self) -> tuple[Number, ...]:
        """1 − p and p."""
        return 1 - self.probability, self.probability

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """p, exactly."""
        return [ring.number(exactly(self.probability))] * order

    @property
    def is_rational(self) -> bool:
        """Always."""
        return True


@stieltjes.register
def _(law: Bernoulli, z: ArrayLike) -> np.ndarray:
    z, p = np.asarray(z, complex), law.mean
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((1.0 - p) / z + p / (z - 1.0))[()]


@moments.register
def _(law: Bernoulli, order: int) -> np.ndarray:
    return np.full(order, law.mean)
