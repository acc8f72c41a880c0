"""The density of JJᵀ at given points, proven: an inclusion for w, and the argument condition in balls.

At real u = 1/λ the root is the one with w and every y_k in the upper half plane whose principal logarithms sum to
log u: those signs, shown for balls, select it (Belinschi, Bercovici 2007), however it was found.
"""

from __future__ import annotations

from flint import acb, arb

from ..errors import ConvergenceError
from .ball_equation import BallEquation
from .enclosures import enclosed_zero


def enclosed_density(equation: BallEquation, start: tuple[complex, tuple[complex, ...]], location: arb) -> arb:
    """ρ(λ) = Im w/(πλ) at a λ inside a bulk.

    Parameters
    ----------
    start : w and all y_k, good to a few digits.

    Raises
    ------
    ConvergenceError : no inclusion, or signs that balls of this precision cannot tell.
    """
    log_u = -location.log()
    known: list[tuple[acb, ...]] = [tuple(map(_ball, start[1]))]

    def inverted(w: acb) -> tuple[acb, ...]:
        y = equation.inverted(w, known[0])
        known[0] = tuple(one.mid() for one in y)
        return y

    what = f"w at λ = {float(location.mid()):.6g}"
    w = enclosed_zero(
        lambda w: equation.log_u(w, inverted(w)) - log_u,
        lambda w: equation.slope(w, inverted(w)),
        _ball(start[0]),
        what,
    )
    y = inverted(w)
    if not (w.imag > 0 and all(one.imag > 0 for one in y)):
        raise ConvergenceError(f"{what}: the root is not shown to lie in the upper half plane")
    return w.imag / (arb.pi() * location)


def _ball(z: complex) -> acb:
    return acb(z.real, z.imag)
