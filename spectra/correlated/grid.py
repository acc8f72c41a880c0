"""Nodes for functions of a standard normal that are smooth between kinks, and conditional expectations on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
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
# A kernel narrower than this is integrated near its middle alone.
THIN = 0.05
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
        return self._near(given, correlation, width) if width < THIN else self._everywhere(given, correlation, width)

    def _everywhere(self, given: Array, correlation: float, width: float) -> Array:
        cuts = [np.linspace(a, b, math.ceil((b - a) / (FINE * width)) + 1)[:-1] for a, b in _pairs(self.ends)]
        fine = Grid(np.append(np.concatenate(cuts), self.ends[-1]))
        weights = (0.5 * np.diff(fine.ends)[:, None] * _WEIGHTS).ravel()
        away = (fine.nodes - correlation * given[:, None]) / width
        kernel = np.where(np.abs(away) < FAR, np.exp(-0.5 * away**2), 0.0) * weights
        # What lies beyond the grid has no mass to speak of; where a conditional law lies there, its nearest part
        # stands.
        total = kernel.sum(axis=1, keepdims=True)
        lost = total[:, 0] < 1e-12 * width
        kernel[lost] = 0.0
        kernel[lost, np.where(given[lost] > 0.0, -1, 0)] = 1.0
        return (kernel / np.where(lost[:, None], 1.0, total)) @ self.interpolation(fine.nodes)

    def _near(self, given: Array, correlation: float, width: float) -> Array:
        """The same over the panels that a narrow kernel reaches, so that narrower ones cost no more."""
        # Their pieces, and what is integrated over each: (P, ORDER).
        middle = correlation * given
        rows, panel, low, high = self._reached(middle - FAR * width, middle + FAR * width)
        counts = np.maximum(np.ceil((high - low) / (FINE * width)).astype(int), 1)
        order = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows, panel, low, high, counts = (np.repeat(part, counts) for part in (rows, panel, low, high, counts))
        half = 0.5 * (high - low) / counts
        at = (low + half * (2 * order + 1))[:, None] + half[:, None] * _NODES
        kernel = np.exp(-0.5 * ((at - middle[rows, None]) / width) ** 2) * half[:, None] * _WEIGHTS
        start, size = self.ends[panel, None], np.diff(self.ends)[panel, None]
        values = lagrange(_NODES, _BARYCENTRIC, (2.0 * (at - start) / size - 1.0).ravel())
        matrix, total = np.zeros((given.size, self.ends.size - 1, ORDER)), np.zeros(given.size)
        np.add.at(matrix, (rows, panel), np.einsum("pk,pkn->pn", kernel, values.reshape(*at.shape, ORDER)))
        np.add.at(total, rows, kernel.sum(axis=1))
        lost = total < 1e-12 * width
        matrix[lost], total[lost] = 0.0, 1.0
        matrix = matrix.reshape(given.size, -1)
        matrix[lost] = self.interpolation(np.where(given[lost] > 0.0, self.nodes[-1], self.nodes[0]))
        return matrix / total[:, None]

    def _reached(self, low: Array, high: Array) -> tuple[Array, Array, Array, Array]:
        """Which intervals low … high (m,) have a part in which panels: their numbers, and the parts' ends."""
        first, last = np.maximum(low[:, None], self.ends[:-1]), np.minimum(high[:, None], self.ends[1:])
        rows, panel = np.nonzero(first < last)
        return rows, panel, first[rows, panel], last[rows, panel]


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
