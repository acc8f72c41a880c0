"""The master equation at one point in plain numbers.

The sweep evaluates one point at a time, where the fixed cost of array operations is many times that of the mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .effort import spend
from .master import MasterEquation
from .solve import CERTIFIED, measure


@dataclass(slots=True)
class Spot:
    """The equation at one trial point in plain numbers, named as in `Point`.

    `size`: largest relative residual, as `solve.measure`, for the log u that was asked for.
    """

    zeta: complex
    v: list[complex]
    log_u: complex
    slope: complex
    bend: complex
    rates: list[complex]
    curls: list[complex]
    mismatch: list[complex]
    pull: list[complex]
    steepness: list[complex]
    size: float

    def along(self, step: complex, *, bent: bool = True, real: bool = False) -> Array:
        """By how much the v_k change with a step in ζ, (K,).

        To second order where `bent`; with the real parts of the derivatives where these are `real` but for rounding.
        """
        # Of so few numbers plain ones are sooner added up than arrays.
        half = 0.5 * step * step if bent else 0.0
        rows = zip(self.rates, self.curls, strict=True)
        if real:
            return np.array([a.real * step + b.real * half for a, b in rows], complex)
        return np.array([a * step + b * half for a, b in rows], complex)

    @property
    def mends(self) -> Array:
        """By how much each v_k is off its constraint, to first order, (K,)."""
        return np.array(self.mismatch, complex) / np.array(self.steepness, complex)


class PointEvaluator:
    """`MasterEquation.evaluate(…, curvature=True, rough=True)` at single points."""

    def __init__(self, equation: MasterEquation) -> None:
        self.equation = equation

    def spot(self, zeta: complex, v: Sequence[complex], log_u: float = 0.0) -> Spot:
        """Evaluate at ζ and v (K,), on the way to log u."""
        # Extended precision in means extended precision out: edges of explicit equations are found so.
        if self.equation.compiled is not None and getattr(zeta, "dtype", None) != np.clongdouble:
            spend(self.equation.stack.size, len(v))
            found = self.equation.compiled.spot(complex(zeta), list(v), log_u)
            if found is not None:
                return Spot(*found)
        return self._general(zeta, v, log_u)

    def follow(self, log_u: float, zeta: complex, v: Sequence[complex], tolerance: float) -> Spot | None:
        """Newton's method from a good start; None where it strays or leaves the upper half plane."""
        if self.equation.compiled is not None:
            spend(3 * self.equation.stack.size, 3 * len(v))
            found = self.equation.compiled.follow(log_u, complex(zeta), list(v), tolerance, CERTIFIED)
            if found is False:
                return None
            if isinstance(found, tuple):
                return Spot(*found)
        return self._follow(log_u, zeta, v, tolerance)

    def _follow(self, log_u: float, zeta: complex, v: Sequence[complex], tolerance: float) -> Spot | None:
        start, last = zeta, math.inf
        for _ in range(12):
            spot = self.spot(zeta, v, log_u)
            size = spot.size
            if size <= tolerance or (size < CERTIFIED and size > 0.3 * last):
                return spot
            if not size < max(10.0 * last, 1.0) or spot.slope == 0.0 or 0.0 in spot.steepness:
                return None
            dzeta, dv = self._newton_step(spot, log_u)
            zeta, v = lifted(zeta + dzeta, 1e-11), [lifted(x + dx, 1e-11) for x, dx in zip(v, dv, strict=True)]
            last = size
            # NaN strays, too.
            if not (abs(zeta - start) < 0.3 * abs(start) and zeta.imag > 0.0 and all(x.imag > 0.0 for x in v)):
                return None
        return None

    def _newton_step(self, spot: Spot, log_u: float) -> tuple[complex, list[complex]]:
        """Increments (dζ, dv), as `MasterEquation.newton_step`."""
        mends = [miss / slope for miss, slope in zip(spot.mismatch, spot.steepness, strict=True)]
        counts = self.equation.counts.ravel().tolist()
        pulled = sum(n * pull * mend for n, pull, mend in zip(counts, spot.pull, mends, strict=True))
        step = (log_u - spot.log_u + pulled) / spot.slope
        return step, [rate * step - mend for rate, mend in zip(spot.rates, mends, strict=True)]

    def _general(self, zeta: complex, v: Sequence[complex], log_u: float) -> Spot:
        here = np.array([zeta], self.equation.complex_type())
        point = self.equation.evaluate(here, np.array(v, complex)[:, None], curvature=True, rough=True)
        size = float(measure(self.equation, point, np.array([log_u]))[0])
        rates, curls, mismatch, pull, steepness = (
            x[:, 0].tolist() for x in (point.rates, point.curls, point.mismatch, point.pull, point.steepness)
        )
        return Spot(
            zeta,
            list(v),
            point.log_u[0],
            point.slope[0],
            point.bend[0],
            rates,
            curls,
            mismatch,
            pull,
            steepness,
            math.inf if math.isnan(size) else size,
        )


def lifted(value: complex, rounding: float) -> complex:
    """A value that lies below the real axis by rounding alone, put just above it.

    Where one law decides all, as for λ → 0, its v is as good as real.
    """
    if value.imag > 0.0 or value.imag <= -rounding * abs(value):
        return value
    return complex(value.real, 1e-16 * abs(value))
