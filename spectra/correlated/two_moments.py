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

    h = 1 where W is Haar and 0 where it is Gaussian; what has W three times, or twice without a transpose, vanishes
    with the width. tr M² = tr e² tr a² + (tr e)² (tr b − tr a²), for E is independent of A. m_1 and m_2 are the means
    at the end.

    Parameters
    ----------
    blocks : J_1 first.

    Accuracy
    --------
    That of the grid of the states, 1e-8 (tests/test_two_moments.py).

    Source
    ------
    This project's: Gaussian averages by Wick's theorem, those of Haar matrices by freeness.
    """
    # Of a, b and a² what is expected in each state of the block that comes next, and how likely these are.
    following: Array = np.ones((3, 1))
    share: Array = np.ones(1)
    for block in reversed(blocks):
        if block.forward is None:
            # Its states say nothing of the next block's.
            a, b, square = np.repeat((following @ share)[:, None], block.share.size, axis=1)
        else:
            a, b, square = following @ block.forward.T
        share, beta2, g = block.share, block.skip**2, block.gain
        d, e = (block.mixture @ block.values).T
        mean_d, mean_e, mean_ee = share @ d, share @ e, share @ e**2
        t = share @ (e * a)
        of_m = mean_ee * (share @ square) + mean_e**2 * (share @ b - share @ square)
        both = of_m - t * t if block.haar else of_m
        crossed = d * (share @ (e * b)) + e * b * mean_d
        b = beta2**2 * b + 2.0 * beta2 * g * d * a * t + beta2 * g * crossed + g * g * d * (d * t * t + both * mean_d)
        square = beta2**2 * square + 2.0 * beta2 * g * d * t * a + (g * d * t) ** 2
        following = np.stack([beta2 * a + g * d * t, b, square])
    first, second, _ = following @ share
    return float(first), float(second)
