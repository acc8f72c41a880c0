"""Which steps of a table of a smooth function one polynomial of a moderate degree goes by.

Hermite's polynomial of degree five between two points of a table, by values and two derivatives, misses the points in
between by the sixth power of what a series loses with each degree.  Where it misses them by little, series of a few
times that degree have converged.
"""

from __future__ import annotations

import numpy as np

from ._types import Array
from .native import NATIVE

# So little the points between are missed by where a Chebyshev series of 22 terms converges to 3e-13: it did so in 99 of
# 100 pieces, and in half of those that miss by ten times more.
JOINED = 2.5e-4
# An error passes through 0: it counts as this part of those at the points beside it, at least.
SHARE = 0.1
# What is missed by so much at both ends of one step, the two multiplied, did not converge in every second one of them;
# more is noise.
HALVED = 1.5e-3, 0.25
# Steps shorter than this part of x are beside a point where they become shorter and shorter, and x has fewer digits.
SHORT = 1e-4


def missed(table: Array, i: int, k: int) -> float:
    """By how much Hermite's polynomial between points i and k misses those in between, the largest.

    Parameters
    ----------
    table : x, rising, y with two derivatives in it, and what an error of y counts there, (5, n).
    """
    x, y, slope, turn, weight = (row[i : k + 1].tolist() for row in table)
    gap, rise = x[-1] - x[0], y[-1] - y[0]
    a, e = slope[0] * gap - rise, rise - slope[-1] * gap
    m, n = 0.5 * turn[0] * gap**2 - e + 2.0 * a, 0.5 * turn[-1] * gap**2 - a + 2.0 * e
    most = 0.0
    for at, value, counts in zip(x[1:-1], y[1:-1], weight[1:-1], strict=True):
        t = (at - x[0]) / gap
        r = 1.0 - t
        miss = counts * abs(y[0] + t * rise + t * r * (r * a + t * e + t * r * (r * m + t * n)) - value)
        # Written so that NaN counts.
        most = most if miss <= most else miss
    return most


def joined(table: Array, begin: int, end: int, last: int, stop: int) -> list[float]:
    """Where pieces end that are as long as they may be, in order: at points of a table, or between two of them.

    The first begins at point `begin` and ends at `end` or later, if that is beyond it; the others go on to `stop`.
    None ends beyond `last` but there.
    """
    size = table.shape[1]
    if NATIVE is not None:
        out, alone = np.empty(size, "l"), np.empty(size)
        kept = out[: NATIVE.joined(table, (begin, end, last, stop), JOINED, SHARE, out, alone)].tolist()
        return _halved(table[0], kept, stop, alone)
    alone = np.array([0.0, *(missed(table, j - 1, j + 1) for j in range(1, size - 1)), 0.0])

    def joins(i: int, k: int) -> bool:
        near = alone[k - 1] < JOINED and bool(np.all(SHARE * alone[i : k + 1] < JOINED))
        return near and missed(table, i, k) < JOINED

    while begin < end < last and joins(begin, end + 1):
        end += 1
    kept = [end]
    while end < stop:
        begin, end = end, end + 1
        while end < stop and joins(begin, end + 1):
            end += 1
        kept.append(end)
    return _halved(table[0], [k for k in kept if k <= last], stop, alone)


def _halved(x: Array, kept: list[int], stop: int, alone: Array) -> list[float]:
    """The places where pieces end, and the middle of those steps that may well be too long for one."""
    ends: list[float] = []
    for before, k in zip([None, *kept], [*kept, stop], strict=True):
        if before is not None and k == before + 1 and HALVED[0] < alone[before] * alone[k] < HALVED[1]:
            low, high = float(x[before]), float(x[k])
            if high - low > SHORT * (1.0 + abs(low)):
                ends.append(0.5 * (low + high))
        if k in kept and k != before:
            ends.append(float(x[k]))
    return ends
