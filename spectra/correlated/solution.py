"""What solving an equation at many λ has found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array

# Relative residual to stop at, and of a point that counts as solved.
STOP, SOLVED = 1e-13, 1e-10


@dataclass(frozen=True, eq=False)
class Solution:
    """Unknowns (M, n), ψ (M,), relative residual (M,), and whether the point is the right root by its signs (M,)."""

    x: Array
    psi: Array
    residual: Array
    inside: Array

    @property
    def solved(self) -> Array:
        """Which points count, (M,)."""
        return self.inside & (self.residual < SOLVED)

    def rows(self, which: Array) -> Solution:
        """Some of the points."""
        return Solution(*(part[which] for part in (self.x, self.psi, self.residual, self.inside)))

    def with_rows(self, rows: Array, other: Solution) -> Solution:
        """The same with other answers at some points."""
        mine = [part.copy() for part in (self.x, self.psi, self.residual, self.inside)]
        theirs = (other.x, other.psi, other.residual, other.inside)
        for part, new in zip(mine, theirs, strict=True):
            part[rows] = new
        return Solution(*mine)

    def followed_by(self, other: Solution) -> Solution:
        """These points, then those of `other`."""
        mine, theirs = ((s.x, s.psi, s.residual, s.inside) for s in (self, other))
        return Solution(*(np.concatenate([a, b]) for a, b in zip(mine, theirs, strict=True)))
