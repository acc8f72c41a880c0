"""The layers of a network as passages: chains of states that are followed, others that powers of x are enough for."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from .between import Weights
from .passage import Passage
from .steps import POWERS, Step, followed, fresh

if TYPE_CHECKING:
    from ..network.config import LayerSpec
    from ..network.meanfield import MeanField

# Of the functions of a state that are asked for, singular values less than this are left out, relative to the largest.
LEAST = 1e-14


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
    if any(run.spec.normalise is not None for run in field.runs):
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
        weights = Weights.of(activation, weight2, bias2, _second(spec, layer.variance), layer.hidden)
    elif layer.drift is None and not layer.hidden:
        # Within a level q may change, and r with it.
        weights = Weights.of(activation, weight2, bias2, (layer.variance - bias2) / weight2, ())
    else:
        weights = Weights.of(activation, weight2, bias2, entering, layer.hidden)
    return Stage(layer, amplitude, weights, is_linear(spec))


def _second(spec: LayerSpec, q: float) -> float:
    from ..network.expectations import gaussian_moments

    return gaussian_moments(spec.activation).at(q).second


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
    found = []
    for k, stage in enumerate(stages):
        here, there = (Values(root * grid.nodes, grid.share) for root, grid in zip(roots[k:k + 2], grids[k:k + 2]))
        kernel = grids[k + 1].expectation(grids[k].nodes, float(correlations[k]))
        phi, slope = (np.asarray(f(here.places), float) for f in (layers[k].activation, layers[k].activation.derivative))
        found.append(followed(here, there, kernel, _branch(stage, here.places, there.places), (slope, None, stage.layer.skip), stage.weights, stage.amplitude, phi))
    return found


def _summed(stages: Sequence[Stage]) -> list[Step]:
    """Blocks x ← φ(βx + α(W⋯x + b)): a Markov chain of h."""
    layers = [stage.layer for stage in stages]
    drift, skip = layers[0].drift, layers[0].skip
    assert drift is not None
    root = math.sqrt(stages[0].weights.seconds[0])
    length = LONGEST * min(1.0, math.sqrt(drift.noise) / max(abs(skip) * root, 1e-300))
    grid = Grid.between(np.zeros(0), 1.0, length)
    x, found = Values(root * grid.nodes, grid.share), []
    for k, stage in enumerate(stages):
        given, noise = Values(stage.layer.skip * x.places, x.share), layers[k].drift.noise
        h, kernel = after_sum(layers, k, given, noise)
        activation = layers[k].activation
        slope, phi = np.asarray(activation.derivative(h.places), float), np.asarray(activation(h.places), float)
        there = Values(phi, h.share)
        found.append(followed(x, there, kernel, _branch(stage, x.places, h.places), (None, slope, stage.layer.skip), stage.weights, stage.amplitude, x.places))
        x = there
    return found


def _added(stage: Stage) -> float:
    """Variance of α(g + b)."""
    weights = stage.weights
    return stage.amplitude**2 * (weights.weight2 * weights.seconds[-1] + weights.bias2)


def _branch(stage: Stage, before: Array, after: Array) -> tuple[Array, float, float]:
    bias = stage.amplitude**2 * stage.weights.bias2
    own = 1.0 - bias / _added(stage)
    return after - stage.layer.skip * before[:, None], own, own * bias


def _fitted(steps: Sequence[Step], second: float) -> list[Passage]:
    """Passages whose functions at nodes are replaced by the few that anything is asked of, from the last to the first."""
    found: list[Passage] = []
    following: Array | None = None
    for k in range(len(steps) - 1, -1, -1):
        step = steps[k]
        tensors = np.stack(step.tensors)
        if step.leaving is not None:
            if following is None:
                following = step.leaving.places[:, None] ** np.arange(POWERS)
            tensors = tensors @ following
        following = None
        if k == 0:
            start = np.array([1.0, 0.0, second]) if step.entering is None else step.entering.share
            tensors = np.einsum("a,vjab->vjb", start, tensors)[:, :, None]
        elif step.entering is not None:
            following, tensors = _compressed(tensors, step.entering.share)
        found.append(Passage(step.inner, step.outer, step.through, *tensors, step.hidden))
    return found[::-1]


def _compressed(tensors: Array, share: Array) -> tuple[Array, Array]:
    """Functions (n, r) of the nodes, and tensors (6, J, r, n′) that give with them what these, (6, J, n, n′), do."""
    root = np.sqrt(share)
    asked = np.moveaxis(root[:, None] * tensors, 2, 0)
    left, size, right = np.linalg.svd(asked.reshape(root.size, -1), full_matrices=False)
    kept = size > LEAST * size[0]
    basis = left[:, kept] * size[kept] / root[:, None]
    return basis, np.moveaxis(right[kept].reshape(-1, *np.delete(tensors.shape, 2)), 0, 2)
