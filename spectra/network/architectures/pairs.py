"""Two examples of a batch: E φ(u_1)φ(u_2) from their covariance."""

from __future__ import annotations

from ...activations import Activation
from ..correlation import CorrelationMap
from ..expectations import gaussian_moments


def pair_product(activation: Activation, q: float, covariance: float) -> float:
    """E φ(u_1)φ(u_2), u_1 and u_2 normal of variance q and this covariance; 0 ≤ covariance ≤ q."""
    moments = gaussian_moments(activation)
    if covariance == 0.0 or q == 0.0:
        return moments.first(q) ** 2
    if covariance >= q:
        return moments.at(q).second
    return q * CorrelationMap(activation, 1.0, 0.0, q)(covariance / q)
