"""A Gaussian variable h ~ N(0, q), also folded over a period: its density at real and complex x, its mass in between.

Folded over a period that is no longer than a few √q it is, by Poisson summation, a sum of few terms, and of none but
the uniform one where the period is short.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .._types import Array

# Periods are at most so many times √q: then a sum over them is shorter by Poisson's formula than as it stands.
LONGEST_PERIOD = 4.0
# Exponent of the first term left out of that, where x is as far from the axis as paths go, 0.3 of a period.
_NOTHING, _AWAY = 40.0, 0.6 * math.pi


def density(x: Array, variance: float, period: float | None) -> Array:
    """Gaussian density at real or complex x (n,); summed over all periods where one is given (see LONGEST_PERIOD)."""
    if period is None:
        return np.exp(-(x**2) / (2.0 * variance)) / math.sqrt(2.0 * math.pi * variance)
    # Σ_k a_k cos kθ by Clenshaw's recurrence.
    double = 2.0 * np.cos((2.0 * math.pi / period) * x)
    one, next_one = np.zeros_like(double), np.zeros_like(double)
    for decay in _decays(variance, period)[::-1]:
        one, next_one = decay + double * one - next_one, one
    return (1.0 + double * one - 2.0 * next_one) / period


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
    decays = _decays(variance, period)
    terms = np.arange(1.0, decays.size + 1.0)
    angle = math.pi / period * terms
    waves = np.cos((lower + upper)[..., None] * angle) * np.sin((upper - lower)[..., None] * angle)
    return (upper - lower) / period + 2.0 * (waves * (decays / (math.pi * terms))).sum(-1)


def mass_between(lower: float, upper: float, variance: float) -> float:
    """P(lower < h < upper) as one number, with relative accuracy in both tails."""
    scale = math.sqrt(2.0 * variance)
    a, b = lower / scale, upper / scale
    if a > 0.0:
        return 0.5 * (math.erfc(a) - math.erfc(b))
    if b < 0.0:
        return 0.5 * (math.erfc(-b) - math.erfc(-a))
    return 0.5 * (math.erf(b) - math.erf(a))


@lru_cache(maxsize=16)
def _decays(variance: float, period: float) -> Array:
    """Coefficients a_1, a_2, … of the Poisson sum 1 + 2 Σ a_k cos(2πkx/period), as many as count."""
    rate = 2.0 * math.pi**2 * variance / period**2
    terms = np.arange(1.0, 1.0 + (_AWAY + math.sqrt(_AWAY**2 + 4.0 * rate * _NOTHING)) / (2.0 * rate))
    return np.exp(-rate * terms**2)
