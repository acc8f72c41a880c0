"""All gaps of a law of finitely many atoms times Marchenko-Pastur laws, each found for itself.

With one law known through ψ, taken once, λ is an elementary function of y = 1/v: λ ∝ y Π_i (1 + a_i ψ)^{n_i},
ψ(y) = Σ_k p_k t_k/(y − t_k).  Gaps are the intervals of y between neighbouring t_k on which λ grows with y: the
factors one by one, for after each the next slope 1 − c∫t²/(y − t)² dμ(t) is concave between two bulks of μ.  Nothing
is followed from gap to gap, so that hundreds of atoms are no harder than two.

Source
------
Silverstein, Choi, J. Multivariate Anal. 54 (1995), 295-309, Theorems 4.1 and 4.2.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ._types import Array
from .bulk import BulkWalker
from .continuation import locate
from .course import Course
from .errors import ConvergenceError
from .master import MasterEquation
from .walker import Edge, Survey

# Steps of the search for the largest slope between two atoms, where any positive one will do, and of bisections, which
# end when no double is left.
SECTIONS, BISECTIONS = 80, 200
GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
# Points of a table over a bulk through which no walk led.
TABLE = 24
# How well, in log u, a walk must meet the edge that is known.
MEETS = 1e-7
# A ratio of widths this near 1 is 1: the density goes down to 0.
HARD = 1e-12


def applies(equation: MasterEquation) -> bool:
    """Whether λ is that function of y: one law of atoms, once, and whole powers of 1 + r w below."""
    if len(equation.factors) != 1:
        return False
    powers = _powers(equation).values()
    once = equation.is_algebraic and equation.factors[0].count == 1.0
    return once and bool(powers) and all(n == round(n) > 0.0 for n in powers)


def _powers(equation: MasterEquation) -> dict[float, float]:
    """The n_i at a_i."""
    ratio = equation.factors[0].ratio
    powers = {r / ratio: -e for r, e in equation.shifts}
    powers[1.0] = powers.get(1.0, 0.0) - 1.0
    return {a: n for a, n in powers.items() if n}


class _Line:
    """λ(y) and the slopes of its factors, for many y at once."""

    def __init__(self, equation: MasterEquation) -> None:
        law = equation.factors[0].law
        order = np.argsort(law.points.real)
        self.t, self.p = law.points.real[order], law.weights.real[order]
        self.stages = [a for a, n in sorted(_powers(equation).items()) for _ in range(round(n))]

    def sums(self, y: Array) -> tuple[Array, Array]:
        """ψ and −y dψ/dy."""
        away = y[:, None] - self.t
        part = self.p * self.t / away
        return part.sum(1), y * (part / away).sum(1)

    def slope(self, y: Array, stage: int) -> Array:
        """dλ_j/dλ_{j−1}, λ_j the product of so many factors: a gap remains one where it is positive."""
        psi, fall = self.sums(y)
        # d log λ_{j−1}/d log y.
        rate, slope = np.ones(y.size), np.ones(y.size)
        for a in self.stages[: stage + 1]:
            # At its ends, where rounding may have left the gap, −∞.
            slope = np.where(slope > 0.0, 1.0 + a * psi - a * fall / rate, -math.inf)
            rate = rate - a * fall / (1.0 + a * psi)
        return slope

    def place(self, y: Array) -> Array:
        """λ, up to a constant."""
        psi, _ = self.sums(y)
        return y * np.prod([1.0 + a * psi for a in self.stages], axis=0)


def gaps(equation: MasterEquation) -> list[tuple[float | None, float | None]]:
    """The gaps of λ > 0, from above: y at their upper and their lower ends; None at infinity and where λ = 0."""
    line = _Line(equation)
    far = 1e3 * (1.0 + sum(line.stages)) ** 2 * line.t[-1]
    low, high = np.append(-far, line.t), np.append(line.t, far)
    with np.errstate(all="ignore"):
        for stage in range(len(line.stages)):
            top = _highest(line, low, high, stage)
            some = line.slope(top, stage) > 0.0
            low, high, top = low[some], high[some], top[some]
            low, high = _crossing(line, low, top, stage), _crossing(line, high, top, stage)
        # The last of them ends where λ = 0.  It is empty, and the density goes down to 0, where the narrowest layer is
        # as wide as the rank of the law.
        last, hard = low == -far, abs(line.stages[-1] - 1.0) < HARD
        positive = (line.place(high) > 0.0) & ~(last & hard)
        bottom = (line.place(low) > 0.0) & ~last
    low, high, bottom = low[positive][::-1], high[positive][::-1], bottom[positive][::-1]
    ends = zip(high.tolist(), low.tolist(), bottom.tolist(), strict=True)
    return [(None if k == 0 else top, end if some else None) for k, (top, end, some) in enumerate(ends)]


def _highest(line: _Line, low: Array, high: Array, stage: int) -> Array:
    """Where the slope is largest in each interval: it has one maximum there, or none but at infinity."""
    low, high = low.copy(), high.copy()
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = line.slope(left, stage), line.slope(right, stage)
    for _ in range(SECTIONS):
        # NaN, at an end, is no maximum.
        rises = ~(at_left >= at_right)
        low, high = np.where(rises, left, low), np.where(rises, high, right)
        inner = np.where(rises, low + GOLDEN * (high - low), high - GOLDEN * (high - low))
        value = line.slope(inner, stage)
        left, right = np.where(rises, right, inner), np.where(rises, inner, left)
        at_left, at_right = np.where(rises, at_right, value), np.where(rises, value, at_left)
    return np.where(at_left >= at_right, left, right)


def _crossing(line: _Line, outer: Array, inner: Array, stage: int) -> Array:
    """The zero of the slope between an end of an interval, where it is −∞, and a point where it is positive.

    An end at infinity, where it is positive, too, is returned as it is.
    """
    open_ = line.slope(outer, stage) > 0.0
    low, high = outer.copy(), inner.copy()
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if np.all((middle == low) | (middle == high)):
            break
        positive = line.slope(middle, stage) > 0.0
        low, high = np.where(positive, low, middle), np.where(positive, middle, high)
    return np.where(open_, outer, high)


class _Walk(BulkWalker):
    """From edge to edge, both known, over one bulk after the other."""

    def edge(self, y: float) -> Edge:
        """The critical point at v = 1/y."""
        v = np.array([1.0 / y], complex)
        psi = self.equation.stack.evaluate(v[:, None], 1)[0][0, 0]
        zeta = complex(psi / (self.equation.omegas[0, 0] + psi))
        return Edge(zeta, v, float(self._point(zeta, v).log_u.real))

    def run(self, ends: list[tuple[Edge, Edge | None]]) -> Survey:
        for first, last in ends:
            count = len(self.arcs)
            try:
                self._walked(first, last)
            except ConvergenceError:
                del self.arcs[count:]
                self._tabulated(first, last)
        return Survey(tuple(self.arcs), (), self.steps)

    def _walked(self, first: Edge, last: Edge | None) -> None:
        """Follow the solution, which must come down where the bulk ends."""
        left = self._leave(first)
        if left is None:
            raise ConvergenceError("nothing begins at an edge")
        _, landing = self._bulk(first, *left)
        same = landing is None if last is None else landing is not None and _meet(landing, last)
        if not same:
            raise ConvergenceError("a bulk was left where it does not end")
        self.arcs[-1] = replace(self.arcs[-1], first=first, last=last)

    def _tabulated(self, first: Edge, last: Edge | None) -> None:
        """The solution at some points, each found for itself."""
        if last is None:
            raise ConvergenceError("the bulk at 0 could not be followed")
        turn = 0.5 - 0.5 * np.cos(math.pi * (np.arange(TABLE) + 0.5) / TABLE)
        log_u = first.log_u + (last.log_u - first.log_u) * turn
        roots = locate(self.equation, log_u)
        if not roots.certified.all():
            raise ConvergenceError("points inside a bulk were not found")
        rows = []
        for u, zeta, v in zip(log_u, roots.zeta, roots.v.T, strict=True):
            here = Course.at(self._evaluator.spot(complex(zeta), v.tolist()))
            rows.append([u, *here.values, *here.first, *here.second])
        self._keep(first, last, np.array(rows, complex), 0.0)


def _meet(one: Edge, other: Edge) -> bool:
    return abs(one.log_u - other.log_u) < MEETS * (1.0 + abs(other.log_u))


def survey(equation: MasterEquation) -> Survey:
    """The shape of the law of an equation to which this `applies`."""
    with np.errstate(all="ignore"):
        found = gaps(equation)
        walk = _Walk(equation)
        tops = [top for top, _ in found[1:]] + ([] if found[-1][1] is None else [None])
        firsts = [bottom for _, bottom in found if bottom is not None]
        return walk.run(
            [(walk.edge(a), None if b is None else walk.edge(b)) for a, b in zip(firsts, tops, strict=True)]
        )
