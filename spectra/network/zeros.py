"""Zeros of real functions between two points of opposite sign, to rounding."""

from __future__ import annotations

import math
from collections.abc import Callable

_EPS = 2.0**-52


def bracketed_newton(function: Callable[[float], tuple[float, float]], lower: float, upper: float) -> float:
    """Zero of a function given with its derivative, between points where it has opposite signs.

    Newton's step where it stays inside the bracket and shrinks it, bisection otherwise; stops at rounding.
    """
    at_lower = function(lower)[0]
    x = (lower + upper) / 2.0
    previous = math.inf
    for _ in range(200):
        value, derivative = function(x)
        if value == 0.0:
            return x
        if (value > 0.0) == (at_lower > 0.0):
            lower = x
        else:
            upper = x
        step = value / derivative if derivative and math.isfinite(value) else math.inf
        target = x - step
        if not (lower < target < upper) or abs(step) > 0.5 * previous:
            target = (lower + upper) / 2.0
        previous = abs(target - x)
        if previous <= 4.0 * _EPS * max(abs(x), 1e-3):
            return target
        x = target
    return x


def bracketed_zero(
    function: Callable[[float], float], lower: float, upper: float, *, tolerance: float = 2.0 * _EPS
) -> float:
    """Zero of a function between points where it has opposite signs, without derivatives.

    `tolerance` is relative to the zero, absolute below 1e-3. Inverse quadratic interpolation where the last three
    points make it trustworthy, bisection otherwise.

    Source
    ------
    Chandrupatla, Advances in Engineering Software 28 (1997), 145–149.
    """
    a, b = upper, lower
    at_a, at_b = function(a), function(b)
    c, at_c = a, at_a
    t = 0.5
    for _ in range(200):
        x = a + t * (b - a)
        at_x = function(x)
        if (at_x > 0.0) == (at_a > 0.0):
            c, at_c = a, at_a
        else:
            c, at_c, b, at_b = b, at_b, a, at_a
        a, at_a = x, at_x
        best, at_best = (a, at_a) if abs(at_a) < abs(at_b) else (b, at_b)
        smallest = tolerance * max(abs(best), 1e-3) / abs(b - c) if b != c else 1.0
        if at_best == 0.0 or smallest > 0.5:
            return best
        xi, phi = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
        t = 0.5
        if phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi:
            t = at_a / (at_b - at_a) * at_c / (at_b - at_c)
            t += (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
        t = min(max(t, smallest), 1.0 - smallest)
    return best
