"""Solving at Chebyshev nodes along an arc, in pieces that are divided until the series of the density converge."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .chart import DEGREE, MAX_ROUNDS, Chart
from .errors import ConvergenceError
from .guess import Guess, solve_nodes
from .master import MasterEquation
from .pieces import Pieces, Span
from .walker import Arc

# By how much a step of the sweep is longer than the one before, or shorter, where nothing but the distance to an edge
# sets it.
STEADY = (1.2, 1.8)
# So many steps make one piece: where they grow (1) or shrink (−1) steadily, and else.
JOINED = {1: 3, -1: 2, 0: 1}
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
    done: list[tuple[float, float, Array]] = []
    judged: list[tuple[float, int, int]] = []
    solved: list[tuple[Array, Array, Array]] = []
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
        done += zip(pieces.low[finished], pieces.high[finished], pieces.coefficients[finished], strict=True)
        judged.append(pieces.judged(finished))
        solved.append(pieces.solutions(finished))
        rest = np.flatnonzero(~finished)
        if not rest.size:
            break
        if len(done) + 2 * rest.size > MAX_PIECES:
            raise ConvergenceError(f"the density on one arc needs more than {MAX_PIECES} pieces")
        breaks, before, start = pieces.divided(rest)
        if start is None:
            guess.refine(u, roots)
    else:
        raise ConvergenceError(f"the density on one arc was not resolved in {MAX_ROUNDS} bisections")
    done.sort(key=lambda item: item[0])
    lows, highs, rows = zip(*done, strict=True)
    ends, table = np.array([*lows, highs[-1]]), np.array(rows)
    residuals, uncertified, thin = zip(*judged, strict=True)
    made = Chart(
        low=span.low,
        high=span.high,
        exponent_low=span.exponent_low,
        exponent_high=span.exponent_high,
        breaks=ends,
        coefficients=table,
        slope=_slope(table[-1], ends, span, arc.fading) if arc.last is None else 0.0,
        residual=max(residuals),
        uncertified=sum(uncertified),
        low_tail=span.low_tail,
        thin=sum(thin),
        until=arc.until,
        solutions=tuple(np.concatenate(rows, axis=-1) for rows in zip(*solved, strict=True)),  # type: ignore[arg-type]
    )
    return _resolved_in_mass(made)


def _slope(series: Array, ends: Array, span: Span, fading: float) -> float:
    """D log p/dU at the upper end of the last piece."""
    # T_k' = k² at 1.
    slope = 2.0 * float(series @ np.arange(DEGREE) ** 2) / (ends[-1] - ends[-2])
    slope += span.exponent_low / (span.high - span.low) if span.exponent_low else 0.0
    expected = min(fading, -1e-6)
    return slope if 0.5 < slope / expected < 2.0 else expected


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
    """Steps of the sweep, some in one where they grow steadily, and at least two pieces, so that each touches one edge.

    A round of solving costs more than pieces that are shorter than need be.
    """
    cut = arc.first is not None and not arc.first.exponent
    inner = arc.log_u[1 if cut else 2 : -1].astype(float)
    # Pieces at an edge must not be tiny: the distance to the edge would be mostly rounding.  A narrow bulk before a
    # long tail has the scale of the first steps.
    first_steps = float(abs(arc.log_u[min(2, arc.log_u.size - 1)] - low))
    margin = 0.03 * min(1.0, high - low, 10.0 * first_steps)
    inner = inner[(inner > low + margin) & (inner < high - margin)]
    if not inner.size:
        inner = np.array([0.5 * (low + high)])
    ends = np.concatenate([[low], inner, [high]])
    trends = _trends(ends)
    kept, next_end = [0], 1
    while next_end < ends.size:
        # The first piece has the edge to cope with.
        joined = 1
        while 1 < next_end <= len(trends) and joined < JOINED[trends[next_end - 1]]:
            next_end, joined = next_end + 1, joined + 1
        kept.append(next_end)
        next_end += 1
    return np.stack([ends[kept[:-1]], ends[kept[1:]]], 1)


def _trends(ends: Array) -> list[int]:
    """For each step 1 where the next two grow steadily, −1 where they shrink, else 0."""
    steps = np.diff(ends)
    growth = steps[1:] / steps[:-1]
    grow = (growth > STEADY[0]) & (growth < STEADY[1])
    shrink = (growth < 1.0 / STEADY[0]) & (growth > 1.0 / STEADY[1])
    return ((grow[:-1] & grow[1:]).astype(int) - (shrink[:-1] & shrink[1:])).tolist()
