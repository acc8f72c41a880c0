"""The density beside an atom that ends an arc, as a function of the logarithm of the distance from it.

Beside one of mass zero ρ has an inverse square root in the distance, times a power series in its root; beside one of
positive mass that touches the continuum it is bounded.  Either has logarithms in it where the law of a factor has a
density beside its atom.  Beside an atom of almost no mass, or where one is only just missing, the edge is nearer than λ
can tell.  In the logarithm of the distance all of this is smooth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._types import Array
from .beside import LocalRoots
from .chart import FIT, NODES, RESOLUTION, Chart
from .charting import chart
from .chebyshev import slope_at_end
from .errors import ConvergenceError
from .master import MasterEquation
from .pole import NEARLY, Pole, pole_near
from .solve import CERTIFIED
from .tail import with_exact_tail
from .walker import Arc, Edge

# Logarithm of the distance beyond which the density is continued by its power: e^{-32} of the mass is nearer, where it
# has an inverse square root. The same where it is bounded: nearer, v cannot be told from that of the atom.
NEAREST, NEAREST_BOUNDED = -64.0, -32.0
# With an atom of less mass than this it is an inverse square root down to a distance of the square of the mass.
LIGHT = 1e-4
# The same at a hidden edge, from the logarithm of its distance from the pole: there the density has turned into a root,
# and e^{-9} is left of a mass that is below 1e-5; what is left of the digits is e^{-6}.
HIDDEN = -6.0
# Mass to which the density on a panel is resolved, and log p at least: where next to nothing is, it carries rounding.
LEAST_MASS, LEAST_RESOLUTION = 1e-16, 1e-5
# The first panel, and by how much each is longer than the one before: what is left of the distance falls off with its
# root or faster, so that a panel as long as x itself has a series that converges.  Bisected where it does not.
SHORT_PANEL, GROWTH, PANEL = 2.0, 3.0, 10.0
FINEST_PANEL = 0.05
# Nodes as parts of a panel.
_WITHIN = 0.5 * (1.0 + NODES)
# Largest |s| and |ε_k| at the outer end, so that the logarithms of the local equation are principal ones.
NEAR = 0.5
# Distance, at least, of that end: log u itself must know it.
CLOSEST = 1e-9


@dataclass(frozen=True)
class MarginalArc:
    """Density between an atom at `pole`, of mass zero or touching it, and U = `far`.

    Attributes
    ----------
    side : 1 where U = log u is beyond the pole, −1 where it is before it.
    chart : log density in x = −log|U − U_0|, as a function of x.
    roots : log distance, s and ε at some nodes, for checks.
    offset : of a hidden edge, from which distances then count, beyond log u at the pole.
    """

    pole: Pole
    side: int
    far: float
    chart: Chart
    roots: tuple[Array, Array, Array]
    offset: float = 0.0
    slope: float = 0.0
    until: float = math.inf

    @property
    def log_reach(self) -> float:
        """Logarithm of the distance of the far end."""
        return -self.chart.low

    @property
    def end(self) -> float:
        """U at the pole, or at the edge hidden beside it."""
        return self.pole.log_u + self.offset

    @property
    def low(self) -> float:
        """Smaller end in U."""
        return min(self.end, self.far)

    @property
    def high(self) -> float:
        """Larger end in U."""
        return max(self.end, self.far)

    @property
    def mass(self) -> float:
        """Mass of the arc."""
        return self.chart.mass

    @property
    def residual(self) -> float:
        """Largest relative residual at the nodes."""
        return self.chart.residual

    @property
    def uncertified(self) -> int:
        """Number of nodes without certificate."""
        return self.chart.uncertified

    @property
    def thin(self) -> int:
        """Number of interpolated nodes: none."""
        return 0

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log p(U), −inf off the arc."""
        inside = (u >= self.low) & (u <= self.high)
        distance = self.side * ((u - self.pole.log_u) + (correction - self.offset))
        inside &= distance > 0.0
        result = np.full(u.shape, -np.inf)
        if inside.any():
            x = np.maximum(-np.log(distance[inside]), -self.log_reach)
            result[inside] = self.chart.log_density(x) + x
        return result

    def mass_beyond(self, u: Array) -> Array:
        """∫_u^∞ p dU."""
        distance = self.side * ((u - self.pole.log_u) - self.offset)
        with np.errstate(divide="ignore"):
            x = np.maximum(-np.log(np.maximum(distance, 0.0)), -self.log_reach)
        nearer = np.where(distance > 0.0, self.chart.mass_beyond(np.minimum(x, 1e3)), 0.0)
        return nearer if self.side < 0 else self.mass - nearer

    def invert(self, mass: Array) -> Array:
        """U with mass_beyond(U) = `mass`."""
        nearer = mass if self.side < 0 else np.maximum(self.mass - mass, 0.0)
        return self.end + self.side * np.exp(-self.chart.invert(nearer))

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights p dU."""
        return self._rule

    @cached_property
    def _rule(self) -> tuple[Array, Array]:
        # Functions of U are smooth in the logarithm of the distance.
        x, weights = self.chart.one_rule_each()
        # What is nearer than the series go has its mass at the end.
        return np.append(self.end + self.side * np.exp(-x), self.end), np.append(weights, self.chart.beyond[-1])


def moved_beside(finer: MasterEquation, arcs: Sequence[MarginalArc]) -> float:
    """Largest residual of the solutions on these arcs in the equation with finer laws, as far as it matters.

    What counts for the mass is the residual times the mass at distances like this, twice the density in their
    logarithm at an inverse square root, and no more than that of the arc; for a density that diverges, of which two
    digits less are asked for, the residual where it is more than a rounding of λ would do.
    """
    by_pole: dict[tuple[float, ...], list[MarginalArc]] = {}
    for arc in arcs:
        by_pole.setdefault(tuple(arc.pole.places.tolist()), []).append(arc)
    return max((_moved_at(finer, one[0].pole, one) for one in by_pole.values()), default=0.0)


def _moved_at(finer: MasterEquation, known: Pole, arcs: Sequence[MarginalArc]) -> float:
    """The same for arcs that end at one pole."""
    pole = pole_near(finer, known.v)
    assert pole is not None
    log_distance, s, epsilon = (np.concatenate(rows, -1) for rows in zip(*(arc.roots for arc in arcs), strict=True))
    sizes = [arc.roots[0].size for arc in arcs]
    side, mass = (np.repeat(row, sizes) for row in ([arc.side for arc in arcs], [arc.mass for arc in arcs]))
    point = pole.local.at(s, epsilon)
    misses: Array = np.concatenate([point.misses, [np.log(point.value * side) - log_distance]])
    # The density is the imaginary part of s; where that is small, an imaginary residual of the same size is large.
    angle = np.minimum(1.0, np.abs(np.imag(s)) / np.abs(s))
    residual = np.maximum(np.abs(misses.real), np.abs(misses.imag) / angle).max(axis=0)
    distance = np.exp(log_distance)
    counts = np.minimum(2.0 * distance * _height(finer, s), mass) / finer.rank
    if not known.drift:
        counts = np.maximum(counts, np.minimum(1e4 * distance, 1e-2) * finer.weight(1.0 - s))
    return float((residual * counts).max())


def marginal_arc(pole: Pole, side: int, far: float, start: LocalRoots, offset: float) -> MarginalArc:
    """The density between the pole, or the edge hidden at `offset` from it, and U = `far`, given the solution there."""
    log_reach = float(start.at[0])
    bounded = pole.drift > 0.0 and not offset
    if bounded:
        nearest = max(NEAREST, NEAREST_BOUNDED + 2.0 * min(0.0, math.log(pole.drift / LIGHT)))
    else:
        nearest = math.log(abs(offset)) + HIDDEN if offset else NEAREST
    walk = _Walk(pole, side, start, offset)
    panels = _first_panels(-log_reach, -nearest, math.inf if pole.is_crossed else PANEL)
    done: list[tuple[Array, Array, Array]] = []
    while len(panels):
        a, b = panels.T
        length = b - a
        places = a[:, None] + length[:, None] * _WITHIN
        log_p = walk.log_density(places.ravel()).reshape(places.shape)
        coefficients = log_p @ FIT.T
        # The exponent ½ makes log density of size 30: its last digits are those of the distance.
        wanted = RESOLUTION * np.maximum(1.0, 0.03 * np.abs(b))
        held = np.exp(log_p.max(axis=1)) * length
        wanted = wanted + np.minimum(LEAST_MASS / np.maximum(held, 1e-300), LEAST_RESOLUTION)
        resolved = np.abs(coefficients[:, -3:]).max(axis=1) < wanted
        # What is rough on so short a panel is the laws: they are not resolved so near to the pole.
        finished = resolved | (length < FINEST_PANEL) | bool(walk.uncertified)
        walk.uncertified += int(np.count_nonzero(finished & ~resolved))
        if finished.all():
            done.append((a, b, coefficients))
            break
        done.append((a[finished], b[finished], coefficients[finished]))
        low, high = panels[~finished].T
        middle = 0.5 * (low + high)
        panels = np.stack([np.concatenate([low, middle]), np.concatenate([middle, high])], 1)
    a, b, coefficients = done[0] if len(done) == 1 else (np.concatenate(rows) for rows in zip(*done, strict=True))
    if len(done) > 1:
        order = np.argsort(a)
        a, b, coefficients = a[order], b[order], coefficients[order]
    series = Chart(
        low=-log_reach,
        high=float(b[-1]),
        exponent_low=0.0,
        exponent_high=0.0,
        breaks=np.append(a, b[-1]),
        coefficients=coefficients,
        slope=2.0 * slope_at_end(coefficients[-1]) / float(b[-1] - a[-1]),
        residual=walk.residual,
        uncertified=walk.uncertified,
    )
    return MarginalArc(pole, side, far, series, walk.roots(nearest), offset)


def _first_panels(low: float, high: float, longest: float) -> Array:
    """First panels between `low` and `high`, (n, 2): longer and longer, as the distance loses its influence."""
    ends, length = [low], SHORT_PANEL
    while ends[-1] + 1.5 * length < high:
        ends.append(ends[-1] + length)
        length = min(GROWTH * length, longest)
    return np.array([ends, [*ends[1:], high]]).T


class _Walk:
    """Solutions at decreasing distances, each found from one that is farther out."""

    def __init__(self, pole: Pole, side: int, start: LocalRoots, offset: float) -> None:
        self.pole, self.side, self.offset, self.known = pole, side, offset, start
        self.residual, self.uncertified = 0.0, 0

    def _solve(self, at: Array, near: LocalRoots) -> LocalRoots:
        return self.pole.local.solve(at, self.side, near, self.offset)

    def log_density(self, x: Array) -> Array:
        """Log of the density in x at distances e^{−x}, x increasing."""
        to = -x
        found = self._solve(to, self.known)
        missed = ~(found.residual < CERTIFIED)
        if missed.any():
            self._add(found)
            # From one to the next, in short steps.
            for place in to[missed]:
                self._approach(float(place))
            found = self._solve(to, self.known)
        self._add(found)
        self.residual = max(self.residual, float(found.residual.max()))
        self.uncertified += int(np.count_nonzero(~found.certified))
        height = _height(self.pole.equation, found.s)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(height > 0.0, np.log(height), -np.inf) - x

    def _approach(self, to: float) -> None:
        """Add solutions between the nearest one that is farther out than `to`, and there."""
        at = float(self.known.at[self.known.at >= to].min())
        while at > to:
            at = max(to, at - 1.0)
            self._add(self._solve(np.array([at]), self.known))

    def _add(self, roots: LocalRoots) -> None:
        found = roots.residual < CERTIFIED
        self.known = self.known.joined(roots if found.all() else roots.part(np.flatnonzero(found)))

    def roots(self, nearest: float) -> tuple[Array, Array, Array]:
        """Log distance, s, ε of one solution in three."""
        kept = self.known.part(np.flatnonzero(self.known.at > nearest)[::3])
        return kept.at, kept.s, kept.epsilon


def _height(equation: MasterEquation, s: Array) -> Array:
    """The density in U."""
    return equation.rank / math.pi * -s.imag / np.abs(s) ** 2


def resolve(equation: MasterEquation, arc: Arc) -> list[Chart | MarginalArc]:
    """The density on one arc: a chart, and a piece of its own beside each atom at its ends."""
    pieces: list[Chart | MarginalArc] = []
    for side, end in ((1, arc.first), (-1, arc.last)):
        if end is None or not abs(end.zeta - 1.0) < 10.0 * NEARLY:
            continue
        pole = pole_near(equation, end.v)
        if pole is not None and (end.at_pole or pole.hidden):
            arc, beside = _split(arc, pole, side)
            pieces.append(beside)
    return [with_exact_tail(chart(equation, arc), equation, arc), *pieces]


def _split(arc: Arc, pole: Pole, side: int) -> tuple[Arc, MarginalArc]:
    """Cut the part beside an atom off an arc: where the sweep has been, if it was near enough."""
    high = float(arc.log_u[-1] if arc.last is None else arc.last.log_u)
    offset = pole.edge[2] if pole.hidden else 0.0
    distance = (side * (arc.log_u - pole.log_u - offset)).astype(float)
    s, epsilon = 1.0 - arc.zeta.astype(complex), 1.0 - arc.v.astype(complex) * pole.places[:, None]
    farthest = 0.25 * min(1.0, high - arc.low_u)
    near = (np.abs(s) < NEAR) & (np.abs(epsilon) < NEAR).all(axis=0)
    fits = near & (distance > 0.0) & (distance <= farthest)
    # The outermost of these points, or else the innermost of all.
    k = int(np.argmax(np.where(fits, distance, np.where(distance > 0.0, -distance, -np.inf))))
    reach = float(distance[k])
    known = LocalRoots.guessed(np.log(distance[k : k + 1]), s[k : k + 1], epsilon[:, k : k + 1])
    while True:
        start = pole.local.solve(np.log([reach]), side, known, offset)
        if not (start.residual[0] < CERTIFIED and reach > CLOSEST):
            raise ConvergenceError(f"no solution was found beside log u = {pole.log_u:.6g}")
        if start.size < NEAR and reach <= farthest:
            break
        known, reach = start, 0.5 * reach
    cut = float(arc.log_u[k]) if reach == distance[k] else pole.log_u + offset + side * reach
    edge = Edge(complex(1.0 - start.s[0]), pole.v_at(start.epsilon[:, 0]), cut, 0.0)
    # On this side of the atom distances rise, or fall, along the arc.
    count = int(np.count_nonzero(distance >= reach))
    rest = (
        arc.part(slice(distance.size - count, None), first=edge) if side > 0 else arc.part(slice(0, count), last=edge)
    )
    return rest, marginal_arc(pole, side, cut, start, offset)
