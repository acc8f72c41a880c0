"""An error of a solution, as the shift of log u that would change the density as much."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .master import MasterEquation, Point

# Rounding of Im w, relative to |w|, that nothing removes.
ROUNDING = 1.1e-16


def as_shift(equation: MasterEquation, log_u: Array, point: Point, step: Array) -> Array:
    """Shifts of log u, relative to 1 + |log u| (n,), that change the density as much as a `step` in ζ does.

    A change of the density, relative to it, by how steep it is: 1 + |d log p/d log u|.  So it is that of an edge which
    moves, and in a tail, however thin, the imaginary part of a step counts by its own size, but for what rounding makes
    of it.  Infinite where something is not a number.
    """
    zeta = point.zeta
    change = np.abs(equation.log_density_along(zeta, step))
    # Where the density is small it carries the rounding of w, of argument arg ζ − arg(1 − ζ), and that of 1 − v t.
    angle = np.abs(np.sin(np.angle(zeta) - np.angle(1.0 - zeta)))
    condition = np.max(np.abs(point.v * point.steepness / equation.target(zeta)[0]), axis=0, initial=0.0)
    change = np.maximum(change - ROUNDING * (1.0 + condition) / angle, 0.0)
    steepness = np.abs(equation.log_density_along(zeta, 1.0 / point.slope))
    size = change / (1.0 + steepness) / (1.0 + np.abs(log_u))
    return np.where(np.isnan(size), np.inf, size)
