"""One pass forward and one back through random networks: the variances that `flow` predicts, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..network.config import Network
from ..network.meanfield import mean_field
from ..sampling.weights import random_weights
from ..sampling.widths import scaled_widths, whole_number
from .layers import product_layers
from .predicted import Flow


@dataclass(frozen=True)
class SampledFlow:
    """Mean squares per entry of every network and layer; indices as in `Flow`, networks first.

    Parameters
    ----------
    h, x, grad_x, grad_h, grad_w : shapes (samples, L), (samples, L + 1), (samples, L + 1), (samples, L), (samples, L).
    widths : N_0 … N_L.
    """

    h: Array
    x: Array
    grad_x: Array
    grad_h: Array
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
            "grad_h": (self.grad_h, predicted.log_grad_h),
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
    square of 1. Memory: the weights of one network.
    """
    samples = whole_number("samples", samples, 2)
    state = mean_field(net)
    specs, widths = product_layers(state), scaled_widths(net, width)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    depth = len(specs)
    h, grad_h, grad_w = (np.empty((samples, depth)) for _ in range(3))
    x, grad_x = (np.empty((samples, depth + 1)) for _ in range(2))
    for i in range(samples):
        signal = _scaled(rng.standard_normal(widths[0]), state.input_variance)
        x[i, 0] = np.mean(signal**2)
        kept = []
        for layer, spec in enumerate(specs):
            weights = random_weights(spec.weights, widths[layer + 1], widths[layer], float(spec.sigma_w), rng)
            before = weights @ signal + float(spec.sigma_b or 0.0) * rng.standard_normal(widths[layer + 1])
            kept.append((weights, spec.activation.derivative(before)))
            signal = spec.activation(before)
            h[i, layer], x[i, layer + 1] = np.mean(before**2), np.mean(signal**2)
        gradient = _scaled(rng.standard_normal(widths[-1]), 1.0)
        grad_x[i, depth] = 1.0
        for layer, (weights, slopes) in reversed(list(enumerate(kept))):
            delta = slopes * gradient
            gradient = weights.T @ delta
            grad_h[i, layer], grad_x[i, layer] = np.mean(delta**2), np.mean(gradient**2)
            # ∂C/∂W = δ xᵀ: the mean square of an outer product is the product of mean squares.
            grad_w[i, layer] = grad_h[i, layer] * x[i, layer]
    return SampledFlow(h, x, grad_x, grad_h, grad_w, widths)


def _scaled(values: Array, mean_square: float) -> Array:
    return values * np.sqrt(mean_square / np.mean(values**2))
