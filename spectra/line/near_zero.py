"""A density followed towards 0 in steps of the logarithm, further down than vertical lines lead."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ..law import Law
from .newton import inside, solve

# Steps in log x, and x at which doubles end.
STEP, LEAST = 1.0, 1e-290


def towards_zero(law: Law, x: float, t: Array) -> tuple[Array, Array]:
    """Points below x > 0 that are in, ascending, and their unknowns (n, k), until one is not or cannot be told.

    Parameters
    ----------
    t : (n,) unknowns at x.
    """
    places, found = [x], [t]
    while places[-1] > LEAST:
        here = places[-1] * float(np.exp(-STEP))
        start = found[-1]
        if len(found) > 1:
            # Unknowns go like powers of x.
            with np.errstate(all="ignore"):
                start = found[-1] ** 2 / found[-2]
        points = solve(law, start[:, None], np.array([here], complex))
        if not (points.good[0] and inside(points)[0]):
            break
        places.append(here)
        found.append(points.t[:, 0])
    return np.array(places[:0:-1]), np.array(found[:0:-1]).T.reshape(t.size, -1)
