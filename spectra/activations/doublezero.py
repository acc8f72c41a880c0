"""Slopes beside their double zeros, where formulas such as 1 + sin 2x have no digits: Taylor polynomials there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
import sympy

from spectra.activations import roots, source, symbolic
from spectra.activations.activation import Function
from spectra.activations.nearzero import Joined, taylor

# |φ'| below this, relative to its largest value nearby, is a zero but for rounding; at 60 digits, one for certain.
_ZERO, _CERTAIN = 1e-13, 1e-40
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


class _Beside(Joined):
    """The same at any place, or at its repetitions, known to more digits than a double has."""

    def __init__(
        self, numeric: Function, place: Any, period: float | None, radius: float, coefficients: np.ndarray
    ) -> None:
        super().__init__(numeric, radius, coefficients)
        self.period, self.place = period, float(place)
        self.rest = float(place - mpmath.mpf(self.place))

    def _distance(self, x: Any) -> Any:
        away = np.asarray(x) - self.place
        if self.period is not None:
            away = away - self.period * np.round(away.real / self.period)
        return away - self.rest
