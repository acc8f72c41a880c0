"""m_1 and m_2 of JJᵀ of a chain of blocks, by a recursion from the last block to the first: no equation to solve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._types import Array
from ..errors import UnboundedError
from .blocks import Block


@np.errstate(over="ignore", invalid="ignore")
def two_moments(blocks: Sequence[Block]) -> tuple[float, float]:
    """m_1 and m_2 of JJᵀ, J = J_L ⋯ J_1, J_l = P + √g E W D.

    With A = (J_L ⋯ J_{l+1})ᵀ(J_L ⋯ J_{l+1}), M = E A E and averages over W alone, the diagonal a of A and what two
    neurons have in common, K_ij = N A_ij², are, at neurons in given states,

        a ← p² a + g d t,   t = tr M = E e a,   d = D², e = E², p = P,
        K_ij ← p_i² p_j² K_ij + g (p_i² c_i d_j + d_i p_j² c_j) + g² d_i d_j (tr M² − h t²),
        c_i = (A e A)_ii = e_i a_i² + E_j e_j K_ij,   tr M² = E e² a² + E_ij e_i e_j K_ij,

    h = 1 where W is Haar and 0 where it is Gaussian, and `Block.turn` where W is a chain W_K H_{K−1} ⋯ W_1, g then its
    mean square; what has W three times, or twice without a transpose, vanishes with the width. At the end m_1 = E a and
    m_2 = E a² + E_ij K_ij. A and E may depend on each other, as they do where φ comes after the sum.

    Parameters
    ----------
    blocks : J_1 first, of one branch each.

    Raises
    ------
    UnboundedError : m_2 is beyond the range of doubles.

    Accuracy
    --------
    That of the grid of the states, 1e-8 (tests/test_two_moments.py).

    Source
    ------
    This project's: Gaussian averages by Wick's theorem, those of Haar matrices by freeness.
    """
    before: list[Array] = [np.ones(1)]
    for block in blocks[:-1]:
        before.append(before[-1] @ block.core.sum(axis=0))
    # What is expected in every state that is passed on to a block, of 1, a and a², and of K for two neurons.
    one = a = square = np.ones(1)
    pairs = np.zeros((1, 1))
    for block, left in zip(reversed(blocks), reversed(before), strict=True):
        p2, d, e = (block.values[:, k] for k in (0, 1, -1))
        g = block.noise_mean(np.ones(block.values.shape[1]))
        through, fed, weighed = (np.einsum("j,jrs->rs", values, block.core) for values in (p2, d, e))
        at_weights = left @ weighed
        t = float(at_weights @ a)
        crossed = _expected(block, p2 * e) @ square + through @ (pairs @ at_weights)
        of_m = float(left @ _expected(block, e * e) @ square + at_weights @ pairs @ at_weights)
        enters = fed @ one
        both = g * np.outer(crossed, enters)
        both += both.T
        pairs = through @ pairs @ through.T + both + g * g * (of_m - block.turn * t * t) * np.outer(enters, enters)
        square = (
            _expected(block, p2 * p2) @ square
            + 2.0 * g * t * (_expected(block, p2 * d) @ a)
            + g * t * g * t * (_expected(block, d * d) @ one)
        )
        a = through @ a + g * t * enters
        one = block.core.sum(axis=0) @ one
    first, second = float(a[0]), float(square[0] + pairs[0, 0])
    if not math.isfinite(second):
        raise UnboundedError(
            "`alpha`: m_2 of JJᵀ of these blocks is beyond 1e308, the range of numbers; give a smaller one, or fewer "
            "blocks."
        )
    return first, second


def _expected(block: Block, values: Array) -> Array:
    """What such values of the block make of an expectation after it, (r, r′)."""
    return np.einsum("j,jrs->rs", values, block.core)
