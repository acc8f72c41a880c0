"""One pass forward and one back through random networks: the variances that `flow` predicts, measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .._types import Array
from ..network.architectures import architecture_of, refuse_without_law
from ..network.architectures.thinned import Beside, Thinned
from ..network.config import LayerSpec, Network
from ..network.meanfield import mean_field
from ..sampling.forward import batch_of_inputs, of_example
from ..sampling.weights import random_weights
from ..sampling.widths import scaled_widths, whole_number
from .predicted import Flow


@dataclass(frozen=True)
class SampledFlow:
    """Mean squares per entry of every network and layer; indices as in `Flow`, networks first.

    Parameters
    ----------
    h, x, grad_x : shapes (samples, L), (samples, L + 1), (samples, L + 1).
    grad_b, grad_w : of the biases beside every matrix of weights, and of these, (samples, M) each.
    widths : N_0 … N_L.
    """

    h: Array
    x: Array
    grad_x: Array
    grad_b: Array
    grad_w: Array
    widths: tuple[int, ...]

    def deviations(self, predicted: Flow) -> dict[str, tuple[Array, Array]]:
        """For each quantity the mean over networks relative to the prediction, less 1, and its standard error.

        Beside the standard error a deviation of order depth/width is to be expected.
        """
        pairs = {
            "h": (self.h, predicted.log_h),
            "x": (self.x, predicted.log_x),
            "grad_x": (self.grad_x, predicted.log_grad_x),
            "grad_b": (self.grad_b, predicted.log_grad_b),
            "grad_w": (self.grad_w, predicted.log_grad_w),
        }
        result = {}
        for name, (sampled, log_mean) in pairs.items():
            ratio = sampled / np.exp(log_mean)
            result[name] = ratio.mean(axis=0) - 1.0, ratio.std(axis=0, ddof=1) / np.sqrt(len(ratio))
        return result


def sample_flow(net: Network, width: int | None = None, samples: int = 8, seed: int = 0) -> SampledFlow:
    """Measure mean squares of signals and gradients in `samples` random networks.

    Parameters
    ----------
    net, width, seed : as in `spectra.sample`; here all networks share one stream.
    samples : at least 2.

    Returns
    -------
    SampledFlow. Inputs are Gaussian, scaled to the input variance; the gradient at the output is Gaussian with a mean
    square of 1. Where layers are normalised over a large batch it is that of one example, statistics held fixed.
    Memory: the weights of one network.

    Raises
    ------
    ConfigError : as `flow`.
    """
    samples = whole_number("samples", samples, 2)
    state = mean_field(net)
    refuse_without_law(run.spec for run in state.runs)
    specs, widths = [run.spec for run in state.runs for _ in range(run.repeat)], scaled_widths(net, width)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    found = [_one(specs, widths, state.input_variance, rng) for _ in range(samples)]
    h, x, grad_x, grad_b, grad_w = (np.array(part) for part in zip(*found, strict=True))
    return SampledFlow(h, x, grad_x, grad_b, grad_w, widths)


class _Kept(NamedTuple):
    """Weights of a layer, what they took, slopes between; J_l = outer (skip + left W right)."""

    weights: list[Array]
    fed: list[Array]
    between: list[Array]
    left: Beside | None
    right: Beside | None
    outer: Beside | None
    skip: float


def _one(
    specs: list[LayerSpec], widths: tuple[int, ...], variance: float, rng: np.random.Generator
) -> tuple[list[float], ...]:
    """Mean squares in one network, as `SampledFlow` has them."""
    x = batch_of_inputs(specs, widths, variance, rng)
    h2, x2, layers = [], [_mean_square(x)], []
    for spec, (before, after) in zip(specs, pairwise(widths), strict=True):
        architecture = architecture_of(spec)
        image, right = architecture.take(spec, x)
        kept = _Kept([], [], [], None, of_example(right, False), None, architecture.skip(spec))
        for k in range(spec.branch_layers):
            if k:
                kept.between.append(_first(spec.activation.derivative(image)))
                image = spec.activation(image)
            kept.fed.append(_first(image))
            kept.weights.append(random_weights(spec.weights, after, after if k else before, float(spec.sigma_w), rng))
            biases = float(spec.sigma_b or 0.0) * rng.standard_normal(after)
            image = kept.weights[-1] @ image + (biases if image.ndim == 1 else biases[:, None])
        x, h, left, outer = architecture.give(spec, x, image)
        layers.append(kept._replace(left=of_example(left, False), outer=of_example(outer, False)))
        h2.append(_mean_square(_first(h)))
        x2.append(_mean_square(_first(x)))
    gradient = rng.standard_normal(widths[-1])
    gradient /= np.sqrt(np.mean(gradient**2))
    grad_x, grad_b, grad_w = [1.0], [], []
    for kept in reversed(layers):
        total = _back(kept.outer, gradient)
        delta = _back(kept.left, total)
        for k in reversed(range(len(kept.weights))):
            grad_b.append(_mean_square(delta))
            # ∂C/∂W = δ gᵀ: the mean square of an outer product is the product of mean squares.
            grad_w.append(grad_b[-1] * _mean_square(kept.fed[k]))
            delta = kept.weights[k].T @ delta
            if k:
                delta = kept.between[k - 1] * delta
        gradient = _back(kept.right, delta) + (kept.skip * total if kept.skip else 0.0)
        grad_x.append(_mean_square(gradient))
    return h2, x2, grad_x[::-1], grad_b[::-1], grad_w[::-1]


def _mean_square(values: Array) -> float:
    return float(np.mean(values**2))


def _first(values: Array) -> Array:
    """Of a batch, the first example."""
    return values if values.ndim == 1 else values[:, 0]


def _back(beside: Beside | None, gradient: Array) -> Array:
    """The transpose of a diagonal, or of one beside a projection, times a gradient."""
    if beside is None:
        return gradient
    return beside.transposed_times(gradient) if isinstance(beside, Thinned) else beside * gradient
