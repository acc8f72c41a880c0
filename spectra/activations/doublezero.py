"""Slopes beside their double zeros, where formulas such as 1 + sin 2x have no digits: Taylor polynomials there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import sympy

from spectra.activations import roots, source, symbolic
from spectra.activations.activation import Function
from spectra.activations.nearzero import taylor

# |φ'| below this, relative to its largest value nearby, is a zero but for rounding; at 60 digits, one for certain.
_ZERO, _CERTAIN = 1e-13, 1e-40
# The polynomial counts distances from the zero itself, which is no double: its first double, and the rest.
_DIGITS = 60


def accurate_at_double_zeros(
    slope: Any, numeric: Sequence[Function], lower: float, upper: float, period: float | None
) -> tuple[Function, ...]:
    """The functions φ' and φ'' (`numeric`), with all digits beside the places where φ' and φ'' vanish together.

    Parameters
    ----------
    slope : φ' in sympy.
    lower, upper : the piece of the line.
    period : of φ'², where periodic: then of one of them, and its repetitions.
    """
    if not slope.has(symbolic.X):
        return tuple(numeric)
    places = _double_zeros(slope, numeric[0], lower, upper, period)
    found = []
    for function, expression in zip(numeric, (slope, sympy.diff(slope, symbolic.X)), strict=True):
        exact = symbolic.mpmath_function(expression)
        for place in places:
            with mpmath.workdps(_DIGITS):
                series = taylor(lambda w, at=place, f=exact: f(at + w))
            if series is not None:
                function = _Beside(function, place, period, *series)
        found.append(function)
    return tuple(found)


def _double_zeros(slope: Any, numeric: Function, lower: float, upper: float, period: float | None) -> list[Any]:
    """Zeros of φ'' at which φ' vanishes, too, to 60 digits."""
    curvature = sympy.diff(slope, symbolic.X)
    if not curvature.has(symbolic.X):
        return []
    ends = (lower, upper) if period is None else (-0.5 * period, 0.5 * period * (1.0 + 1e-3))
    exact, exact_curvature = symbolic.mpmath_function(slope), symbolic.mpmath_function(curvature)
    found: list[Any] = []
    for start in roots.real_zeros(source.function(curvature, "curvature"), *ends):
        scale = float(np.max(np.abs(numeric(start + np.array([-0.1, 0.1])))))
        if not abs(float(numeric(np.array([start]))[0])) <= _ZERO * scale:
            continue
        with mpmath.workdps(_DIGITS):
            try:
                place = mpmath.findroot(exact_curvature, mpmath.mpf(start))
            except (ValueError, ZeroDivisionError):
                continue
            same = period is not None and any(
                abs((place - other) / period - mpmath.nint((place - other) / period)) < 1e-9 for other in found
            )
            if abs(exact(place)) < _CERTAIN * scale and abs(place - start) < 1e-6 * (1.0 + abs(start)) and not same:
                found.append(place)
    return found


class _Beside:
    """A polynomial in the distance from `place`, or from a repetition of it, within `radius`; `numeric` beyond."""

    def __init__(
        self, numeric: Function, place: Any, period: float | None, radius: float, coefficients: np.ndarray
    ) -> None:
        self.numeric, self.period, self.radius, self.coefficients = numeric, period, radius, coefficients
        self.place = float(place)
        self.rest = float(place - mpmath.mpf(self.place))

    def __call__(self, x: Any) -> Any:
        away = np.asarray(x) - self.place
        if self.period is not None:
            away = away - self.period * np.round(away.real / self.period)
        away = away - self.rest
        near = np.abs(away) < self.radius
        if not np.any(near):
            return self.numeric(x)
        inside = np.where(near, away, 0.0) / self.radius
        return np.where(near, np.polynomial.polynomial.polyval(inside, self.coefficients), self.numeric(x))
