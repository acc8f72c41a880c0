"""The density of JJᵀ of a chain of blocks: where it is, its square-root edges, and a chart of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .._types import Array
from ..chart import DEGREE, FIT, NODES, Chart
from ..chebyshev import nodes
from ..errors import ConvergenceError
from .solution import STOP, Solution

# Density in U below which there is none at a glance, points of the first look at the whole range.
NOTHING, LOOK, FADED = 1e-3, 48, 1e-9
# The range is looked at so far beyond its ends, and so far at most.
MARGIN, FARTHEST = 0.1, 40.0
# Points between the last one inside a bulk and the first outside, at each of so many closer looks.
CLOSER, LOOKS = 8, 2
# Points and degree of the fit of p², which vanishes linearly at an edge, and lengths of it relative to the bulk.
EDGE_POINTS, EDGE_DEGREE = 14, 9
EDGE_LENGTHS = (0.1, 0.03, 0.01)
# Two fits must agree on an edge so well, relative to the bulk.
EDGE_AGREES = 1e-8
# Last Chebyshev coefficients of log p below this; pieces at first, and rounds of halving.
RESOLUTION, PIECES, ROUNDS = 1e-10, 6, 8
# Points known on a bulk from which others may be guessed.
LEAST_KNOWN = 20
# Residual at which a look is over.
LOOKED = 1e-5


class Equation(Protocol):
    """What is asked of an equation of JJᵀ here."""

    @property
    def unknowns(self) -> int:
        """Numbers that are solved for at each λ."""
        ...

    @property
    def log_range(self) -> tuple[float, float]:
        """U = −log λ between which all of the support lies; ∞ where it may reach λ = 0."""
        ...

    def solve(self, u: Array, start: Array | None = None, *, stop: float = STOP) -> Solution:
        """Solve at u = 1/λ (M,), Im u ≤ 0; `start`: unknowns (M, n) nearby."""
        ...


@dataclass
class Known:
    """Solutions so far on one bulk, from which those between them are guessed."""

    low: float
    high: float
    u: Array
    x: Array

    def near(self, u: Array) -> Array:
        """Unknowns at `u` (M, n), by cubics in the angle along the bulk, in which edges are smooth."""
        angle = np.arccos(np.clip(1.0 - 2.0 * (np.append(self.u, u) - self.low) / (self.high - self.low), -1.0, 1.0))
        known, order = angle[: self.u.size], np.argsort(angle[: self.u.size])
        known = known[order]
        at = np.clip(angle[self.u.size :], known[0], known[-1])
        # Of the known ones the four around each.
        first = np.clip(np.searchsorted(known, at) - 2, 0, known.size - 4)
        four = first[:, None] + np.arange(4)
        places = known[four]
        apart = places[:, :, None] - places[:, None, :] + np.eye(4)
        away = at[:, None] - places
        away[away == 0.0] = 1e-300
        weights = 1.0 / (np.prod(apart, axis=2) * away)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("mk,mkn->mn", weights, self.x[order[four]])

    def add(self, u: Array, found: Solution) -> None:
        """Take what was solved, and no place twice."""
        places, index = np.unique(np.append(self.u, u[found.solved]), return_index=True)
        self.u, self.x = places, np.concatenate([self.x, found.x[found.solved]])[index]


def density_at(
    equation: Equation, u: Array, known: Known | None = None, *, stop: float = STOP
) -> tuple[Array, Solution]:
    """The density p of U = −log λ at U = `u`, and the solution it comes from."""
    start = None
    if known is not None and known.u.size >= LEAST_KNOWN:
        start = known.near(u)
    found = equation.solve(np.exp(u).astype(complex), start, stop=stop)
    if known is not None:
        known.add(u, found)
    return np.where(found.inside, -found.psi.imag / math.pi, np.nan), found


# The first place beyond an edge, and the last before it.
Bracket = tuple[float, float]


def bulks_of(equation: Equation) -> list[tuple[Bracket, Bracket]]:
    """Brackets in U of both ends of every bulk.

    Raises
    ------
    ConvergenceError : no bulk was found, or the support reaches λ = 0.
    """
    low, high = equation.log_range
    low, high = low - MARGIN, min(high + MARGIN, low + FARTHEST)
    u = np.linspace(low, high, LOOK)
    inside = _inside(equation, u)
    # Outside of the bulks there is nothing at all; a density that fades towards 0 is there farther out, too.
    beyond = np.flatnonzero(inside)[-1:] + 2
    fades = bool(beyond.size and beyond[0] < u.size and density_at(equation, u[beyond])[0][0] > FADED)
    if inside[0] or inside[-1] or fades:
        raise ConvergenceError("the spectrum of these blocks reaches λ = 0, or all but: that is not available yet")
    turns = np.flatnonzero(inside[1:] != inside[:-1])
    if not turns.size:
        raise ConvergenceError("no density was found for these blocks")
    brackets = [_closer(equation, float(u[k]), float(u[k + 1])) for k in turns]
    return list(zip(brackets[::2], brackets[1::2], strict=True))


def charts_of(equation: Equation, bulks: Sequence[tuple[Bracket, Bracket]]) -> tuple[Chart, ...]:
    """Charts of the density in U.

    Raises
    ------
    ConvergenceError : an edge is not that of a square root.
    """
    charts = []
    for (outer, inner), (last, beyond) in bulks:
        length = last - inner
        begin = _edge(equation, inner, outer, length)
        end = _edge(equation, last, beyond, length)
        charts.append(chart_between(equation, begin, end))
    return tuple(charts)


def _inside(equation: Equation, u: Array) -> Array:
    # Outside of the bulks the solution is real.
    return density_at(equation, u, stop=LOOKED)[0] > NOTHING


def _closer(equation: Equation, a: float, b: float) -> tuple[float, float]:
    """Narrow the bracket of an edge."""
    for _ in range(LOOKS):
        u = np.linspace(a, b, CLOSER)
        inside = _inside(equation, u)
        k = int(np.flatnonzero(inside[1:] != inside[:-1])[0])
        a, b = float(u[k]), float(u[k + 1])
    return a, b


def _edge(equation: Equation, inner: float, outer: float, length: float) -> float:
    """U at an edge where p² vanishes linearly: the zero of polynomials through p² inside, nearer and nearer."""
    at, found = inner, []
    side = math.copysign(1.0, outer - inner)
    for part in EDGE_LENGTHS:
        reach = part * length
        u = at - side * reach * (0.52 + 0.5 * nodes(EDGE_POINTS))
        density, solved = density_at(equation, u)
        if not (solved.solved & (density > 0.0)).all():
            raise ConvergenceError(f"the density beside the edge at λ = {math.exp(-at):.6g} was not found")
        x = (u - at) / reach
        series = np.polynomial.Polynomial.fit(x, density**2, EDGE_DEGREE)
        roots = series.roots()
        real = roots[(np.abs(roots.imag) < 1e-9) & (side * roots.real > -0.02)].real
        if not real.size:
            raise ConvergenceError(f"the edge at λ = {math.exp(-at):.6g} is not that of a square root")
        at = at + reach * float(real[np.argmin(np.abs(real))])
        found.append(at)
    if not abs(found[-1] - found[-2]) < EDGE_AGREES * length:
        raise ConvergenceError(f"the edge at λ = {math.exp(-at):.6g} is known to {abs(found[-1] - found[-2]):.1e} only")
    return at


def chart_between(equation: Equation, low: float, high: float, known: Known | None = None) -> Chart:
    """Solve at Chebyshev nodes of pieces that are halved until the series of log p, its roots taken out, converge."""
    ends = np.linspace(low, high, PIECES + 1)
    open_ = [(float(a), float(b)) for a, b in itertools.pairwise(ends)]
    done: list[tuple[float, float, Array]] = []
    residual, uncertified = 0.0, 0
    if known is None:
        known = Known(low, high, np.empty(0), np.empty((0, equation.unknowns)))
        density_at(equation, 0.5 * (low + high) + 0.5 * (high - low) * NODES, known)
    for count in range(ROUNDS):
        a, b = np.array(open_).T
        u = (0.5 * (a + b))[:, None] + (0.5 * (b - a))[:, None] * NODES
        density, found = density_at(equation, u.ravel(), known)
        good = found.solved & (density > 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            log_p = np.log(np.where(good, density, np.nan)).reshape(u.shape)
        log_p -= 0.5 * np.log(u - low) + 0.5 * np.log(high - u)
        series = log_p @ FIT.T
        rough = ~(np.max(np.abs(series[:, -3:]), axis=1) < RESOLUTION)
        # In the last round the rest is taken as it is, and counted.
        taken = ~rough | (count == ROUNDS - 1)
        done += zip(a[taken], b[taken], series[taken], strict=True)
        kept = np.repeat(taken, DEGREE)
        residual = max([residual, *found.residual[kept].tolist()])
        uncertified += int(np.sum(~good[kept])) + int(np.sum(rough & taken))
        open_ = [part for k in np.flatnonzero(~taken) for part in _halves(a[k], b[k])]
        if not open_:
            break
    done.sort(key=lambda piece: piece[0])
    breaks = np.array([a for a, _, _ in done] + [done[-1][1]])
    coefficients = np.array([row for _, _, row in done])
    return Chart(low, high, 0.5, 0.5, breaks, coefficients, 0.0, residual, uncertified)


def _halves(a: float, b: float) -> list[tuple[float, float]]:
    middle = 0.5 * (a + b)
    return [(a, middle), (middle, b)]
