"""The density beside an atom of mass zero, as a function of the logarithm of the distance from it.

There ρ has an inverse square root in the distance, times a power series in its root; with logarithms in it where the
law of a factor has a density beside its atom.  In the logarithm of the distance all of this is entire.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ._types import Array
from .chart import FIT, NODES, RESOLUTION, Chart
from .charting import chart
from .errors import ConvergenceError
from .guess import Guess, solve_nodes
from .master import MasterEquation
from .pole import Pole, pole_near
from .solve import CERTIFIED
from .tail import with_exact_tail
from .walker import Arc, Edge

# Logarithm of the distance beyond which the density is continued by its power: e^{-32} of the mass is nearer.
NEAREST = -64.0
# First panels; bisected until the series converge.
PANEL = 8.0
FINEST_PANEL = 1e-3
# Largest |s| and |ε_k| at the outer end, so that the logarithms of the local equation are principal ones.
NEAR = 0.5


@dataclass(frozen=True)
class MarginalArc:
    """Density between an atom of mass zero at `pole` and U = `far`.

    Attributes
    ----------
    side : 1 where U = log u is beyond the pole, −1 where it is before it.
    chart : log density in x = −log|U − U_0|, as a function of x.
    roots : log distance, s and ε at some nodes, for checks.
    """

    pole: Pole
    side: int
    far: float
    chart: Chart
    roots: tuple[Array, Array, Array]
    slope: float = 0.0

    @property
    def log_reach(self) -> float:
        """Logarithm of the distance of the far end."""
        return -self.chart.low

    @property
    def low(self) -> float:
        """Smaller end in U."""
        return min(self.pole.log_u, self.far)

    @property
    def high(self) -> float:
        """Larger end in U."""
        return max(self.pole.log_u, self.far)

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
        distance = self.side * ((u - self.pole.log_u) + correction)
        inside &= distance > 0.0
        result = np.full(u.shape, -np.inf)
        if inside.any():
            x = np.maximum(-np.log(distance[inside]), -self.log_reach)
            result[inside] = self.chart.log_density(x) + x
        return result

    def mass_beyond(self, u: Array) -> Array:
        """∫_u^∞ p dU."""
        distance = self.side * (u - self.pole.log_u)
        with np.errstate(divide="ignore"):
            x = np.maximum(-np.log(np.maximum(distance, 0.0)), -self.log_reach)
        nearer = np.where(distance > 0.0, self.chart.mass_beyond(np.minimum(x, 1e3)), 0.0)
        return nearer if self.side < 0 else self.mass - nearer

    def invert(self, mass: Array) -> Array:
        """U with mass_beyond(U) = `mass`."""
        nearer = mass if self.side < 0 else np.maximum(self.mass - mass, 0.0)
        return self.pole.log_u + self.side * np.exp(-self.chart.invert(nearer))

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights p dU."""
        x, weights = self.chart.quadrature()
        return self.pole.log_u + self.side * np.exp(-x), weights

    def moved(self, finer: MasterEquation) -> float:
        """Largest residual of the solutions in the equation with finer laws, as far as it matters.

        What counts for the mass is the residual times the mass nearer to the pole; for the density, of which two
        digits less are asked for, the residual where it is more than a rounding of λ would do.
        """
        pole = pole_near(finer, self.pole.v)
        assert pole is not None
        log_distance, s, epsilon = self.roots
        value, _, residual = pole.displacement(s, epsilon)
        residual = np.maximum(residual, np.abs(np.log(value * self.side) - log_distance))
        mass, density = np.exp(0.5 * (log_distance - self.log_reach)), 1e4 * np.exp(log_distance)
        return float(np.max(residual * np.maximum(mass, np.minimum(density, 1e-2))))


def marginal_arc(pole: Pole, side: int, far: float, zeta: complex, v: Array) -> MarginalArc:
    """The density between the pole and U = `far`, given the solution (ζ, v) there."""
    log_reach = math.log(abs(far - pole.log_u))
    walk = _Walk(pole, side, log_reach, 1.0 - zeta, 1.0 - v * pole.places)
    ends = np.append(np.arange(-log_reach, -NEAREST - 0.5 * PANEL, PANEL), -NEAREST)
    todo = list(pairwise(ends))[::-1]
    done: list[tuple[float, float, Array]] = []
    while todo:
        a, b = todo.pop()
        x = 0.5 * (a + b) + 0.5 * (b - a) * NODES
        coefficients = FIT @ np.array([walk.log_density(t) for t in x])
        # The exponent ½ makes log density of size 30: its last digits are those of the distance.
        if np.max(np.abs(coefficients[-3:])) < RESOLUTION * max(1.0, 0.03 * abs(b)):
            done.append((a, b, coefficients))
        elif b - a < FINEST_PANEL:
            raise ConvergenceError(f"the density beside log u = {pole.log_u:.6g} was not resolved")
        else:
            todo += [(0.5 * (a + b), b), (a, 0.5 * (a + b))]
    last = done[-1]
    slope = float(np.polynomial.chebyshev.chebval(1.0, np.polynomial.chebyshev.chebder(last[2]))) * 2.0
    series = Chart(
        low=-log_reach,
        high=last[1],
        exponent_low=0.0,
        exponent_high=0.0,
        breaks=np.array([a for a, _, _ in done] + [last[1]]),
        coefficients=np.array([c for _, _, c in done]),
        slope=slope / (last[1] - last[0]),
        residual=walk.residual,
        uncertified=walk.uncertified,
    )
    return MarginalArc(pole, side, far, series, walk.roots())


class _Walk:
    """Solutions at decreasing distances, each found from a neighbour that is farther out."""

    def __init__(self, pole: Pole, side: int, log_reach: float, s: complex, epsilon: Array) -> None:
        self.pole, self.side = pole, side
        first = pole.solve(log_reach, side, s, epsilon)
        self.known = [(log_reach, first)]
        self.residual, self.uncertified = 0.0, 0

    def log_density(self, x: float) -> float:
        """Log of the density in x at distance e^{−x}."""
        at, near = min(self.known, key=lambda item: (item[0] < -x, abs(item[0] + x)))
        while at > -x:
            # log s goes like half of the logarithm of the distance.
            to = max(-x, at - 1.0)
            growth = np.exp((to - at) / near.power[0])
            near = self.pole.solve(to, self.side, complex(near.s[0] * growth), near.epsilon[:, 0] * growth)
            at = to
            self.known.append((at, near))
        self.residual = max(self.residual, float(near.residual[0]))
        inside = near.s[0].imag < 0.0 and np.all(near.epsilon.imag < 0.0)
        self.uncertified += int(not (inside and near.residual[0] < CERTIFIED))
        height = self.pole.equation.rank / math.pi * -near.s[0].imag / abs(near.s[0]) ** 2
        return math.log(height) - x if height > 0.0 else -math.inf

    def roots(self) -> tuple[Array, Array, Array]:
        """Log distance, s, ε of every solution."""
        order = [item for item in self.known if item[0] > NEAREST]
        return (
            np.array([at for at, _ in order]),
            np.concatenate([root.s for _, root in order]),
            np.concatenate([root.epsilon for _, root in order], axis=1),
        )


def resolve(equation: MasterEquation, arc: Arc) -> list[Chart | MarginalArc]:
    """The density on one arc: a chart, and a piece of its own beside each atom of mass zero."""
    pieces: list[Chart | MarginalArc] = []
    for side, end in ((1, arc.first), (-1, arc.last)):
        if end is not None and end.exponent < 0.0:
            arc, beside = _split(equation, arc, end, side)
            pieces.append(beside)
    return [with_exact_tail(chart(equation, arc), equation, arc), *pieces]


def _split(equation: MasterEquation, arc: Arc, end: Edge, side: int) -> tuple[Arc, MarginalArc]:
    """Cut the part beside an atom of mass zero at `end` off an arc."""
    pole = pole_near(equation, end.v)
    assert pole is not None
    low = arc.low_u
    high = float(arc.log_u[-1] if arc.last is None else arc.last.log_u)
    first_exponent = arc.first.exponent if arc.first is not None else 0.0
    last_exponent = arc.last.exponent if arc.last is not None else 0.0
    guess = Guess(arc, low, high, bool(first_exponent), bool(last_exponent))
    reach = 0.25 * min(1.0, high - low)
    while reach > 1e-9:
        at = np.array([pole.log_u + side * reach])
        roots = solve_nodes(equation, *guess(at), at, at)
        zeta, v = complex(roots.zeta[0]), roots.v[:, 0]
        if roots.certified[0] and max([abs(1.0 - zeta), *abs(1.0 - v * pole.places)]) < NEAR:
            break
        reach *= 0.5
    else:
        raise ConvergenceError(f"no solution was found beside log u = {pole.log_u:.6g}")
    cut = Edge(zeta, v, float(at[0]), 0.0)
    beside = marginal_arc(pole, side, float(at[0]), zeta, v)
    kept = arc.log_u > at[0] if side > 0 else arc.log_u < at[0]
    where = 0 if side > 0 else int(kept.sum())
    point = equation.evaluate(np.array([zeta]), v.reshape(-1, 1))
    rates = np.append(1.0 / zeta, point.rates[:, 0] / v) / point.slope[0]
    some = arc.part(kept)
    rest = replace(
        some,
        first=cut if side > 0 else arc.first,
        last=arc.last if side > 0 else cut,
        log_u=np.insert(some.log_u, where, at[0]),
        zeta=np.insert(some.zeta.astype(complex), where, zeta),
        v=np.insert(some.v.astype(complex), where, v, axis=1),
        rates=np.insert(some.rates, where, rates, axis=1),
        turns=np.insert(some.turns, where, np.nan, axis=1),
    )
    return rest, beside
