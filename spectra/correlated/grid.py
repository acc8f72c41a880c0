"""Nodes for functions of a standard normal that are smooth between kinks, and conditional expectations on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange

# Nodes a panel, and the standard deviations that count: beyond them is 1e-12 of the mass.
ORDER, REACH = 16, 7.2
# Panels are no longer than this, in standard deviations and in the units of the activation.
LONGEST = 1.8
# The first panel beside a kink, in units of the scale on which what depends on the kink is smoothed.
FIRST = 2.0
# Panels over which the kernel of a step is integrated, in units of its width, and how far it reaches.
FINE, FAR = 1.5, 7.5
# Of more than so many to a panel those are taken that count.
MOST_PIECES = 100
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(ORDER)
_BARYCENTRIC = barycentric(_NODES)


@dataclass(frozen=True, eq=False)
class Grid:
    """Gauss–Legendre panels in z = h/√variance.

    Attributes
    ----------
    ends : of the panels, (P + 1,).
    """

    ends: Array

    @staticmethod
    def between(kinks: Array, scale: float, longest: float, *, even: bool = False) -> Grid:
        """Panels cut at the kinks, shorter and shorter towards each, down to `scale`; `even`: 0 mirrors them."""
        inner = np.sort(kinks[np.abs(kinks) < REACH])
        marks = inner.tolist()
        if even:
            marks = [x for x in marks if x > 0.0]
            kinked = 0.0 in inner
            ends = _cut([0.0, *marks, REACH], FIRST * scale, longest, kinked)
            return Grid(np.array([*(-x for x in reversed(ends[1:])), *ends]))
        return Grid(np.array(_cut([-REACH, *marks, REACH], FIRST * scale, longest, False)))

    @cached_property
    def nodes(self) -> Array:
        """All z, (n,)."""
        half = 0.5 * np.diff(self.ends)[:, None]
        return (self.ends[:-1, None] + half + half * _NODES).ravel()

    @cached_property
    def share(self) -> Array:
        """Their weights in an expectation, (n,), of sum 1."""
        weights = (0.5 * np.diff(self.ends)[:, None] * _WEIGHTS).ravel() * np.exp(-0.5 * self.nodes**2)
        return weights / weights.sum()

    def interpolation(self, z: Array) -> Array:
        """Matrix from values at the nodes to values at z, (len(z), n): on each panel the polynomial through its own."""
        panel = np.clip(np.searchsorted(self.ends, z, side="right") - 1, 0, self.ends.size - 2)
        middle, half = 0.5 * (self.ends[panel] + self.ends[panel + 1]), 0.5 * np.diff(self.ends)[panel]
        weights = lagrange(_NODES, _BARYCENTRIC, (z - middle) / half)
        matrix = np.zeros((z.size, self.nodes.size))
        np.put_along_axis(matrix, panel[:, None] * ORDER + np.arange(ORDER), weights, axis=1)
        return matrix

    def expectation(self, given: Array, correlation: float) -> Array:
        """Matrix from values at the nodes to E[f(z) | z′], z′ = `given` (m,) of this correlation with z, (m, n)."""
        width = math.sqrt(1.0 - correlation**2)
        if width == 0.0:
            return self.interpolation(given)
        centres, reach = correlation * given, FAR * width
        found, total = np.zeros((given.size, self.nodes.size)), np.zeros((given.size, 1))
        for panel, (low, high) in enumerate(_pairs(self.ends)):
            rows = np.flatnonzero((centres > low - reach) & (centres < high + reach))
            if not rows.size:
                continue
            pieces = math.ceil((high - low) / (FINE * width))
            if pieces <= MOST_PIECES:
                # The same nodes for all.
                places, weights, values = _panels(pieces)
                z = 0.5 * (low + high) + 0.5 * (high - low) * places
                kernel = _kernel((z - centres[rows, None]) / width) * (0.5 * (high - low) * weights)
                of_panel = kernel @ values
            else:
                # A panel so long that each law is in a small part of it.
                places, weights, _ = _panels(math.ceil(2.0 * FAR / FINE))
                first = np.maximum(low, centres[rows] - reach)[:, None]
                last = np.minimum(high, centres[rows] + reach)[:, None]
                z = 0.5 * (first + last) + 0.5 * (last - first) * places
                kernel = _kernel((z - centres[rows, None]) / width) * (0.5 * (last - first) * weights)
                at = (2.0 * z - low - high) / (high - low)
                values = lagrange(_NODES, _BARYCENTRIC, at.ravel()).reshape(*at.shape, ORDER)
                of_panel = np.einsum("rz,rzk->rk", kernel, values)
            found[rows, panel * ORDER : (panel + 1) * ORDER] = of_panel
            total[rows, 0] += kernel.sum(axis=1)
        # What lies beyond the grid has no mass to speak of; where a conditional law lies there, its nearest part
        # stands.
        lost = total[:, 0] < 1e-12 * width
        found[lost] = self.interpolation(np.where(given[lost] > 0.0, self.nodes[-1], self.nodes[0]))
        return found / np.where(lost[:, None], 1.0, total)


@lru_cache(maxsize=128)
def _panels(count: int) -> tuple[Array, Array, Array]:
    """Nodes and weights of as many panels of equal length on [−1, 1], and what the polynomial through ORDER has there.

    (n,), (n,), (n, ORDER).
    """
    fine = Grid(np.linspace(-1.0, 1.0, count + 1))
    return fine.nodes, np.tile(_WEIGHTS / count, count), lagrange(_NODES, _BARYCENTRIC, fine.nodes)


def _kernel(away: Array) -> Array:
    return np.where(np.abs(away) < FAR, np.exp(-0.5 * away**2), 0.0)


def _pairs(ends: Array) -> list[tuple[float, float]]:
    return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))


def _cut(marks: list[float], first: float, longest: float, kinked: bool) -> list[float]:
    """Ends of panels from the first mark to the last, kinks at those between, and at the first where `kinked`."""
    ends: list[float] = []
    for k, (a, b) in enumerate(pairwise(marks)):
        ends += _graded(a, b, first, longest, left=kinked or k > 0, right=k < len(marks) - 2)[:-1]
    return [*ends, marks[-1]]


def _graded(a: float, b: float, first: float, longest: float, *, left: bool, right: bool) -> list[float]:
    """Ends from a to b: panels that double in length away from the marked ends, none longer than `longest`."""
    down, up = [a], [b]
    while up[-1] - down[-1] > 1e-12:
        room = up[-1] - down[-1]
        from_left = min(longest, first + (down[-1] - a)) if left else longest
        from_right = min(longest, first + (b - up[-1])) if right else longest
        if room <= min(from_left, from_right) * 1.5:
            break
        if from_left <= from_right:
            down.append(down[-1] + min(from_left, 0.5 * room))
        else:
            up.append(up[-1] - min(from_right, 0.5 * room))
    return [*down, *reversed(up)]
