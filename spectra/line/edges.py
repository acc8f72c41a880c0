"""Edges of bulks as critical points of the curve, many brackets at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from ..law import Law
from .newton import MAX_LEVELS, descend, inside, jacobian, solved

# Rounds in which the bracket of an edge is divided into parts, and its width, in those of the law, at which a mark
# inside is the edge.
MOST_ROUNDS, PARTS, MARKED = 20, 8, 1e-6
# Im g relative to g below which a density that ends without an edge has faded.
FAINT = 1e-10
# Steps of the difference that gives the slope of a determinant, relative.
DIFFERENCE = 1e-6
# An unknown may be 0 at the edge: below this share of where it began steps are measured by that.
SMALL = 0.1
EDGE_STEPS = 25
# Steps so short end it, or such as are no longer getting shorter: there is rounding.
ARRIVED, ROUNDED, STALLED = 1e-11, 1e-7, 0.7
# How far beside a mark, in widths of the law, it may be rounding that a point is in, or not.
BLURRED = 1e-9
# Steps down to a point that divides a bracket: others do, too, and those that take more are beside the edge.
FEW_LEVELS = 6


@dataclass(frozen=True)
class Edge:
    """An end of a bulk: `soft` where it is a critical point, a `cut` where the density goes on beyond a mark.

    `faint` where it is none, but the density is so thin that it cannot be told from zero.
    """

    place: float
    soft: bool
    cut: bool = False
    faint: bool = False


class Bracket:
    """A point of a bulk and one beyond it, each with its unknowns (n,), and the edge between them once it is known."""

    def __init__(self, law: Law, within: tuple[float, Array], beyond: tuple[float, Array]) -> None:
        low, high = law.hull
        self._law, self._width = law, high - low
        self._within, self._beyond = within, beyond
        self.edge: Edge | None = None

    @property
    def _ends(self) -> tuple[float, float]:
        """The lower end and the upper one."""
        low, high = sorted((self._within[0], self._beyond[0]))
        return low, high

    @property
    def starts(self) -> list[Array]:
        """Real unknowns from which Newton's method may find the critical point."""
        return [self._beyond[1].real, self._within[1].real]

    @property
    def _marked(self) -> list[float]:
        """Marks inside, or so near that beside them rounding decides what is in."""
        low, high = self._ends
        margin = BLURRED * self._width
        return [mark for mark, _ in self._law.marks if low - margin <= mark <= high + margin]

    def settle(self, places: Sequence[float]) -> None:
        """Take the first critical point that lies inside, or the mark that is all there is."""
        low, high = self._ends
        margin = 1e-13 * (abs(low) + abs(high))
        for place in places:
            if low - margin <= place <= high + margin:
                # At a mark G may have a pole instead: what the density does there tells.
                near = [mark for mark in self._marked if abs(mark - place) < MARKED * self._width]
                self.edge = Edge(near[0], False) if near else Edge(place, True)
                return
        marked = self._marked
        if marked and high - low < MARKED * self._width:
            self.edge = Edge(marked[0], False)

    def parts(self) -> Array:
        """Points that divide the bracket, from the outer end inwards."""
        x = np.linspace(self._beyond[0], self._within[0], PARTS + 1)[1:-1]
        low, high = self._ends
        return x[(x > low) & (x < high) & ~np.isin(x, self._marked)]

    def narrow(self, x: Array, t: Array, risen: Array) -> None:
        """Go on between the first of these points that is in and the one before."""
        first = int(np.argmax(risen)) if risen.any() else x.size
        if first > 0:
            self._beyond = float(x[first - 1]), t[:, first - 1]
        if first < x.size:
            self._within = float(x[first]), t[:, first]

    def give_up(self) -> None:
        """End where the density has faded.

        Raises
        ------
        ConvergenceError : it has not.
        """
        place, t = self._within
        trace = self._law.trace(t[:, None])
        if not -trace.g[0].imag < FAINT * abs(trace.g[0]):
            raise ConvergenceError("an edge of the density between {} and {} was not found".format(*self._ends))
        self.edge = Edge(place, False, faint=True)


def find_edges(law: Law, brackets: Sequence[Bracket]) -> list[Edge]:
    """Divide the brackets until Newton's method succeeds in each.

    Raises
    ------
    ConvergenceError : it does not, in one of them.
    """
    for _ in range(MOST_ROUNDS):
        rest = [one for one in brackets if one.edge is None]
        if not rest:
            break
        starts = [one.starts for one in rest]
        places = iter(critical_points(law, np.array([t for some in starts for t in some]).T).tolist())
        for one, some in zip(rest, starts, strict=True):
            one.settle([next(places) for _ in some])
        rest = [one for one in rest if one.edge is None]
        if not rest:
            break
        _narrow(law, rest)
    for one in brackets:
        if one.edge is None:
            one.give_up()
    return [one.edge for one in brackets if one.edge is not None]


def _narrow(law: Law, brackets: Sequence[Bracket]) -> None:
    """Divide every bracket once; one of which no point can be certified has faded."""
    parts = [one.parts() for one in brackets]
    x = np.concatenate([np.empty(0), *parts])
    owner = np.repeat(np.arange(len(parts)), [part.size for part in parts])
    for levels in (FEW_LEVELS, MAX_LEVELS):
        points = descend(law, x, levels=levels)
        risen = inside(points)
        for k in np.unique(owner[points.good]).tolist():
            here = np.flatnonzero(points.good & (owner == k))
            brackets[k].narrow(x[here], points.t[:, here], risen[here])
        rest = ~np.isin(owner, owner[points.good])
        x, owner = x[rest], owner[rest]
        if not x.size:
            break
    lost = {k for k, part in enumerate(parts) if not part.size} | set(owner.tolist())
    for k in lost:
        brackets[k].give_up()


def critical_points(law: Law, t: Array) -> Array:
    """Where dz = 0 along the curve, from real unknowns t (n, m): places (m,), NaN where Newton's method finds none.

    The equations and det J = 0, J the matrix of their slopes and of z's; the slope of the determinant by differences.
    """
    t = t.astype(float)
    n, m = t.shape
    least = np.maximum(SMALL * np.abs(t), 1e-300)
    places = np.full(m, np.nan)
    active, before = np.arange(m), np.full(m, np.inf)
    shifts = np.concatenate([np.zeros((1, n)), np.eye(n), -np.eye(n)]).T
    with np.errstate(all="ignore"):
        for _ in range(EDGE_STEPS):
            here = t[:, active]
            scale = np.maximum(np.abs(here), least[:, active])
            h = DIFFERENCE * scale
            around = here[:, None] + shifts[:, :, None] * h[:, None]
            trace = law.trace(around.reshape(n, -1).astype(complex))
            determinants = np.linalg.det(jacobian(trace, trace.dz).real).reshape(2 * n + 1, -1)
            slope = (determinants[1 : n + 1] - determinants[n + 1 :]) / (2.0 * h)
            middle = slice(active.size)
            matrices = np.moveaxis(np.concatenate([trace.slopes[:, :, middle].real, slope[None]]), -1, 0)
            miss = np.concatenate([trace.equations[:, middle].real, determinants[:1]]).T
            regular = np.isfinite(determinants).all(axis=0) & np.isfinite(matrices).all(axis=(1, 2))
            active, here, scale = active[regular], here[:, regular], scale[:, regular]
            step = np.real(solved(matrices[regular], miss[regular])).T
            length = np.max(np.abs(step) / scale, axis=0, initial=0.0)
            finite = np.isfinite(length)
            active, step, length = active[finite], step[:, finite], length[finite]
            t[:, active] = here[:, finite] - step / np.maximum(1.0, 4.0 * length)
            # What an unknown still moves by the place does by the square of that.
            arrived = (length < ARRIVED) | ((length < ROUNDED) & (length > STALLED * before[active]))
            before[active] = length
            if arrived.any():
                final = law.trace(t[:, active[arrived]].astype(complex))
                places[active[arrived]] = np.where(final.valid, final.z.real, np.nan)
            active = active[~arrived]
            if not active.size:
                break
    return places
