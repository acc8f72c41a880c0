"""Real zeros of a function of one variable by sampling and bracketing.

The samples are uniform near the origin, where activations act, and logarithmic up to 10⁴. A pair of zeros
closer than the local spacing (0.005 for |x| < 20) can be missed: this is a search, not a proof.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

REACH = 1e4  # activations are asked for no |x| beyond this: ten standard deviations at q = 10⁶


def grid(lower: float, upper: float) -> np.ndarray:
    """Sample points inside (lower, upper), clipped to ±10⁴, denser towards finite ends."""
    base = np.concatenate((np.linspace(-20.0, 20.0, 8003), np.sinh(np.linspace(-9.9034, 9.9034, 2001))))
    low, high = max(lower, -REACH), min(upper, REACH)
    near = np.geomspace(1e-9, 1.0, 91) * min(1.0, 0.5 * (high - low))
    points = np.concatenate((base, low + near, high - near))
    return np.unique(points[(points > low) & (points < high)])


def real_zeros(function: Callable[[Any], Any], lower: float, upper: float, noise: float = 0.0) -> tuple[float, ...]:
    """Zeros of `function` inside (lower, upper), sorted, to full double precision where it is simple.

    Parameters
    ----------
    noise : sign changes between values both below `noise` in modulus are rounding, not zeros.

    Accuracy
    --------
    The bracketing interval is reduced to neighbouring doubles; the zero of the computed function is exact.
    """
    x = grid(lower, upper)
    y = np.asarray(function(x), dtype=float)
    found = [float(t) for t, v in zip(x, y, strict=True) if v == 0.0 and _isolated(function, float(t), noise)]
    for i in np.flatnonzero(np.sign(y[:-1]) * np.sign(y[1:]) < 0):
        if max(abs(y[i]), abs(y[i + 1])) > noise:
            found.append(_bracketed(function, x[i], x[i + 1]))
    found += _touching(function, x, y, noise)
    return tuple(sorted({t for t in found if lower < t < upper}))


def _bracketed(function: Callable[[Any], Any], low: float, high: float) -> float:
    from scipy.optimize import brentq

    # a zero at 0 is bisected through all exponents, hence the many steps
    root: Any = brentq(
        lambda t: float(function(np.asarray(t))), low, high, xtol=1e-300, rtol=np.float64(1e-15), maxiter=4000
    )
    return float(root)


def _isolated(function: Callable[[Any], Any], t: float, noise: float) -> bool:
    """Whether an exact zero at a sample is a point zero rather than a stretch of zeros (underflow, constancy)."""
    step = 1e-3 * max(1.0, abs(t))
    return bool(np.all(np.abs(np.asarray(function(np.array([t - step, t + step])), dtype=float)) > noise))


def _touching(function: Callable[[Any], Any], x: np.ndarray, y: np.ndarray, noise: float) -> list[float]:
    """Zeros without a sign change: local minima of |y| that reach zero against their neighbours."""
    modulus, sign = np.abs(y), np.sign(y)
    lowest = (modulus[1:-1] < modulus[:-2]) & (modulus[1:-1] < modulus[2:])
    inner = lowest & (sign[:-2] == sign[2:]) & (sign[1:-1] == sign[2:])
    if not inner.any():
        return []
    # Half a second, on a cold start, that most functions do not need.
    from scipy.optimize import minimize_scalar

    found: list[float] = []
    for i in np.flatnonzero(inner) + 1:
        bound = min(modulus[i - 1], modulus[i + 1])
        best: Any = minimize_scalar(
            lambda t: abs(float(function(np.asarray(t)))),
            bounds=(x[i - 1], x[i + 1]),
            method="bounded",
            options={"xatol": 1e-12 * max(1.0, abs(x[i]))},
        )
        if best.fun < 1e-8 * bound and bound > noise:
            found.append(float(best.x))
    return found
