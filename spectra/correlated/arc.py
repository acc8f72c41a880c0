"""Nodes on an arc of a circle in the plane of complex numbers, and polynomials through values at them.

Values of a pivot over real parameters lie on an arc of a circle, or near one, singularities far off at infinity: the
nodes are those of the equilibrium of the arc, so that polynomials through them are as good there as Chebyshev's are on
a segment, which an arc of no height is.
"""

from __future__ import annotations

import numpy as np

from .._types import Array

# An arc higher than this, over its half chord, is nearly a whole circle, or the wrong way round: a segment instead.
HIGHEST = 12.0
# Stands for the distance 0.
NEAREST = 1e-150


class Arcs:
    """Arcs from `first` to `last` (M,) through `middle` (M,), and nodes on each.

    Parameters
    ----------
    places : (K,), where the nodes are on [−1, 1] for a segment; Chebyshev's nodes.

    Attributes
    ----------
    nodes : (M, K).
    """

    def __init__(self, first: Array, last: Array, middle: Array, places: Array) -> None:
        self._centre, self._half = 0.5 * (first + last), 0.5 * (last - first)
        height = _height((middle - self._centre) / self._half)[:, None]
        # With sin(θ/2) = sin(α/2) x, θ the angle from the top of the arc, |θ| < α, and tan(α/2) its height, where the
        # density of x is that of Chebyshev's nodes.
        low = 1.0 - places**2
        self._nodes = places * np.sqrt(1.0 + height**2 * low) + 1j * height * low
        apart = self._nodes[:, :, None] - self._nodes[:, None, :] + np.eye(places.size)
        self._weights = 1.0 / np.prod(apart, axis=2)
        self.nodes = self._centre[:, None] + self._half[:, None] * self._nodes

    def lagrange(self, at: Array) -> Array:
        """The polynomials that are 1 at one node and 0 at the others, at places (M, Q); (M, K, Q)."""
        places = (at - self._centre[:, None]) / self._half[:, None]
        apart = places[:, None, :] - self._nodes[:, :, None]
        apart[apart == 0.0] = NEAREST
        whole = np.prod(apart, axis=1)
        np.divide(whole[:, None, :], apart, out=apart)
        apart *= self._weights[:, :, None]
        return apart


def _height(middle: Array) -> Array:
    """Im of the top of the arc from −1 to 1 through `middle` (M,)."""
    side = np.where(middle.imag < 0.0, -1.0, 1.0)
    # The centre is at i y; with y → −∞ on the side of the arc it is a segment.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        y = side * (np.abs(middle) ** 2 - 1.0) / (2.0 * np.abs(middle.imag))
        beside = side * y
        height = side * np.where(beside > 0.0, beside + np.hypot(1.0, y), 1.0 / (np.hypot(1.0, y) - beside))
    return np.where(np.abs(height) < HIGHEST, height, 0.0)
