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
    what = f"w at λ = {float(location.mid()):.6g}"
    if len(equation.factors) == 1 and not equation.factors[0].law.closed_chi:
        w, y = _by_subordination_point(equation, _ball(start[1][0]), log_u, what)
    else:
        w, y = _by_w(equation, start, log_u, what)
    if not (w.imag > 0 and all(one.imag > 0 for one in y)):
        raise ConvergenceError(f"{what}: the root is not shown to lie in the upper half plane")
    return w.imag / (arb.pi() * location)


def _by_w(
    equation: BallEquation, start: tuple[complex, tuple[complex, ...]], log_u: arb, what: str
) -> tuple[acb, tuple[acb, ...]]:
    """The unknown is w; every y_k follows, by a proof of its own."""
    inverted = equation.follower(tuple(map(_ball, start[1])))
    w = enclosed_zero(
        lambda w: equation.log_u(w, inverted(w)) - log_u,
        lambda w: equation.slope(w, inverted(w)),
        _ball(start[0]),
        what,
    )
    return w, inverted(w)


def _by_subordination_point(equation: BallEquation, start: acb, log_u: arb, what: str) -> tuple[acb, tuple[acb, ...]]:
    """Of one law the unknown is y, and w = ψ(y)/ρ."""
    (factor,) = equation.factors
    law, ratio = factor.law, factor.ratio

    def value(y: acb) -> acb:
        return equation.log_u(law.psi(y) / ratio, (y,)) - log_u

    def slope(y: acb) -> acb:
        return equation.slope(law.psi(y) / ratio, (y,)) * law.psi_slope(y) / ratio

    y = enclosed_zero(value, slope, start, what)
    return law.psi(y) / ratio, (y,)


def _ball(z: complex) -> acb:
    return acb(z.real, z.imag)
