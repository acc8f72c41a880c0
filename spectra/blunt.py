"""Past an edge that is none: where a square root ends in a density too thin to show its critical point is off the axis.

There u(ζ) has its turn at ζ_0, next to the real axis, and log u_0 is as near to it: below.  Along the axis the solution
runs round it on the scale of that distance, ζ ≈ ζ_0 + (2 (log u − log u_0)/(d² log u/dζ²))^½, which no step from one
point to the next sees.  Here it is found on both sides at once, at distances in geometric progression.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator

import numpy as np

from .pointwise import Spot

# Beside the point itself, in units of its distance from the axis, and where the distances begin.
INSIDE, OUTSIDE = 0.67, 2.0
# Distance, relative to 1 + |log u|, that log u itself can tell.
LEAST = 1e-12
# What the last of 22 coefficients of a root may be, relative to the first: the density at a distance d inherits the
# rounding of log u over d; and the least of it.
ROUNDING, RESOLVED = 2e-16, 1e-11


def around(turn: Spot, zeta: complex, log_u: float, before: float) -> Iterator[tuple[float, list[complex]]]:
    """Log u, rising, with starting values ζ, v_1 … there.

    Parameters
    ----------
    turn : the equation at the critical point.
    zeta, log_u : the solution before it, from which on the root is taken.
    before : log u of the point before that.
    """
    centre = complex(turn.log_u)
    distance = centre.real - log_u
    height = max(-centre.imag, LEAST * (1.0 + abs(log_u)))
    size = 1.0 + abs(log_u)
    apart = [distance]
    while apart[-1] > OUTSIDE * height:
        apart.append(apart[-1] / _ratio(ROUNDING * size / apart[-1]))
    apart[-1] = INSIDE * height
    # Back to the point before, too.
    gone = (centre.real - before) / distance
    count = math.ceil(math.log(gone, _ratio(0.0))) if gone > 1.0 else 1
    back = distance * gone ** (np.arange(1, count) / count)
    u = centre.real + np.concatenate([-back[::-1], -np.array(apart[1:]), apart[::-1]])
    # The root as the curvature has it, and the next term, which is real but for the distance from the axis.
    whole = zeta - turn.zeta
    first = cmath.sqrt(2.0 * (log_u - centre) / turn.bend)
    first = first if (first.conjugate() * whole).real > 0.0 else -first
    roots = first * np.sqrt((u - centre) / (log_u - centre))
    roots = roots + ((whole - first) / first**2).real * roots**2
    for at, root in zip(u.tolist(), roots.tolist(), strict=True):
        rows = zip(turn.v, turn.rates, turn.curls, strict=True)
        yield at, [turn.zeta + root, *(x + rate * root + 0.5 * curl * root**2 for x, rate, curl in rows)]


def _ratio(noise: float) -> float:
    """From one distance to the next, so that 22 terms of a series of the root between them leave but `noise`.

    A Bernstein ellipse through the point itself: of semi-axes c = (r + 1)/(r − 1) and ρ = c + (c² − 1)^½.
    """
    rho = max(noise, RESOLVED) ** (-1.0 / 22.0)
    axis = 0.5 * (rho + 1.0 / rho)
    return (axis + 1.0) / (axis - 1.0)
