"""Layers x ← βx + f(W g(x) + b) as blocks: slopes that follow one slowly moving state, slopes that are fresh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from .._types import Array
from ..activations import Activation
from ..errors import UnfollowedError
from ..network.architectures.architecture import Drift
from ..network.drift import CERTAIN, Drifted, Values, drifted, length_of
from ..network.rule import gauss_rule
from .blocks import FEW, VALUES, Block, mixture_of
from .dilated import Dilated
from .grid import LONGEST, REACH, Grid
from .paths import LEAST, matrix_product

# A correlation this near to 1 is 1.
FROZEN = 1e-14
# Nodes of the law of a slope that is independent of all others.
RULE = 12
# Singular values to leave out where all is finer, and where it is coarser.
FINEST, COARSEST = 1e-15, 1e-12
# Of s D²/β², the size of what a block adds: how fast what is asked of D² falls with its degree.
FADING, SLOWEST = 2.0, 0.3
# A slope that has vanished; distances from there at which panels end.
VANISHING, GRADES = 1e-9, 3.0 ** -np.arange(1.0, 18.0)
# Places at which slopes are looked at.
SAMPLED = 201
# Panels at most: of states that make up a chain, which take matrices, and of others.
MOST_CHAINED, MOST = 300, 5000
# What is left out for it, and values that there are at least.
ENOUGH, LEAST_VALUES = 1e-12, 2
# More values for an equation twice as fine: doubling them would only add rounding, which grows with their number.
MORE_VALUES = 8.0


@dataclass(frozen=True)
class Layer:
    """β 1 + √gain W D where it reads the state, D = diag φ′(x_{l−1}), else β 1 + √gain D W, D = diag φ′(h_l).

    With a `drift` D (β 1 + √gain W), D = diag φ′(h_l), h_l = βx_{l−1} and noise, x_l = φ(h_l).

    Parameters
    ----------
    activation : φ.
    variance : of x_{l−1} per neuron where the layer reads it, a Gaussian then; else of h_l = W_l x_{l−1} + b_l; with a
        drift E h_l², of which no use is made.
    skip, gain : β, and the variance of an entry of the noise times N, of a chain of weights that of all together.
    haar : the weights are orthogonal.
    reads_state : φ is applied to x_{l−1} itself; what the layer adds to βx is then Gaussian noise of its own.
    hidden : variances of what φ takes between weights, where a branch has several: W stands for W_K H_{K−1} ⋯ W_1.
    drift : of what variances h_l is made up, where φ comes after the sum.
    """

    activation: Activation | Dilated
    variance: float
    skip: float
    gain: float
    haar: bool
    reads_state: bool
    hidden: tuple[float, ...] = ()
    drift: Drift | None = None

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
    h of the others are independent of all else, but where φ comes after the sum: there h_l = βφ(h_{l−1}) and noise.
    """
    blocks: list[Block] = []
    for (reads, drifts), group in groupby(layers, key=lambda a: (a.reads_state and not fresh, a.drift is not None)):
        together = list(group)
        if drifts:
            blocks += _drifting(together, finer, fresh=fresh)
        else:
            blocks += _chained(together, finer) if reads else [_alone(layer, finer) for layer in together]
    return blocks


def slope_laws(layers: Sequence[Layer], size: int) -> list[tuple[Array, Array]]:
    """Values of D² and their masses, (n,), of each layer by itself, for moments of it to order 2 `size` − 1."""
    found: list[tuple[Array, Array]] = []
    for drifts, group in groupby(layers, key=lambda layer: layer.drift is not None):
        together = list(group)
        if drifts:
            steps = _steps(together, 1.0)
            found += [(_slopes(a, step.places), step.share) for a, step in zip(together, steps, strict=True)]
        else:
            found += [slope_law(layer, size) for layer in together]
    return found


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
    squares, share = slope_law(layer, round(RULE * finer), finer) if layer.skip else _all_slopes(layer, finer)
    return _block(layer, squares, share[:, None, None], finer)


def _all_slopes(layer: Layer, finer: float) -> tuple[Array, Array]:
    """Values of D² and their masses, all that a grid has: without a skip λ → 0 asks for the smallest of them."""
    grid = _grid(layer, 1.0, finer)
    zeros = _zeros_of_slope(layer)
    if zeros.size:
        # Panels shorter and shorter towards them, where λ → 0 comes from.
        ends = np.concatenate([grid.ends, *(zeros + side * GRADES[:, None] for side in (-1.0, 0.0, 1.0))], axis=None)
        grid = Grid(np.unique(ends[np.abs(ends) <= REACH]))
    squares, index = np.unique(_squares(layer, grid), return_inverse=True)
    return squares, np.bincount(index.ravel(), weights=grid.share)


def _zeros_of_slope(layer: Layer) -> Array:
    """Where φ' vanishes and does not stay 0, in standard deviations of what it takes."""
    assert isinstance(layer.activation, Activation)
    turns = np.array([t for branch in layer.activation.branches for t in branch.turning_points], float)
    zeros = turns[np.abs(layer.activation.derivative(turns)) < VANISHING] / math.sqrt(layer.variance)
    return zeros[np.abs(zeros) < REACH]


def _block(layer: Layer, squares: Array, core: Array, finer: float) -> Block:
    ones, count = np.ones_like(squares), len(layer.hidden) + 1
    first, last = (squares, ones) if layer.reads_state else (ones, squares)
    through = squares if layer.drift is not None else ones
    between = [np.zeros_like(squares)] * (2 * count - 2)
    values = np.stack([layer.skip**2 * through, first, *between, last], axis=1)
    gains = np.append(np.ones(count - 1), layer.gain)
    return Block(gains, np.full(count, layer.haar), values, core, hidden_laws(layer, round(RULE * finer), finer))


def hidden_laws(layer: Layer, size: int, finer: float = 1.0) -> tuple[tuple[Array, Array], ...]:
    """Values and masses of D² between the weights of a branch, as `slope_law` has them."""
    own = replace(layer, hidden=())
    return tuple(slope_law(own.with_variance(variance), size, finer) for variance in layer.hidden)


def _chained(layers: list[Layer], finer: float) -> list[Block]:
    grids, correlations = chain_grids(layers, finer)
    # Of even slopes |x| is all that counts, and a Markov chain, too.
    fold = _folded if all(layer.activation.even_slope for layer in layers) else np.asarray
    shares, values, mixtures, forward, fading = [], [], [], [], []
    squares = [fold(_squares(layer, grid)) for layer, grid in zip(layers, grids, strict=True)]
    sizes = [_size(layer, float(here.max())) for layer, here in zip(layers, squares, strict=True)]
    for k, grid in enumerate(grids):
        if k + 1 < len(grids):
            forward.append(fold(grids[k + 1].expectation(grid.nodes, float(correlations[k]))))
        share = fold(grid.share)
        shares.append(share / share.sum())
        fading.append(_fading(sizes[k] / min(sum(sizes), 1.0)))
        degree = math.log(ENOUGH) / math.log(min(fading[-1], 0.9))
        here, mixture = mixture_of(squares[k], round(min(LEAST_VALUES + degree, VALUES) + MORE_VALUES * (finer - 1.0)))
        values.append(here)
        mixtures.append(mixture)
    cores = matrix_product(shares, mixtures, forward, values, fading, least=_least(finer))
    return [_block(layer, here, core, finer) for layer, here, core in zip(layers, values, cores, strict=True)]


def _least(finer: float) -> float:
    """Singular values to leave out of the law of a chain whose states are finer by this factor."""
    return LEAST if finer == 1.0 else FINEST if finer > 1.0 else COARSEST


def chain_grids(layers: Sequence[Layer], finer: float = 1.0) -> tuple[list[Grid], Array]:
    """Nodes of the states of consecutive layers that read them, and the correlation of each with the next."""
    r, skip = np.array([layer.variance for layer in layers]), np.array([layer.skip for layer in layers])
    # β √(r_l/r_{l+1}), and the width of what is added, in standard deviations.
    correlations = np.clip(skip[:-1] * np.sqrt(r[:-1] / r[1:]), -1.0, 1.0)
    widths = np.sqrt(np.maximum(1.0 - correlations**2, FROZEN))
    scales = [float(min(widths[max(k - 1, 0) : k + 1], default=1.0)) for k in range(r.size)]
    grids = [_grid(layer, scale, finer, MOST_CHAINED) for layer, scale in zip(layers, scales, strict=True)]
    return grids, correlations


def _size(layer: Layer, largest: float) -> float:
    """S D²/β², where D² is `largest` at most."""
    return layer.gain * largest / max(layer.skip**2, 1e-300)


def _fading(size: float) -> float:
    """How fast what is asked of D² falls with its degree, where a block adds `size`.

    The law of blocks that add little, Σ s D²/β² < 1 of all, is narrow, and all that counts there is what part of it
    each of them adds.
    """
    # Beside the peak that units leave which weights hardly reach, λ is but a root of it away from there.
    return min(1.0, max(FADING * size, min(SLOWEST, FADING * math.sqrt(size))))


def _drifting(layers: list[Layer], finer: float, *, fresh: bool) -> list[Block]:
    """Blocks whose h_l are a Markov chain, h_l = βφ(h_{l−1}) and noise; or, `fresh`, of the same laws, independent."""
    steps = _steps(layers, finer)
    count = round(VALUES + MORE_VALUES * (finer - 1.0))
    mixed = [mixture_of(_slopes(layer, step.places), count) for layer, step in zip(layers, steps, strict=True)]
    values, mixtures, shares = [v for v, _ in mixed], [m for _, m in mixed], [step.share for step in steps]
    if fresh:
        cores = [(share @ mixture)[:, None, None] for share, mixture in zip(shares, mixtures, strict=True)]
    else:
        fading = [1.0] * len(layers)
        cores = matrix_product(shares, mixtures, _Kernels(layers, steps, finer), values, fading, least=_least(finer))
    return [_block(layer, here, core, finer) for layer, here, core in zip(layers, values, cores, strict=True)]


def _steps(layers: list[Layer], finer: float) -> list[Values]:
    """The law of h_l, one layer after another."""
    found: list[Values] = []
    for k in range(len(layers)):
        found.append(_onward(layers, found, k, finer).values)
    return found


def _onward(layers: list[Layer], steps: Sequence[Values], k: int, finer: float) -> Drifted:
    """The law of h of layer k, given that of the layer before."""
    drift = layers[k].drift
    assert drift is not None
    given = CERTAIN
    if not drift.start:
        before, activation = steps[k - 1], layers[k - 1].activation
        assert isinstance(activation, Activation)
        given = Values(layers[k].skip * np.asarray(activation(before.places), float), before.share)
    return after_sum(layers, k, given, drift.noise + drift.start, finer)


def after_sum(layers: Sequence[Layer], k: int, given: Values, noise: float, finer: float = 1.0) -> Drifted:
    """The law of h of layer k, that of βx `given` and the variance of what is added."""
    # What the next block makes of h is smooth on the scale of its own noise.
    ahead = [layer.drift.noise**0.5 / max(abs(layer.skip), 0.1) for layer in layers[k : k + 2] if layer.drift]
    own = layers[k].activation
    assert isinstance(own, Activation)
    return drifted(given, noise, own.kinks, finest=min(ahead), finer=finer, longest=length_of(own))


class _Kernels(Sequence[Array]):
    """P(h of the next layer | h here), each computed when it is asked for: all together they take much memory."""

    def __init__(self, layers: list[Layer], steps: list[Values], finer: float) -> None:
        self._layers, self._steps, self._finer = layers, steps, finer

    def __len__(self) -> int:
        return len(self._layers) - 1

    def __getitem__(self, k: Any) -> Any:
        return _onward(self._layers, self._steps, k + 1, self._finer).kernel


def _slopes(layer: Layer, h: Array) -> Array:
    return np.asarray(layer.activation.derivative(h), float) ** 2


def _folded(values: Array) -> Array:
    """Values at the positive ones of nodes that lie alike on both sides of 0; a matrix that takes and gives such."""
    upper = values[values.shape[0] // 2 :]
    if values.ndim == 1:
        return upper
    half = values.shape[1] // 2
    return upper[:, half:] + upper[:, :half][:, ::-1]


def _grid(layer: Layer, scale: float, finer: float, most: int = MOST) -> Grid:
    sigma = math.sqrt(layer.variance)
    kinks = np.array(layer.activation.kinks, float) / sigma
    # Slopes that are constant between kinks have no length of their own.
    reach = 10.0 * (1.0 + np.abs(kinks).max(initial=0.0)) * sigma
    slopes = layer.activation.derivative(np.linspace(-reach, reach, SAMPLED))
    own = 1.0 if np.unique(slopes).size <= kinks.size + 1 else sigma
    longest = min(LONGEST, LONGEST / own) / finer
    if most * finer * longest < 2.0 * REACH:
        raise UnfollowedError(
            f"`alpha`: what φ takes has come to a standard deviation of {sigma:.3g}, too large for its slopes to be "
            "followed; give a smaller one, or one that falls with the depth."
        )
    return Grid.between(kinks, scale / finer, longest, even=layer.activation.even_slope)


def _squares(layer: Layer, grid: Grid) -> Array:
    return layer.activation.derivative(math.sqrt(layer.variance) * grid.nodes) ** 2
