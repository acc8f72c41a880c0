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
from .master import MasterEquation, Point
from .solve import measure


@dataclass(slots=True)
class Spot:
    """The equation at one trial point in plain numbers, named as in `Point`.

    `size`: largest relative residual, as `solve.measure`, for the log u that was asked for, and `dzeta`, `dv` the
    increments of Newton's method towards it.
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
    dzeta: complex
    dv: list[complex]

    def as_point(self) -> Point:
        """Return the same as arrays of one column."""
        one = np.array([self.zeta, self.log_u, self.slope, self.bend], complex)[:, None]
        rows = [self.v, self.rates, self.curls, self.mismatch, self.pull, self.steepness]
        v, *rest = np.array(rows, complex).reshape(6, len(self.v), 1)
        return Point(one[0], v, one[1], one[2], one[3], *rest)


class PointEvaluator:
    """`MasterEquation.evaluate(…, curvature=True, rough=True)` at single points."""

    def __init__(self, equation: MasterEquation) -> None:
        self.equation = equation

    def __call__(self, zeta: complex, v: Array) -> Point:
        """Evaluate at ζ and v (K,)."""
        # Extended precision in means extended precision out: edges of explicit equations are found so.
        if getattr(zeta, "dtype", None) != np.clongdouble:
            spot = self._compiled(complex(zeta), v.tolist(), 0.0)
            if spot is not None:
                return spot.as_point()
        return self._general(zeta, v)

    def spot(self, zeta: complex, v: Sequence[complex], log_u: float = 0.0) -> Spot:
        """Evaluate at ζ and v (K,), on the way to log u."""
        return self._compiled(zeta, v, log_u) or self._spot(zeta, v, log_u)

    def _general(self, zeta: complex, v: Array) -> Point:
        here = np.array([zeta], self.equation.complex_type())
        return self.equation.evaluate(here, v.reshape(-1, 1).astype(complex), curvature=True, rough=True)

    def _compiled(self, zeta: complex, v: Sequence[complex], log_u: float) -> Spot | None:
        if self.equation.compiled is None:
            return None
        spend(self.equation.stack.size, len(v))
        found = self.equation.compiled.spot(zeta, v, log_u)
        return None if found is None else Spot(zeta, list(v), *found)

    def _spot(self, zeta: complex, v: Sequence[complex], log_u: float) -> Spot:
        point, target = self._general(zeta, np.array(v, complex)), np.array([log_u])
        size = float(measure(self.equation, point, target)[0])
        dzeta, dv = self.equation.newton_step(point, target)
        columns = (point.rates, point.curls, point.mismatch, point.pull, point.steepness)
        return Spot(
            zeta,
            list(v),
            *(complex(x[0]) for x in (point.log_u, point.slope, point.bend)),
            *(x[:, 0].tolist() for x in columns),
            math.inf if math.isnan(size) else size,
            complex(dzeta[0]),
            dv[:, 0].tolist(),
        )
