"""The robust way to a root: continue from small |u| near the negative axis, in |u|, then in arg u down to 0.

Far from the positive axis every subordination point is well separated from every cut; nothing is known in advance.
"""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .errors import ConvergenceError
from .master import MasterEquation
from .solve import Roots, certify, solve

START_ANGLE = 0.9 * math.pi
# |u|·m_1 to begin from, the next where Newton's method does not arrive: λ_max may be far larger than m_1.
STARTS = (1e-3, 1e-6, 1e-9, 1e-12)


def locate(equation: MasterEquation, log_u: Array, *, max_steps: int = 2000) -> Roots:
    """Roots at real `log_u` (n,) with no starting value; slow and sure.

    Raises
    ------
    ConvergenceError : the continuation needed more than `max_steps` steps.

    Source
    ------
    The homotopy follows the subordination functions, analytic on the upper half plane (Belinschi and Bercovici 2007).
    """
    log_u = np.atleast_1d(np.asarray(log_u, float))
    roots = [_one(equation, float(target), max_steps) for target in log_u]
    zeta = np.array([root[0] for root in roots])
    v = np.array([root[1] for root in roots]).reshape(log_u.size, len(equation.factors)).T
    return certify(equation, log_u, zeta, v)


def _one(equation: MasterEquation, target: float, max_steps: int) -> tuple[complex, Array]:
    here, zeta, v = _begin(equation)
    # Down to arg u = 1e-3 of the way, then onto the axis itself.
    corners = [target + 1j * START_ANGLE, target + 0.2j, target + 1e-3j, complex(target)]
    count = 0
    for corner in corners:
        step = 0.5
        while here != corner:
            count += 1
            if count > max_steps:
                raise ConvergenceError("the continuation in arg u did not arrive; raise `max_steps`")
            move = corner - here
            size = abs(move)
            reached = corner if size <= step else here + move * (step / size)
            found = _advance(equation, here, reached, zeta, v)
            if found is None:
                step *= 0.5
                if step < 1e-10:
                    if corner == complex(target) and abs(here.imag) < 1e-6:
                        return zeta, v
                    raise ConvergenceError(f"the continuation stalled at log u = {here:.6g}")
                continue
            zeta, v = found
            here = reached
            step *= 1.6
    return zeta, v


def _begin(equation: MasterEquation) -> tuple[complex, complex, Array]:
    """Log u, far out, and the solution there: w = u·m_1 to first order."""
    for size in STARTS:
        w = np.exp(math.log(size) + 1j * START_ANGLE)
        zeta = w / (w + equation.rank)
        v = equation.omegas.ravel() * w / equation.rank
        here = complex(math.log(size) + equation.constant, START_ANGLE)
        try:
            return here, *_correct(equation, here, zeta, v, max_steps=40)
        except ConvergenceError:
            continue
    raise ConvergenceError("no solution was found at λ → ∞, with |u| a trillionth of 1/m_1")


def _advance(
    equation: MasterEquation, here: complex, there: complex, zeta: complex, v: Array
) -> tuple[complex, Array] | None:
    point = equation.evaluate(np.array([zeta]), v.reshape(-1, 1), curvature=True)
    step = there - here
    x = step / (point.slope[0] * zeta)
    if not abs(x) < 0.4:
        return None
    guess = zeta * np.exp(x)
    guess_v = v
    if v.size:
        y = point.rates[:, 0] / point.slope[0] * step / v
        if not np.all(np.abs(y) < 0.6):
            return None
        guess_v = v * np.exp(y)
    if guess.imag <= 0 or np.any(guess_v.imag <= 0):
        return None
    try:
        found = _correct(equation, there, guess, guess_v)
    except ConvergenceError:
        return None
    if abs(np.log(found[0] / guess)) > 0.2:
        return None
    return found


def _correct(
    equation: MasterEquation, log_u: complex, zeta: complex, v: Array, *, max_steps: int = 10
) -> tuple[complex, Array]:
    roots = solve(equation, np.array([log_u]), np.array([zeta]), v.reshape(v.size, 1), max_steps=max_steps)
    if not roots.certified[0]:
        raise ConvergenceError("Newton's method did not arrive", residual=float(roots.residual[0]), tolerance=1e-11)
    return complex(roots.zeta[0]), roots.v[:, 0]
