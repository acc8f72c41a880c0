"""A Gaussian variable h ~ N(0, q), also folded over a period: its density at real and complex x, its mass in between.

Folded over a period that is shorter than √q it is nearly uniform, and by Poisson summation a sum of few terms however
many periods it covers.
"""

from __future__ import annotations

import math

import numpy as np

from .._types import Array

# Terms of the Poisson sum: with √q at least a period, exp(−2π²) is the largest of them.
_TERMS = np.arange(1.0, 4.0)


def density(x: Array, variance: float, period: float | None) -> Array:
    """Gaussian density at real or complex x (n,); summed over all periods where one is given, at most √variance."""
    if period is None:
        return np.exp(-(x**2) / (2.0 * variance)) / math.sqrt(2.0 * math.pi * variance)
    waves = np.cos((2.0 * math.pi / period) * x[..., None] * _TERMS)
    return (1.0 + 2.0 * (waves * _decay(variance, period)).sum(-1)) / period


def mass(lower: Array, upper: Array, variance: float, period: float | None) -> Array:
    """P(lower < h < upper) (n,) with relative accuracy in both tails, or that of the folded variable."""
    from scipy.special import erfc

    if period is None:
        scale = math.sqrt(2.0 * variance)
        a, b = lower / scale, upper / scale
        # On the side of the tail, so that small masses keep their digits.
        flip = a + b < 0
        a, b = np.where(flip, -b, a), np.where(flip, -a, b)
        return 0.5 * (erfc(a) - erfc(b))
    angle = math.pi / period * _TERMS
    waves = np.cos((lower + upper)[..., None] * angle) * np.sin((upper - lower)[..., None] * angle)
    return (upper - lower) / period + 2.0 * (waves * (_decay(variance, period) / (math.pi * _TERMS))).sum(-1)


def mass_between(lower: float, upper: float, variance: float) -> float:
    """P(lower < h < upper) as one number, with relative accuracy in both tails."""
    scale = math.sqrt(2.0 * variance)
    a, b = lower / scale, upper / scale
    if a > 0.0:
        return 0.5 * (math.erfc(a) - math.erfc(b))
    if b < 0.0:
        return 0.5 * (math.erfc(-b) - math.erfc(-a))
    return 0.5 * (math.erf(b) - math.erf(a))


def _decay(variance: float, period: float) -> Array:
    return np.exp(-2.0 * (math.pi * _TERMS / period) ** 2 * variance)
