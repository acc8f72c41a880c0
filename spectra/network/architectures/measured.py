"""Normalisation of signals as they are measured in one network, and its derivative."""

from __future__ import annotations

import numpy as np

from ...errors import ConvergenceError
from ..normaliser import Normaliser
from .thinned import BatchProjection, Beside, Projection, Thinned


def normalised(normaliser: Normaliser, y: np.ndarray) -> tuple[np.ndarray, Beside]:
    """γ (y − centre)/√(spread² + ε), and its derivative by y, which is (N,), or (N, B) of a batch.

    Over the neurons of one example, and over all of a batch of finite size, the derivative is exact, statistics
    included; of a large batch it is that of the first example with the statistics held fixed, a diagonal.

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
    kept = normaliser.epsilon / (spread + normaliser.epsilon)
    if normaliser.whole_batch:
        return scale * rest, _over_batch(rest, np.broadcast_to(scale, y.shape), kept)
    if normaliser.over_batch:
        return scale * rest, scale[:, 0]
    first, one, factor = (a if y.ndim == 1 else a[:, 0] for a in (rest, kept, scale))
    projection = Projection(*_directions(first, one[0], centred=normaliser.name == "layer"))
    return scale * rest, Thinned(np.full(first.size, float(factor[0])), projection, False)


def _over_batch(rest: np.ndarray, scale: np.ndarray, kept: np.ndarray) -> Thinned:
    found = [_directions(one, share[0], centred=True) for one, share in zip(rest, kept, strict=True)]
    projection = BatchProjection(np.stack([f[0] for f in found]), np.stack([f[1] for f in found]))
    return Thinned(scale.ravel(), projection, False)


def _directions(rest: np.ndarray, kept: float, *, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """What normalising takes out: the signal itself, but for ε, and with a centre what all have in common."""
    length = np.linalg.norm(rest)
    # A signal of nothing but zeros, which ε alone keeps finite, has no direction of its own.
    columns = [rest / length] if length > 0.0 else []
    shares = [kept] if length > 0.0 else []
    if centred:
        columns, shares = [np.full(rest.size, rest.size**-0.5), *columns], [0.0, *shares]
    return np.stack(columns, axis=1) if columns else np.zeros((rest.size, 0)), np.array(shares)


def times(slopes: np.ndarray, normal: Beside, *, outside: bool) -> Beside:
    """diag(slopes) times the derivative of a normalisation, or with `outside` the one times the other."""
    if isinstance(normal, Thinned):
        # The scale is one number over all that is normalised together: it goes with the slopes.
        return Thinned(normal.slopes * slopes, normal.projection, outside)
    return normal * slopes
