"""The layers of a network as passages: chains of states that are followed, others that powers of x are enough for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._types import Array
from ..correlated.grid import LONGEST, Grid
from ..correlated.layers import Layer, after_sum, chain_grids
from ..correlated.network import layers_of
from ..network.architectures import architecture_of
from ..network.architectures.dense import is_linear
from ..network.drift import Values
from ..network.expectations import gaussian_moments
from .between import Weights
from .passage import Passage
from .steps import POWERS, Step, followed, fresh

if TYPE_CHECKING:
    from ..network.config import LayerSpec
    from ..network.meanfield import MeanField

# Of the functions of a state that are asked for, singular values less than this are left out, relative to the largest.
LEAST = 1e-12
# Sums of columns at first, and the seed of their random signs and sizes.
FIRST, SEED = 64, 0


class Stage(NamedTuple):
    """A layer with α, its weights, and whether φ is linear."""

    layer: Layer
    amplitude: float
    weights: Weights
    linear: bool

    @property
    def kind(self) -> str:
        """Where its state is: at nodes of a normal variable, of another, or nowhere."""
        if self.layer.reads_state:
            return "pre"
        return "fresh" if self.layer.drift is None else "sum"


def passages_of(field: MeanField) -> list[Passage] | None:
    """Every layer of the network, J_1 first.

    None where one is normalised, or where a state that is to be followed comes from a linear layer with a skip.

    Raises
    ------
    ConfigError : as `layers_of`.
    """
    if not all(architecture_of(run.spec).carries_signal for run in field.runs):
        return None
    specs = [(run.spec, run.level.entering.second) for run in field.runs for _ in range(run.repeat)]
    layers = layers_of(field)
    stages = [_stage(spec, layer, r) for (spec, r), layer in zip(specs, layers, strict=True)]
    steps: list[Step] = []
    for kind, group in groupby(stages, key=lambda stage: stage.kind):
        together = list(group)
        if kind == "fresh":
            steps += [fresh(s.amplitude, s.layer.skip, s.weights) for s in together]
            continue
        found = _read(together) if kind == "pre" else _summed(together)
        if steps:
            place = len(steps) - 1
            before = stages[place]
            if before.layer.skip or not before.linear:
                return None
            steps[place] = fresh(before.amplitude, 0.0, before.weights, found[0].entering)
        steps += found
    return _fitted(steps, stages[0].weights.seconds[0])


def _stage(spec: LayerSpec, layer: Layer, entering: float) -> Stage:
    weight2, bias2 = float(spec.sigma_w) ** 2, float(spec.sigma_b or 0.0) ** 2
    amplitude = architecture_of(spec).scale(spec)
    activation = spec.activation
    if layer.reads_state:
        second = gaussian_moments(activation).at(layer.variance).second
        weights = Weights.of(activation, weight2, bias2, second, layer.hidden)
    elif layer.drift is None and not layer.hidden:
        # Within a level q may change, and r with it.
        weights = Weights.of(activation, weight2, bias2, (layer.variance - bias2) / weight2, ())
    else:
        weights = Weights.of(activation, weight2, bias2, entering, layer.hidden)
    return Stage(layer, amplitude, weights, is_linear(spec))


def _read(stages: Sequence[Stage]) -> list[Step]:
    """Blocks x ← βx + α(W⋯φ(x) + b): a Gaussian chain."""
    layers = [stage.layer for stage in stages]
    grids, correlations = chain_grids(layers)
    roots = [math.sqrt(layer.variance) for layer in layers]
    last = stages[-1]
    leaving = last.layer.skip**2 * layers[-1].variance + _added(last)
    roots.append(math.sqrt(leaving))
    grids.append(Grid.between(np.zeros(0), 1.0, LONGEST))
    correlations = np.append(correlations, np.clip(last.layer.skip * roots[-2] / roots[-1], -1.0, 1.0))
    states = [Values(root * grid.nodes, grid.share) for root, grid in zip(roots, grids, strict=True)]
    found = []
    for k, stage in enumerate(stages):
        x, beyond = states[k].places, states[k + 1].places
        kernel = partial(grids[k + 1].expectation, grids[k].nodes, float(correlations[k]))
        phi = np.asarray(stage.weights.activation(x), float)
        slope = np.asarray(stage.weights.activation.derivative(x), float)
        branch = beyond, *_branch(stage)
        diagonals = slope, None, stage.layer.skip
        found.append(followed(states[k], states[k + 1], kernel, branch, diagonals, stage.weights, phi))
    return found


def _summed(stages: Sequence[Stage]) -> list[Step]:
    """Blocks x ← φ(βx + α(W⋯x + b)): a Markov chain of h."""
    layers = [stage.layer for stage in stages]
    noises = [stage.layer.drift.noise if stage.layer.drift is not None else 0.0 for stage in stages]
    root = math.sqrt(stages[0].weights.seconds[0])
    # What the first block makes of a normal x is smooth on the scale of its own noise.
    length = LONGEST * min(1.0, math.sqrt(noises[0]) / max(abs(layers[0].skip) * root, 1e-300))
    grid = Grid.between(np.zeros(0), 1.0, length)
    x, found = Values(root * grid.nodes, grid.share), []
    for k, stage in enumerate(stages):
        law = partial(after_sum, layers, k, Values(stage.layer.skip * x.places, x.share), noises[k])
        h = law().values
        slope = np.asarray(stage.weights.activation.derivative(h.places), float)
        beyond = Values(np.asarray(stage.weights.activation(h.places), float), h.share)
        branch = h.places, *_branch(stage)
        diagonals = None, slope, stage.layer.skip
        found.append(followed(x, beyond, lambda law=law: law().kernel, branch, diagonals, stage.weights, x.places))
        x = beyond
    return found


def _added(stage: Stage) -> float:
    """Variance of α(g + b)."""
    weights = stage.weights
    return stage.amplitude**2 * (weights.weight2 * weights.seconds[-1] + weights.bias2)


def _branch(stage: Stage) -> tuple[float, float]:
    """What part of α(g + b) αg is in the mean, and its variance given that."""
    bias = stage.amplitude**2 * stage.weights.bias2
    own = 1.0 - bias / _added(stage)
    return own, own * bias


def _fitted(steps: Sequence[Step], second: float) -> list[Passage]:
    """Passages, with few functions of a state in place of its nodes: those that are asked for, from the last layer on.

    E x² of what enters is `second`.
    """
    found: list[Passage] = []
    following: list[Array] | None = None
    for k in range(len(steps) - 1, -1, -1):
        step, sizes = steps[k], np.ones(POWERS)
        if following is None:
            following = [np.eye(POWERS)[:, : n + 1] for n in range(POWERS)]
            if step.leaving is not None:
                # Powers of one size, so that none of them is left out.
                sizes = math.sqrt(step.leaving.mean(step.leaving.places**2)) ** np.arange(POWERS)
                powers = step.leaving.places[:, None] ** np.arange(POWERS) / sizes
                following = [powers[:, : n + 1] for n in range(POWERS)]
        rows = _rows(step, following)
        following = None
        if k == 0:
            start = np.array([1.0, 0.0, second]) if step.entering is None else step.entering.share
            rows = [[np.einsum("a,jab->jb", start, m)[:, None] for m in row] for row in rows]
        elif step.entering is None:
            rows = [[m[:, : n + 1] for m in row] for n, row in enumerate(rows)]
        else:
            following = []
            for n, row in enumerate(rows):
                functions, rows[n] = _compressed(row, step.entering.share)
                following.append(functions)
        if (sizes != 1.0).any():
            rows = [[m * sizes[: m.shape[2]] for m in row] for row in rows]
        (one,), (vector, *last), (state, e, f, *pairs) = rows
        diagonals = step.inner, step.outer, step.through
        found.append(Passage(*diagonals, (one, vector, state), (last[0], e), (last[1], f), tuple(pairs), step.hidden))
    return found[::-1]


def _rows(step: Step, following: Sequence[Array]) -> list[list[Array]]:
    """Tensors (J, n, n′) from none, one, two vectors still to come: functions of the next state for as many."""
    one, e, f, *pairs = step.tensors()
    none, vector, state = following
    return [
        [one @ none],
        [one @ vector, e @ none, f @ none],
        [one @ state, e @ vector, f @ vector, *(m @ none for m in pairs)],
    ]


def _compressed(tensors: Sequence[Array], share: Array) -> tuple[Array, list[Array]]:
    """Functions (n, r) of the nodes, and tensors (J, r, n′) that give with them what these, (J, n, n′), do."""
    root = np.sqrt(share)
    asked = [np.moveaxis(root[:, None] * m, 1, 0) for m in tensors]
    together = np.concatenate([m.reshape(root.size, -1) for m in asked], axis=1)
    left, size = _range(together)
    right = (left.T @ together) / size[:, None]
    parts = np.split(right, np.cumsum([m[0].size for m in asked])[:-1], axis=1)
    found = [np.moveaxis(part.reshape(-1, *m.shape[1:]), 0, 1) for part, m in zip(parts, asked, strict=True)]
    return left * size / root[:, None], found


def _range(matrix: Array) -> tuple[Array, Array]:
    """An orthonormal basis (n, r) of what the columns span, and how much there is of each.

    Source
    ------
    Halko, Martinsson, Tropp, SIAM Rev. 53 (2011), 217-288: of a few random sums of the columns.
    """
    count = FIRST
    while True:
        sums = matrix
        if count < matrix.shape[1]:
            sums = matrix @ np.random.default_rng(SEED).standard_normal((matrix.shape[1], count))
        basis, triangle = np.linalg.qr(sums)
        left, size, _ = np.linalg.svd(triangle)
        kept = size > LEAST * size[0]
        if count >= matrix.shape[1] or kept.sum() < 0.8 * count:
            return basis @ left[:, kept], size[kept]
        count *= 2
