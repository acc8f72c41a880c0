"""The law of a pivot over all paths that lead to it, as far as analytic functions of it are concerned.

A message is a set of nodes x_k, for every λ, and weights ω_ik: E[f(x) | state i] = Σ_k ω_ik f(x_k) for every f that is
analytic around the values of x, so that a few nodes do.
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

    def of(self, x: Array) -> Array:
        """Return w at x (M, Q)."""
        return (x - self.centre[:, None]) / (x - self.pole[:, None])

    def at(self, w: Array) -> Array:
        """Return x at w (M, Q)."""
        return (self.centre[:, None] - self.pole[:, None] * w) / (1.0 - w)


@dataclass(frozen=True, eq=False)
class Message:
    """Nodes (M, K) for M values of λ, and weights (M, n, K) in every state."""

    nodes: Array
    weights: Array

    @staticmethod
    def certain(value: Array, states: int) -> Message:
        """A pivot that is the same on every path."""
        return Message(value[:, None], np.ones((value.size, states, 1), complex))

    def given(self, matrix: Array | None, share: Array, states: int) -> Message:
        """The expectation given the state of the neighbouring block: by `matrix`, or over all states alike."""
        points, _, count = self.weights.shape
        flat = np.ascontiguousarray(self.weights).view(float)
        if matrix is None:
            mean = (share @ flat).view(complex)[:, None, :]
            return Message(self.nodes, np.broadcast_to(mean, (points, states, count)))
        return Message(self.nodes, np.ascontiguousarray(matrix @ flat).view(complex))
