"""Truncated power series in double precision, and the moments of JJᵀ they give.

A series is an array of coefficients, constant first.  The moments come from Lagrange inversion of the master equation,
m_k = (1/k) [w^{k−1}] (w/u(w))^k: an exact route, independent of the density.
"""

from __future__ import annotations

import math

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
        result.append((x - sum(r * c for r, c in zip(result, divisor[k:0:-1], strict=True))) / divisor[0])
    return np.array(result)


def exponential(a: Array) -> Array:
    """Exp a, by k e_k = Σ j a_j e_{k−j}."""
    result = [math.exp(a[0])]
    weighted = (a * np.arange(a.size)).tolist()
    for k in range(1, a.size):
        result.append(sum(j * e for j, e in zip(weighted[1 : k + 1], reversed(result), strict=True)) / k)
    return np.array(result)


def log_one_plus(a: Array) -> Array:
    """log(1 + a), a_0 = 0."""
    one = a.copy()
    one[0] = 1.0
    derivative = np.zeros(a.size)
    derivative[:-1] = a[1:] * np.arange(1, a.size)
    quotient = divide(derivative, one)
    result = np.zeros(a.size)
    result[1:] = quotient[:-1] / np.arange(1, a.size)
    return result


def compose(a: Array, b: Array) -> Array:
    """a(b), b_0 = 0, by Horner's rule."""
    result = np.zeros(a.size)
    for coefficient in a[::-1]:
        result = multiply(result, b)
        result[0] += coefficient
    return result


def revert(a: Array) -> Array:
    """The series b with a(b(x)) = x; a_0 = 0, a_1 ≠ 0.  Lagrange: b_k = (1/k) [x^{k−1}] (x/a)^k."""
    quotient = np.zeros(a.size)
    shifted = np.append(a[1:], 0.0)
    unit = np.zeros(a.size)
    unit[0] = 1.0
    quotient = divide(unit, shifted)
    result = np.zeros(a.size)
    power = unit
    for k in range(1, a.size):
        power = multiply(power, quotient)
        result[k] = power[k - 1] / k
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
    size = order + 1
    # ψ/v and A/v as series in v.
    psi = moments[1 : size + 1]
    excess = np.zeros(size)
    excess[1:] = np.cumsum(spread)[: size - 1]
    log_s = log_one_plus(-divide(excess, psi))
    chi = revert(np.concatenate([[0.0], psi[:-1]]))
    return compose(log_s, chi)


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
