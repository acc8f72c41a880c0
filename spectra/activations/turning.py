"""Turning points of a symbolic branch: the zeros of φ'·φ'', searched in double and confirmed with mpmath."""

from __future__ import annotations

from typing import Any

import mpmath
import sympy

from spectra.activations import roots, source, symbolic
from spectra.errors import ConfigError

MAX_COUNT = 200  # more means an oscillation without period, for which no finite list is right


def turning_points(slope: Any, lower: float, upper: float) -> tuple[float, ...]:
    """Zeros of φ'·φ'' in (lower, upper), each refined at 40 digits and rounded once.

    Raises
    ------
    ConfigError : more than 200 of them.
    """
    found: set[float] = set()
    for what, expression in (("slope", slope), ("curvature", sympy.diff(slope, symbolic.X))):
        if not expression.has(symbolic.X):
            continue
        exact = symbolic.mpmath_function(expression)
        candidates = roots.real_zeros(source.function(expression, what), lower, upper)
        found |= {t for t in (_confirmed(exact, c) for c in candidates) if t is not None and lower < t < upper}
    if len(found) > MAX_COUNT:
        raise ConfigError(
            f"the slope turns {len(found)} times or more; at most {MAX_COUNT} turning points are handled."
        )
    return tuple(sorted(found))


def _confirmed(exact: Any, start: float) -> float | None:
    """Return the zero next to `start`, or None where the double-precision search was misled by rounding."""
    with mpmath.workdps(40):
        centre = mpmath.mpf(start)
        step = mpmath.mpf(1e-7) * max(1, abs(centre))
        left, middle, right = (exact(t) for t in (centre - step, centre, centre + step))
        if left * right < 0:
            root = mpmath.findroot(exact, (centre - step, centre + step), solver="anderson", verify=False)
            return float(root) if abs(root) > 1e-25 else 0.0
        # no sign change: an even zero, where the function falls quadratically towards it
        return start if abs(middle) < 1e-6 * min(abs(left), abs(right)) else None
