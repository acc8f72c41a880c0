"""The arcsine law: G(z) = 1/√((z − a)(z − b)), the sum of two free coins; from 0 on S(w) = (2 + w)/(b (1 + w))."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .._types import Array
from ..line.law import LineLaw
from ..line.numbers import Number, exactly
from ..line.trace import Trace, leaf
from ..positive_law import PositiveLaw

if TYPE_CHECKING:
    from ..exact.power_series import Ring


@dataclass(frozen=True)
class Arcsine(LineLaw):
    """Density 1/(π √((x − a)(b − x))) on [a, b].

    Parameters
    ----------
    low, high : a < b.

    Source
    ------
    Nica and Speicher, Lectures on the Combinatorics of Free Probability (2006), Examples 12.8: a coin ⊞ a coin.
    """

    low: Number = -2
    high: Number = 2

    is_formula = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"`Arcsine(low={self.low}, high={self.high})`: `low` must be below `high`, both finite.")

    @property
    def mean(self) -> float:
        """The middle."""
        return 0.5 * (float(self.low) + float(self.high))

    @property
    def unknowns(self) -> int:
        """One: z itself."""
        return 1

    def trace(self, t: Array) -> Trace:
        """G = 1/(√(z − a) √(z − b))."""
        z, a, b = t[0], float(self.low), float(self.high)
        root = np.sqrt(z - a) * np.sqrt(z - b)
        # z − √((z − a)(z − b)) = (z (a + b) − a b)/(z + √…)
        w = (z * (a + b) - a * b) / ((z + root) * root)
        w_size = (np.abs(z) * abs(a + b) + abs(a * b)) / np.abs((z + root) * root)
        return leaf(z, 1.0 / root, w, -0.5 / root * (1.0 / (z - a) + 1.0 / (z - b)), w_size)

    def start(self, z: Array) -> Array:
        """The point z itself."""
        return z[None]

    @property
    def hull(self) -> tuple[float, float]:
        """[a, b]."""
        return float(self.low), float(self.high)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Both ends, where the density is unbounded."""
        return ((float(self.low), 0.0), (float(self.high), 0.0))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """Σ_j binom(k, j) c^{k−j} r^j binom(j, j/2)/2^j, c the middle, r half the width."""
        a, b = exactly(self.low), exactly(self.high)
        c, r = (a + b) / 2, (b - a) / 2
        even = {j: Fraction(math.comb(j, j // 2), 2**j) for j in range(0, order + 1, 2)}
        return [
            ring.number(sum((math.comb(k, j) * c ** (k - j) * r**j * even[j] for j in even if j <= k), Fraction(0)))
            for k in range(1, order + 1)
        ]


@dataclass(frozen=True)
class ArcsineFromZero(PositiveLaw):
    """The arcsine law on [0, b] by its S-transform, for ⊠ and its powers: S(w) = (2 + w)/(b (1 + w)).

    1 + ψ(u) = 1/√(1 − bu), so that b χ(w) = 1 − (1 + w)^{−2} = w (2 + w)/(1 + w)².

    Parameters
    ----------
    high : b > 0.
    """

    high: Number

    @property
    def mean(self) -> float:
        """Half of b."""
        return 0.5 * float(self.high)

    def shifts(self) -> tuple[tuple[float, float], ...]:
        """(1 + w/2)/(1 + w)."""
        return ((0.5, 1.0), (1.0, -1.0))

    @property
    def hull(self) -> tuple[float, float]:
        """[0, b]."""
        return 0.0, float(self.high)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Both ends, where the density is unbounded."""
        return Arcsine(0, self.high).marks

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """Those of the arcsine law."""
        return Arcsine(0, self.high).moment_list(ring, order)

    @property
    def is_rational(self) -> bool:
        """Always."""
        return True
