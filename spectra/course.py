"""The curve of solutions at one point: where it is, how it goes on, and how far that can be trusted."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

from .pointwise import Spot


@dataclass(frozen=True, slots=True)
class Course:
    """(ζ, v_1 …), and two derivatives of their logarithms along log u."""

    values: list[complex]
    first: list[complex]
    second: list[complex]

    @classmethod
    def at(cls, spot: Spot) -> Course:
        """Its tangent and curvature where `spot` was evaluated."""
        slope, turn = spot.slope, spot.bend / spot.slope
        first, second = [1.0 / (slope * spot.zeta)], [-turn / slope**2 / spot.zeta]
        for x, rate, curl in zip(spot.v, spot.rates, spot.curls, strict=True):
            first.append(rate / slope / x)
            second.append((curl - rate * turn) / slope**2 / x)
        return cls([spot.zeta, *spot.v], first, [b - a * a for a, b in zip(first, second, strict=True)])

    def ahead(self, step: float) -> list[complex]:
        """Extrapolate all variables by `step` in log u; nothing where that leaves the range of doubles."""
        rows = zip(self.values, self.first, self.second, strict=True)
        try:
            return [x * cmath.exp(a * step + 0.5 * b * step**2) for x, a, b in rows]
        except (OverflowError, ValueError):
            return []

    def angle(self) -> float:
        """The smallest angle of a variable from the real axis."""
        return min(abs(x.imag) / abs(x) for x in self.values)

    def reach(self) -> float:
        """Step at which the second term of the expansion is no longer small beside the first, nor small."""
        least = math.inf
        for a, b in zip(self.first, self.second, strict=True):
            curving = max(abs(b), 1e-300)
            least = min(least, max(0.35 * abs(a) / curving, math.sqrt(0.1 / curving)))
        return least
