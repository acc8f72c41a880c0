"""What becomes of a pivot from one block to the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._types import Array
from .messages import Message

# A pivot that stands for 0.
LEAST = -1e-60j
# The way from the smallest values to the largest is that along which a pivot varies, if it is so long, relatively.
SHORT = 0.25


class Local(NamedTuple):
    """The diagonal of a block at c_{l−1} and r_l for every value (M, J), D_0² (J,); and at their means (M,)."""

    inner: Array
    outer: Array
    square: Array
    typical: tuple[Array, Array, float]
    extremes: tuple[tuple[Array, Array, float], tuple[Array, Array, float]]

    @property
    def turned(self) -> Local:
        """The same seen from the other side."""
        lowest, highest = self.extremes
        return Local(self.outer, self.inner, self.square, _turned(self.typical), (_turned(lowest), _turned(highest)))


def told_apart(local: Local, message: Message, over: Array, restarts: Array) -> Message:
    """The message with all pivots as they are, but those that forget what was before, as nothing passes the weights.

    Where D_0 depends on the neuron pivots lie far apart, and no few nodes stand for many. With slopes of 0 and 1 there
    is but one pivot more behind every block, for how far back the last 0 is.
    """
    points, count, _, rank = over.shape
    passing = count * int(np.sum(~restarts))
    passed = local.outer[:, None, ~restarts] - local.square[~restarts] / (
        local.inner[:, None, ~restarts] - message.nodes[:, :, None]
    )
    pivots = np.concatenate([passed.reshape(points, passing), local.outer[:, restarts]], axis=1)
    weights = [over[:, :, ~restarts].reshape(points, passing, rank), over[:, :, restarts].sum(axis=1)]
    # Of a unit that nothing leaves the pivot is 0.
    return Message(1.0 / np.where(pivots == 0.0, LEAST, pivots), np.concatenate(weights, axis=1))


def arc_along(ends: Array, w: Array) -> tuple[Array, Array, Array]:
    """Ends of an arc (M,) that goes along places w (M, Q), and a point between: from one of `ends` (M, 2) to the other.

    Through 0, where the mean path is; where the ends are close together, a segment between the farthest places.
    """
    first, last = ends[:, 0], ends[:, 1]
    middle = np.zeros_like(first)
    wide = np.max(np.abs(w - w[:, :1]), axis=1)
    short = np.flatnonzero(~(np.abs(last - first) > SHORT * wide))
    if short.size:
        w, rows = w[short], np.arange(short.size)
        one = w[rows, np.argmax(np.abs(w - w.mean(axis=1, keepdims=True)), axis=1)]
        other = w[rows, np.argmax(np.abs(w - one[:, None]), axis=1)]
        other = np.where(one == other, one + 1.0, other)
        first, last = first.copy(), last.copy()
        first[short], last[short], middle[short] = one, other, 0.5 * (one + other)
    return first, last, middle


def passed(local: tuple[Array, Array, Array | float], x: Array) -> Array:
    """One over the pivot two places on: x → 1/(r − D_0²/(c − x)), (c, r, D_0²) = `local`."""
    inner, outer, square = local
    return 1.0 / (outer - square / (inner - x))


def onward(local: tuple[Array, Array, Array | float], pivot: Array) -> Array:
    """The same from pivot to pivot, which may be 0."""
    inner, outer, square = local
    return outer - square * pivot / (inner * pivot - 1.0)


def _turned(local: tuple[Array, Array, float]) -> tuple[Array, Array, float]:
    return local[1], local[0], local[2]
