"""The blocks of residual networks: masks that follow one slowly moving state, masks that are fresh."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._types import Array
from ..activations import Activation
from .blocks import Block
from .grid import LONGEST, Grid

# A correlation this near to 1 is 1.
FROZEN = 1e-14


def pre_activation_blocks(
    activation: Activation, variances: Sequence[float], skip: float, gain: float, *, haar: bool = False
) -> list[Block]:
    """Blocks β 1 + √gain W_l D_l, D_l = diag φ′(x_{l−1}), of x_l = β x_{l−1} + α (W_l φ(x_{l−1}) + b_l).

    Parameters
    ----------
    activation : φ.
    variances : of x_0 … x_{L−1}, per neuron; x_0 is Gaussian.
    skip, gain : β, and α² σ_w².
    haar : the weights are orthogonal.

    The states of a neuron, x_0 … x_{L−1}, are a Gaussian Markov chain: x_l = β x_{l−1} plus fresh noise.
    """
    r = np.asarray(variances, float)
    # β √(r_l/r_{l+1}), and the width of what is added, in standard deviations.
    correlations = np.clip(skip * np.sqrt(r[:-1] / r[1:]), -1.0, 1.0)
    widths = np.sqrt(np.maximum(1.0 - correlations**2, FROZEN))
    grids = []
    for k, variance in enumerate(r):
        beside = widths[max(k - 1, 0) : k + 1]
        grids.append(_grid(activation, float(variance), float(min(beside, default=1.0))))
    blocks = []
    for k, grid in enumerate(grids):
        forward = backward = None
        if k + 1 < len(grids):
            forward = grids[k + 1].expectation(grid.nodes, float(correlations[k]))
            backward = grid.expectation(grids[k + 1].nodes, float(correlations[k]))
        inner = _squares(activation, grid, float(r[k]))
        blocks.append(Block(skip, gain, haar, grid.share, inner, np.ones_like(inner), forward, backward))
    return blocks


def fresh_blocks(
    activation: Activation, variances: Sequence[float], skip: float, gain: float, *, haar: bool = False
) -> list[Block]:
    """The same blocks with masks that are independent from block to block: what plain freeness says of them."""
    blocks = []
    for variance in variances:
        grid = _grid(activation, variance, 1.0)
        inner = _squares(activation, grid, variance)
        blocks.append(Block(skip, gain, haar, grid.share, inner, np.ones_like(inner)))
    return blocks


def post_activation_blocks(
    activation: Activation, variances: Sequence[float], skip: float, gain: float, *, haar: bool = False
) -> list[Block]:
    """Blocks β 1 + √gain D_l W_l, D_l = diag φ′(h_l), of x_l = β x_{l−1} + α φ(h_l), h_l = W_l x_{l−1} + b_l.

    `variances` : of h_1 … h_L, which are independent.
    """
    return [
        Block(one.skip, one.gain, one.haar, one.share, one.outer, one.inner)
        for one in fresh_blocks(activation, variances, skip, gain, haar=haar)
    ]


def _grid(activation: Activation, variance: float, scale: float) -> Grid:
    sigma = math.sqrt(variance)
    return Grid.between(np.array(activation.kinks, float) / sigma, scale, min(LONGEST, LONGEST / sigma))


def _squares(activation: Activation, grid: Grid, variance: float) -> Array:
    return activation.derivative(math.sqrt(variance) * grid.nodes) ** 2
