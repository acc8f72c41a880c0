"""Solving at Chebyshev nodes along an arc, in pieces that are divided until the series of the density converge."""

from __future__ import annotations

import math

import numpy as np

from ._types import Array
from .chart import DEGREE, FIT, MAX_ROUNDS, NODES, PARTS, RESOLUTION, SHORTEST, Chart
from .errors import ConvergenceError
from .guess import THIN, Guess, in_parts, solve_nodes
from .master import MasterEquation
from .solve import Roots
from .walker import Arc

# Largest relative error left in the density of a piece; with what it holds, 1e-16 of the mass.
TAIL_RESOLUTION = 1e-5
# A piece that carries less mass than this need not be resolved further.
NEGLIGIBLE = 1e-16
# By how much a step of the sweep is longer than the one before where nothing but the distance to an edge sets it.
STEADY = (1.2, 1.8)
# A rougher piece is not halved but quartered: the series of its halves would not converge either.
HALVED = 2e-10
# A piece that is no rougher than this gives starting values to its parts.
SMOOTH = 1e-2
MAX_PIECES = 3000
# Rounds after which the rounding of large terms that cancel is thought of.
PATIENCE = 4
MOST_NOISE = 1e-10
# Nor do they where the error left in the mass of a piece is below this.
SCRAP = 1e-13
# Shorter than this, and with less mass than its square, a piece without certificate is left to finer laws.
LOST = 1e-3


def chart(equation: MasterEquation, arc: Arc) -> Chart:
    """Solve at Chebyshev nodes along the arc, bisecting pieces until the series converge."""
    edge_low = arc.first.log_u if arc.first is not None else arc.log_u[0]
    low = float(edge_low)
    fades = arc.last is None
    edge_high = arc.log_u[-1] if arc.last is None else arc.last.log_u
    high = float(edge_high)
    exponent_low = arc.first.exponent if arc.first is not None else 0.0
    exponent_high = arc.last.exponent if arc.last is not None else 0.0
    if arc.first is None:
        # A tail that rises out of nothing is taken from where it holds 1e-16.
        begin = max(0, int(np.argmax(equation.log_share(arc.zeta) > -37.0)) - 1)
        arc = arc.part(slice(begin, None))
        edge_low = arc.log_u[0]
        low = float(edge_low)
    guess = Guess(arc, low, high, bool(exponent_low), bool(exponent_high))
    breaks = _first_breaks(arc, low, high)
    start: tuple[Array, Array] | None = None
    done: list[tuple[float, float, Array]] = []
    residual, uncertified, unproven = 0.0, 0, 0
    solved: list[tuple[Array, Array, Array]] = []
    for count in range(MAX_ROUNDS):
        a, b = breaks[:, 0], breaks[:, 1]
        half = 0.5 * (b - a)
        u = (a + half)[:, None] + half[:, None] * NODES
        exact = (a - low)[:, None] + half[:, None] * (1.0 + NODES) + equation.exact(edge_low)
        # Distances to the edges as the rounded targets have them.
        to_low = exact - equation.exact(edge_low)
        to_high = equation.exact(edge_high) - exact
        small = half < 1e-9 * (1.0 + np.abs(a))
        to_low[small] = (a - low + half)[small, None] + half[small, None] * NODES
        to_high[small] = (high - b + half)[small, None] - half[small, None] * NODES
        roots = solve_nodes(equation, *(guess(u.ravel()) if start is None else start), u.ravel(), exact.ravel())
        log_p = equation.log_density(roots.zeta).reshape(u.shape)
        y = log_p
        if exponent_low:
            y = y - exponent_low * np.log(to_low)
        if exponent_high:
            y = y - exponent_high * np.log(to_high)
        # Rounded once, at the end: the first coefficient stands for the mass of the piece.
        coefficients = (y @ FIT.T).astype(float)
        roughness = np.max(np.abs(coefficients[:, -3:]), axis=1)
        scale = np.maximum(1.0, np.max(np.abs(y), axis=1) * 0.03)
        small = (b - a) < SHORTEST * (1.0 + np.abs(a))
        # Next to a square-root edge the density inherits the rounding of U through the distance to the edge.
        noise = np.zeros(a.size)
        for exponent, distance in ((exponent_low, to_low), (exponent_high, to_high)):
            if exponent:
                noise = np.maximum(noise, 4.0 * equation.precision * (1.0 + np.max(np.abs(u))) / distance.min(axis=1))
        # Where the density is steep, as on a narrow bulk, it inherits the rounding of U.
        steep = (np.max(y, axis=1) - np.min(y, axis=1)).astype(float) / (b - a)
        noise = noise + 4.0 * np.finfo(float).eps * (1.0 + np.max(np.abs(u), axis=1)) * steep
        # In a thin tail Im w, and with it log p, carries rounding; what a piece holds decides how much of it matters.
        held = np.exp(np.max(log_p, axis=1)) / equation.rank * (b - a)
        noise = noise + np.clip(1e-16 / np.maximum(held, 1e-300), 0.0, TAIL_RESOLUTION)
        if count >= PATIENCE:
            noise = noise + _rounding(equation, u, roots.zeta.reshape(u.shape))
            # In the tails of a narrow law the imaginary parts of v are rounded, with all of v, long before the mass is
            # negligible.
            noise = noise + np.minimum(_flatness(roots).reshape(u.shape).max(axis=1), NEGLIGIBLE / held)
        certified = roots.certified.reshape(u.shape)
        finished = (roughness < RESOLUTION * scale + noise) | (held < NEGLIGIBLE) | small
        # Where the laws are not resolved roots are not found, and shorter pieces do not help.
        finished |= ~certified.all(axis=1) & (b - a < LOST) & (held < LOST**2)
        finished |= ~certified.all(axis=1) & (held * roughness < SCRAP)
        kept = np.repeat(finished, DEGREE)
        kept &= np.arange(kept.size) % 5 == 2
        solved.append((u.ravel()[kept], roots.zeta[kept], roots.v[:, kept]))
        for k in np.flatnonzero(finished):
            done.append((a[k], b[k], coefficients[k]))
        thin = log_p < THIN + math.log(equation.rank)
        uncertified += int((~certified & ~thin)[finished].sum())
        unproven += int((~certified & thin)[finished].sum())
        final = np.where(np.isfinite(roots.residual), roots.residual, 1.0).reshape(u.shape)[finished]
        # What is thin without certificate is counted, wherever it came from.
        final = final[(certified | ~thin)[finished]]
        residual = max(residual, float(final.max(initial=0.0)))
        rest = np.flatnonzero(~finished)
        if not rest.size:
            break
        if len(done) + 2 * rest.size > MAX_PIECES:
            raise ConvergenceError(f"the density on one arc needs more than {MAX_PIECES} pieces")
        rough = roughness[rest] > HALVED
        divided = [(some, PARTS[n]) for some, n in ((rest[~rough], 2), (rest[rough], 4)) if some.size]
        breaks = np.concatenate([_divided(a[some], b[some], len(matrices)) for some, matrices in divided])
        if certified[rest].all() and np.all(roughness[rest] < SMOOTH):
            starts = [_from_parents(roots, *some, to_low, to_high, exponent_low, exponent_high) for some in divided]
            start = np.concatenate([x for x, _ in starts]), np.concatenate([x for _, x in starts], axis=1)
        else:
            guess.refine(u.ravel(), roots)
            start = None
    else:
        raise ConvergenceError(f"the density on one arc was not resolved in {MAX_ROUNDS} bisections")
    done.sort(key=lambda item: item[0])
    ends = np.array([item[0] for item in done] + [done[-1][1]])
    table = np.array([item[2] for item in done])
    slope = 0.0
    if fades:
        # T_k' = k² at 1.
        slope = float(table[-1] @ np.arange(DEGREE) ** 2)
        slope = slope * 2.0 / (ends[-1] - ends[-2]) + (exponent_low / (high - low) if exponent_low else 0.0)
        if not 0.5 < slope / min(arc.fading, -1e-6) < 2.0:
            slope = min(arc.fading, -1e-6)
    solutions = (
        np.concatenate([item[0] for item in solved]),
        np.concatenate([item[1] for item in solved]),
        np.concatenate([item[2] for item in solved], axis=1),
    )
    whole = Chart(
        low=low,
        high=high,
        exponent_low=exponent_low,
        exponent_high=exponent_high,
        breaks=ends,
        coefficients=table,
        slope=slope,
        residual=residual,
        uncertified=uncertified,
        low_tail=float(edge_low - low),
        thin=unproven,
        solutions=solutions,
    )
    for _ in range(MAX_ROUNDS):
        rough = whole.rough_in_mass()
        if not rough.any():
            return whole
        if whole.breaks.size + np.count_nonzero(rough) > 2 * MAX_PIECES:
            break
        whole = whole.halved(rough)
    raise ConvergenceError(f"the mass of one arc was not resolved in {MAX_ROUNDS} bisections")


def _rounding(equation: MasterEquation, u: Array, zeta: Array) -> Array:
    """Relative rounding of the density on each piece, where log u is a sum of large terms that cancel."""
    per_u = np.abs(np.diff(zeta)) / np.maximum(np.diff(u), 1e-300) / np.minimum(zeta.imag[:, 1:], zeta.imag[:, :-1])
    largest = np.abs(u) + sum(abs(e) * np.abs(np.log(np.abs(1.0 - d * zeta))) for d, e in equation.terms)
    noise = equation.precision * np.max(largest, axis=1) * np.max(per_u, axis=1)
    # Beside a spike the estimate is one of its steepness instead.
    return np.minimum(noise, MOST_NOISE).astype(float)


def _flatness(roots: Roots) -> Array:
    """The rounding of all v at each root, relative to their imaginary parts; the largest."""
    return np.finfo(float).eps * np.max(np.abs(roots.v) / roots.v.imag, axis=0, initial=0.0)


def _divided(a: Array, b: Array, count: int) -> Array:
    """Both ends of `count` equal parts of every interval (a, b): first parts first."""
    cuts = a + (b - a) * np.arange(count + 1)[:, None] / count
    cuts[-1] = b
    return np.stack([cuts[:-1].ravel(), cuts[1:].ravel()], 1)


def _from_parents(
    roots: Roots,
    which: Array,
    matrices: Array,
    to_low: Array,
    to_high: Array,
    exponent_low: float,
    exponent_high: float,
) -> tuple[Array, Array]:
    """Starting values at the nodes of all parts of some pieces, from the solution at the nodes of these pieces."""
    edges = []
    for exponent, distance, nearest in ((exponent_low, to_low[which], 0), (exponent_high, to_high[which], DEGREE - 1)):
        if exponent:
            # Distances are linear in U.
            inside = np.maximum(distance.astype(float) @ matrices.swapaxes(1, 2), 0.0)
            nearby = distance[:, nearest] < 0.01 * distance[:, DEGREE - 1 - nearest]
            edges.append((nearby, np.sqrt(distance), np.sqrt(inside), nearest))
    zeta = roots.zeta.reshape(-1, DEGREE)[which]
    v = roots.v.reshape(roots.v.shape[0], roots.zeta.size // DEGREE, DEGREE)[:, which]
    zeta, v = in_parts(zeta, v, matrices, edges)
    return zeta.ravel(), v.reshape(v.shape[0], zeta.size)


def _first_breaks(arc: Arc, low: float, high: float) -> Array:
    """Steps of the sweep, two in one where they grow steadily, and at least two pieces, so that each touches one edge.

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
    ends = [low, *inner.tolist(), high]
    growth = [(c - b) / (b - a) for a, b, c in zip(ends, ends[1:], ends[2:], strict=False)]
    kept, next_end = [low], 1
    while next_end < len(ends):
        # The first piece has the edge to cope with.
        if 1 < next_end < len(growth) and all(STEADY[0] < x < STEADY[1] for x in growth[next_end - 1 : next_end + 1]):
            next_end += 1
        kept.append(ends[next_end])
        next_end += 1
    return np.stack([kept[:-1], kept[1:]], 1)
