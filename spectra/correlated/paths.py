"""The joint law of what a neuron is in all blocks as a product of small matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array

# Singular values below this, relative to the largest, are left out.
LEAST = 1e-14
# What is left of the last of many polynomials counts as so much at least: less would be lost in the rounding of all.
FADED = 1e-6


def matrix_product(
    shares: Sequence[Array],
    mixtures: Sequence[Array],
    forward: Sequence[Array],
    values: Sequence[Array],
    fading: Sequence[float],
    *,
    least: float = LEAST,
) -> list[Array]:
    """Cores (J_l, r_{l−1}, r_l) of the law of a Markov chain of which, in state i, the value j has weight mixture_ij.

    Parameters
    ----------
    shares : of the states i of each link, (n_l,).
    mixtures : (n_l, J_l); weights may be negative.
    forward : (n_l, n_{l+1}), P(state of the next link = j | state here = i), as weights of a quadrature.
    values : (J_l,); expectations will be of functions of them whose Chebyshev coefficients, relative to the first,
        are of size fading^k at most.
    fading : 1 at most.
    least : singular values to leave out, relative to the largest.

    Notes
    -----
    What the blocks before and after a link have to do with each other is of low rank: conditional expectations smooth,
    and the less a function depends on a value the less counts what is known of it. So values are told by polynomials
    T_k times fading^k. From the right the span of what may be expected of the rest is kept for every link, then the
    same from the left.

    Source
    ------
    Oseledets, SIAM J. Sci. Comput. 33 (2011), 2295-2317, for tensor trains and their rounding.
    """
    cores: list[Array] = []
    polynomials = [
        _polynomials(v) * np.maximum(f ** np.arange(v.size), FADED) for v, f in zip(values, fading, strict=True)
    ]
    # Functions of a state are taken times the root of its share: then conditional expectations of them do not grow.
    roots = [np.sqrt(np.abs(share)) for share in shares]
    basis = roots[-1][:, None]
    for k in range(len(shares) - 1, -1, -1):
        root = roots[k]
        ahead = (root[:, None] * forward[k] / roots[k + 1]) @ basis if k < len(shares) - 1 else basis
        # What is expected in every state, times each of these: (n, J, r).
        expected = (mixtures[k] @ polynomials[k])[:, :, None] * ahead[:, None, :]
        if k == 0:
            cores.append(np.einsum("i,ijr->jr", root, expected)[:, None, :])
            break
        count, number, rank = expected.shape
        left, size, right = np.linalg.svd(expected.reshape(count, -1), full_matrices=False)
        kept = size > least * size[0]
        basis = left[:, kept] * size[kept]
        cores.append(right[kept].reshape(-1, number, rank).transpose(1, 0, 2))
    found = _from_left(cores[::-1], least)
    return [np.einsum("kj,kab->jab", np.linalg.inv(p), core) for p, core in zip(polynomials, found, strict=True)]


def _polynomials(values: Array) -> Array:
    """T_k, k < J, at the values (J,), on their interval, (J, J)."""
    low, high = values.min(), values.max()
    x = (2.0 * values - low - high) / (high - low) if high > low else np.zeros_like(values)
    return np.polynomial.chebyshev.chebvander(x, values.size - 1)


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
