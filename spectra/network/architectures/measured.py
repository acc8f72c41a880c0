"""Normalisation of signals as they are measured in one network, and its derivative."""

from __future__ import annotations

import numpy as np

from ...errors import ConvergenceError
from ..normaliser import Normaliser
from .thinned import Beside, Projection, Thinned


def normalised(normaliser: Normaliser, y: np.ndarray) -> tuple[np.ndarray, Beside]:
    """γ (y − centre)/√(spread² + ε), and its derivative by y; of the first example where y is a batch, (N, B).

    Over the neurons of one example the derivative is exact, statistics included. Over a batch it is diagonal: the
    statistics are held fixed.

    Raises
    ------
    ConvergenceError : no spread to divide by.
    """
    over = 1 if normaliser.over_batch else 0
    centre = 0.0 if normaliser.name == "rms" else y.mean(axis=over, keepdims=True)
    rest = y - centre
    spread = np.mean(rest**2, axis=over, keepdims=True)
    if not np.all(spread + normaliser.epsilon > 0.0):
        who = "a neuron is the same for the whole batch" if normaliser.over_batch else "all neurons are the same"
        raise ConvergenceError(f"`sample(...)`: {who}, and nothing is left to normalise by; give `epsilon`.")
    scale = normaliser.gain / np.sqrt(spread + normaliser.epsilon)
    value = scale * rest
    if normaliser.over_batch:
        return value, scale[:, 0]
    first, one, factor = (a if y.ndim == 1 else a[:, 0] for a in (rest, spread, scale))
    size = first.size
    columns = [first / np.linalg.norm(first)]
    kept = [normaliser.epsilon / (float(one[0]) + normaliser.epsilon)]
    if normaliser.name == "layer":
        columns, kept = [np.full(size, size**-0.5), *columns], [0.0, *kept]
    projection = Projection(np.stack(columns, axis=1), np.array(kept))
    return value, Thinned(np.full(size, float(factor[0])), projection, False)


def times(slopes: np.ndarray, normal: Beside, *, outside: bool) -> Beside:
    """diag(slopes) times the derivative of a normalisation, or with `outside` the one times the other."""
    if isinstance(normal, Thinned):
        # The scale is one number: it goes with the slopes.
        return Thinned(normal.slopes * slopes, normal.projection, outside)
    return normal * slopes
