"""One layer of a chain of blocks, and the states its neurons may be in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array


@dataclass(frozen=True, eq=False)
class Block:
    """β 1 + √gain · E W D, W of independent entries of variance 1/N, or Haar; D, E diagonal.

    A neuron is in state i with probability `share`_i, and has D² = `inner`_i and E² = `outer`_i there. States of the
    same neuron in neighbouring blocks are dependent through `forward` and `backward`, those farther apart through these
    alone (a Markov chain).

    Attributes
    ----------
    skip, gain : β and the variance of an entry of the noise times N.
    haar : W is orthogonal, or else Gaussian.
    share, inner, outer : (n,).
    forward : (n, n′), P(state of the next block = j | state here = i), as weights of a quadrature that may be negative;
        None where the next block is independent of this one.
    backward : (n′, n), P(state here = j | state of the next block = i).
    """

    skip: float
    gain: float
    haar: bool
    share: Array
    inner: Array
    outer: Array
    forward: Array | None = None
    backward: Array | None = None

    def __post_init__(self) -> None:
        pairs, index = np.unique(np.stack([self.inner, self.outer], 1), axis=0, return_inverse=True)
        object.__setattr__(self, "values", pairs)
        object.__setattr__(self, "groups", [np.flatnonzero(index.ravel() == k) for k in range(len(pairs))])

    values: Array = None  # type: ignore[assignment]
    groups: list[Array] = None  # type: ignore[assignment]
