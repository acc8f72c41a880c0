"""Formulas whose digits cancel at x = 0, as those of √(1 + x²) − 1: their Taylor polynomials there."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

from spectra.activations import symbolic
from spectra.activations.activation import Function

# Relative to the largest value between 0 and x: rounding of an honest formula stays below, cancellation soon does not.
_ERROR = 1e-13
# Not powers of two: their squares make no rounding that shows.
_PROBES = 1.37 * 2.0 ** np.arange(-25.0, -1.0, 0.5)
_CIRCLE, _TERMS = 128, 48
_LARGEST, _SMALLEST = 64.0, 2.0**-10


def accurate_at_zero(numeric: Function, expression: Any, lower: float, upper: float) -> Function:
    """Return `numeric`, or where it loses its digits towards x = 0 on [lower, upper], one that does not.

    Moments at small variance are of the size of φ near 0, and nodes are added until φ is smooth relative to that.
    """
    probes = np.concatenate([np.sign(end) * _PROBES for end in (lower, upper)])
    probes = probes[(probes > lower) & (probes < upper)]
    if not lower <= 0.0 <= upper or not expression.has(symbolic.X) or not probes.size:
        return numeric
    exact = symbolic.mpmath_function(expression)
    with mpmath.workdps(40):
        truth = np.array([float(mpmath.re(exact(float(x)))) for x in probes])
    largest = [np.abs(truth[(np.abs(probes) <= abs(x)) & (probes * x > 0.0)]).max() for x in probes]
    if np.all(np.abs(numeric(probes) - truth) <= _ERROR * np.array(largest)):
        return numeric
    found = taylor(exact)
    return numeric if found is None else Joined(numeric, *found)


class Joined:
    """A polynomial in the distance from a place, 0 here, within `radius` of it; `numeric` beyond."""

    def __init__(self, numeric: Function, radius: float, coefficients: np.ndarray) -> None:
        self.numeric, self.radius, self.coefficients = numeric, radius, coefficients

    def __call__(self, x: Any) -> Any:
        """The function at x, real or complex."""
        away = self._distance(x)
        near = np.abs(away) < self.radius
        if not np.any(near):
            return self.numeric(x)
        inside = np.where(near, away, 0.0) / self.radius
        return np.where(near, np.polynomial.polynomial.polyval(inside, self.coefficients), self.numeric(x))

    def _distance(self, x: Any) -> Any:
        return x


def taylor(exact: Any) -> tuple[float, np.ndarray] | None:
    """Radius r, and coefficients of powers of x/r that fall off to rounding; None where no circle serves."""
    circle = _LARGEST
    with mpmath.workdps(50):
        turn = [mpmath.expjpi(mpmath.mpf(2 * k) / _CIRCLE) for k in range(_CIRCLE)]
        while circle >= _SMALLEST:
            powers = _powers(exact, circle, turn)
            if powers is not None:
                return 0.5 * circle, np.array([float(p / 2**j) for j, p in enumerate(powers)])
            circle *= 0.5
    return None


def _powers(exact: Any, circle: float, turn: list[Any]) -> list[Any] | None:
    """Taylor coefficients times powers of `circle`; None where it is not analytic on the disk, or they cancel there."""
    try:
        values = [exact(circle * t) for t in turn]
        rough = np.abs(np.fft.fft([complex(v) for v in values]))
    except (ArithmeticError, ValueError):
        return None
    # Negative powers, but for those that alias.
    if not np.all(rough[-8:] < 1e-13 * rough.max()):
        return None
    powers = [
        mpmath.fsum(v * turn[-j * k % _CIRCLE] for k, v in enumerate(values)) / _CIRCLE
        for j in [*range(_TERMS), *range(_CIRCLE - 8, _CIRCLE)]
    ]
    size = max(abs(p) for p in powers)
    if max(abs(p) for p in powers[_TERMS:]) > size * mpmath.mpf(10) ** -30:
        return None
    clean = [p.real if abs(p) > size * mpmath.mpf(10) ** -28 else mpmath.mpf(0) for p in powers[:_TERMS]]
    return clean if 10 * abs(next(p for p in clean if p)) > size else None
