"""The density at many λ, from solutions nearby."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from .._types import Array
from .solution import STOP, Solution

# Points known on a bulk from which others may be guessed.
LEAST_KNOWN = 4
# Blocks whose Π β² is looked at.
FEW = 2
# Of this many units of U between the bounds of a law is an ordinary one; lengths in a narrower one are as parts of it.
ORDINARY = 6.0
# A mass that counts as none.
NO_MASS = 1e-10


class Atom(NamedTuple):
    """A mass at U = −log λ = `place`; 0 where it has just vanished."""

    place: float
    mass: float


class Equation(Protocol):
    """What is asked of an equation of JJᵀ."""

    @property
    def unknowns(self) -> int:
        """Numbers that are solved for at each λ."""
        ...

    @property
    def log_range(self) -> tuple[float, float]:
        """U = −log λ between which all of the support lies; ∞ where it may reach λ = 0."""
        ...

    @property
    def log_mean(self) -> float:
        """Log m_1, or about that."""
        ...

    @property
    def zero(self) -> float:
        """Mass at λ = 0."""
        ...

    @property
    def atom(self) -> Atom | None:
        """An atom off λ = 0."""
        ...

    @property
    def skipped(self) -> float | None:
        """U = −log Π β² of one block or two, where small slopes leave a narrow peak; None of more, or where β = 0."""
        ...

    def solve(self, u: Array, start: Array | None = None, *, stop: float = STOP) -> Solution:
        """Solve at u = 1/λ (M,), Im u ≤ 0; `start`: unknowns (M, n) nearby."""
        ...

    def edge_near(self, u: float, x: Array) -> float | None:
        """U at an edge near U = `u`, inside, where the unknowns are x (n,); None where none is found."""
        ...


def scale_of(log_range: tuple[float, float]) -> float:
    """What lengths in U are multiplied by where blocks add so little that the law is narrow; 1 elsewhere."""
    low, high = log_range
    return min(1.0, (high - low) / ORDINARY)


@dataclass
class Known:
    """Solutions so far on one bulk, between U = `low` and `high`, ∞ where it fades."""

    low: float
    high: float
    u: Array
    x: Array

    @staticmethod
    def nothing(equation: Equation, low: float, high: float) -> Known:
        """No solution yet."""
        return Known(low, high, np.empty(0), np.empty((0, equation.unknowns)))

    def between(self, low: float, high: float) -> Known:
        """Those between two edges."""
        kept = (self.u > low) & (self.u < high)
        return Known(low, high, self.u[kept], self.x[kept])

    def near(self, u: Array) -> Array:
        """Unknowns at `u` (M, n), by cubics in a coordinate in which edges are smooth."""
        order = np.argsort(self.u)
        known = self._place(self.u[order])
        at = np.clip(self._place(u), known[0], known[-1])
        # Of the known ones the four around each.
        first = np.clip(np.searchsorted(known, at) - 2, 0, known.size - 4)
        four = first[:, None] + np.arange(4)
        places = known[four]
        apart = places[:, :, None] - places[:, None, :] + np.eye(4)
        away = at[:, None] - places
        away[away == 0.0] = 1e-200
        weights = 1.0 / (np.prod(apart, axis=2) * away)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("mk,mkn->mn", weights, self.x[order[four]])

    def _place(self, u: Array) -> Array:
        """The angle along the bulk; the root of the distance to the edge where there is but one."""
        if math.isinf(self.high):
            return np.sqrt(np.maximum(u - self.low, 0.0))
        return np.arccos(np.clip(1.0 - 2.0 * (u - self.low) / (self.high - self.low), -1.0, 1.0))

    def add(self, u: Array, x: Array) -> None:
        """Take what was solved, and no place twice."""
        self.u, index = np.unique(np.append(self.u, u), return_index=True)
        self.x = np.concatenate([self.x, x])[index]

    def take(self, u: Array, found: Solution) -> None:
        """Add what of `found` at `u` is solved, and has a density."""
        kept = found.solved & (found.psi.imag < 0.0)
        self.add(u[kept], found.x[kept])


def density_at(
    equation: Equation, u: Array, known: Known | None = None, *, stop: float = STOP
) -> tuple[Array, Solution]:
    """The density p of U = −log λ at U = `u`, and the solution it comes from."""
    start = None
    if known is not None and known.u.size >= LEAST_KNOWN:
        start = known.near(u)
    found = equation.solve(np.exp(u).astype(complex), start, stop=stop)
    if known is not None:
        known.take(u, found)
        # Beside a peak there is now something closer to begin with.
        lost = np.flatnonzero(~found.solved)
        if start is not None and 0 < lost.size < u.size and stop == STOP and scale_of(equation.log_range) < 1.0:
            again = equation.solve(np.exp(u[lost]).astype(complex), known.near(u[lost]), stop=stop)
            known.take(u[lost], again)
            found = found.with_rows(lost[again.solved], again.rows(again.solved))
    return np.where(found.inside, -found.psi.imag / math.pi, np.nan), found
