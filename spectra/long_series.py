"""The series of moments to high order, in ball arithmetic: in doubles its terms cancel, by a digit or more an order.

A law is that of its nodes, taken as exact numbers: m_k is then a well-conditioned function of them, and the radius of
its ball tells whether the precision was enough.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._types import Array
from .errors import ConvergenceError
from .exact.moment_series import Layers, log_generator, scaled_moments
from .exact.power_series import balls, working_precision
from .laws.nodes import NodeLaw
from .master import MasterEquation

# Relative radius of a moment that is good enough.
GOOD = 1e-14
# Bits to begin with, for every order, and how often they may be doubled.
BITS, TRIES = 6, 5


def long_log_scaled_moments(equation: MasterEquation, order: int) -> Array:
    """Logarithms of m_k/m_1^k, k = 1 … order: coefficients of ψ_{JJᵀ}, the inverse series of u(w).

    Raises
    ------
    ConvergenceError : 2^`TRIES` times the bits to begin with were not enough.
    """
    bits = 64 + BITS * order
    for _ in range(TRIES):
        with working_precision(bits):
            found = _moments(equation, order)
            if all(m > 0 and float(m.rad()) < GOOD * float(abs(m.mid())) for m in map(_scaled, found)):
                return np.array([float(m.log().mid()) for m in found])
        bits *= 2
    raise ConvergenceError(f"moments to order {order} need more than {bits // 2} bits")


def _scaled(ball: Any) -> Any:
    """A ball with its midpoint near 1, within the range of doubles."""
    return ball / abs(ball.mid()) if ball.mid() != 0 else ball


def _moments(equation: MasterEquation, order: int) -> list[Any]:
    from flint import arb

    laws = [Layers(tuple(_node_moments(f.law, order)), arb(f.ratio), arb(f.count)) for f in equation.factors]
    shifts = [(arb(ratio), arb(exponent)) for ratio, exponent in equation.shifts]
    return scaled_moments(log_generator(balls(), shifts, laws, order))


def _node_moments(law: NodeLaw, order: int) -> list[Any]:
    """E t^k, k = 1 … order."""
    from flint import acb

    points = [acb(float(np.real(t)), float(np.imag(t))) for t in law.points]
    powers = [acb(float(np.real(w)), float(np.imag(w))) for w in law.weights]
    total = []
    for _ in range(order):
        powers = [a * b for a, b in zip(powers, points, strict=True)]
        total.append(sum(powers, acb(0)).real)
    if not math.isfinite(float(total[0].mid())):
        raise ConvergenceError("a law has no moments")
    return total
