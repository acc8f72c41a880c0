"""Pieces of an arc: their Chebyshev nodes, the solution there, and whether the series of the density have converged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._types import Array
from .chart import DEGREE, FIT, NODES, PARTS, RESOLUTION, SHORTEST
from .guess import THIN, in_parts
from .master import MasterEquation
from .solve import Roots
from .walker import Arc

# Largest relative error left in the density of a piece.
TAIL_RESOLUTION = 1e-5
# A piece that carries less mass than this need not be resolved further.
NEGLIGIBLE = 1e-16
# Part of what the rounding of w may do in a thin tail: a piece that is no rougher is resolved, for most solutions are
# that good.
TAIL_GOOD = 1e-4
# A rougher piece is not halved but quartered: the series of its halves would not converge either.
HALVED = 2e-10
# A piece that is no rougher than this gives starting values to its parts.
SMOOTH = 1e-2
# Rounds after which the rounding of large terms that cancel is thought of, and the most that is said to be that.
PATIENCE, MOST_NOISE = 4, 1e-10
# What a shorter piece does not make this much smoother is rounding, if it is small, or near what is known of it.
SMOOTHER = 0.1
SMALL_NOISE, KNOWN_NOISE = 1e-11, 10.0
# Error left in the mass of a piece where it alone is asked for: where the density is too thin for a certificate; and
# where roots are not found, as finer laws are to find them.
SCANT, SCRAP = 1e-12, 1e-13
# The latter are left, too, where they are shorter than this, with less mass than its square.
LOST = 1e-3
# after so many rounds more.
HOPE = 1
# Half lengths, relative to 1 + |U|, below which distances to the edges are formed from those of the piece.
TINY = 1e-9
_ROUNDING = 4.0 * float(np.finfo(float).eps)


class Span:
    """The ends of an arc in U, in the arithmetic in use as well, and the exponents of the density at them."""

    def __init__(self, equation: MasterEquation, arc: Arc) -> None:
        low = arc.log_u[0] if arc.first is None else arc.first.log_u
        high = arc.log_u[-1] if arc.last is None else arc.last.log_u
        self.exact_low, self.exact_high = equation.exact(low), equation.exact(high)
        self.low, self.high, self.low_tail = float(low), float(high), float(low - float(low))
        self.exponent_low = arc.first.exponent if arc.first is not None else 0.0
        self.exponent_high = arc.last.exponent if arc.last is not None else 0.0


class Pieces:
    """Some pieces of an arc, P of them, and the solution at their nodes.

    Parameters
    ----------
    breaks : ends in U (P, 2).
    before : how rough the pieces were whose parts these are (P,), inf where they are no parts.

    Attributes
    ----------
    u, exact : nodes (P, n), and in the arithmetic in use.
    coefficients : of log p less the edge factors (P, n); `roughness` (P,) is the largest of the last three.
    held : mass, roughly (P,).
    """

    def __init__(self, equation: MasterEquation, span: Span, breaks: Array, before: Array) -> None:
        self._equation, self._span, self._before = equation, span, before
        self.low, self.high = a, b = breaks.T
        half = 0.5 * (b - a)
        local = half[:, None] * NODES
        self.u = (a + half)[:, None] + local
        # Sums from the lower end on: beside an edge the distance keeps its digits.
        self.exact = (a - span.low)[:, None] + half[:, None] * (1.0 + NODES) + span.exact_low
        # Distances to the edges as the rounded targets have them.
        self._to_low, self._to_high = self.exact - span.exact_low, span.exact_high - self.exact
        tiny = half < TINY * (1.0 + np.abs(a))
        if tiny.any():
            self._to_low[tiny] = (a - span.low + half)[tiny, None] + local[tiny]
            self._to_high[tiny] = (span.high - b + half)[tiny, None] - local[tiny]

    def take(self, roots: Roots) -> None:
        """Form the series from the solution at the nodes."""
        span = self._span
        self._roots, shape = roots, self.u.shape
        self._log_p = y = self._equation.log_density(roots.zeta).reshape(shape)
        if span.exponent_low:
            y = y - span.exponent_low * np.log(self._to_low)
        if span.exponent_high:
            y = y - span.exponent_high * np.log(self._to_high)
        # Rounded once, at the end: the first coefficient stands for the mass of the piece.
        with np.errstate(invalid="ignore"):
            self.coefficients = (y @ FIT.T).astype(float)
        self.roughness = np.abs(self.coefficients[:, -3:]).max(axis=1)
        self._most, self._least = y.max(axis=1).astype(float), y.min(axis=1).astype(float)
        self.held = np.exp(self._log_p.max(axis=1)) / self._equation.rank * (self.high - self.low)

    def finished(self, rounds: int) -> Array:
        """Which pieces are resolved, or need not be, or cannot be (P,); `rounds`: how many came before."""
        length = self.high - self.low
        scale = np.maximum(1.0, 0.03 * np.maximum(self._most, -self._least))
        noise = self._noise(length)
        # The usual case; what follows allows more.
        converged = self.roughness < RESOLUTION * scale + noise
        if converged.all():
            return converged
        if rounds >= PATIENCE:
            zeta = self._roots.zeta.reshape(self.u.shape)
            noise += _cancellation(self._equation, self.u, zeta)
            # In the tails of a narrow law the imaginary parts of v are rounded, with all of v, long before the mass is
            # negligible.
            flatness = _flatness(self._roots).reshape(self.u.shape).max(axis=1)
            # Where ψ_k hardly depends on v_k, as between values of φ'² decades apart, its rounding is much of v_k.
            spread = _spread(self._equation, self._roots).reshape(self.u.shape).max(axis=1)
            noise += np.minimum(flatness + spread, NEGLIGIBLE / self.held)
        dense = np.maximum(self._dense(), 1e-300)
        # What the rounding of w does to log p in a thin tail; most solutions are many times better.
        tail, worst = (np.minimum(times * NEGLIGIBLE / dense, TAIL_RESOLUTION) for times in (1.0, KNOWN_NOISE))
        finished = (self.roughness < RESOLUTION * scale + noise + TAIL_GOOD * tail) | (self.held < NEGLIGIBLE)
        finished |= length < SHORTEST * (1.0 + np.abs(self.low))
        finished |= (np.log(dense) < THIN) & (self.held * self.roughness < SCANT)
        settled = self.roughness < np.maximum(SMALL_NOISE, KNOWN_NOISE * noise + worst)
        finished |= settled & (self.roughness > SMOOTHER * self._before)
        if not self._roots.certified.all():
            # Where the laws are not resolved roots are not found, and shorter pieces do not help; once it may
            # be the starting values.
            missed = ~self._roots.certified.reshape(self.u.shape).all(axis=1)
            finished |= missed & (length < LOST) & (self.held < LOST**2) & (rounds >= HOPE)
            finished |= missed & (self.held * self.roughness < SCRAP)
        return finished

    def _noise(self, length: Array) -> Array:
        """What rounding does to the last coefficients (P,)."""
        span = self._span
        size = 1.0 + np.maximum(np.abs(self.low), np.abs(self.high))
        # Where the density is steep, as on a narrow bulk, it inherits the rounding of U.
        noise = _ROUNDING * size * ((self._most - self._least) / length)
        # Next to a square-root edge through the distance to the edge.
        rounding = 4.0 * self._equation.precision * float(size.max())
        beside = [(span.exponent_low, self._to_low[:, 0]), (span.exponent_high, self._to_high[:, -1])]
        edges = [(rounding / nearest).astype(float) for exponent, nearest in beside if exponent]
        if edges:
            noise += edges[0] if len(edges) == 1 else np.maximum(*edges)
        return noise

    def _dense(self) -> Array:
        """The density in log λ, at most, of each piece (P,); that of a narrow law, which is dense everywhere, less."""
        breadth = min(1.0, self._span.high - self._span.low)
        return np.exp(self._log_p.max(axis=1)).astype(float) / self._equation.rank * breadth

    def series(self, which: Array) -> tuple[Array, Array, Array]:
        """Both ends and the coefficients of some pieces."""
        if which.all():
            return self.low, self.high, self.coefficients
        return self.low[which], self.high[which], self.coefficients[which]

    def judged(self, which: Array) -> tuple[float, int, int]:
        """Largest residual on some pieces, and the numbers of nodes without certificate, dense and thin ones."""
        certified, residual = self._roots.certified, self._roots.residual
        if which.all() and certified.all():
            return float(residual.max(initial=0.0)), 0, 0
        certified, residual = (x.reshape(self.u.shape)[which] for x in (certified, residual))
        if certified.all():
            return float(residual.max(initial=0.0)), 0, 0
        thin = self._log_p[which] < THIN + math.log(self._equation.rank)
        # What is thin without certificate is counted, wherever it came from.
        counts = np.where(np.isfinite(residual), residual, 1.0)[certified | ~thin]
        return float(counts.max(initial=0.0)), int((~certified & ~thin).sum()), int((~certified & thin).sum())

    def solutions(self, which: Array) -> tuple[Array, Array, Array]:
        """Log u, ζ, v at one node in five of some pieces."""
        kept: Any = slice(2, None, 5)
        if not which.all():
            kept = np.arange(2, self.u.size, 5)
            kept = kept[which[kept // DEGREE]]
        return self.u.ravel()[kept], self._roots.zeta[kept], self._roots.v[:, kept]

    def divided(self, which: Array) -> tuple[Array, Array, tuple[Array, Array] | None]:
        """Parts of some pieces: their ends, how rough these are, and starting values at their nodes.

        None for these where the polynomials of the pieces are too rough to tell.
        """
        rough = self.roughness[which] > HALVED
        groups = [(some, n) for some, n in ((which[~rough], 2), (which[rough], 4)) if some.size]
        breaks = np.concatenate([_cut(self.low[some], self.high[some], n) for some, n in groups])
        before = np.concatenate([np.tile(self.roughness[some], n) for some, n in groups])
        certified = self._roots.certified.reshape(self.u.shape)[which]
        if not (certified.all() and np.all(self.roughness[which] < SMOOTH)):
            return breaks, before, None
        starts = [self._starts(some, PARTS[n]) for some, n in groups]
        if len(starts) == 1:
            return breaks, before, starts[0]
        return breaks, before, (np.concatenate([x for x, _ in starts]), np.concatenate([x for _, x in starts], axis=1))

    def _starts(self, which: Array, matrices: Array) -> tuple[Array, Array]:
        """ζ and v at the nodes of all parts of some pieces, from the solution at the nodes of these pieces."""
        span = self._span
        ends = ((span.exponent_low, self._to_low, 0), (span.exponent_high, self._to_high, DEGREE - 1))
        edges = []
        for exponent, distances, nearest in ends:
            distance = distances[which]
            nearby = distance[:, nearest] < 0.01 * distance[:, DEGREE - 1 - nearest]
            if exponent and nearby.any():
                # Distances are linear in U.
                inside = np.maximum(distance.astype(float) @ matrices.swapaxes(1, 2), 0.0)
                edges.append((nearby, np.sqrt(distance), np.sqrt(inside), nearest))
        count = len(self._roots.v)
        zeta = self._roots.zeta.reshape(self.u.shape)[which]
        v = self._roots.v.reshape(count, *self.u.shape)[:, which]
        zeta, v = in_parts(zeta, v, matrices, edges)
        return zeta.ravel(), v.reshape(count, zeta.size)


def _spread(equation: MasterEquation, roots: Roots) -> Array:
    """What the rounding of all ψ_k does to log u through v_k (n,)."""
    if not len(roots.v):
        return np.zeros(roots.zeta.size)
    zeta = roots.zeta.astype(complex)
    with np.errstate(all="ignore"):
        point = equation.evaluate(zeta, roots.v)
        parts = np.abs(equation.target(zeta)[0]) / np.abs(roots.v * point.steepness)
        total = _ROUNDING * np.sum(equation.counts * parts, axis=0)
    return np.where(np.isfinite(total), total, 0.0)


def _cancellation(equation: MasterEquation, u: Array, zeta: Array) -> Array:
    """Relative rounding of the density on each piece, where log u is a sum of large terms that cancel."""
    per_u = np.abs(np.diff(zeta)) / np.maximum(np.diff(u), 1e-300) / np.minimum(zeta.imag[:, 1:], zeta.imag[:, :-1])
    largest = np.abs(u) + sum(abs(e) * np.abs(np.log(np.abs(1.0 - d * zeta))) for d, e in equation.terms)
    noise = equation.precision * np.max(largest, axis=1) * np.max(per_u, axis=1)
    # Beside a spike the estimate is one of its steepness instead.
    return np.minimum(noise, MOST_NOISE).astype(float)


def _flatness(roots: Roots) -> Array:
    """The rounding of all v at each root, relative to their imaginary parts; the largest."""
    return np.finfo(float).eps * np.max(np.abs(roots.v) / roots.v.imag, axis=0, initial=0.0)


def _cut(a: Array, b: Array, count: int) -> Array:
    """Both ends of `count` equal parts of every interval (a, b): first parts first."""
    cuts = a + (b - a) * np.arange(count + 1)[:, None] / count
    cuts[-1] = b
    return np.stack([cuts[:-1].ravel(), cuts[1:].ravel()], 1)
