"""The point mass δ_a, S(w) = 1/a: a dilation, as a factor of a free product."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..law import Law
from ..transforms import moments, r_transform, stieltjes


@dataclass(frozen=True)
class Dirac(Law):
    """δ_a, a > 0: S(w) = 1/a.

    Parameters
    ----------
    location : a.
    """

    location: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.location) and self.location > 0.0):
            raise ValueError(f"`Dirac(location={self.location})`: `location` must be positive and finite.")

    @property
    def mean(self) -> float:
        """The location a."""
        return self.location


@stieltjes.register
def _(law: Dirac, z: ArrayLike) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1.0 / (np.asarray(z, complex) - law.location))[()]


@r_transform.register
def _(law: Dirac, g: ArrayLike) -> np.ndarray:
    return np.full_like(np.asarray(g) * 1.0, law.location)[()]


@moments.register
def _(law: Dirac, order: int) -> np.ndarray:
    return law.location ** np.arange(1.0, order + 1.0)
