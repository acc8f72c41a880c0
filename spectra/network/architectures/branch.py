"""Mean field of what stands beside a skip: n affine maps, with φ between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...quadrature import Array
from ..expectations import gaussian_moments
from .course import LARGEST, SMALLEST

if TYPE_CHECKING:
    from ...activations import Activation
    from ..config import LayerSpec


class Branch(NamedTuple):
    """y ← W_n φ(⋯ φ(W_1 y + b_1) ⋯) + b_n, all of one σ_w and σ_b: E y² ← σ_w² E y² + σ_b², then E φ², and so on."""

    activation: Activation
    weight2: float
    bias2: float
    count: int

    @staticmethod
    def of(spec: LayerSpec) -> Branch:
        """That of a residual block."""
        return Branch(spec.activation, float(spec.sigma_w) ** 2, float(spec.sigma_b or 0.0) ** 2, spec.branch_layers)

    def second(self, q: float) -> float:
        """E φ(√q z)²; infinite where q is beyond all bounds."""
        if not q <= LARGEST:
            return float("inf")
        return gaussian_moments(self.activation).at(q if q >= SMALLEST else 0.0).second

    def within(self, second: float) -> tuple[float, ...]:
        """Variances of what φ takes, (n − 1,), where E y² = `second` enters."""
        found: list[float] = []
        for _ in range(self.count - 1):
            found.append(self.weight2 * second + self.bias2)
            second = self.second(found[-1])
        return tuple(found)

    def back(self, second: Array) -> tuple[Array, Array, Array]:
        """Of gradients that come in with mean square 1: that of every y_k = W_k g + b_k, (m, n), and of y, (m,).

        The third is E g² of what every W_k takes, (m, n). `second`: E y² of what enters, (m,); all are one, or follow
        each other where φ is positively homogeneous.
        """
        moments, fed, slopes = gaussian_moments(self.activation), [second], []
        for _ in range(self.count - 1):
            fed.append(seconds(self.activation, q := self.weight2 * fed[-1] + self.bias2))
            slopes.append(np.full(q.shape, moments.at(float(q[0]) if q[0] >= SMALLEST else 0.0).slope2))
        given = [np.ones(second.shape)]
        for slope2 in reversed(slopes):
            given.append(given[-1] * self.weight2 * slope2)
        return np.stack(given[::-1], axis=1), given[-1] * self.weight2, np.stack(fed, axis=1)

    def leaving(self, second: float) -> float:
        """E y² of what leaves."""
        for q in self.within(second):
            second = self.second(q)
        return self.weight2 * second + self.bias2

    def affine(self, kappa: float) -> tuple[float, float]:
        """Factor and shift of the same map where E φ(√q z)² = κ q."""
        factor, shift = self.weight2, self.bias2
        for _ in range(self.count - 1):
            factor, shift = self.weight2 * kappa * factor, self.weight2 * kappa * shift + self.bias2
        return factor, shift


def seconds(activation: Activation, q: Array) -> Array:
    """E φ(√q z)² at variances (m,) that are all one, or follow each other where φ is positively homogeneous."""
    moments = gaussian_moments(activation)
    if moments.scale_free is not None:
        return moments.scale_free * q
    return np.full(q.shape, moments.at(float(q[0])).second)
