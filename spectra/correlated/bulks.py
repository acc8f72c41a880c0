"""Where JJᵀ of a chain of blocks has a density: a look at the whole range, and the edges one by one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._types import Array
from ..errors import ConvergenceError
from .edge import edge_beside
from .known import Equation, Known, density_at, scale_of
from .solution import Solution

# Lengths in U here, and one over densities, are those of an ordinary law; of a narrow one they are so much smaller as
# `scale_of` says.  Density below which there is none at a glance.
NOTHING = 1e-3
# Points of the first look, and how much of U about the mean it is over; a density at which more is looked at.
LOOK, ABOVE, BELOW, SLIGHT = 48, (4.0, 8.0, 16.0, math.inf), 5.0, 1e-6
# Distances in U from an atom at which there is a look.
BESIDE = 10.0 ** np.arange(-2.5, -0.9, 0.5)
# The same where there is none, but for small slopes.
NEARLY = 10.0 ** np.arange(-4.0, -0.9, 0.25)
# Of one with a mass, about which there is a gap, no nearer than this.
APART = 0.009
# The way to the place of one without mass: each step ends at this part of the distance, the last at this distance.
NEARER, NEXT = 0.8, 1e-6
# Steps in U beyond that, the longest, and one at which the end of a density has been met; a density that has faded
# away, and what is none at all; steps at most.
STEP, LONGEST, SHORTEST, FAINT, LEAST, STEPS = 0.3, 1.5, 0.05, 1e-7, 1e-13, 400
# One so small may be left to its slope where it is lost.
DIM = 1e-5
# A density that fades falls by no more than e^{−8 U}; where it falls by more, and to less than this part, it has ended.
STEEP, ENDED = 8.0, 0.05
# Looks at what lies below λ of which there is too little, places in each, and what counts as all of the mass.
FARTHER, AHEAD, ALL = 6, 32, 1.0 - 1e-6
# The range is looked at so far beyond its ends.
MARGIN = 0.1
# Points between the last one inside a bulk and the first outside, at each of so many closer looks, where fewer than so
# many points are inside.
CLOSER, LOOKS, ENOUGH = 8, 2, 12
# Distances from which an edge is looked for again, relative to the bulk.
AGAIN = (0.05, 0.02, 0.008, 0.003)
# Rounds and places in each for a closer look at a valley of the density.
VALLEYS, IN_VALLEY = 3, 6
# Residual at which a look is over.
LOOKED = 1e-5


class Bulk(NamedTuple):
    """An interval of U with a density, and solutions inside; `high` is ∞ where it fades, λ → 0.

    `exponents` of the density in the distance to its ends: ½, or −½ at the place of an atom whose mass is 0.
    """

    low: float
    high: float
    known: Known
    exponents: tuple[float, float] = (0.5, 0.5)


def bulks_of(equation: Equation) -> list[Bulk]:
    """All bulks, U increasing.

    Raises
    ------
    ConvergenceError : no density was found, or an edge is not that of a square root.
    """
    low, high = equation.log_range
    scale = scale_of(equation.log_range)
    low, high = low - MARGIN * scale, high + MARGIN * scale
    # Norms bound λ from far off; a way from the mean is as good, where nothing is found at its end.
    for above in ABOVE:
        first = max(low, -equation.log_mean - above)
        if first == low or not density_at(equation, np.array([first]), stop=LOOKED)[0][0] > SLIGHT:
            break
    u = _looked_at(equation, first, min(high, BELOW - equation.log_mean))
    density, found = density_at(equation, u, stop=LOOKED)
    # Outside of the bulks the solution is real.
    nothing = NOTHING / scale
    inside, x = _spread(equation, u, density > nothing, found.x)
    if not inside[-1]:
        u, density, found = _beyond(equation, u, density, found, high)
        inside, x = _spread(equation, u, density > nothing, found.x)
    u, inside, x = _with_valleys(equation, u, np.where(inside, density, 0.0), inside, x)
    known = Known(low, math.inf, u[inside], x[inside])
    atom = equation.atom
    fades = False
    if inside[-1] and high > u[-1]:
        more, fades = _onward(equation, known, high)
        u, inside = np.append(u, more), np.append(inside, np.isin(more, known.u))
    if not inside.any():
        raise ConvergenceError("no density was found for these blocks")
    if atom is not None:
        if atom.mass == 0.0:
            u, inside = _towards(equation, atom.place, known, u, inside)
        place = int(np.searchsorted(u, atom.place))
        u, inside = np.insert(u, place, atom.place), np.insert(inside, place, False)
    turns = np.flatnonzero(inside[1:] != inside[:-1])
    brackets = [(float(u[k]), float(u[k + 1])) for k in turns]
    # Where an atom has just lost its mass, a density ends in its place.
    hard = atom.place if atom is not None and atom.mass == 0.0 else math.nan
    if inside.sum() < ENOUGH * len(brackets) // 2:
        brackets = [(a, b) if hard in (a, b) else _closer(equation, a, b, known) for a, b in brackets]
    edges = [
        hard if hard in (a, b) else _edge(equation, a, b, known, outward=k % 2 == 1)
        for k, (a, b) in enumerate(brackets)
    ]
    edges += [math.inf] * fades
    return [
        Bulk(a, b, known.between(a, b), (-0.5 if a == hard else 0.5, -0.5 if b == hard else 0.5))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def _looked_at(equation: Equation, low: float, high: float) -> Array:
    """Places from end to end, more beside an atom, or where few small slopes leave what is nearly one; not its own."""
    u, atom, scale = np.linspace(low, high, LOOK), equation.atom, scale_of(equation.log_range)
    if atom is None:
        place, beside, least = equation.skipped, NEARLY, 0.0
        if place is None:
            return u
    else:
        place, beside, least = atom.place, BESIDE, APART if atom.mass else 0.5 * BESIDE[0]
    u = np.concatenate([u, place - scale * beside, place + scale * beside])
    return np.unique(u[(u >= low) & (u <= high) & (np.abs(u - place) > scale * least)])


def _beyond(
    equation: Equation, u: Array, density: Array, found: Solution, high: float
) -> tuple[Array, Array, Solution]:
    """The same with places farther on, where the last ones say that mass is left there.

    Every λ > 1/u adds less than minus its mass to ψ(u), so that ψ > −1 + m_0 in a gap is for those below.
    """
    scale = scale_of(equation.log_range)
    step, nothing = STEP * scale, NOTHING / scale
    for _ in range(FARTHER):
        settled = found.inside[-1] and found.residual[-1] < LOOKED
        if density[-1] > nothing or not (settled and found.psi[-1].real > (1.0 - equation.zero) * -ALL):
            break
        more = np.arange(u[-1] + step, min(high, u[-1] + AHEAD * step), step)
        if not more.size:
            break
        dense, _ = density_at(equation, more, stop=LOOKED)
        dense_there = np.flatnonzero(dense > nothing)
        # What comes after them is for steps one by one: a density may fade away.
        more = more[: dense_there[-1] + 1] if dense_there.size else more[-1:]
        dense, beyond = density_at(equation, more, stop=LOOKED)
        u, density, found = np.append(u, more), np.append(density, dense), found.followed_by(beyond)
    return u, density, found


def _towards(equation: Equation, place: float, known: Known, u: Array, inside: Array) -> tuple[Array, Array]:
    """Places and whether they are inside, with more on either side of `place`, up to it or to where a density ends."""
    scale = scale_of(equation.log_range)
    for side in (-1.0, 1.0):
        one, other = np.argsort(np.where(side * (u - place) > 0.0, np.abs(u - place), np.inf))[:2]
        if not (inside[one] and inside[other]):
            continue
        before, x = (known.x[known.u == u[k]] for k in (other, one))
        away, within = abs(float(u[one]) - place), True
        step = math.log(abs(float(u[one]) - place) / abs(float(u[other]) - place))
        while within and away > NEXT * scale:
            away *= NEARER
            at = np.array([place + side * away])
            # Unknowns are, or go like, powers of the distance.
            found = equation.solve(np.exp(at).astype(complex), x + (x - before) * (math.log(NEARER) / step))
            within = bool(found.solved[0] and -found.psi.imag[0] * scale > NOTHING * math.pi)
            if within:
                before, x, step = x, found.x, math.log(NEARER)
                known.add(at, x)
            u, inside = np.append(u, at), np.append(inside, within)
    order = np.argsort(u)
    return u[order], inside[order]


def _spread(equation: Equation, u: Array, inside: Array, x: Array) -> tuple[Array, Array]:
    """The same, where what follows a density has been tried from it: real solutions may mislead where λ → 0."""
    inside, x, scale = inside.copy(), x.copy(), scale_of(equation.log_range)
    for k in range(1, u.size):
        if inside[k - 1] and not inside[k]:
            found = equation.solve(np.exp(u[k : k + 1]).astype(complex), x[k - 1 : k], stop=LOOKED)
            inside[k] = (
                found.inside[0] and found.residual[0] < LOOKED and -found.psi.imag[0] * scale > NOTHING * math.pi
            )
            x[k] = found.x[0]
    return inside, x


def _with_valleys(equation: Equation, u: Array, density: Array, inside: Array, x: Array) -> tuple[Array, Array, Array]:
    """The same with more places about every lowest one amid a bulk: a gap there may be narrower than the steps."""
    scale = scale_of(equation.log_range)
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
        inside, x = np.append(inside, dense * scale > NOTHING)[order], np.concatenate([x, found.x])[order]
    return u, inside, x


def _onward(equation: Equation, known: Known, high: float) -> tuple[Array, bool]:
    """Places beyond the last one that is known, one by one, to where there is no density, and whether it faded away.

    Raises
    ------
    ConvergenceError : neither happens.
    """
    places, step, latest = [], STEP, 0.0
    while len(places) < STEPS:
        at = min(float(known.u[-1]) + step, high)
        last, before = known.x[-1], known.x[-2]
        # Powers of λ, as far as one knows.
        ahead = np.clip(np.log(np.abs(last / before)) * (at - known.u[-1]) / (known.u[-1] - known.u[-2]), -2.0, 2.0)
        found = equation.solve(np.exp([at]).astype(complex), (last * np.exp(ahead))[None])
        density = float(-found.psi.imag[0] / math.pi)
        least = max(LEAST, latest * min(ENDED, math.exp(-STEEP * step)))
        if found.solved[0] and density > least:
            known.add(np.array([at]), found.x)
            places.append(at)
            latest = density
            step = min(1.2 * step, LONGEST)
            if density < FAINT:
                return np.array(places), True
        elif step > SHORTEST:
            step *= 0.4
        elif found.solved[0]:
            return np.append(places, at), False
        else:
            break
    if 0.0 < latest < DIM:
        return np.array(places), True
    raise ConvergenceError(f"the density was lost on the way to λ = 0, at λ = {math.exp(-known.u[-1]):.3g}")


def _closer(equation: Equation, a: float, b: float, known: Known) -> tuple[float, float]:
    """Narrow the bracket of an edge."""
    for _ in range(LOOKS):
        u = np.linspace(a, b, CLOSER)
        density, found = density_at(equation, u, stop=LOOKED)
        inside = density * scale_of(equation.log_range) > NOTHING
        known.add(u[inside], found.x[inside])
        turns = np.flatnonzero(inside[1:] != inside[:-1])
        if not turns.size:
            break
        a, b = float(u[turns[0]]), float(u[turns[0] + 1])
    return a, b


def _edge(equation: Equation, a: float, b: float, known: Known, *, outward: bool) -> float:
    """U at the edge between a and b: a critical point of the equation, or from what the density does beside it."""
    inner = a if outward else b
    near = np.argsort(np.abs(known.u - inner))[:2]
    reach = abs(b - a) + 0.5 * float(np.ptp(known.u[near]))

    def seen(places: Array) -> float | None:
        for k in places:
            at = equation.edge_near(float(known.u[k]), known.x[k])
            # A density of less than was looked for may reach a little beyond.
            if at is not None and min(a, b) - 0.2 * reach < at < max(a, b) + 0.2 * reach:
                return at
        return None

    at = seen(near)
    if at is not None:
        return at
    low, high = _closer(equation, min(a, b), max(a, b), known)
    inner = low if outward else high
    at = seen(np.argsort(np.abs(known.u - inner))[:3])
    if at is not None:
        return at
    nearest = int(np.argmin(np.abs(known.u - inner)))
    at = edge_beside(equation, float(known.u[nearest]), known.x[nearest])
    if at is None or not min(a, b) - reach < at < max(a, b) + reach:
        raise ConvergenceError(
            f"the edge near λ = {math.exp(-inner):.6g} was not found, or is not that of a square root"
        )
    return at


def edge_again(equation: Equation, bulk: Bulk, end: float) -> float | None:
    """Where an edge that was found at `end` is, from places closer and closer to it; None where that is not found."""
    length = min(bulk.high, float(bulk.known.u.max())) - bulk.low
    side = 1.0 if end == bulk.low else -1.0
    for part in AGAIN:
        u = np.array([end + side * part * min(length, 1.0)])
        density, found = density_at(equation, u, bulk.known)
        if found.solved[0] and density[0] > 0.0:
            at = equation.edge_near(float(u[0]), found.x[0])
            if at is not None and abs(at - end) < part * min(length, 1.0):
                return at
    return None
