"""Starting values between the points of a sweep, and the solution at many nodes at once from there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._types import Array
from .continuation import locate
from .errors import ConvergenceError
from .master import MasterEquation
from .native import NATIVE
from .solve import CERTIFIED, Roots, solve
from .walker import Arc

# log density in U below which an uncertified node is not chased.
THIN = -20.7
# Steps taken in the cheapest arithmetic from a start that is good to a few digits only.
ROUGH_STEPS = 2
# Nodes sought by the sure and slow way, at most, of those solved together.
RESCUED = 16
# Residual of a root that misses its certificate by rounding alone.  More than so many at once are no accident: the sure
# way would end at the same roots.
ROUNDED, ACCIDENTS = 1e-9, 2


class Guess:
    """Starting values along an arc: log ζ and log v by Hermite's polynomials in a variable that opens the edges."""

    def __init__(self, arc: Arc, low: float, high: float, rooted_low: bool, rooted_high: bool) -> None:
        self.low, self.high = low, high
        self.rooted_low, self.rooted_high = rooted_low, rooted_high
        u, zeta, v = arc.log_u, arc.zeta, arc.v
        stretch, bend = self._stretch(u)
        slopes, turns = arc.rates * stretch, arc.turns * stretch**2 + arc.rates * bend
        unknown = np.full((slopes.shape[0], 1), np.nan)
        if arc.first is not None and rooted_low and np.isfinite(arc.first.zeta):
            u = np.concatenate([[low], u])
            zeta = np.concatenate([[arc.first.zeta], zeta])
            v = np.concatenate([arc.first.v.reshape(-1, 1), v], axis=1)
            slopes, turns = (np.concatenate([unknown, x], axis=1) for x in (slopes, turns))
        if arc.last is not None and rooted_high and np.isfinite(arc.last.zeta):
            u = np.concatenate([u, [high]])
            zeta = np.concatenate([zeta, [arc.last.zeta]])
            v = np.concatenate([v, arc.last.v.reshape(-1, 1)], axis=1)
            slopes, turns = (np.concatenate([x, unknown], axis=1) for x in (slopes, turns))
        if u.size < 2:
            raise ConvergenceError(f"the sweep left an arc of the spectrum where it had begun, log u = {low:.6g}")
        self.s = self._opened(u)
        self.table, self.slopes, self.turns = (
            np.ascontiguousarray(x, complex) for x in (logarithms(zeta, v), slopes, turns)
        )

    def _opened(self, u: Array) -> Array:
        u = np.ascontiguousarray(u, float)
        to_low, to_high = np.maximum(u - self.low, 0.0), np.maximum(self.high - u, 0.0)
        if self.rooted_low and self.rooted_high:
            return np.arctan2(np.sqrt(to_low), np.sqrt(to_high))
        if self.rooted_low:
            return np.sqrt(to_low)
        if self.rooted_high:
            return -np.sqrt(to_high)
        return u

    def _stretch(self, u: Array) -> tuple[Array, Array]:
        """DU/ds and d²U/ds², s the variable of `_opened`."""
        to_low, to_high = np.maximum(u - self.low, 0.0), np.maximum(self.high - u, 0.0)
        if self.rooted_low and self.rooted_high:
            return 2.0 * np.sqrt(to_low * to_high), 2.0 * (to_high - to_low)
        if self.rooted_low:
            return 2.0 * np.sqrt(to_low), np.full(u.shape, 2.0)
        if self.rooted_high:
            return 2.0 * np.sqrt(to_high), np.full(u.shape, -2.0)
        return np.ones(u.shape), np.zeros(u.shape)

    def __call__(self, u: Array) -> tuple[Array, Array]:
        """ζ and v at `u`."""
        s = self._opened(u)
        if NATIVE is not None:
            rows = np.empty((len(self.table), s.size), complex)
            NATIVE.guess(self.s, self.table, self.slopes, self.turns, s, rows)
            return rows[0], rows[1:]
        index = np.clip(np.searchsorted(self.s, s) - 1, 0, self.s.size - 2)
        gap = np.diff(self.s)
        rise = np.diff(self.table)
        # Less the chord there are three conditions at most at either end of [0, 1], the variable t: values 0, slopes,
        # second derivatives.  What is not known is left to the others.
        slope_0, slope_1 = self.slopes[:, :-1] * gap - rise, self.slopes[:, 1:] * gap - rise
        turn_0, turn_1 = self.turns[:, :-1] * gap**2, self.turns[:, 1:] * gap**2
        # t (1 − t) (a + b t + c t² + d t³): a and a + b + c + d are the slopes at 0 and, up to sign, at 1.
        guessed_0, guessed_1 = 0.5 * turn_1 - 2.0 * slope_1, 0.5 * turn_0 + 2.0 * slope_0
        a = np.where(np.isnan(slope_0), np.where(np.isnan(guessed_0), -slope_1, guessed_0), slope_0)
        e = -np.where(np.isnan(slope_1), np.where(np.isnan(guessed_1), -slope_0, guessed_1), slope_1)
        known = np.isfinite(a) & np.isfinite(e)
        a, e = np.where(known, a, 0.0), np.where(known, e, 0.0)
        # Second derivatives beyond those of the cubic t (1 − t) (a (1 − t) + e t).
        more_0, more_1 = turn_0 - 2.0 * (e - 2.0 * a), turn_1 - 2.0 * (a - 2.0 * e)
        both = np.isfinite(more_0) & np.isfinite(more_1) & known
        more_0, more_1 = np.where(both, 0.5 * more_0, 0.0), np.where(both, 0.5 * more_1, 0.0)
        t = (s - self.s[index]) / np.where(gap > 0.0, gap, np.inf)[index]
        r = 1.0 - t
        bulge = r * a[:, index] + t * e[:, index] + t * r * (r * more_0[:, index] + t * more_1[:, index])
        return _values(self.table[:, index] + t * rise[:, index] + t * r * bulge)

    def refine(self, u: Array, roots: Roots) -> None:
        """Add certified roots to the table, which is interpolated linearly from then on."""
        good = roots.certified
        s = np.concatenate([self.s, self._opened(u[good])])
        table = np.concatenate([self.table, logarithms(roots.zeta[good], roots.v[:, good])], axis=1)
        order = np.argsort(s, kind="stable")
        self.s, self.table = s[order], np.ascontiguousarray(table[:, order])
        self.slopes = self.turns = np.full(self.table.shape, np.nan, complex)


def logarithms(zeta: Array, v: Array) -> Array:
    """Rows log ζ, log v_1 …; on the real axis approached from above."""
    rows = np.log(np.concatenate([zeta[None], v]).astype(complex))
    return np.real(rows) + 1j * np.abs(np.imag(rows))


def in_parts(
    zeta: Array, v: Array, parts: Array, edges: Sequence[tuple[Array, Array, Array, int]]
) -> tuple[Array, Array]:
    """Starting values at the nodes of m parts of pieces, by the polynomials through those of the pieces.

    Parameters
    ----------
    zeta, v : at the nodes, (P, n) and (K, P, n).
    parts : (m, n, n), from values at the nodes of a piece to values at those of its parts.
    edges : (mask of the pieces at it, √distance at the nodes (P, n) and at those of the parts (m, P, n), index of the
        nearest node).  The angle from the real axis is analytic only after division by √distance.

    Returns
    -------
    ζ (m, P, n) and v (K, m, P, n).
    """
    logs = logarithms(zeta, v)
    rows = np.stack([logs.real, logs.imag])
    turned = np.zeros((*logs.shape[:2], 1))
    for at, root, _, nearest in edges:
        turned[:, at] = np.where(rows[1][:, at, nearest, None] > 0.5 * np.pi, np.pi, 0.0)
        rows[1][:, at] = (rows[1][:, at] - turned[:, at]) / root[at]
    # All parts in one product: a product for each would cost more.
    count, degree = parts.shape[:2]
    values = rows.reshape(-1, degree) @ parts.reshape(-1, degree).T
    real, angle = values.reshape(*rows.shape[:3], count, degree).swapaxes(2, 3)
    for at, _, root, _ in edges:
        angle[:, :, at] *= root[:, at]
    return _values(real + 1j * (angle + turned[:, None] if edges else angle))


def _values(rows: Array) -> tuple[Array, Array]:
    # In a tail it may overshoot everything; the solver then refuses the start.
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.exp(rows)
    # Interpolation may overshoot the real axis.
    values.imag = np.abs(values.imag)
    return values[0], values[1:]


def solve_nodes(
    equation: MasterEquation, zeta: Array, v: Array, u: Array, exact: Array, *, rough_steps: int = ROUGH_STEPS
) -> Roots:
    """Newton from the interpolated start (ζ, v); what it misses, from its neighbours, or from the sure continuation."""
    roots = solve(equation, exact, zeta, v, max_steps=16, rough_steps=rough_steps)
    lost = ~roots.certified
    if not lost.any():
        return roots
    # Where no tail is thin, a start that is must be wrong.
    thin = lost & (equation.log_share(zeta) < THIN) & (not equation.is_algebraic)
    beside = _from_neighbours(equation, roots, lost, u, exact)
    if beside is not None:
        thin &= ~roots.certified & (equation.log_share(beside[0]) < THIN)
        if thin.any():
            # A polynomial that overshoots is a start whose density is anything; only beyond the last root is it better.
            within = u < np.max(u[roots.certified])
            zeta, v = np.where(within, beside[0], zeta), np.where(within, beside[1], v)
    # Where the density is below 1e-9 next to nothing hangs on it: the interpolated start stands in, and is counted.
    roots.zeta[thin], roots.v[:, thin] = zeta[thin], v[:, thin]
    roots.residual[thin] = 0.0
    lost = ~roots.certified & ~thin
    rounded = lost & _is_rounded(equation, roots)
    missed = np.flatnonzero(lost & ~rounded if np.count_nonzero(rounded) > ACCIDENTS else lost)
    for k in missed[:RESCUED]:
        try:
            one = locate(equation, u[k : k + 1])
        except ConvergenceError:
            continue
        if one.residual[0] < roots.residual[k] or one.certified[0]:
            roots.zeta[k], roots.v[:, k] = one.zeta[0], one.v[:, 0]
            roots.residual[k], roots.certified[k] = one.residual[0], one.certified[0]
    return roots


def _is_rounded(equation: MasterEquation, roots: Roots) -> Array:
    """Which roots are the right ones, but for the rounding that a great depth multiplies (n,)."""
    above = (roots.zeta.imag > 0.0) & np.all(roots.v.imag > 0.0, axis=0)
    # Laws of atoms alone have roots on other sheets, as near to the axis.
    return above & (roots.residual >= CERTIFIED) & (roots.residual < ROUNDED) & (not equation.is_algebraic)


def _from_neighbours(
    equation: MasterEquation, roots: Roots, which: Array, u: Array, exact: Array
) -> tuple[Array, Array] | None:
    """ζ and v as the certified roots beside have them; roots that are found from there are put in place.

    Before the first and after the last of them as that one has it; None where there are not two.
    """
    order = np.argsort(u)
    known = order[roots.certified[order]]
    if known.size < 2:
        return None
    at, rows = u[known], logarithms(roots.zeta[known], roots.v[:, known])
    right = np.clip(np.searchsorted(at, u), 1, known.size - 1)
    part = np.clip((u - at[right - 1]) / (at[right] - at[right - 1]), 0.0, 1.0)
    zeta, v = _values((1.0 - part) * rows[:, right - 1] + part * rows[:, right])
    again = solve(equation, exact[which], zeta[which], v[:, which], max_steps=16, rough_steps=ROUGH_STEPS)
    found = np.flatnonzero(which)[again.certified]
    roots.zeta[found], roots.v[:, found] = again.zeta[again.certified], again.v[:, again.certified]
    roots.residual[found], roots.certified[found] = again.residual[again.certified], True
    return zeta, v
