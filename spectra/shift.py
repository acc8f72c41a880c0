"""An error of a solution, as the shift of log u that would change the density as much."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .master import MasterEquation, Point

# Rounding, in units of w and of v_k, that nothing removes: the largest met were some 2e-16.
ROUNDING = 3.3e-16


def density_change(equation: MasterEquation, point: Point, step: Array) -> Array:
    """By how much a `step` in ζ changes the density, relative to it, less what rounding does (n,)."""
    zeta = point.zeta
    change = np.abs(equation.log_density_along(zeta, step))
    # Where the density is small it carries the rounding of w, of argument arg ζ − arg(1 − ζ), and of every v_k, as that
    # moves log u and with it ζ.
    angle = np.abs(np.sin(np.angle(zeta) - np.angle(1.0 - zeta)))
    carried = (equation.counts * np.abs(point.pull * point.v)).sum(axis=0) / np.abs(point.slope)
    return np.maximum(change - ROUNDING * (1.0 / angle + carried / zeta.imag), 0.0)


def as_shift(equation: MasterEquation, log_u: Array, point: Point, step: Array) -> Array:
    """Shifts of log u, relative to 1 + |log u| (n,), that change the density as much as a `step` in ζ does.

    A change of the density, relative to it, by how steep it is: 1 + |d log p/d log u|.  So it is that of an edge which
    moves, and in a tail, however thin, the imaginary part of a step counts by its own size, but for what rounding makes
    of it.  Infinite where something is not a number.
    """
    change = density_change(equation, point, step)
    steepness = np.abs(equation.log_density_along(point.zeta, 1.0 / point.slope))
    size = change / (1.0 + steepness) / (1.0 + np.abs(log_u))
    return np.where(np.isnan(size), np.inf, size)
