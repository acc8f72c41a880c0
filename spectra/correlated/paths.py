"""The joint law of what a neuron is in all blocks as a product of small matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array

# Singular values below this, relative to the largest, are left out.
LEAST = 1e-9


def matrix_product(
    shares: Sequence[Array], mixtures: Sequence[Array], forward: Sequence[Array], *, least: float = LEAST
) -> list[Array]:
    """Cores (J_l, r_{l−1}, r_l) of the law of a Markov chain of which, in state i, the value j has weight mixture_ij.

    Parameters
    ----------
    shares : of the states i of each link, (n_l,).
    mixtures : (n_l, J_l); weights may be negative.
    forward : (n_l, n_{l+1}), P(state of the next link = j | state here = i), as weights of a quadrature.
    least : singular values to leave out, relative to the largest.

    Notes
    -----
    What the blocks before and after a link have to do with each other is of low rank: conditional expectations smooth.
    From the right an orthonormal basis of what may be expected of the rest is kept for every link, in the mean square
    over its states; then the same is done from the left with what is left. The matrices are those of a tensor train.

    Source
    ------
    Oseledets, SIAM J. Sci. Comput. 33 (2011), 2295-2317.
    """
    cores: list[Array] = []
    basis = np.ones((shares[-1].size, 1))
    for k in range(len(shares) - 1, -1, -1):
        ahead = forward[k] @ basis if k < len(shares) - 1 else basis
        # What is expected in every state, for every value: (n, J, r).
        expected = mixtures[k][:, :, None] * ahead[:, None, :]
        if k == 0:
            cores.append(np.einsum("i,ijr->jr", shares[0], expected)[:, None, :])
            break
        root = np.sqrt(np.abs(shares[k]))
        count, values, rank = expected.shape
        left, size, right = np.linalg.svd(root[:, None] * expected.reshape(count, -1), full_matrices=False)
        kept = size > least * size[0]
        basis = left[:, kept] / np.maximum(root, 1e-300)[:, None]
        found = (size[kept, None] * right[kept]).reshape(-1, values, rank)
        cores.append(found.transpose(1, 0, 2))
    return _from_left(cores[::-1], least)


def _from_left(cores: list[Array], least: float) -> list[Array]:
    """The same law without what no block before a link tells apart."""
    found, carried = [], np.ones((1, 1))
    for core in cores[:-1]:
        here = np.einsum("ab,jbc->ajc", carried, core)
        before, values, after = here.shape
        left, size, right = np.linalg.svd(here.reshape(-1, after), full_matrices=False)
        kept = size > least * size[0]
        found.append(left[:, kept].reshape(before, values, -1).transpose(1, 0, 2))
        carried = size[kept, None] * right[kept]
    return [*found, np.einsum("ab,jbc->jac", carried, cores[-1])]
