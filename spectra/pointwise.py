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

    def along(self, step: complex, *, bent: bool = True, real: bool = False) -> Array:
        """By how much the v_k change with a step in ζ, (K,).

        To second order where `bent`; with the real parts of the derivatives where these are `real` but for rounding.
        """
        first, second = np.array(self.rates, complex), np.array(self.curls if bent else [0.0], complex)
        if real:
            first, second = first.real, second.real
        return first * step + 0.5 * second * step**2

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
        if getattr(zeta, "dtype", None) == np.clongdouble:
            return self._general(zeta, v, log_u)
        return self._compiled(complex(zeta), v, log_u) or self._general(zeta, v, log_u)

    def _compiled(self, zeta: complex, v: Sequence[complex], log_u: float) -> Spot | None:
        if self.equation.compiled is None:
            return None
        spend(self.equation.stack.size, len(v))
        found = self.equation.compiled.spot(zeta, v, log_u)
        return None if found is None else Spot(zeta, list(v), *found)

    def _general(self, zeta: complex, v: Sequence[complex], log_u: float) -> Spot:
        here = np.array([zeta], self.equation.complex_type())
        point = self.equation.evaluate(here, np.array(v, complex)[:, None], curvature=True, rough=True)
        target = np.array([log_u])
        size = float(measure(self.equation, point, target)[0])
        dzeta, dv = self.equation.newton_step(point, target)
        columns = (point.rates, point.curls, point.mismatch, point.pull, point.steepness)
        return Spot(
            zeta,
            list(v),
            *(x[0] for x in (point.log_u, point.slope, point.bend)),
            *(x[:, 0].tolist() for x in columns),
            math.inf if math.isnan(size) else size,
            dzeta[0],
            dv[:, 0].tolist(),
        )
