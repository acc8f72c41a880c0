"""Distribution functions from a Gauss rule: through the middle of its jumps, and the bounds that it proves.

At a node that has converged to an eigenvalue the spectral measure has the node's weight, and both are one.
"""

from __future__ import annotations

import numpy as np


def midpoints(u: np.ndarray, log_nodes: np.ndarray, weights: np.ndarray, converged: np.ndarray) -> np.ndarray:
    """F at λ = e^u and just below it, (shape of `u`, 2): (Σ_{i<j} w_i) + w_j/2 at node j, a jump where `converged`.

    The mass that the weights lack, and nodes at 0, are an atom at 0; what is left is a power of λ from node to node,
    and below the first, because products of square layers have their density diverge at 0 like one.
    """
    inside = np.isfinite(log_nodes) & (weights > 0.0)
    nodes, mass, sure = log_nodes[inside], weights[inside], converged[inside]
    zero = 1.0 - mass.sum()
    if nodes.size == 0:
        return _clipped(u, np.full(u.shape, zero), np.where(np.isneginf(u), 0.0, zero))
    middle = np.cumsum(mass) - mass / 2
    left, right = (middle - mass / 2 * sure), (middle + mass / 2 * sure)
    power = last = np.inf
    if nodes.size > 1:
        power = np.log(middle[1] / middle[0]) / (nodes[1] - nodes[0])
        last = nodes[-1] + (nodes[-1] - nodes[-2]) / 2  # beyond the largest node half of its weight is missing
    if sure[-1]:
        last = np.inf
    places, left, right = np.append(nodes, last), np.append(left, mass.sum()), np.append(right, mass.sum())

    def value(side: str) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            j = np.searchsorted(places, u, side="right" if side == "right" else "left") - 1  # the node at or below
            j = np.clip(j, 0, places.size - 2)
            share = np.clip((u - places[j]) / (places[j + 1] - places[j]), 0.0, 1.0)
            between_nodes = right[j] * np.exp(share * np.log(left[j + 1] / right[j]))
            first = left[0] * np.exp(np.where(u < places[0], power * (u - places[0]), 0.0)) if left[0] else 0.0
            below = u < places[0] if side == "right" else u <= places[0]
        return zero + np.where(below, first, between_nodes)

    return _clipped(u, value("right"), np.where(np.isneginf(u), 0.0, value("left")))


def between(u: np.ndarray, log_nodes: np.ndarray, weights: np.ndarray, converged: np.ndarray) -> np.ndarray:
    """Lower bound of F just below λ = e^u and upper bound of F at λ, (shape of `u`, 2).

    Σ_{i<j} w_i ≤ F(θ_j − 0) and F(θ_j) ≤ Σ_{i≤j} w_i, equal where node j is `converged`; and F grows.
    """
    base, sums = 1.0 - weights.sum(), np.append(0.0, np.cumsum(weights))
    last = weights.size - 1
    below, at = (np.searchsorted(log_nodes, u, side=side) for side in ("left", "right"))
    # Of the nodes strictly below, the last is counted only if converged.
    low = base + sums[np.where(converged[np.maximum(below - 1, 0)], below, np.maximum(below - 1, 0))]
    low = np.where(at > below, base + sums[below], low)
    # Of the nodes strictly above, the first is counted unless converged.
    high = base + sums[np.minimum(np.where(converged[np.minimum(at, last)], at, at + 1), weights.size)]
    high = np.where(at > below, base + sums[at], high)
    return _clipped(u, np.where(np.isneginf(u), 0.0, low), high)


def _clipped(u: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The pair, (…, 2), in [0, 1]; nothing lies below 0, where u is NaN (the logarithm of a negative number)."""
    pair = np.clip(np.stack([first, second], axis=-1), 0.0, 1.0)
    return np.where(np.isnan(u)[..., None], 0.0, pair)
