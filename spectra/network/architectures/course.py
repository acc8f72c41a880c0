"""A sequence that follows an affine map: many layers at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ...quadrature import Array

EPS = float(np.finfo(float).eps)
# Variances outside are not carried on: their squares and reciprocals leave the range of doubles.
LARGEST, SMALLEST = 1e300, 1e-300


def affine_course(start: float, factor: float, shift: float, steps: ArrayLike) -> Array:
    """Value after `steps` times q → factor · q + shift."""
    steps = np.asarray(steps, dtype=float)
    if abs(factor - 1.0) <= 8.0 * EPS:
        return start + steps * shift
    with np.errstate(all="ignore"):
        growth = steps * math.log(factor) if factor > 0.0 else np.where(steps > 0.0, -np.inf, 0.0)
        return start * np.exp(growth) + (shift * np.expm1(growth) / (factor - 1.0) if shift else 0.0)


def settled(value: float, change: float, previous: float) -> bool:
    """Whether changes of a sequence ≥ 0 are down to rounding: this one is nothing, or undoes the one before."""
    size = abs(change)
    return size <= 1e-16 * value or (size <= 4.0 * EPS * value and change * previous <= 0.0)
