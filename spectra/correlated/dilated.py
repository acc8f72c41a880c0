"""An activation that is applied to a multiple of the state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._types import Array
from ..activations import Activation


@dataclass(frozen=True)
class Dilated:
    """Slopes φ'(f x) along x, f = `factor`; what normalising by a number makes of a state."""

    activation: Activation
    factor: float

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where the slope jumps, as x."""
        return tuple(kink / self.factor for kink in self.activation.kinks)

    @property
    def even_slope(self) -> bool:
        """Whether φ' is even."""
        return self.activation.even_slope

    @property
    def is_homogeneous(self) -> bool:
        """Whether φ(cx) = cφ(x), c > 0."""
        return self.activation.is_homogeneous

    def derivative(self, x: Array) -> Array:
        """φ'(f x)."""
        return self.activation.derivative(self.factor * x)


def dilated(activation: Activation, variance: float, state: float) -> Activation | Dilated:
    """The activation as a function of a state of variance `state` that reaches it with `variance`."""
    same = variance == state or activation.is_homogeneous
    return activation if same else Dilated(activation, math.sqrt(variance / state))
