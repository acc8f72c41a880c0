"""Sums over the nodes of one law, Σ W_j/(1 − v t_j) and its kin: where nearly all time is spent."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .._types import Array
from ..native import LANES, NATIVE

# Terms 1/(1 − vt) that numpy holds at a time: less than the 128 KiB for which the allocator would turn to the system.
BLOCK = 7000


class NodeSums:
    """Nodes t and weights W (J,) of one law, and the sums over them at v, with r = 1/(1 − vt).

    In this order: Σ W t r, Σ W (t − 1)² r, Σ W r, Σ W t r² = ψ', Σ 2 W t² r³ = ψ''.  The second is that behind S − 1,
    which for a narrow law is of the size of its variance.

    Attributes
    ----------
    handle : the nodes as the compiled sums want them (`native/sums.c`), or None.
    """

    def __init__(self, points: Array, weights: Array) -> None:
        self._points, self._weights = points, weights.astype(complex)
        # One row alone would be summed term by term, and with three times the rounding.
        self._rows = max(8, BLOCK // points.size)
        self.handle = _handle(points, self._weights) if NATIVE is not None else None

    @cached_property
    def _first(self) -> Array:
        t, w = self._points, self._weights
        return np.stack([w * t, w * (t - 1.0) ** 2, w], axis=-1)

    @cached_property
    def _powers(self) -> tuple[Array, Array]:
        t, w = self._points, self._weights
        return w * t, 2.0 * w * t**2

    def __reduce__(self) -> tuple[Any, ...]:
        return NodeSums, (self._points, self._weights)

    def add_up(self, v: Array, out: Array) -> None:
        """Write the first 3, 4 or 5 sums at v (n,) into `out` (n, 3 + order)."""
        order = out.shape[1] - 3
        if NATIVE is not None:
            NATIVE.sums(self.handle, np.ascontiguousarray(v, complex), order, out)
            return
        for begin in range(0, v.size, self._rows):
            part = slice(begin, begin + self._rows)
            inverse = self._inverse(v[part])
            out[part, :3] = inverse @ self._first
            power = inverse
            for k, row in enumerate(self._powers[:order]):
                power = power * inverse if power is inverse else np.multiply(power, inverse, out=power)
                out[part, 3 + k] = power @ row

    def divided_difference(self, a: Array, v: Array) -> Array:
        """Σ W t/((1 − at)(1 − vt)), a real."""
        result = np.empty(v.shape, complex)
        if NATIVE is not None:
            NATIVE.difference(self.handle, np.ascontiguousarray(a, float), np.ascontiguousarray(v, complex), result)
            return result
        for begin in range(0, v.size, self._rows):
            part = slice(begin, begin + self._rows)
            product = self._inverse(a[part].astype(complex))
            product *= self._inverse(v[part])
            result[part] = product @ self._powers[0]
        return result

    def _inverse(self, v: Array) -> Array:
        """1/(1 − vt), shape (n, J)."""
        inverse = np.multiply.outer(v, self._points)
        np.subtract(1.0, inverse, out=inverse)
        return np.reciprocal(inverse, out=inverse)


def _handle(t: Array, w: Array) -> Any:
    """Nodes in order of |t|; made up to a multiple of what is summed at a time with nodes of no weight."""
    order = np.argsort(np.abs(t), kind="stable")
    size = t.size + -t.size % LANES
    points, weights = np.empty(size, complex), np.zeros(size, complex)
    points[: t.size], weights[: t.size] = t[order], w[order]
    points[t.size :] = points[t.size - 1]
    return NATIVE.table(points, weights)
