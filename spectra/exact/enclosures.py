"""Zeros of analytic functions, proven: Newton's method on midpoints, then an interval Newton step.

N(X) = x − f(x)/f'(X) ⊂ X with 0 ∉ f'(X) proves one zero of f in X, and it lies in N(X), for balls on the real line and
for discs in the plane alike.

Source
------
Moore, Kearfott, Cloud, Introduction to Interval Analysis (2009), §8.1; in the plane with Brouwer's fixed point theorem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import acb, arb, ctx

from ..errors import ConvergenceError
from .power_series import working_precision

MAX_STEPS = 60
# Inclusions tried, each in a ball so much larger than the one before.
TRIES, WIDER = 8, 64
# Bits of f'.
ROUGH_BITS = 64
# The longest step, relative, and steps after which f' is kept.
HALF, CLOSE = 0.5, 1e-8


def enclosed_zero(value: Callable[[Any], Any], slope: Callable[[Any], Any], start: Any, what: str) -> Any:
    """The zero of f near `start`, an `arb` or `acb`, as a ball with proof.

    Parameters
    ----------
    value, slope : f and f', enclosures over a ball; f' is asked for at `ROUGH_BITS` only.
    what : named in the message where it fails.

    Raises
    ------
    ConvergenceError : Newton's method did not arrive, or no inclusion could be shown.
    """
    x, tangent = start.mid(), None
    tiny = arb(2) ** (4 - ctx.prec)
    for _ in range(MAX_STEPS):
        here = value(x)
        tangent = _rough(slope, x).mid() if tangent is None else tangent
        step = (here.mid() / tangent).mid()
        if not step.is_finite():
            raise ConvergenceError(f"{what}: Newton's method met a singularity")
        noise = _radius(here) / abs(tangent)
        if abs(step) < 4 * noise or abs(step) < tiny * abs(x):
            break
        # No step beyond half of the distance to 0, where χ and u(w) are singular.
        share = (abs(step) / abs(x)).mid()
        x = (x - step if share < HALF else x - step * (HALF / share)).mid()
        # Of a small step the tangent stays good.
        tangent = tangent if share < CLOSE else None
    else:
        raise ConvergenceError(f"{what}: Newton's method did not arrive in {MAX_STEPS} steps")
    radius = 4 * (abs(here) / abs(tangent)).upper() + tiny * abs(x).upper()
    for _ in range(TRIES):
        ball = _around(x, radius)
        tangent = _rough(slope, ball)
        image = x - here / tangent
        if image.is_finite() and not tangent.contains(0) and ball.contains(image):
            return image
        radius *= WIDER
    raise ConvergenceError(f"{what}: no inclusion could be shown")


def _rough(function: Callable[[Any], Any], x: Any) -> Any:
    """An enclosure with few bits: the radius of N(X) is that of f(x) all the same."""
    with working_precision(ROUGH_BITS):
        return function(x)


def _radius(ball: Any) -> arb:
    return ball.rad() if isinstance(ball, arb) else ball.real.rad() + ball.imag.rad()


def _around(x: Any, radius: arb) -> Any:
    r = arb(0, radius)
    return x + (acb(r, r) if isinstance(x, acb) else r)
