"""Diagonal factors beside a projection that takes out a direction or two: what normalising leaves."""

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

    def range(self) -> tuple[Array, Array]:
        """Orthonormal directions of what is left, (N, m), and how much of each, (m,)."""
        return _range(self.directions, self.kept)


class BatchProjection(NamedTuple):
    """One such projection a neuron, over its batch: of vectors (N·B,), neuron by neuron.

    Parameters
    ----------
    directions : (N, B, k), orthonormal over the batch.
    kept : (N, k), zero for the same k in all neurons.
    """

    directions: Array
    kept: Array

    def times(self, x: Array) -> Array:
        """P x, of a vector or a matrix."""
        each = x.reshape(*self.directions.shape[:2], -1)
        along = np.einsum("nbk,nbc->nkc", self.directions, each) * (1.0 - self.kept)[:, :, None]
        return x - np.einsum("nbk,nkc->nbc", self.directions, along).reshape(x.shape)

    def squares(self) -> Array:
        """Diagonal of P²."""
        return (1.0 - np.einsum("nbk,nk->nb", self.directions**2, 1.0 - self.kept**2)).ravel()

    def range(self) -> tuple[Array, Array]:
        """Orthonormal directions of what is left, (N·B, m), and how much of each, (m,)."""
        from scipy.linalg import block_diag

        blocks, sizes = zip(*map(_range, self.directions, self.kept), strict=True)
        return block_diag(*blocks), np.concatenate(sizes)


def _range(directions: Array, kept: Array) -> tuple[Array, Array]:
    whole = np.linalg.qr(directions, mode="complete")[0][:, directions.shape[1] :]
    some = directions[:, kept > 0.0]
    return np.concatenate([whole, some], axis=1), np.concatenate([np.ones(whole.shape[1]), kept[kept > 0.0]])


class Thinned(NamedTuple):
    """diag(slopes) P, or P diag(slopes) where `inside`."""

    slopes: Array
    projection: Projection | BatchProjection
    inside: bool

    def times(self, x: Array) -> Array:
        """Its product with a vector, or a matrix."""
        slopes = self.slopes if x.ndim == 1 else self.slopes[:, None]
        return self.projection.times(slopes * x) if self.inside else slopes * self.projection.times(x)

    def transposed_times(self, x: Array) -> Array:
        """The product of its transpose."""
        return self._replace(inside=not self.inside).times(x)


# What stands beside W: a diagonal, or more.
Beside = np.ndarray | Thinned


def mean_square(beside: Beside | None) -> float:
    """Mean of all squared singular values; 1 for None."""
    if beside is None:
        return 1.0
    if isinstance(beside, Thinned):
        return float(np.mean(beside.slopes**2 * beside.projection.squares()))
    return float(np.vdot(beside, beside)) / beside.size
