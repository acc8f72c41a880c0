"""Layers x ← βx + f(W g(x) + b) as blocks: slopes that follow one slowly moving state, slopes that are fresh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from .._types import Array
from ..activations import Activation
from ..network.rule import gauss_rule
from .blocks import FEW, VALUES, Block, mixture_of
from .dilated import Dilated
from .grid import LONGEST, Grid
from .paths import LEAST, matrix_product

# A correlation this near to 1 is 1.
FROZEN = 1e-14
# Nodes of the law of a slope that is independent of all others.
RULE = 12
# Singular values to leave out where all is finer.
FINEST = 1e-14
# Of s D²/β², the size of what a block adds: how fast what is asked of D² falls with its degree.
FADING = 2.0
# Places at which slopes are looked at.
SAMPLED = 201
# What is left out for it, and values that there are at least.
ENOUGH, LEAST_VALUES = 1e-10, 2


@dataclass(frozen=True)
class Layer:
    """β 1 + √gain W D where it reads the state, D = diag φ′(x_{l−1}), else β 1 + √gain D W, D = diag φ′(h_l).

    Parameters
    ----------
    activation : φ.
    variance : of x_{l−1} per neuron where the layer reads it, a Gaussian then; else of h_l = W_l x_{l−1} + b_l.
    skip, gain : β, and the variance of an entry of the noise times N.
    haar : the weights are orthogonal.
    reads_state : φ is applied to x_{l−1} itself; what the layer adds to βx is then Gaussian noise of its own.
    """

    activation: Activation | Dilated
    variance: float
    skip: float
    gain: float
    haar: bool
    reads_state: bool

    def with_variance(self, variance: float) -> Layer:
        """The same at another variance."""
        return replace(self, variance=variance)


def blocks_of(layers: Sequence[Layer], *, fresh: bool = False, finer: float = 1.0) -> list[Block]:
    """The blocks of these layers, J_1 first.

    Parameters
    ----------
    fresh : all slopes independent from layer to layer, as plain freeness has it.
    finer : panels for the states are shorter by this factor.

    Notes
    -----
    The states x_{l−1} of consecutive layers that read them are a Gaussian Markov chain: x_l = β x_{l−1} plus noise. The
    h of the others are independent of all else.
    """
    blocks: list[Block] = []
    for reads, group in groupby(layers, key=lambda layer: layer.reads_state and not fresh):
        together = list(group)
        blocks += _chained(together, finer) if reads else [_alone(layer, finer) for layer in together]
    return blocks


@lru_cache(maxsize=256)
def slope_law(layer: Layer, size: int, finer: float = 1.0) -> tuple[Array, Array]:
    """Values of D² and their masses, (n,): the few there are, or the Gauss rule of `size` nodes."""
    grid = _grid(layer, 1.0, finer)
    squares = _squares(layer, grid)
    distinct, index = np.unique(squares, return_inverse=True)
    if distinct.size <= FEW:
        return distinct, np.bincount(index.ravel(), weights=grid.share)
    # What is asked of D² is analytic in it: a Gauss rule of few nodes has its law.
    return gauss_rule(squares, grid.share, size)


def _alone(layer: Layer, finer: float) -> Block:
    squares, share = slope_law(layer, round(RULE * finer), finer)
    return _block(layer, squares, share[:, None, None])


def _block(layer: Layer, squares: Array, core: Array) -> Block:
    ones = np.ones_like(squares)
    sides = [squares, ones] if layer.reads_state else [ones, squares]
    values = np.stack([layer.skip**2 * ones, *sides], axis=1)
    return Block(np.array([layer.gain]), np.array([layer.haar]), values, core)


def _chained(layers: list[Layer], finer: float) -> list[Block]:
    r, skip = np.array([layer.variance for layer in layers]), np.array([layer.skip for layer in layers])
    # β √(r_l/r_{l+1}), and the width of what is added, in standard deviations.
    correlations = np.clip(skip[:-1] * np.sqrt(r[:-1] / r[1:]), -1.0, 1.0)
    widths = np.sqrt(np.maximum(1.0 - correlations**2, FROZEN))
    scales = [float(min(widths[max(k - 1, 0) : k + 1], default=1.0)) for k in range(r.size)]
    grids = [_grid(layer, scale, finer) for layer, scale in zip(layers, scales, strict=True)]
    # Of even slopes |x| is all that counts, and a Markov chain, too.
    fold = _folded if all(layer.activation.even_slope for layer in layers) else np.asarray
    shares, values, mixtures, forward, fading = [], [], [], [], []
    for k, (layer, grid) in enumerate(zip(layers, grids, strict=True)):
        if k + 1 < len(grids):
            forward.append(fold(grids[k + 1].expectation(grid.nodes, float(correlations[k]))))
        share = fold(grid.share)
        shares.append(share / share.sum())
        squares = fold(_squares(layer, grid))
        fading.append(min(1.0, FADING * layer.gain * float(squares.max()) / max(layer.skip**2, 1e-300)))
        degree = math.log(ENOUGH) / math.log(min(fading[-1], 0.9))
        here, mixture = mixture_of(squares, round(min(LEAST_VALUES + degree, VALUES) * finer))
        values.append(here)
        mixtures.append(mixture)
    least = LEAST if finer == 1.0 else FINEST
    cores = matrix_product(shares, mixtures, forward, values, fading, least=least)
    return [_block(layer, here, core) for layer, here, core in zip(layers, values, cores, strict=True)]


def _folded(values: Array) -> Array:
    """Values at the positive ones of nodes that lie alike on both sides of 0; a matrix that takes and gives such."""
    upper = values[values.shape[0] // 2 :]
    if values.ndim == 1:
        return upper
    half = values.shape[1] // 2
    return upper[:, half:] + upper[:, :half][:, ::-1]


def _grid(layer: Layer, scale: float, finer: float) -> Grid:
    sigma = math.sqrt(layer.variance)
    kinks = np.array(layer.activation.kinks, float) / sigma
    # Slopes that are constant between kinks have no length of their own.
    reach = 10.0 * (1.0 + np.abs(kinks).max(initial=0.0)) * sigma
    slopes = layer.activation.derivative(np.linspace(-reach, reach, SAMPLED))
    own = 1.0 if np.unique(slopes).size <= kinks.size + 1 else sigma
    longest = min(LONGEST, LONGEST / own) / finer
    return Grid.between(kinks, scale / finer, longest, even=layer.activation.even_slope)


def _squares(layer: Layer, grid: Grid) -> Array:
    return layer.activation.derivative(math.sqrt(layer.variance) * grid.nodes) ** 2
