"""The self-consistent equation of a chain of blocks, for many λ at once.

J = J_L ⋯ J_1, J_l = β_l + √s_l E_l W_l D_l, is linearised: a symmetric matrix Q with blocks r_0, c_0, r_1, c_1, …,
r_L, c_L, Q(r_l, c_l) = 1, Q(r_l, c_{l−1}) = −J_l, Q(r_0, r_0) = Q(c_L, c_L) = −ζ with ζ² = u = 1/λ, has
det Q ∝ det(1 − u JᵀJ), and ψ(u) = ζ tr Q^{−1}(r_0, r_0). For wide networks Q^{−1} is, neuron by neuron, the inverse G
of a tridiagonal matrix with diagonal −ζ, −D_1² B_1, −E_1² A_1, −D_2² B_2, …, −E_L² A_L, −ζ and

    A_l = s_l a_l f_l,  a_l = E[D_l² G(c_{l−1}, c_{l−1})],   B_l = s_l b_l f_l′,  b_l = E[E_l² G(r_l, r_l)],

f = f′ = 1 for Gaussian W, f = 1/(1 + a_l B_l) and f′ = 1/(1 + b_l A_l) for orthogonal W (the R-transform of a Haar
matrix). The expectations are over the states of a neuron in all blocks; its continued fractions from the left and from
the right are independent given the state in between, and are passed on as `Message`s. All A, B, G lie in the lower half
plane for Im u < 0, where the solution is unique: the map takes the half planes into themselves.

Source
------
Helton, Rashidi Far, Speicher, IMRN 2007, rnm086 (operator-valued semicircular elements); Voiculescu, Dykema, Nica, Free
Random Variables (1992), chapter 4, for the Haar unitary; the transfer of pivots is this project's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange, nodes
from .blocks import Block
from .messages import Disc, Message

# Nodes of a message.
COUNT = 8


class BlockEquation:
    """Equation of JJᵀ for these blocks, J_1 first.

    Parameters
    ----------
    blocks : J_1 … J_L, square.
    count : nodes of a message; the error falls geometrically with it.
    """

    def __init__(self, blocks: Sequence[Block], count: int = COUNT) -> None:
        self.blocks, self.count = tuple(blocks), count
        self._places = 0.5 + 0.5 * nodes(count)
        self._barycentric = barycentric(self._places)
        self._means = [block.means for block in self.blocks]

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    def step(self, zeta: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
        """What the right sides say of A and B, (M, L), and ψ (M,), at ζ (M,), Im ζ ≤ 0."""
        typical_left, typical_right = self._typical(zeta, a, b)
        left = self._from_left(zeta, a, b, typical_left, typical_right)
        right = self._from_right(zeta, a, b, typical_left, typical_right)
        new_a, new_b = np.empty_like(a), np.empty_like(b)
        for k, block in enumerate(self.blocks):
            new_a[:, k], new_b[:, k] = self._averages(k, left[k], right[k], a[:, k], b[:, k])
            if block.haar:
                left_factor, right_factor = 1.0 + new_a[:, k] * b[:, k], 1.0 + new_b[:, k] * a[:, k]
                new_a[:, k] /= left_factor
                new_b[:, k] /= right_factor
            new_a[:, k] *= block.gain
            new_b[:, k] *= block.gain
        return new_a, new_b, self._psi(zeta, right[0], a[:, 0], b[:, 0])

    def _typical(self, zeta: Array, a: Array, b: Array) -> tuple[list[Array], list[Array]]:
        """1/pivot of r_{l−1} and of c_l, l = 1 … L, on the path with the mean slopes in every block."""
        left, right = [-1.0 / zeta], [-1.0 / zeta]
        for k in range(self.depth - 1):
            left.append(_beyond(self._means[k], self.blocks[k].skip, b[:, k], a[:, k], left[-1]))
        for k in range(self.depth - 1, 0, -1):
            right.append(_beyond(self._means[k][::-1], self.blocks[k].skip, a[:, k], b[:, k], right[-1]))
        return left, right[::-1]

    def _from_left(self, zeta: Array, a: Array, b: Array, centre: list[Array], other: list[Array]) -> list[Message]:
        """1/pivot of r_{l−1}, given the state of block l, l = 1 … L."""
        message = Message.certain(-1.0 / zeta, self.blocks[0].share.size)
        found, ends = [message], np.repeat(message.nodes, 2, axis=1)
        for k, (block, following) in enumerate(zip(self.blocks, self.blocks[1:], strict=False)):
            # Where −D² B − x − β²/(−E² A − x′) vanishes in the next block.
            inner, outer = self._means[k + 1]
            pole = -inner * b[:, k + 1] - following.skip**2 / (-outer * a[:, k + 1] - other[k + 1])
            disc = Disc(centre[k + 1], pole)
            passed, ends = self._passed(block, block.values, message, ends, b[:, k], a[:, k], disc)
            message = passed.given(block.backward, block.share, following.share.size)
            found.append(message)
        return found

    def _from_right(self, zeta: Array, a: Array, b: Array, other: list[Array], centre: list[Array]) -> list[Message]:
        """1/pivot of c_l, given the state of block l, l = 1 … L."""
        message = Message.certain(-1.0 / zeta, self.blocks[-1].share.size)
        found, ends = [message], np.repeat(message.nodes, 2, axis=1)
        for k in range(self.depth - 1, 0, -1):
            block, before = self.blocks[k], self.blocks[k - 1]
            inner, outer = self._means[k - 1]
            pole = -outer * a[:, k - 1] - before.skip**2 / (-inner * b[:, k - 1] - other[k - 1])
            disc = Disc(centre[k - 1], pole)
            passed, ends = self._passed(block, block.values[:, ::-1], message, ends, a[:, k], b[:, k], disc)
            message = passed.given(before.forward, block.share, before.share.size)
            found.append(message)
        return found[::-1]

    def _passed(
        self, block: Block, values: Array, message: Message, ends: Array, near: Array, far: Array, disc: Disc
    ) -> tuple[Message, Array]:
        """The message beyond a block, and what becomes of `ends`: x on the paths of smallest and of largest slopes.

        The nodes lie between these two; `near` and `far` belong to the columns of `values`.
        """
        extremes = values.min(axis=0), values.max(axis=0)
        ends = np.stack([_beyond(v, block.skip, near, far, ends[:, i]) for i, v in enumerate(extremes)], axis=1)
        if np.all(extremes[0] == extremes[1]) and message.nodes.shape[1] == 1:
            return Message(ends[:, :1], message.weights), ends
        first, last = disc.of(ends).T[:, :, None]
        length = np.where(first == last, 1.0, last - first)
        weights = np.zeros((first.size, block.share.size, self.count), complex)
        for value, part in zip(values, block.mixture.T, strict=True):
            beyond = _beyond(value, block.skip, near[:, None], far[:, None], message.nodes)
            basis = lagrange(self._places, self._barycentric, (disc.of(beyond) - first) / length)
            weights += (part[:, None] * message.weights) @ basis
        return Message(disc.at(first + length * self._places), weights), ends

    def _averages(self, k: int, left: Message, right: Message, a: Array, b: Array) -> tuple[Array, Array]:
        """E[D² G(c_{l−1}, c_{l−1})] and E[E² G(r_l, r_l)]."""
        block, square = self.blocks[k], self.blocks[k].skip ** 2
        inner_mean, outer_mean = np.zeros_like(a), np.zeros_like(b)
        transposed = left.weights.transpose(0, 2, 1)
        for (inner, outer), part in zip(block.values, block.mixture.T, strict=True):
            joint = (transposed * (block.share * part)) @ right.weights
            before = -inner * b[:, None, None] - left.nodes[:, :, None]
            after = -outer * a[:, None, None] - right.nodes[:, None, :]
            determinant = before * after - square
            inner_mean += inner * np.sum(joint * after / determinant, axis=(1, 2))
            outer_mean += outer * np.sum(joint * before / determinant, axis=(1, 2))
        return inner_mean, outer_mean

    def _psi(self, zeta: Array, right: Message, a: Array, b: Array) -> Array:
        """ζ E G(r_0, r_0)."""
        block, square = self.blocks[0], self.blocks[0].skip ** 2
        total = np.zeros_like(zeta)
        for (inner, outer), part in zip(block.values, block.mixture.T, strict=True):
            weights = (block.share * part) @ right.weights
            pivot = -inner * b[:, None] - square / (-outer * a[:, None] - right.nodes)
            total += np.sum(weights / (-zeta[:, None] - 1.0 / pivot), axis=1)
        return zeta * total


def _beyond(squares: Array, skip: float, near: Array, far: Array, x: Array) -> Array:
    """One over the pivot two places on: x → 1/(−s′ far − β²/(−s near − x)), (s, s′) = `squares`."""
    return 1.0 / (-squares[1] * far - skip**2 / (-squares[0] * near - x))
