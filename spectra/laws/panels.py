"""Gauss-Legendre panels along the path over a piece of φ'², as far as a Gaussian weight reaches.

Panels as long as the path is high resolve every integrand with a pole on or beyond the real axis alike.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .._types import Array
from ..native import NATIVE
from .path import STEEPNESS, MonotonePiece, square_at

# From this level on the ends of the pieces are resolved to all digits.
FULL_LEVEL = 4
# How near, in units of the local scale, the panels go to a real end at level 0, and to a zero of φ' of higher order:
# the mass left unresolved there.
FINENESS, ZERO_FINENESS = 0.12, 1e-11
# Where the law itself is thin, by how many e-folds panels spare at once; from where on it is too thin to count; and how
# many they spare at most.  The density of a thin part is wanted to its own digits, e^{-32} of it.
THIN, TOO_THIN, FADED = 4.0, 25.0, 20.0
# Of so few points of its grid little can be said of a part of a piece: it gets points of its own.
FEW = 8
# 16 nodes a panel: a pole at 1.33 half lengths gives the error 3^-32 = 5e-16.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


# A piece of φ'² and the ends of the part of it that counts.
Part = tuple[MonotonePiece, float, float]


@lru_cache(maxsize=16)
def paths(parts: tuple[Part, ...], sigma: float, share: float) -> list[Path]:
    """A `Path` over each part of a law, made once for all its levels."""
    made = [Path(*part, sigma, share) for part in parts]
    for one in made:
        one.spare_digits(made)
    return made


class Path:
    """The path over (lower, upper) ⊂ piece for a Gaussian weight of width `sigma`.

    Parameters
    ----------
    share : of the Gaussian's mass, to which errors are relative.

    Attributes
    ----------
    scales : lengths over which the path may rise from its ends.
    """

    def __init__(self, piece: MonotonePiece, lower: float, upper: float, sigma: float, share: float) -> None:
        self._piece, self._ends = piece, (lower, upper)
        x, height, self._log_t = _profile(piece, lower, upper)
        height = np.minimum(height, STEEPNESS * sigma)
        highest = float(height.max()) / STEEPNESS
        self.scales = min(sigma, highest, piece.scales[0]), min(sigma, highest, piece.scales[1])
        depth = np.minimum((x - lower) / (FINENESS * self.scales[0]), (upper - x) / (FINENESS * self.scales[1]))
        self._beside = np.log(np.maximum(share * sigma / height, 1.0)) - 0.7 * np.log(np.minimum(depth, 1.0))
        self._x, self._height, self._faded = x, height, x**2 / (2.0 * sigma**2)
        self._spare = self._faded

    def spare_digits(self, paths: list[Path]) -> None:
        """Count the digits that the sum does not need where the Gaussian has faded, in e-folds.

        It needs those that the law has there from the other paths, and of its own a good part where the law is thin.
        """
        if self._faded.max() < THIN:
            return
        thin = self._faded
        for other in paths:
            if other is not self:
                order = slice(None, None, other._piece.side)
                there = np.interp(self._log_t, other._log_t[order], other._faded[order], math.inf, math.inf)
                thin = np.minimum(thin, there)
        spare = self._faded - thin + np.minimum(thin, THIN) + np.maximum(thin - TOO_THIN, 0.0)
        self._spare = np.minimum(spare, FADED)

    def panels(self, level: int, begin: complex | None, stop: complex | None) -> tuple[Array, Array]:
        """Nodes x and weights dx of panels up to 1/8 of the local scale from the ends, 16 times nearer a level.

        `begin`, `stop`: where the path begins and stops, if not at the real ends themselves: on the rays out of zeros
        of φ'.
        """
        lower, upper = self._ends
        # λ → 0 is decided by the neighbourhood of a zero of φ', however small: go there geometrically.
        # One point at least, also where a ray reaches over all of them.
        first = min(self._x.searchsorted(lower + self._finest(0, begin, level), "right"), self._x.size - 1)
        last = max(self._x.searchsorted(upper - self._finest(1, stop, level), "left"), first + 1)
        x, height = self._x[first:last], self._height[first:last]
        # Where fewer digits are needed panels may be longer; at the ends they do not help where just these are to be
        # resolved.
        spare = self._spare[first:last] + max(0.0, 1.0 - level / FULL_LEVEL) * self._beside[first:last]
        rho = np.exp((36.0 - np.minimum(spare, FADED)) / 32.0)
        rate = np.maximum(0.5 * (rho - 1.0 / rho), 0.5) / height
        if NATIVE is not None:
            ends = lower if begin is None else begin, upper if stop is None else stop
            found = NATIVE.panels(x, height, rate, self._piece.side, *ends, _NODES, _WEIGHTS)
            return np.frombuffer(found[0], complex), np.frombuffer(found[1], complex)
        counter = np.zeros(x.size)
        # Half of the sum of two rates, which are those of half lengths.
        np.cumsum(0.25 * (rate[1:] + rate[:-1]) * (x[1:] - x[:-1]), out=counter[1:])
        count = max(1, math.ceil(counter[-1]))
        place = np.arange(count + 1) * (counter[-1] / count)
        corner = np.empty(count + 3, complex)
        corner[1:-1] = np.interp(place, counter, x) + 1j * self._piece.side * np.interp(place, counter, height)
        corner[0], corner[-1] = lower if begin is None else begin, upper if stop is None else stop
        half = 0.5 * (corner[1:] - corner[:-1])[:, None]
        nodes = (corner[:-1, None] + half) + half * _NODES
        return nodes.ravel(), (half * _WEIGHTS).ravel()

    def _finest(self, side: int, end: complex | None, level: int) -> float:
        """How near to an end the panels go."""
        at = self._ends[side]
        if end is not None:
            return 1.05 * abs(end.real - at)
        whole = square_at(self._piece.branch, at) < 1e-20
        return self.scales[side] * (ZERO_FINENESS if whole else FINENESS / 16.0**level)


def _profile(piece: MonotonePiece, lower: float, upper: float) -> tuple[Array, Array, Array]:
    """Points between the ends, how high the path may be there, and log φ'²."""
    begin, end = piece.grid.searchsorted(lower, "right"), piece.grid.searchsorted(upper, "left")
    if end - begin < FEW:
        x = np.linspace(lower, upper, 12)[1:-1]
        return x, np.interp(x, piece.grid, piece.height), np.interp(x, piece.grid, piece.log_t)
    return piece.grid[begin:end], piece.height[begin:end], piece.log_t[begin:end]
