"""One layer of a chain of blocks, and the states its neurons may be in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..chebyshev import barycentric, lagrange, nodes

# So many values of a slope are taken as they are; of more, so many stand for all.
FEW, VALUES = 4, 20


@dataclass(frozen=True, eq=False)
class Block:
    """β 1 + √gain · E W D, W of independent entries of variance 1/N, or Haar; D, E diagonal.

    A neuron is in state i with probability `share`_i. States of the same neuron in neighbouring blocks are dependent
    through `forward` and `backward`, those farther apart through these alone (a Markov chain).

    Attributes
    ----------
    skip, gain : β and the variance of an entry of the noise times N.
    haar : W is orthogonal, or else Gaussian.
    share : (n,).
    values : pairs D², E², (J, 2).
    mixture : (n, J): what a function of D² and E² is in state i, from its values at the pairs.
    forward : (n, n′), P(state of the next block = j | state here = i), as weights of a quadrature that may be negative;
        None where the next block is independent of this one.
    backward : (n′, n), P(state here = j | state of the next block = i).
    """

    skip: float
    gain: float
    haar: bool
    share: Array
    values: Array
    mixture: Array
    forward: Array | None = None
    backward: Array | None = None

    @property
    def means(self) -> Array:
        """E D², E E², (2,)."""
        return self.share @ self.mixture @ self.values


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
