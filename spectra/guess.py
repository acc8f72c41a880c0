"""Starting values between the points of a sweep, and the solution at many nodes at once from there."""

from __future__ import annotations

import numpy as np

from ._types import Array
from .continuation import locate
from .errors import ConvergenceError
from .master import MasterEquation
from .solve import Roots, solve
from .walker import Arc

# log density in U below which an uncertified node is not chased.
THIN = -20.7


class Guess:
    """Starting values along an arc: log ζ and log v, interpolated in a variable that opens the edges."""

    def __init__(self, arc: Arc, low: float, high: float, rooted_low: bool, rooted_high: bool) -> None:
        self.low, self.high = low, high
        self.rooted_low, self.rooted_high = rooted_low, rooted_high
        u, zeta, v = arc.log_u, arc.zeta, arc.v
        if arc.first is not None and rooted_low and np.isfinite(arc.first.zeta):
            u = np.concatenate([[low], u])
            zeta = np.concatenate([[arc.first.zeta], zeta])
            v = np.concatenate([arc.first.v.reshape(-1, 1), v], axis=1)
        if arc.last is not None and rooted_high and np.isfinite(arc.last.zeta):
            u = np.concatenate([u, [high]])
            zeta = np.concatenate([zeta, [arc.last.zeta]])
            v = np.concatenate([v, arc.last.v.reshape(-1, 1)], axis=1)
        self.s = self._opened(u)
        self.table = self._logs(zeta, v)

    def _opened(self, u: Array) -> Array:
        to_low, to_high = np.maximum(u - self.low, 0.0), np.maximum(self.high - u, 0.0)
        if self.rooted_low and self.rooted_high:
            return np.arctan2(np.sqrt(to_low), np.sqrt(to_high))
        if self.rooted_low:
            return np.sqrt(to_low)
        if self.rooted_high:
            return -np.sqrt(to_high)
        return u

    @staticmethod
    def _logs(zeta: Array, v: Array) -> Array:
        rows = np.log(np.concatenate([zeta[None, :], v]).astype(complex))
        # On the real axis approached from above.
        return np.real(rows) + 1j * np.abs(np.imag(rows))

    def __call__(self, u: Array) -> tuple[Array, Array]:
        """ζ and v at `u`."""
        s = self._opened(u)
        index = np.clip(np.searchsorted(self.s, s) - 1, 0, self.s.size - 2)
        gap = self.s[index + 1] - self.s[index]
        t = np.where(gap > 0, (s - self.s[index]) / np.where(gap > 0, gap, 1.0), 0.0)
        rows = self.table[:, index] * (1.0 - t) + self.table[:, index + 1] * t
        values = np.exp(rows)
        return values[0], values[1:]

    def refine(self, u: Array, roots: Roots) -> None:
        """Add certified roots to the table."""
        good = roots.certified
        s = np.concatenate([self.s, self._opened(u[good])])
        table = np.concatenate([self.table, self._logs(roots.zeta[good], roots.v[:, good])], axis=1)
        order = np.argsort(s, kind="stable")
        self.s, self.table = s[order], table[:, order]


def solve_nodes(equation: MasterEquation, guess: Guess, u: Array, exact: Array) -> Roots:
    """Newton from the interpolated start; what it misses, from the sure continuation."""
    zeta, v = guess(u)
    roots = solve(equation, exact, zeta, v, max_steps=16)
    # Where the density is below 1e-9 next to nothing hangs on it: the interpolated start stands in, and is counted.
    thin = ~roots.certified & (equation.log_density(zeta) < THIN)
    roots.zeta[thin], roots.v[:, thin] = zeta[thin], v[:, thin]
    roots.residual[thin] = 0.0
    missed = np.flatnonzero(~roots.certified & ~thin)
    for k in missed[:200]:
        try:
            one = locate(equation, u[k : k + 1])
        except ConvergenceError:
            continue
        if one.residual[0] < roots.residual[k] or one.certified[0]:
            roots.zeta[k], roots.v[:, k] = one.zeta[0], one.v[:, 0]
            roots.residual[k], roots.certified[k] = one.residual[0], one.certified[0]
    return roots
