"""One layer of a chain of blocks, and what its diagonals may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange, nodes

# So many values of a slope are taken as they are; of more, so many stand for all.
FEW, VALUES = 4, 16


@dataclass(frozen=True, eq=False)
class Block:
    """D_0 + Σ_k √gain_k · D_k W_k E_k, W_k independent, of entries of variance 1/N or Haar; D_k, E_k diagonal.

    With `hidden` all W_k stand in one branch, D_0 + D_K W_K H_{K−1} W_{K−1} ⋯ H_1 W_1 E_1 times the roots of the gains.
    Then E_k² of the others, and D_k², are 0 in `values`, which makes each weight matrix stand for what passes at its
    own side of the block alone.

    A neuron has one of J sets of values, or J nodes of a quadrature stand for more. Neurons are alike; those of one
    neuron in different blocks are dependent: E f(j_1, …, j_L) = Σ core_1[j_1] ⋯ core_L[j_L] f(j_1, …, j_L), a product
    of matrices.

    Attributes
    ----------
    gains : variance of an entry of each W_k times N, (K,).
    haar : whether each W_k is orthogonal, or else Gaussian, (K,).
    values : D_0², E_1², D_1², E_2², D_2², … of every set, (J, 1 + 2K).
    core : (J, r, r′), r and r′ the dimensions of what is passed on to the blocks beside it.
    hidden : values of H_k² and their masses; H_k is independent of all else.
    """

    gains: Array
    haar: Array
    values: Array
    core: Array
    hidden: tuple[tuple[Array, Array], ...] = ()

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

    def noise_mean(self, means: Array) -> float:
        """(1/N) E tr of the square of what goes through the weights, for `means` of the values (1 + 2K,)."""
        if not self.hidden:
            return float(self.gains @ (means[1::2] * means[2::2]))
        passed = [float(share @ squares) for squares, share in self.hidden]
        return float(np.prod(self.gains) * means[1] * means[-1] * np.prod(passed))

    def noise_norm(self, largest: Array) -> float:
        """A bound of the norm of that, for wide networks; `largest`: values of E_1, D_1, …, (2K,)."""
        # ‖W‖ is 2 for Gaussian weights, 1 for orthogonal ones.
        sizes = np.where(self.haar, 1.0, 2.0) * np.sqrt(self.gains)
        if not self.hidden:
            return float(sizes @ (largest[::2] * largest[1::2]))
        passed = [math.sqrt(float(squares.max())) for squares, _ in self.hidden]
        return float(np.prod(sizes) * largest[0] * largest[-1] * np.prod(passed))

    @property
    def turn(self) -> float:
        """1 + s_1 of a branch of one chain, s_1 the second coefficient of its S-transform without D_K and E_1.

        1 for Haar W, 0 for a Gaussian one: each factor adds its own s_1, −1 where Gaussian, 1 − E H⁴/(E H²)² of H_k.
        """
        found = 1.0 - float(np.sum(~self.haar))
        for squares, share in self.hidden:
            found += 1.0 - float(share @ squares**2) / float(share @ squares) ** 2
        return found

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
