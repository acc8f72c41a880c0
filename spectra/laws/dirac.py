"""The point mass δ_a, S(w) = 1/a: a dilation, as a factor of a free product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..line.numbers import Number, exactly
from ..positive_law import PositiveLaw
from ..transforms import moments, r_transform, stieltjes

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class Dirac(PositiveLaw):
    """δ_a, a > 0: S(w) = 1/a.

    Parameters
    ----------
    location : a.
    """

    location: Number = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.location) and self.location > 0):
            raise ValueError(f"`Dirac(location={self.location})`: `location` must be positive and finite.")

    @property
    def mean(self) -> float:
        """The location a."""
        return float(self.location)

    @property
    def hull(self) -> tuple[float, float]:
        """A."""
        return self.mean, self.mean

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """a, of mass 1."""
        return ((self.mean, 1.0),)

    @property
    def places(self) -> tuple[Number, ...]:
        """A."""
        return (exactly(self.location),)

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """a^k, exactly."""
        a = ring.number(exactly(self.location))
        return [a**k for k in range(1, order + 1)]

    @property
    def is_rational(self) -> bool:
        """Always."""
        return True


@stieltjes.register
def _(law: Dirac, z: ArrayLike) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1.0 / (np.asarray(z, complex) - law.mean))[()]


@r_transform.register
def _(law: Dirac, g: ArrayLike) -> np.ndarray:
    return np.full_like(np.asarray(g) * 1.0, law.mean)[()]


@moments.register
def _(law: Dirac, order: int) -> np.ndarray:
    return law.mean ** np.arange(1.0, order + 1.0)
