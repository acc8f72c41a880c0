"""Where a law has a density: real points told in from out, and the edges between them as critical points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from ..law import Law
from .newton import descend, inside, jacobian

# Points that are looked at first.
FIRST = 32
# Beside a mark points stand at these distances, in widths of the law: what is still nearer is the mark.  Beside an
# atom, where G has a pole, there mostly is a gap, whose size is that of its mass.
BESIDE, BESIDE_ATOM = (1e-2, 1e-4, 1e-7, 1e-10), (1e-2, 1e-4)
# Rounds in which the bracket of an edge is divided into parts, and its width, in those of the law, at which a mark
# inside is the edge.
MOST_ROUNDS, PARTS, MARKED = 20, 8, 1e-6
# Im g relative to g below which a density that ends without an edge has faded.
FAINT = 1e-10
# Steps of the difference that gives the slope of a determinant, relative.
DIFFERENCE = 1e-6
EDGE_STEPS = 25


@dataclass(frozen=True)
class Edge:
    """An end of a bulk: `soft` where it is a critical point, a `cut` where the density goes on beyond a mark.

    `faint` where it is none, but the density is so thin that it cannot be told from zero.
    """

    place: float
    soft: bool
    cut: bool = False
    faint: bool = False


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
        beside = [
            a + s * d * self.width
            for a, mass in self.law.marks
            for d in (BESIDE_ATOM if mass else BESIDE)
            for s in (-1.0, 1.0)
        ]
        x = np.unique(np.concatenate([x, beside, [self.low - margin, self.high + margin]]))
        self.look(x[~np.isin(x, [a for a, _ in self.law.marks])])

    def bulks(self) -> list[Bulk]:
        """Maximal runs of points that are in, ended by edges, and cut at marks inside."""
        found: list[Bulk] = []
        runs = np.flatnonzero(np.diff(np.concatenate([[False], self.inside, [False]]).astype(int)))
        for start, stop in runs.reshape(-1, 2):
            if start == 0 or stop == self.x.size:
                raise ConvergenceError(f"the density does not end at the hull [{self.low}, {self.high}]")
            low, high = self._edge(start, start - 1), self._edge(stop - 1, stop)
            cuts = [a for a, _ in self.law.marks if low.place < a < high.place]
            ends = [low, *(Edge(a, False, cut=True) for a in cuts), high]
            for a, b in pairwise(ends):
                here = np.flatnonzero((self.x[start:stop] > a.place) & (self.x[start:stop] < b.place)) + start
                found.append(Bulk(a, b, self.x[here], self.t[:, here]))
        return found

    def _edge(self, within: int, beyond: int) -> Edge:
        """The end of a bulk between these two points: the bracket is divided until Newton's method succeeds."""
        ends: dict[bool, tuple[float, Array]] = {
            True: (self.x[within], self.t[:, within]),
            False: (self.x[beyond], self.t[:, beyond]),
        }
        for _ in range(MOST_ROUNDS):
            bracket = sorted((ends[True][0], ends[False][0]))
            for _, t in (ends[False], ends[True]):
                place = critical_point(self.law, t.real, bracket)
                if place is not None:
                    # At a mark G may have a pole instead: what the density does there tells.
                    near = [m for m, _ in self.law.marks if abs(m - place) < MARKED * self.width]
                    return Edge(near[0], False) if near else Edge(place, True)
            marked = [m for m, _ in self.law.marks if bracket[0] < m < bracket[1]]
            if marked and bracket[1] - bracket[0] < MARKED * self.width:
                return Edge(marked[0], False)
            # From the outer end inwards, the first that is in.
            x = np.linspace(ends[False][0], ends[True][0], PARTS + 1)[1:-1]
            x = x[(x > bracket[0]) & (x < bracket[1]) & ~np.isin(x, marked)]
            points = descend(self.law, x)
            x, t, risen = x[points.good], points.t[:, points.good], inside(points)[points.good]
            if not x.size:
                break
            first = int(np.argmax(risen)) if risen.any() else x.size
            if first > 0:
                ends[False] = float(x[first - 1]), t[:, first - 1]
            if first < x.size:
                ends[True] = float(x[first]), t[:, first]
        place, t = ends[True]
        trace = self.law.trace(t[:, None])
        if -trace.g[0].imag < FAINT * abs(trace.g[0]):
            return Edge(place, False, faint=True)
        raise ConvergenceError(f"an edge of the density between {bracket[0]} and {bracket[1]} was not found")


def critical_point(law: Law, t: Array, bracket: Sequence[float]) -> float | None:
    """Where dz = 0 in the bracket, along the curve, from real unknowns t (n,); None where Newton's method finds none.

    The equations and det J = 0, J the matrix of their slopes and of z's; the slope of the determinant by differences.
    """
    t = t.astype(float)
    n = t.size
    scale = np.maximum(np.abs(t), 1e-300)
    with np.errstate(all="ignore"):
        for _ in range(EDGE_STEPS):
            h = DIFFERENCE * scale
            around = np.concatenate([t[:, None], t[:, None] + np.diag(h), t[:, None] - np.diag(h)], axis=1)
            trace = law.trace(around.astype(complex))
            matrices = jacobian(trace, trace.dz).real
            determinants = np.linalg.det(matrices)
            if not np.isfinite(determinants).all():
                return None
            slope = (determinants[1 : n + 1] - determinants[n + 1 :]) / (2.0 * h)
            matrix = np.concatenate([trace.slopes[:, :, 0].real, slope[None]])
            miss = np.concatenate([trace.equations[:, 0].real, determinants[:1]])
            try:
                step = np.linalg.solve(matrix, miss)
            except np.linalg.LinAlgError:
                return None
            length = float(np.max(np.abs(step) / scale))
            if not np.isfinite(length):
                return None
            t = t - step / max(1.0, 4.0 * length)
            scale = np.maximum(np.abs(t), 1e-300)
            if length < 1e-11:
                break
        else:
            return None
        final = law.trace(t[:, None].astype(complex))
    place = float(final.z[0].real)
    margin = 1e-13 * (abs(bracket[0]) + abs(bracket[1]))
    if not (bracket[0] - margin <= place <= bracket[1] + margin and final.valid[0]):
        return None
    return place
