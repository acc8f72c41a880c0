"""One layer of a chain of blocks, and what its diagonals may be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange, nodes

# So many values of a slope are taken as they are; of more, so many stand for all.
FEW, VALUES = 4, 14


@dataclass(frozen=True, eq=False)
class Block:
    """D_0 + Σ_k √gain_k · D_k W_k E_k, W_k independent, of entries of variance 1/N or Haar; D_k, E_k diagonal.

    A neuron has one of J sets of values, or J nodes of a quadrature stand for more. Neurons are alike; those of one
    neuron in different blocks are dependent: E f(j_1, …, j_L) = Σ core_1[j_1] ⋯ core_L[j_L] f(j_1, …, j_L), a product
    of matrices.

    Attributes
    ----------
    gains : variance of an entry of each W_k times N, (K,).
    haar : whether each W_k is orthogonal, or else Gaussian, (K,).
    values : D_0², E_1², D_1², E_2², D_2², … of every set, (J, 1 + 2K).
    core : (J, r, r′), r and r′ the dimensions of what is passed on to the blocks beside it.
    """

    gains: Array
    haar: Array
    values: Array
    core: Array

    @staticmethod
    def alone(gains: Array, haar: Array, values: Array, share: Array) -> Block:
        """A block that is independent of those beside it; `share` (J,): masses of the sets of values."""
        return Block(np.asarray(gains, float), np.asarray(haar, bool), values, np.asarray(share, float)[:, None, None])

    @property
    def through(self) -> Array:
        """D_0², (J,)."""
        return self.values[:, 0]

    @property
    def inner(self) -> Array:
        """E_k², (J, K)."""
        return self.values[:, 1::2]

    @property
    def outer(self) -> Array:
        """D_k², (J, K)."""
        return self.values[:, 2::2]

    @cached_property
    def flat(self) -> Array:
        """The core as one matrix, (r, J r′)."""
        return np.ascontiguousarray(self.core.transpose(1, 0, 2).reshape(self.core.shape[1], -1))

    @cached_property
    def flat_back(self) -> Array:
        """The core's transpose as one matrix, (r′, J r)."""
        return np.ascontiguousarray(self.core.transpose(2, 0, 1).reshape(self.core.shape[2], -1))


def mixture_of(squares: Array, count: int = VALUES) -> tuple[Array, Array]:
    """Values (J,) and mixture (n, J) for D² = `squares` (n,): the few there are, or Chebyshev nodes that carry all.

    What is asked of D² is analytic in it, between its extremes and far beyond.
    """
    distinct, index = np.unique(squares, return_inverse=True)
    if distinct.size <= FEW:
        return distinct, np.eye(distinct.size)[index.ravel()]
    low, high = float(distinct[0]), float(distinct[-1])
    places = nodes(count)
    x = (2.0 * squares - low - high) / (high - low)
    return 0.5 * (low + high) + 0.5 * (high - low) * places, lagrange(places, barycentric(places), x)
