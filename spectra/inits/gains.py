"""Gains as libraries define them: numbers that multiply the standard deviation of the weights, one a nonlinearity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

DEFAULT_SLOPE = 0.01


@dataclass(frozen=True)
class Gain:
    """A gain of `torch.nn.init.calculate_gain` and where it comes from.

    Parameters
    ----------
    value : the gain; of leaky_relu as a function of its slope.
    origin : what it solves, in words.
    """

    value: float | Callable[[float], float]
    origin: str


#: As `torch.nn.init.calculate_gain` has them (PyTorch 2, torch/nn/init.py).
GAINS: dict[str, Gain] = {
    "linear": Gain(1.0, "keeps q and gradients of a linear layer: σ_w = 1"),
    "identity": Gain(1.0, "keeps q and gradients of a linear layer: σ_w = 1"),
    "sigmoid": Gain(1.0, "none derived; a sigmoid's slope is at most 1/4, so gradients shrink by 16 or more a layer"),
    "tanh": Gain(5.0 / 3.0, "near 1/√E tanh(z)² = 1.5925, which keeps signals of variance 1, and not their gradients"),
    "relu": Gain(math.sqrt(2.0), "solves σ_w² E φ'² = 1, E φ'² = ½: He et al. 2015, eq. 10"),
    "leaky_relu": Gain(
        lambda slope: math.sqrt(2.0 / (1.0 + slope * slope)),
        "solves σ_w² E φ'² = 1, E φ'² = (1 + slope²)/2: He et al. 2015",
    ),
    "selu": Gain(0.75, "gives up selu's fixed point q = 1 of σ_w = 1 for steadier gradients (PyTorch's documentation)"),
}
NONLINEARITIES = tuple(GAINS)


def calculate_gain(nonlinearity: str, negative_slope: float | None = None) -> float:
    """Gain of `torch.nn.init.calculate_gain(nonlinearity, negative_slope)`.

    >>> calculate_gain("tanh"), calculate_gain("leaky_relu", 0.0) == calculate_gain("relu")
    (1.6666666666666667, True)
    """
    value = GAINS[nonlinearity].value
    if callable(value):
        return value(DEFAULT_SLOPE if negative_slope is None else negative_slope)
    return value
