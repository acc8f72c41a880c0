"""Quadratic forms of the signal's own vectors in the resolvent of the noise, neuron by neuron.

Given the forward pass, W_l = g_l x_{l−1}ᵀ/|x_{l−1}|² + W̃_l P_l: what the signal has seen of W_l, g_l = W_l x_{l−1}, and
fresh noise on the complement of x_{l−1}. So a neuron's tridiagonal matrix T of `spectra.correlated.equation`, which has
the law of JJᵀ, is perturbed by 2L vectors, of N entries each,

    e_l = x_{l−1}/|x_{l−1}| at c_{l−1},      f_l = α E_l g_l/|x_{l−1}| at r_l,

and what counts are their products H = Uᵀ T^{−1} U, U = (e_1, f_1, e_2, …). These are means over the paths of one
neuron. Along a path go the pivot ρ of T from the left and the moments 1, x, x² of the state; each vector that was
passed takes its own share of T^{−1} along. Slopes are fresh in every layer: given the pivot nothing else is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange, nodes
from .passage import Passage


class Overlaps:
    """H at one λ after another.

    Parameters
    ----------
    passages : the layers, J_1 first.
    count : nodes of the law of a pivot; the error falls geometrically with it.
    """

    def __init__(self, passages: Sequence[Passage], count: int) -> None:
        self.passages = tuple(passages)
        self._places = 0.5 + 0.5 * nodes(count)
        self._barycentric = barycentric(self._places)

    def at(self, zeta: float, a: Array, b: Array) -> tuple[Array, float]:
        """H (2L, 2L), and r_L as the paths have it, at ζ = √u below the edge, A and B (L,) real."""
        depth = len(self.passages)
        right = self._from_right(zeta, a, b)
        forms = np.zeros((2 * depth, 2 * depth))
        pivots, ends = np.array([-zeta]), (-zeta, -zeta)
        # Rows 1, x, x²; and of every vector so far, times T^{−1} from its site to here, 1 and x.
        state = np.array([[1.0], [0.0], [self.passages[0].second]])
        plain, with_x = np.zeros((0, 1)), np.zeros((0, 1))
        for k, layer in enumerate(self.passages):
            skip, size = layer.skip, 1.0 / math.sqrt(layer.second)
            amplitude = layer.amplitude * size
            beyond, share = right[k]
            # At c_{l−1}: its pivot is −B − 1/ρ, and ρ may be 0 where nothing goes past W.
            outer = b[k] + skip**2 / (-layer.squares[:, None] * a[k] - 1.0 / beyond)
            reached = np.einsum("kjn,j,n->k", 1.0 / (1.0 + pivots[:, None, None] * outer), layer.mass, share)
            forms[: 2 * k, 2 * k] = size * (with_x @ reached)
            forms[2 * k, 2 * k] = size**2 * (state[2] @ (-pivots * reached))
            # At r_l.
            passed = skip / (1.0 + b[k] * pivots)
            plain = np.concatenate([plain, -size * state[1:2] * pivots]) * passed
            with_x = np.concatenate([with_x, -size * state[2:3] * pivots]) * passed

            def step(x: Array, s: Array, k: int = k, skip: float = skip) -> Array:
                return -s * a[k] + skip**2 * x / (1.0 + b[k] * x)

            new = step(pivots[:, None], layer.squares)
            diagonal = (1.0 / (new[:, :, None] - 1.0 / beyond)) @ share
            forms[: 2 * k + 1, 2 * k + 1] = amplitude * (plain @ (diagonal @ layer.image))
            forms[2 * k + 1, 2 * k + 1] = amplitude**2 * (state[0] @ (diagonal @ layer.image2))
            ends = _reached(ends, step, layer)
            pivots, basis = self._onto(new, ends)
            one, phi, phi2, image, image_phi = (
                np.einsum("j,kjn->kn", weights, basis)
                for weights in (layer.mass, layer.value, layer.value2, layer.image, layer.image_value)
            )
            kick = layer.amplitude
            mine = amplitude * (skip * state[1:2] @ image + kick * state[:1] @ image_phi)
            with_x = np.concatenate([skip * with_x @ one + kick * plain @ phi, mine])
            plain = np.concatenate([plain @ one, amplitude * state[:1] @ image])
            state = np.stack(
                [
                    state[0] @ one,
                    skip * state[1] @ one + kick * state[0] @ phi,
                    skip**2 * state[2] @ one + 2.0 * kick * skip * state[1] @ phi + kick**2 * state[0] @ phi2,
                ]
            )
        return forms + np.triu(forms, 1).T, float(state[2].sum())

    def _from_right(self, zeta: float, a: Array, b: Array) -> list[tuple[Array, Array]]:
        """Pivots of c_l from the right and their weights, l = 1 … L."""
        pivots, share, ends = np.array([-zeta]), np.ones(1), (-zeta, -zeta)
        found = [(pivots, share)]
        for k in range(len(self.passages) - 1, 0, -1):
            layer = self.passages[k]

            def step(x: Array, s: Array, k: int = k, skip: float = layer.skip) -> Array:
                return -b[k] - skip**2 / (-s * a[k] - 1.0 / x)

            new = step(pivots[:, None], layer.squares)
            ends = _reached(ends, step, layer)
            pivots, basis = self._onto(new, ends)
            share = np.einsum("k,j,kjn->n", share, layer.mass, basis)
            found.append((pivots, share))
        return found[::-1]

    def _onto(self, values: Array, ends: tuple[float, float]) -> tuple[Array, Array]:
        """Nodes between the ends, and what functions of `values` (…) are from values at the nodes (…, K)."""
        low, high = ends
        if high - low <= 1e-14 * max(abs(low), abs(high)):
            return np.array([low]), np.ones((*values.shape, 1))
        return low + (high - low) * self._places, lagrange(
            self._places, self._barycentric, (values - low) / (high - low)
        )


def _reached(ends: tuple[float, float], step: Callable[[Array, Array], Array], layer: Passage) -> tuple[float, float]:
    """Between which all pivots lie beyond a layer: they grow, or fall, with the one before and with E²."""
    squares = np.array([layer.squares.min(), layer.squares.max()])
    reached = step(np.array(ends)[:, None], squares)
    return float(reached.min()), float(reached.max())
