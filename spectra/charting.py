"""Solving at Chebyshev nodes along an arc, in pieces that are divided until the series of the density converge."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .chart import MAX_ROUNDS, RESOLUTION, Chart
from .chebyshev import slope_at_end
from .errors import ConvergenceError
from .guess import Guess, solve_nodes
from .joining import joined, missed
from .master import MasterEquation
from .pieces import TAIL_RESOLUTION, Pieces, Span
from .walker import Arc

# What the polynomial through the second and the fourth point beside an edge misses the third by where the density there
# has a scale that is shorter than these steps.
ROUGH_EDGE = 3e-3
# What is missed goes like this power of the last coefficients of a series.
LOST_BY_MISSED = 0.38
# Mass beyond a smooth piece that its slope may stand for where the rest is rounding.
LEFT = 1e-13
MAX_PIECES = 3000
# Log density in U above which a tail that rises out of nothing is taken.
RISEN = -37.0


def chart(equation: MasterEquation, arc: Arc) -> Chart:
    """Solve at Chebyshev nodes along the arc, dividing pieces until the series converge."""
    if arc.first is None:
        begin = max(0, int(np.argmax(equation.log_share(arc.zeta) > RISEN)) - 1)
        arc = arc.part(slice(begin, None))
    span = Span(equation, arc)
    guess = Guess(arc, span.low, span.high, bool(span.exponent_low), bool(span.exponent_high))
    breaks = _first_breaks(arc, span.low, span.high)
    before, start = np.full(len(breaks), np.inf), None
    done: list[tuple[Array, Array, Array]] = []
    judged: list[tuple[float, int, int]] = []
    solved: list[tuple[Array, Array, Array]] = []
    count_done = 0
    for count in range(MAX_ROUNDS):
        pieces = Pieces(equation, span, breaks, before)
        u, exact = pieces.u.ravel(), pieces.exact.ravel()
        if start is None:
            roots = solve_nodes(equation, *guess(u), u, exact)
        else:
            # The polynomials of parents are as good as their roots.
            roots = solve_nodes(equation, *start, u, exact, rough_steps=0)
        pieces.take(roots)
        finished = pieces.finished(count)
        done.append(pieces.series(finished))
        count_done += len(done[-1][0])
        judged.append(pieces.judged(finished))
        solved.append(pieces.solutions(finished))
        rest = np.flatnonzero(~finished)
        if not rest.size:
            break
        if count_done + 2 * rest.size > MAX_PIECES:
            raise ConvergenceError(f"the density on one arc needs more than {MAX_PIECES} pieces")
        breaks, before, start = pieces.divided(rest)
        if start is None:
            guess.refine(u, roots)
    else:
        raise ConvergenceError(f"the density on one arc was not resolved in {MAX_ROUNDS} bisections")
    low, high, table = done[0] if len(done) == 1 else (np.concatenate(rows) for rows in zip(*done, strict=True))
    if len(done) > 1:
        order = np.argsort(low)
        low, high, table = low[order], high[order], table[order]
    slope = 0.0
    if arc.last is None:
        shown, slope = _tail(low, high, table, span, arc.fading)
        low, high, table = low[:shown], high[:shown], table[:shown]
    ends = np.append(low, high[-1])
    residuals, uncertified, thin = zip(*judged, strict=True)
    made = Chart(
        low=span.low,
        high=float(ends[-1]),
        exponent_low=span.exponent_low,
        exponent_high=span.exponent_high,
        breaks=ends,
        coefficients=table,
        slope=slope,
        residual=max(residuals),
        uncertified=sum(uncertified),
        low_tail=span.low_tail,
        thin=sum(thin),
        until=arc.until,
        solutions=solved[0] if len(solved) == 1 else _together(solved),
    )
    return _resolved_in_mass(made)


def _together(solved: list[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
    u, zeta, v = (np.concatenate(rows, axis=-1) for rows in zip(*solved, strict=True))
    return u, zeta, v


def _tail(low: Array, high: Array, table: Array, span: Span, fading: float) -> tuple[int, float]:
    """How many pieces show a density that fades, and d log p/dU at the end of the last of these.

    Pieces beyond that are rounding are left out where the slope before says that next to nothing is there.
    """
    smooth = np.flatnonzero(np.abs(table[:, -3:]).max(axis=1) < TAIL_RESOLUTION)
    k = int(smooth[-1]) if smooth.size else 0
    slope = _slope(table[k], low[k], high[k], span)
    if smooth.size and k + 1 < len(table) and slope < 0.0:
        log_p = float(table[k].sum()) + (span.exponent_low * math.log(high[k] - span.low) if span.exponent_low else 0.0)
        if math.exp(log_p) < -slope * LEFT:
            return k + 1, slope
    slope, expected = _slope(table[-1], low[-1], high[-1], span), min(fading, -1e-6)
    return len(table), slope if 0.5 < slope / expected < 2.0 else expected


def _slope(series: Array, low: float, high: float, span: Span) -> float:
    """D log p/dU at the upper end of a piece."""
    slope = 2.0 * slope_at_end(series) / (high - low)
    return slope + (span.exponent_low / (high - span.low) if span.exponent_low else 0.0)


def _resolved_in_mass(made: Chart) -> Chart:
    """The same density in pieces on which its own series, too, have converged."""
    for _ in range(MAX_ROUNDS):
        rough = made.rough_in_mass()
        if not rough.any():
            return made
        if made.breaks.size + np.count_nonzero(rough) > 2 * MAX_PIECES:
            break
        made = made.halved(rough)
    raise ConvergenceError(f"the mass of one arc was not resolved in {MAX_ROUNDS} bisections")


def _first_breaks(arc: Arc, low: float, high: float) -> Array:
    """Steps of the sweep, as many in one as go by one polynomial; two pieces at least, each of which touches one edge.

    A round of solving costs more than pieces that are shorter than need be.
    """
    # Pieces at an edge must not be tiny: the distance to the edge would be mostly rounding.  A narrow bulk before a
    # long tail has the scale of the first steps.
    first_steps = float(abs(arc.log_u[min(2, arc.log_u.size - 1)] - low))
    margin = 0.03 * min(1.0, high - low, 10.0 * first_steps)
    table = _smooth(arc)
    u = table[0]
    first = max(int(u.searchsorted(low + margin, "right")), 1)
    last = min(int(u.searchsorted(high - margin)) - 1, u.size - 2)
    if first > last:
        middle = 0.5 * (low + high)
        return np.array([[low, middle], [middle, high]])
    # An edge is not in the table, and the point beside it is rough.
    beside = u[0] != low
    inner: list[float] = []
    if beside and u.size > 3 and missed(table, 1, 3) > ROUGH_EDGE:
        # The density has a scale of its own there.
        inner, first = [low + 0.25 * float(u[0] - low), float(u[0])], 1
    elif beside and last > 1:
        first = max(first, 2)
    stop = u.size - 1 if u[-1] == high else last
    ends = np.array([low, *inner, *joined(table, int(beside), first, last, stop), high])
    return np.array([ends[:-1], ends[1:]]).T


def _smooth(arc: Arc) -> Array:
    """Log u, log p less the edge factors with two derivatives in it, and what an error of it counts, (5, n)."""
    u, zeta = arc.log_u.astype(float), arc.zeta.astype(complex)
    rate = zeta * arc.rates[0]
    turn = rate * arc.rates[0] + zeta * arc.turns[0]
    with np.errstate(all="ignore"):
        away, height = 1.0 / (1.0 - zeta), 1.0 / zeta.imag
        climb, pull = rate.imag * height, rate * away
        y = 2.0 * np.log(np.abs(away)) - np.log(height)
        slope = climb + 2.0 * pull.real
        bend = turn.imag * height - climb**2 + 2.0 * (turn * away + pull**2).real
        rough = np.abs(slope)
        for edge in (arc.first, arc.last):
            if edge is not None and edge.exponent:
                distance = u - float(edge.log_u)
                y = y - edge.exponent * np.log(np.abs(distance))
                slope = slope - edge.exponent / distance
                bend = bend + edge.exponent / distance**2
                rough = np.maximum(rough, 1.0 / np.abs(distance))
        # Where the rounding of log u is more than what series are to converge to they need not converge as far: their
        # last coefficients go like a power of what is missed.
        noise = 4.0 * float(np.finfo(float).eps) * (1.0 + np.abs(u)) * rough
        weight = (1.0 + noise / RESOLUTION) ** -LOST_BY_MISSED
    return np.array([u, y, slope, bend, weight], float)
