"""Truncated power series in double precision, and the moments of JJᵀ they give.

A series is an array of coefficients, constant first.  The moments come from Lagrange inversion of the master equation,
m_k = (1/k) [w^{k−1}] (w/u(w))^k: an exact route, independent of the density.
"""

from __future__ import annotations

import math
from operator import mul

import numpy as np

from ._types import Array
from .master import MasterEquation

# Beyond this order cancellation in the series costs more than a digit or two (tests/test_long_series.py).
IN_DOUBLES = 12


def multiply(a: Array, b: Array) -> Array:
    """a·b to the order of a."""
    return np.convolve(a, b)[: a.size]


def divide(a: Array, b: Array) -> Array:
    """a/b, b_0 ≠ 0."""
    # Of so few coefficients plain numbers are sooner added up than arrays made.
    result: list[float] = []
    divisor = b.tolist()
    for k, x in enumerate(a.tolist()):
        result.append((x - sum(map(mul, result, divisor[k:0:-1]))) / divisor[0])
    return np.array(result)


def exponential(a: Array) -> list[float]:
    """Exp a, by k e_k = Σ j a_j e_{k−j}."""
    result = [math.exp(a[0])]
    weighted = (a * np.arange(a.size)).tolist()
    for k in range(1, a.size):
        result.append(sum(map(mul, weighted[k:0:-1], result)) / k)
    return result


def along_inverse(rate: Array, ratio: Array) -> Array:
    """The series of F(v(w)), w(v) = v·`ratio`(v), from that of F' = `rate`; F(0) = 0.

    Lagrange: (1/k) [v^{k−1}] F'(v) `ratio`(v)^{−k}.
    """
    inverse = divide(np.eye(1, ratio.size)[0], ratio)
    result, power = np.zeros(ratio.size), inverse
    for k in range(1, ratio.size):
        result[k] = rate[k - 1 :: -1] @ power[:k] / k
        power = multiply(power, inverse)
    return result


def log_s_series(points: Array, weights: Array, order: int) -> Array:
    """Coefficients of log S(w), S the S-transform of a mean-one law given by nodes, to w^order; constant term 0.

    From A = ψ(1 − v) − v = v²/(1 − v) E[(t − 1)²/(1 − vt)] and log S = log(1 − A/ψ), so that a narrow law keeps the
    digits of its small coefficients.
    """
    powers = np.ones((order + 2, points.size), complex)
    for k in range(1, order + 2):
        np.multiply(powers[k - 1], points, out=powers[k])
    moments, spread = np.real(powers @ np.stack([weights, weights * (points - 1.0) ** 2], 1)).T
    # ψ/v and A/v as series in v.
    psi = moments[1:]
    excess = np.zeros(order + 1)
    excess[1:] = np.cumsum(spread)[:order]
    z = -divide(excess, psi)
    k = np.arange(order + 1)
    one, steep = z.copy(), np.zeros(order + 1)
    one[0], steep[:-1] = 1.0, (z * k)[1:]
    return along_inverse(divide(steep, one), psi)


def log_moment_generator(equation: MasterEquation, order: int) -> Array:
    """Coefficients of −log(u/w) less its constant, to w^order."""
    total = np.zeros(order + 1)
    k = np.arange(1, order + 1)
    for ratio, exponent in equation.shifts:
        total[1:] += exponent * -((-ratio) ** k) / k
    for factor in equation.factors:
        series = log_s_series(factor.law.points, factor.law.weights, order)
        total += factor.count * series * factor.ratio ** np.arange(order + 1)
    return -total


def relative_variance(equation: MasterEquation) -> float:
    """m_2/m_1² − 1 = Σ_k n_k r_k Var_k − Σ_i e_i r_i − 1, without the cancellation of the moments themselves.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 22, for networks of any shape.
    """
    shifts = [-exponent * ratio for ratio, exponent in equation.shifts]
    laws = [factor.count * factor.ratio * factor.law.variance for factor in equation.factors]
    return math.fsum([*shifts, *laws, -1.0])


def scaled_moments(equation: MasterEquation, order: int) -> Array:
    """m_k/m_1^k for k = 1 … order; m_1 = exp(−constant).

    In doubles: 1e-13 relative to order 12, then a digit less with every two to ten orders; NaN beyond their range.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 21-22 for m_1, m_2; Lagrange inversion for the rest.
    """
    generator = log_moment_generator(equation, order)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.array([exponential(k * generator[:k])[k - 1] / k for k in range(1, order + 1)])
    return np.where(np.isfinite(values), values, np.nan)


def log_scaled_moments(equation: MasterEquation, order: int) -> Array:
    """Logarithms of m_k/m_1^k, k = 1 … order, of a law on [0, ∞); 1e-12, at any order."""
    if order > IN_DOUBLES:
        from .long_series import long_log_scaled_moments

        return long_log_scaled_moments(equation, order)
    values = scaled_moments(equation, order)
    return np.log(np.where(values > 0.0, values, np.nan))
