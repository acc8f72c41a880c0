"""Where JJᵀ of a chain of blocks has a density: a look at the whole range, and the edges one by one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._types import Array
from ..chebyshev import nodes
from ..errors import ConvergenceError
from .known import Equation, Known, density_at

# Density in U below which there is none at a glance.
NOTHING = 1e-3
# Points of the first look, and how much of U about the mean it is over; a density at which more is looked at.
LOOK, ABOVE, BELOW, SLIGHT = 48, (4.0, 8.0, 16.0, math.inf), 5.0, 1e-6
# Steps in U beyond that, the longest, and one at which the end of a density has been met; a density that has faded
# away, and what is none at all; steps at most.
STEP, LONGEST, SHORTEST, FAINT, LEAST, STEPS = 0.3, 1.5, 0.05, 1e-7, 1e-13, 400
# The range is looked at so far beyond its ends.
MARGIN = 0.1
# Points between the last one inside a bulk and the first outside, at each of so many closer looks, where fewer than so
# many points are inside.
CLOSER, LOOKS, ENOUGH = 8, 2, 12
# Points and degree of the fit of p², which vanishes linearly at an edge, and lengths of it relative to the bulk.
EDGE_POINTS, EDGE_DEGREE = 14, 9
EDGE_LENGTHS = (0.1, 0.03, 0.01)
# Places from which an edge is looked for again.
NEARER = (0.05, 0.02, 0.008, 0.003)
# Two fits must agree on an edge so well, relative to the bulk.
EDGE_AGREES = 1e-8
# Rounds and places in each for a closer look at a valley of the density.
VALLEYS, IN_VALLEY = 3, 6
# Residual at which a look is over.
LOOKED = 1e-5


class Bulk(NamedTuple):
    """An interval of U with a density, and solutions inside; `high` is ∞ where it fades, λ → 0."""

    low: float
    high: float
    known: Known


def bulks_of(equation: Equation) -> list[Bulk]:
    """All bulks, U increasing.

    Raises
    ------
    ConvergenceError : no density was found, or an edge is not that of a square root.
    """
    low, high = equation.log_range
    low, high = low - MARGIN, high + MARGIN
    # Norms bound λ from far off; a way from the mean is as good, where nothing is found at its end.
    for above in ABOVE:
        first = max(low, -equation.log_mean - above)
        if first == low or not density_at(equation, np.array([first]), stop=LOOKED)[0][0] > SLIGHT:
            break
    u = np.linspace(first, min(high, BELOW - equation.log_mean), LOOK)
    density, found = density_at(equation, u, stop=LOOKED)
    # Outside of the bulks the solution is real.
    inside, x = _spread(equation, u, density > NOTHING, found.x)
    u, inside, x = _with_valleys(equation, u, np.where(inside, density, 0.0), inside, x)
    known = Known(low, math.inf, u[inside], x[inside])
    fades = False
    if inside[-1] and high > u[-1]:
        more, fades = _onward(equation, known, high)
        u, inside = np.append(u, more), np.append(inside, np.isin(more, known.u))
    if not inside.any():
        raise ConvergenceError("no density was found for these blocks")
    turns = np.flatnonzero(inside[1:] != inside[:-1])
    brackets = [(float(u[k]), float(u[k + 1])) for k in turns]
    if inside.sum() < ENOUGH * len(brackets) // 2:
        brackets = [_closer(equation, a, b, known) for a, b in brackets]
    edges = [_edge(equation, a, b, known, outward=k % 2 == 1) for k, (a, b) in enumerate(brackets)]
    edges += [math.inf] * fades
    return [Bulk(a, b, known.between(a, b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _spread(equation: Equation, u: Array, inside: Array, x: Array) -> tuple[Array, Array]:
    """The same, where what follows a density has been tried from it: real solutions may mislead where λ → 0."""
    inside, x = inside.copy(), x.copy()
    for k in range(1, u.size):
        if inside[k - 1] and not inside[k]:
            found = equation.solve(np.exp(u[k : k + 1]).astype(complex), x[k - 1 : k], stop=LOOKED)
            inside[k] = found.inside[0] and found.residual[0] < LOOKED and -found.psi.imag[0] > NOTHING * math.pi
            x[k] = found.x[0]
    return inside, x


def _with_valleys(equation: Equation, u: Array, density: Array, inside: Array, x: Array) -> tuple[Array, Array, Array]:
    """The same with more places about every lowest one amid a bulk: a gap there may be narrower than the steps."""
    for _ in range(VALLEYS):
        lowest = (density[1:-1] < density[:-2]) & (density[1:-1] < density[2:]) & inside[1:-1]
        places = [np.linspace(u[k], u[k + 2], IN_VALLEY + 2)[1:-1] for k in np.flatnonzero(lowest)]
        if not places:
            break
        more = np.setdiff1d(np.concatenate(places), u)
        known = Known(-math.inf, math.inf, u[inside], x[inside])
        start = known.x[np.abs(known.u[None, :] - more[:, None]).argmin(axis=1)]
        found = equation.solve(np.exp(more).astype(complex), start, stop=LOOKED)
        dense = np.where(found.inside, -found.psi.imag / math.pi, 0.0)
        order = np.argsort(np.append(u, more))
        u, density = np.append(u, more)[order], np.append(density, dense)[order]
        inside, x = np.append(inside, dense > NOTHING)[order], np.concatenate([x, found.x])[order]
    return u, inside, x


def _onward(equation: Equation, known: Known, high: float) -> tuple[Array, bool]:
    """Places beyond the last one that is known, one by one, to where there is no density, and whether it faded away.

    Raises
    ------
    ConvergenceError : neither happens.
    """
    places, step = [], STEP
    while len(places) < STEPS:
        at = min(float(known.u[-1]) + step, high)
        last, before = known.x[-1], known.x[-2]
        # Powers of λ, as far as one knows.
        ahead = np.clip(np.log(np.abs(last / before)) * (at - known.u[-1]) / (known.u[-1] - known.u[-2]), -2.0, 2.0)
        found = equation.solve(np.exp([at]).astype(complex), (last * np.exp(ahead))[None])
        density = float(-found.psi.imag[0] / math.pi)
        if found.solved[0] and density > LEAST:
            known.add(np.array([at]), found.x)
            places.append(at)
            step = min(1.2 * step, LONGEST)
            if density < FAINT:
                return np.array(places), True
        elif step > SHORTEST:
            step *= 0.4
        elif found.solved[0]:
            return np.append(places, at), False
        else:
            break
    raise ConvergenceError(f"the density was lost on the way to λ = 0, at λ = {math.exp(-known.u[-1]):.3g}")


def _closer(equation: Equation, a: float, b: float, known: Known) -> tuple[float, float]:
    """Narrow the bracket of an edge."""
    for _ in range(LOOKS):
        u = np.linspace(a, b, CLOSER)
        density, found = density_at(equation, u, stop=LOOKED)
        inside = density > NOTHING
        known.add(u[inside], found.x[inside])
        turns = np.flatnonzero(inside[1:] != inside[:-1])
        if not turns.size:
            break
        a, b = float(u[turns[0]]), float(u[turns[0] + 1])
    return a, b


def _edge(equation: Equation, a: float, b: float, known: Known, *, outward: bool) -> float:
    """U at the edge between a and b: a critical point of the equation, or from what the density does beside it."""
    inner, outer = (a, b) if outward else (b, a)
    near = np.argsort(np.abs(known.u - inner))[:2]
    reach = abs(b - a) + 0.5 * float(np.ptp(known.u[near]))
    for k in near:
        at = equation.edge_near(float(known.u[k]), known.x[k])
        # A density of less than was looked for may reach a little beyond.
        if at is not None and min(a, b) - 0.2 * reach < at < max(a, b) + 0.2 * reach:
            return at
    low, high = _closer(equation, min(a, b), max(a, b), known)
    inner, outer = (low, high) if outward else (high, low)
    for k in np.argsort(np.abs(known.u - inner))[:3]:
        at = equation.edge_near(float(known.u[k]), known.x[k])
        if at is not None and min(a, b) - 0.2 * reach < at < max(a, b) + 0.2 * reach:
            return at
    same = known.u[(known.u - inner) * (outer - inner) <= 0.0]
    length = float(np.ptp(same[np.argsort(np.abs(same - inner))[: 2 * ENOUGH]])) or reach
    return _extrapolated(equation, inner, outer, length)


def edge_again(equation: Equation, bulk: Bulk, end: float) -> float | None:
    """Where an edge that was found at `end` is, from places closer and closer to it; None where that is not found."""
    length = min(bulk.high, float(bulk.known.u.max())) - bulk.low
    side = 1.0 if end == bulk.low else -1.0
    for part in NEARER:
        u = np.array([end + side * part * min(length, 1.0)])
        density, found = density_at(equation, u, bulk.known)
        if found.solved[0] and density[0] > 0.0:
            at = equation.edge_near(float(u[0]), found.x[0])
            if at is not None and abs(at - end) < part * min(length, 1.0):
                return at
    return None


def _extrapolated(equation: Equation, inner: float, outer: float, length: float) -> float:
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
