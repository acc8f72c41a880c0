"""How slopes too small to be told from zero are let go: gradually, so that the law of D² has no edge there.

Where φ' falls off exponentially far out, φ'² reaches 1e-100 and less on part of the units.  A law cut off there has an
edge so sharp that nothing resolves it, and JJᵀ inherits that.  Weighted with (t/(t + t₀))² it fades instead; what is
taken away counts as φ' = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .._types import Array
from ..activations import Branch
from .path import TINY_SLOPE_SQUARE, last_above, square_at

# Half-way point: what is left at the cut is the square of their ratio, 1e-16.
FADING = 1e8 * TINY_SLOPE_SQUARE
# From here on nothing is taken away that could be told.
UNTOUCHED = 1e16 * FADING
# Panels from one to the other: 55 units of log t, of which one may span 7.
_PANELS = 12
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def kept(t: Array) -> Array:
    """Weight of φ'² = t."""
    return (t / (t + FADING)) ** 2


def taken(t: Array) -> Array:
    """1 − `kept`, without cancellation."""
    x = FADING / (t + FADING)
    return x * (2.0 - x)


def is_cut(branch: Branch, end: float) -> bool:
    """Whether the branch goes on beyond `end`, with slopes that count as zero."""
    inside = branch.lower < end < branch.upper
    return inside and square_at(branch, end) < 2.0 * TINY_SLOPE_SQUARE


class Taken:
    """What is taken from one end of a monotone piece, that of tiny slopes."""

    def __init__(self, branch: Branch, lower: float, upper: float, density: Callable[[Array], Array]) -> None:
        self.branch, self.density = branch, density
        self.ends, x, weights = _panels(branch, lower, upper)
        self.start = self.ends[0]
        self.sums = np.concatenate([[0.0], np.cumsum((density(x.ravel()).reshape(x.shape) * weights).sum(axis=1))])

    @property
    def mass(self) -> float:
        """All of it."""
        return float(self.sums[-1])

    def up_to(self, x: Array) -> Array:
        """Between the end and x (n,)."""
        distance = np.abs(x - self.start)
        index = np.clip(np.searchsorted(np.abs(self.ends - self.start), distance) - 1, 0, _PANELS - 1)
        part = self._over(self.ends[index], x)
        return np.where(distance < abs(self.ends[-1] - self.start), self.sums[index] + part, self.sums[-1])

    def _over(self, a: Array, b: Array) -> Array:
        x, weights = _rule(self.branch, a, b)
        return (self.density(x.ravel()).reshape(x.shape) * weights).sum(axis=1)


@lru_cache(maxsize=64)
def _panels(branch: Branch, lower: float, upper: float) -> tuple[Array, Array, Array]:
    """Ends of panels from the end of tiny slopes to where nothing is taken, and the rule on them: for any density."""
    at_lower = square_at(branch, lower) < square_at(branch, upper)
    start, far = (lower, upper) if at_lower else (upper, lower)
    inside = last_above(branch, far, start, UNTOUCHED) if square_at(branch, far) > UNTOUCHED else far
    ends = np.linspace(start, inside, _PANELS + 1)
    return ends, *_rule(branch, ends[:-1], ends[1:])


def _rule(branch: Branch, a: Array, b: Array) -> tuple[Array, Array]:
    """Nodes between every a and b (n,), and weights with what is taken there in them, both (n, 24)."""
    half = 0.5 * np.abs(b - a)[:, None]
    x = 0.5 * (a + b)[:, None] + half * _NODES
    return x, half * _WEIGHTS * taken(branch.slope(x.ravel()) ** 2).reshape(x.shape)
