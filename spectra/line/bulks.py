"""Where a law has a density: real points told in from out, and the edges between them as critical points."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from ..law import Law
from .edges import Bracket, Edge, find_edges
from .near_zero import towards_zero
from .newton import descend, inside

# Points that are looked at first.
FIRST = 32
# Beside a mark points stand at these distances, in widths of the law: what is still nearer is the mark.  Beside an
# atom, where G has a pole, there mostly is a gap, whose size is that of its mass.
BESIDE, BESIDE_ATOM = (1e-2, 1e-4, 1e-7, 1e-10), (1e-2, 1e-4)
# Where laws on [0, ∞) are looked at besides, in widths, when something was missed.
NEXT_TO_ZERO = 1e-8, 1e-1
# Where the first point that is in lies below this, in widths of the law, points are followed towards 0.
SMALL = 1e-2


@dataclass(frozen=True)
class Bulk:
    """An interval with a density, and the unknowns (n, k) at points x (k,) inside."""

    low: Edge
    high: Edge
    x: Array
    t: Array


class Search:
    """Real points in ascending order, each in or out; refined until the edges are known."""

    def __init__(self, law: Law) -> None:
        self.law = law
        self.low, self.high = law.hull
        self.width = self.high - self.low
        self.x, self.t, self.inside = np.empty(0), np.empty((law.unknowns, 0), complex), np.empty(0, bool)

    def look(self, x: Array) -> None:
        """Solve at x and keep what is certified."""
        points = descend(self.law, x)
        risen, good = inside(points), points.good
        t = np.where(risen, points.t, points.t.real)
        order = np.argsort(np.concatenate([self.x, x[good]]), kind="stable")
        self.x = np.concatenate([self.x, x[good]])[order]
        self.t = np.concatenate([self.t, t[:, good]], axis=1)[:, order]
        self.inside = np.concatenate([self.inside, risen[good]])[order]

    def first(self, count: int) -> None:
        """Points all over the hull and beside the marks."""
        angles = np.pi * (np.arange(count) + 0.5) / count
        margin = 0.01 * self.width
        x = self.low - margin + (self.width + 2 * margin) * 0.5 * (1.0 - np.cos(angles))
        if count > FIRST and self.low == 0.0:
            # A bulk next to 0 may be narrower by orders of magnitude.
            x = np.concatenate([x, self.width * np.geomspace(*NEXT_TO_ZERO, count // 2)])
        beside = [
            a + s * d * self.width
            for a, mass in self.law.marks
            for d in (BESIDE_ATOM if mass else BESIDE)
            for s in (-1.0, 1.0)
        ]
        x = np.unique(np.concatenate([x, beside, [self.low - margin, self.high + margin]]))
        self.look(x[~np.isin(x, [a for a, _ in self.law.marks])])
        self._look_near_zero()

    def _look_near_zero(self) -> None:
        """Of a law on [0, ∞) that seems to begin at 0 without a mark there: an edge may be smaller by any factor."""
        first = int(np.argmax(self.inside))
        if not self.inside.any() or self.low != 0.0 or any(a == 0.0 for a, _ in self.law.marks):
            return
        if 0.0 < self.x[first] < SMALL * self.width:
            x, t = towards_zero(self.law, float(self.x[first]), self.t[:, first])
            self.x = np.concatenate([self.x[:first], x, self.x[first:]])
            self.t = np.concatenate([self.t[:, :first], t, self.t[:, first:]], axis=1)
            self.inside = np.insert(self.inside, first, np.ones(x.size, bool))

    def bulks(self) -> list[Bulk]:
        """Maximal runs of points that are in, ended by edges, and cut at marks inside."""
        found: list[Bulk] = []
        runs = np.flatnonzero(np.diff(np.concatenate([[False], self.inside, [False]]).astype(int)))
        if not self.x.size:
            raise ConvergenceError("no point of the curve was certified")
        if self.inside[0] or self.inside[-1]:
            raise ConvergenceError(f"the density does not end at the hull [{self.low}, {self.high}]")
        ends = [self._bracket(*pair) for a, b in runs.reshape(-1, 2) for pair in ((a, a - 1), (b - 1, b))]
        edges = iter(find_edges(self.law, ends))
        for start, stop in runs.reshape(-1, 2):
            low, high = next(edges), next(edges)
            cuts = [a for a, _ in self.law.marks if low.place < a < high.place]
            ends = [low, *(Edge(a, False, cut=True) for a in cuts), high]
            for a, b in pairwise(ends):
                here = np.flatnonzero((self.x[start:stop] > a.place) & (self.x[start:stop] < b.place)) + start
                found.append(Bulk(a, b, self.x[here], self.t[:, here]))
        return found

    def _bracket(self, within: int, beyond: int) -> Bracket:
        return Bracket(self.law, *((float(self.x[k]), self.t[:, k]) for k in (within, beyond)))
