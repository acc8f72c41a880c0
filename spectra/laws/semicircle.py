"""The semicircle law, R(g) = v g: large symmetric random matrices, the normal law of free probability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array
from ..exact.chain import moments_from_cumulants
from ..line.law import LineLaw
from ..line.numbers import Number, exactly
from ..line.trace import Trace, leaf

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class Semicircle(LineLaw):
    """Density √(4v − x²)/(2πv) on [−2√v, 2√v]; mean 0, variance v.

    Parameters
    ----------
    variance : v > 0.

    Source
    ------
    Wigner, Ann. of Math. 62 (1955), 548-564.
    """

    variance: Number = 1

    is_formula = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.variance) and self.variance > 0):
            raise ValueError(f"`Semicircle(variance={self.variance})`: `variance` must be positive and finite.")

    @property
    def mean(self) -> float:
        """0."""
        return 0.0

    @property
    def unknowns(self) -> int:
        """One: z itself."""
        return 1

    def trace(self, t: Array) -> Trace:
        """G = 2/(z + √(z − 2√v) √(z + 2√v))."""
        z, v = t[0], float(self.variance)
        reach = 2.0 * math.sqrt(v)
        root = np.sqrt(z - reach) * np.sqrt(z + reach)
        g = 2.0 / (z + root)
        return leaf(z, g, v * g**2, -g / root)

    def start(self, z: Array) -> Array:
        """The point z itself."""
        return z[None]

    def r_and_slope(self, g: Array) -> tuple[Array, Array]:
        """V g and v."""
        v = float(self.variance)
        return v * g, np.full_like(g, v)

    @property
    def hull(self) -> tuple[float, float]:
        """±2√v."""
        reach = 2.0 * math.sqrt(self.variance)
        return -reach, reach

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Both ends, branch points of G."""
        low, high = self.hull
        return ((low, 0.0), (high, 0.0))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """Catalan numbers times powers of v."""
        cumulants = [ring.number(0)] * order
        if order > 1:
            cumulants[1] = ring.number(exactly(self.variance))
        return moments_from_cumulants(ring, cumulants)
