"""m_1 and m_2 of JJᵀ of a chain of blocks, by a recursion from the last block to the first: no equation to solve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array
from .blocks import Block


def two_moments(blocks: Sequence[Block]) -> tuple[float, float]:
    """m_1 and m_2 of JJᵀ, J = J_L ⋯ J_1, J_l = β 1 + √g E W D.

    With A = (J_L ⋯ J_{l+1})ᵀ(J_L ⋯ J_{l+1}), M = E A E and averages over W alone, the diagonals a of A and b of A² are,
    at a neuron in a given state,

        a ← β² a + g d t,   t = tr M,   d = D², e = E²,
        b ← β⁴ b + 2 β² g d a t + β² g (d tr e b + e b tr d) + g² d (d t² + (tr M² − h t²) tr d),

    h = 1 where W is Haar and 0 where it is Gaussian, and `Block.turn` where W is a chain W_K H_{K−1} ⋯ W_1, g then its
    mean square; what has W three times, or twice without a transpose, vanishes
    with the width. tr M² = tr e² tr a² + (tr e)² (tr b − tr a²), for E is independent of A. m_1 and m_2 are the means
    at the end.

    Parameters
    ----------
    blocks : J_1 first, of one branch each, E independent of all that comes after.

    Accuracy
    --------
    That of the grid of the states, 1e-8 (tests/test_two_moments.py).

    Source
    ------
    This project's: Gaussian averages by Wick's theorem, those of Haar matrices by freeness.
    """
    sums = [block.core.sum(axis=0) for block in blocks]
    before: list[Array] = [np.ones((1, 1))]
    for matrix in sums[:-1]:
        before.append(before[-1] @ matrix)
    # Of 1, a, b and a² what is expected in every state that is passed on to a block.
    following: Array = np.ones((4, 1))
    for block, left in zip(reversed(blocks), reversed(before), strict=True):
        # For every set of values, where a mean over all that come before is the product with `left`: (J, r).
        one, a, b, square = np.einsum("jrs,ks->kjr", block.core, following)
        passing, d, e = (block.values[:, k, None] for k in (0, 1, -1))
        share = (one @ left[0])[:, None]
        g = block.noise_mean(np.ones(block.values.shape[1]))
        mean_d, mean_e, mean_ee = (float(np.sum(share * part)) for part in (d, e, e * e))
        t, mean_b, mean_eb = (float(np.sum(part @ left[0])) for part in (e * a, b, e * b))
        mean_square = float(np.sum(square @ left[0]))
        of_m = mean_ee * mean_square + mean_e**2 * (mean_b - mean_square)
        both = of_m - block.turn * t * t
        crossed = d * one * mean_eb + e * b * mean_d
        b = passing**2 * b + 2.0 * passing * g * d * t * a + passing * g * crossed
        b = b + g * g * d * (d * t * t + both * mean_d) * one
        square = passing**2 * square + 2.0 * passing * g * d * t * a + (g * d * t) ** 2 * one
        a = passing * a + g * d * t * one
        following = np.stack([one, a, b, square]).sum(axis=1)
    _, first, second, _ = following[:, 0]
    return float(first), float(second)
