"""What the mean field asks of an activation: `Moments` as functions of the variance, and their limit at variance 0."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

from spectra.activations import Activation, Branch
from spectra.quadrature import Array


class Moments(NamedTuple):
    """Gaussian moments at one variance q: E φ², E φ'², E φ'⁴, and gain = d E φ²/dq = E[xφφ']/q (x = √q z)."""

    second: float
    slope2: float
    slope4: float
    gain: float


class GaussianMoments(Protocol):
    """What the mean-field modules need to know of an activation."""

    activation: Activation
    scale_free: float | None

    def at(self, q: float) -> Moments:
        """Moments at variance q ≥ 0; at 0 the limit from above."""
        ...

    def first(self, q: float) -> float:
        """E φ at variance q ≥ 0; exactly 0 where it is nothing but rounding, as for odd φ."""
        ...

    def table(self, variances: Array) -> Array:
        """Moments at many ascending variances q > 0, shape (≤ n, 4): short where φ cannot be resolved."""
        ...

    def deficit(self, q: float) -> tuple[float, float]:
        """Excess q E φ'² − E φ² without cancellation, and its absolute error."""
        ...

    def edges(self, radius: float) -> Array:
        """Sorted points of (−radius, radius) between which sixteen nodes resolve φ; kinks among them."""
        ...


def one_sided(activation: Activation) -> tuple[Branch, Branch]:
    """Branches that meet at, or hold, x = 0: (left, right)."""
    left = next(b for b in activation.branches if b.upper >= 0.0)
    right = next(b for b in reversed(activation.branches) if b.lower <= 0.0)
    return left, right


def value_at_zero(activation: Activation) -> float:
    """φ(0), by the right-hand branch."""
    return float(one_sided(activation)[1].value(np.zeros(1))[0])


def slopes_at_zero(activation: Activation) -> tuple[float, float]:
    """φ'(0−), φ'(0+)."""
    left, right = (float(b.slope(np.zeros(1))[0]) for b in one_sided(activation))
    return left, right


def moments_at_zero(activation: Activation) -> Moments:
    """Limit q → 0: D² is φ'(0)², or the even mixture of φ'(0−)² and φ'(0+)².

    With φ(0) ≠ 0 the gain is φ'(0)² + φ(0) φ''(0), infinite where the slope jumps at 0.
    """
    value, (left, right) = value_at_zero(activation), slopes_at_zero(activation)
    slope2 = (left * left + right * right) / 2.0
    gain = slope2
    if value != 0.0:
        curvature = sum(float(b.curvature(np.zeros(1))[0]) for b in one_sided(activation)) / 2.0
        gain = slope2 + value * curvature if left == right else math.copysign(math.inf, value * (right - left))
    return Moments(value * value, slope2, (left**4 + right**4) / 2.0, gain)
