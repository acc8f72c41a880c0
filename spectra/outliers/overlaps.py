"""Quadratic forms of the signal's own vectors in the resolvent of the noise, neuron by neuron.

Given the forward pass, each weight matrix is W = g zᵀ/|z|² + W̃ P: what the signal z has seen of it, g = W z, and fresh
noise on the complement of z. So a neuron's tridiagonal matrix T of `spectra.correlated.equation`, which has the law of
JJᵀ, is perturbed by two vectors a matrix, of N entries each,

    e = E z/|z| at the column that W takes,      f = D g/|z| at the row that it gives,

E and D the diagonals before and after W, and what counts are their products H = Uᵀ T^{−1} U, U = (e_1, f_1, e_2, …).
These are means over the paths of one neuron. Along a path go the pivot of T from the left and what the state x allows
to be expected of all that follows (`Passage`); each vector that was passed takes its own share of T^{−1} along. What
follows depends on the state, too, by the pivots from the right. Units between two weights of a branch are by
themselves: T is two by two there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange, nodes
from .passage import Between, Passage


class Overlaps:
    """H at one λ after another.

    Parameters
    ----------
    passages : the layers, J_1 first, of K weight matrices in all.
    count : nodes of the law of a pivot; the error falls geometrically with it.
    """

    def __init__(self, passages: Sequence[Passage], count: int) -> None:
        self.passages = tuple(passages)
        self._places = 0.5 + 0.5 * nodes(count)
        self._barycentric = barycentric(self._places)
        self._first = np.cumsum([0, *(layer.weights for layer in self.passages)])

    def at(self, zeta: float, a: Array, b: Array) -> tuple[Array, float]:
        """H (2K, 2K), and E x² of what leaves as the paths have it, at ζ = √u below the edge, A and B (K,) real."""
        right = self._from_right(zeta, a, b)
        forms = np.zeros((2 * a.size, 2 * a.size))
        pivots, ends = np.array([-zeta]), np.array([-zeta, -zeta])
        # What the paths expect of the state's functions, at every pivot; the same times shares of T^{−1}.
        state, vectors, places = np.ones((1, 1, 1)), np.zeros((0, 1, 1)), np.zeros(0, int)
        for k, layer in enumerate(self.passages):
            first, last = int(self._first[k]), int(self._first[k + 1]) - 1
            beyond, share = right[k]
            p, inner, outer = pivots[:, None], b[first] * layer.inner, a[last] * layer.outer
            # At c_{l−1} the pivot is −seen/p; p may be 0, where nothing goes past W.
            seen = 1.0 + inner * p
            passed = layer.through / seen
            new = passed * layer.through * p - outer
            after = layer.through[:, None] ** 2 / (outer[:, None] + 1.0 / beyond)
            reached = 1.0 / (seen[:, :, None] - p[:, :, None] * after)
            diagonal = 1.0 / (new[:, :, None] - 1.0 / beyond)
            kicked = -p * passed
            # With vectors of before, with each other.
            here, there = 2 * first, 2 * last + 1
            forms[places, here] = _dot(vectors, layer.e[0], reached, share)
            forms[places, there] = _dot(vectors, layer.f[0], passed[:, :, None] * diagonal, share)
            forms[here, here] = _dot(state, layer.pairs[0], -p[:, :, None] * reached, share)[0]
            forms[here, there] = _dot(state, layer.pairs[1], kicked[:, :, None] * diagonal, share)[0]
            forms[there, there] = _dot(state, layer.pairs[2], diagonal, share)[0]
            for i, unit in enumerate(layer.hidden, first):
                _add_between(forms, unit, i, a[i], b[i + 1])
            ends = _onward(layer, ends[:, None], inner, outer)
            pivots, basis = self._onto(new, float(ends[0]), float(ends[1]))
            moved = [
                _moved(vectors, layer.one[1], passed, basis),
                _moved(state, layer.e[1], kicked, basis),
                _moved(state, layer.f[1], np.ones_like(passed), basis),
            ]
            vectors, state = np.concatenate(moved), _moved(state, layer.one[2], np.ones_like(passed), basis)
            places = np.append(places, [here, there])
        return forms + np.triu(forms, 1).T, float(state[0, :, 2].sum())

    def _from_right(self, zeta: float, a: Array, b: Array) -> list[tuple[Array, Array]]:
        """Pivots (K,) of c_l from the right, l = 1 … L, and for each its share as a function of x_l, (n, K)."""
        pivots, share, ends = np.array([-zeta]), np.ones((1, 1)), np.array([-zeta, -zeta])
        found = [(pivots, share)]
        for k in range(len(self.passages) - 1, 0, -1):
            layer, first, last = self.passages[k], int(self._first[k]), int(self._first[k + 1]) - 1
            inner, outer = b[first] * layer.inner, a[last] * layer.outer
            new = _back(layer, pivots[:, None], inner, outer)
            reached = _back(layer, ends[:, None], inner, outer)
            ends = np.array([reached.min(), reached.max()])
            pivots, basis = self._onto(new, float(ends[0]), float(ends[1]))
            share = np.einsum("jam,mjp->ap", layer.one[0] @ share, basis, optimize=True)
            found.append((pivots, share))
        return found[::-1]

    def _onto(self, values: Array, low: float, high: float) -> tuple[Array, Array]:
        """Nodes between the ends, and what functions of `values` (…) are from values at the nodes (…, K)."""
        if high - low <= 1e-14 * max(abs(low), abs(high)):
            return np.array([low]), np.ones((*values.shape, 1))
        return low + (high - low) * self._places, lagrange(
            self._places, self._barycentric, (values - low) / (high - low)
        )


def _onward(layer: Passage, pivots: Array, inner: Array, outer: Array) -> Array:
    """Between which all pivots of r_l lie: they grow with the one of r_{l−1}."""
    reached = layer.through**2 * pivots / (1.0 + inner * pivots) - outer
    return np.array([reached.min(), reached.max()])


def _back(layer: Passage, pivots: Array, inner: Array, outer: Array) -> Array:
    """Pivots of c_{l−1} from the right, of those of c_l."""
    return layer.through**2 * pivots / (1.0 + outer * pivots) - inner


def _dot(left: Array, tensor: Array, factor: Array, share: Array) -> Array:
    """Σ of what is expected on the left (V, K, n), a tensor (J, n, n′), a factor (K, J, M), shares (n′, M): (V,)."""
    seen = np.einsum("jam,kjm->ka", tensor @ share, factor, optimize=True)
    return left.reshape(left.shape[0], seen.size) @ seen.ravel()


def _moved(left: Array, tensor: Array, factor: Array, basis: Array) -> Array:
    """The same beyond the layer, (V, K′, n′), times a factor (K, J), at new pivots: basis (K, J, K′)."""
    rows, count, _ = left.shape
    values, _, number = tensor.shape
    ahead = np.tensordot(left, tensor, axes=(2, 1)).reshape(rows, count * values, number)
    return (factor[:, :, None] * basis).reshape(count * values, -1).T @ ahead


def _add_between(forms: Array, unit: Between, k: int, a: float, b: float) -> None:
    """Products of f_k and e_{k+1}, of T = (−A, 1; 1, −H²B)."""
    inverse = 1.0 / (1.0 - a * b * unit.squares)
    f, e = 2 * k + 1, 2 * k + 2
    forms[f, f] = b * (unit.given @ (unit.squares * inverse))
    forms[f, e] = unit.both @ inverse
    forms[e, e] = a * (unit.taken @ inverse)
