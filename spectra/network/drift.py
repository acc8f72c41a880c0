"""The law of a neuron's h = m + noise, m one of many values: on panels cut at kinks, from one block to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spectra.errors import UnfollowedError
from spectra.quadrature import Array

if TYPE_CHECKING:
    from spectra.activations import Activation

# Nodes a panel, its length in standard deviations of the noise, the longest one, and how far the noise reaches.
ORDER, FINE, LONGEST, FAR = 16, 1.8, 1.8, 8.0
# Panels at either end with less mass than this are left out; panels at most.
NOTHING, MOST = 1e-17, 300
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(ORDER)


class Values(NamedTuple):
    """Places (n,) and masses (n,) that stand for the law of a variable in expectations."""

    places: Array
    share: Array

    def mean(self, function: Array) -> float:
        """E of a function from its values at the places."""
        return float(self.share @ function)


#: Nothing.
CERTAIN = Values(np.zeros(1), np.ones(1))


class Drifted(NamedTuple):
    """The law of h, and of h given m.

    Attributes
    ----------
    values : h at nodes, (n,).
    kernel : masses of these nodes for every m, (k, n).
    """

    values: Values
    kernel: Array


def drifted(
    given: Values,
    noise: float,
    kinks: Sequence[float],
    *,
    finest: float,
    finer: float = 1.0,
    longest: float = LONGEST,
) -> Drifted:
    """The law of h = m + √noise z, z normal, m as `given`.

    Parameters
    ----------
    kinks : where functions of h may jump.
    finest : standard deviation of noise on whose scale such functions are smooth, besides that of h itself.
    finer : panels are shorter by this factor.
    longest : the longest panel; see `length_of`.

    Raises
    ------
    UnfollowedError : noise so small, or φ so short, beside the range of h that there would be too many panels.

    Accuracy
    --------
    1e-11 in expectations of functions that are smooth between kinks (tests/test_sum_blocks.py).
    """
    width = math.sqrt(noise)
    likely = given.share > NOTHING
    low, high = given.places[likely].min() - FAR * width, given.places[likely].max() + FAR * width
    length = min(FINE * min(width, finest), longest) / finer
    marks = [low, *sorted(k for k in kinks if low < k < high), high]
    counts = [math.ceil((b - a) / length) for a, b in pairwise(marks)]
    if sum(counts) > MOST * finer:
        why = (
            f"a branch that adds {min(width, finest):.2g}, the standard deviation, to an h with a range of "
            f"{high - low:.3g} is too small beside it for the law of h to be followed; give a larger `alpha`"
        )
        if length * finer >= longest:
            why = f"h has a range of {high - low:.3g}, too large for its law to be followed; give a smaller `alpha`"
        raise UnfollowedError(f'`alpha`: {why}, or another `order` than "sum".')
    ends = np.array([*(x for (a, b), n in zip(pairwise(marks), counts, strict=True) for x in _from(a, b, n)), high])
    half = 0.5 * np.diff(ends)[:, None]
    nodes, weights = ends[:-1, None] + half * (1.0 + _NODES), half * _WEIGHTS
    kernel = np.exp(-0.5 * ((nodes.ravel() - given.places[:, None]) / width) ** 2) * weights.ravel()
    kernel /= np.maximum(kernel.sum(axis=1, keepdims=True), 1e-300)
    share = (given.share @ kernel).reshape(nodes.shape)
    kept = np.flatnonzero(share.sum(axis=1) > NOTHING)
    inside = slice(int(kept[0]) * ORDER, (int(kept[-1]) + 1) * ORDER)
    return Drifted(Values(nodes.ravel()[inside], share.ravel()[inside]), kernel[:, inside])


def length_of(activation: Activation) -> float:
    """The longest panel on which φ is smooth: straight branches have no length of their own."""
    return math.inf if activation.is_piecewise_linear else LONGEST


def _from(a: float, b: float, count: int) -> Array:
    """Ends of equal panels from a to b, b left out."""
    return np.linspace(a, b, count + 1)[:-1]
