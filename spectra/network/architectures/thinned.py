"""Diagonal factors beside a projection that takes out a direction or two: what normalising over neurons leaves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..._types import Array


class Projection(NamedTuple):
    """1 − U diag(1 − kept) Uᵀ: what U spans is kept in part, or not at all.

    Parameters
    ----------
    directions : U, (N, k), orthonormal.
    kept : (k,), from 0 to 1.
    """

    directions: Array
    kept: Array

    def times(self, x: Array) -> Array:
        """P x, of a vector or a matrix; P is symmetric."""
        taken = (1.0 - self.kept) * self.directions
        return x - taken @ (self.directions.T @ x)

    def squares(self) -> Array:
        """Diagonal of P²."""
        return 1.0 - self.directions**2 @ (1.0 - self.kept**2)


class Thinned(NamedTuple):
    """diag(slopes) P, or P diag(slopes) where `inside`."""

    slopes: Array
    projection: Projection
    inside: bool

    def times(self, x: Array) -> Array:
        """This times a vector, or a matrix."""
        slopes = self.slopes if x.ndim == 1 else self.slopes[:, None]
        return self.projection.times(slopes * x) if self.inside else slopes * self.projection.times(x)

    def transposed_times(self, x: Array) -> Array:
        """The transpose times a vector, or a matrix."""
        return self._replace(inside=not self.inside).times(x)


# What stands beside W: a diagonal, or more.
Beside = np.ndarray | Thinned


def mean_square(beside: Beside | None) -> float:
    """Mean of all squared singular values; 1 for None."""
    if beside is None:
        return 1.0
    if isinstance(beside, Thinned):
        return float(np.mean(beside.slopes**2 * beside.projection.squares()))
    return float(np.mean(beside**2))
