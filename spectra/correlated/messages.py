"""The law of a pivot over all paths that lead to it, as far as analytic functions of it are concerned.

A message is a set of nodes x_k, for every λ, and weights ω_rk: Σ_k ω_rk f(x_k) is the expectation of f(x), as a vector
that the next core takes on, for every f that is analytic around the values of x, so that a few nodes do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array


@dataclass(frozen=True, eq=False)
class Disc:
    """The coordinate w = (x − c)/(x − p): c = `centre` amid the values of a pivot, p = `pole` amid its singularities.

    In it what depends on the pivot is analytic far beyond its values, on the real axis and off it.

    Attributes
    ----------
    centre, pole : (M,).
    """

    centre: Array
    pole: Array

    def of_pivot(self, pivot: Array) -> Array:
        """Return w at x = 1/pivot (M, …); a pivot is 0 where nothing passes a block."""
        more = (slice(None), *(None,) * (pivot.ndim - 1))
        return (1.0 - self.centre[more] * pivot) / (1.0 - self.pole[more] * pivot)

    def at(self, w: Array) -> Array:
        """Return x at w (M, Q)."""
        return (self.centre[:, None] - self.pole[:, None] * w) / (1.0 - w)


@dataclass(frozen=True, eq=False)
class Message:
    """Nodes (M, K) for M values of λ, and weights (M, K, r)."""

    nodes: Array
    weights: Array

    @staticmethod
    def certain(value: Array) -> Message:
        """A pivot that is the same on every path."""
        return Message(value[:, None], np.ones((value.size, 1, 1), complex))

    def over(self, flat: Array, values: int) -> Array:
        """The weights for every value of the next block, (M, K, J, r′); `flat` : its core (r, J r′)."""
        points, count, rank = self.weights.shape
        # Real matrices: real and imaginary parts side by side would cost a copy, two products do not.
        rows = self.weights.reshape(-1, rank)
        found = (rows.real @ flat) + 1j * (rows.imag @ flat)
        return found.reshape(points, count, values, -1)
