"""Layer-sequential unit variance: weights rescaled one layer after the other so that E h_l² = 1."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .._types import Array
from ..network.config import Network
from ..network.expectations import gaussian_moments
from ..network.meanfield import mean_field
from ..sampling.weights import random_weights
from ..sampling.widths import scaled_widths, whole_number
from .layers import product_layers


def lsuv(net: Network) -> Network:
    """The network that layer-sequential unit-variance rescaling makes of `net`: σ_w² = 1/E x_{l−1}², σ_b = 0, q_l = 1.

    From the second layer on σ_w² = 1/E φ(z)², so χ = E φ'(z)²/E φ(z)², z ~ N(0, 1): unit variance keeps signals, and
    by Poincaré's inequality χ ≥ 1 for every φ with E φ(z) = 0, = 1 for linear φ alone: gradients explode.

    Source
    ------
    Mishkin, Matas, All you need is a good init, ICLR 2016, algorithm 1.

    Examples
    --------
    >>> from spectra.network.meanfield import mean_field
    >>> round(float(mean_field(lsuv(Network(depth=9, activation="tanh", sigma_w=3.0))).chi[-1]), 6)
    1.177807
    """
    field = mean_field(net)
    specs = product_layers(field)
    seconds = [field.input_variance, *(gaussian_moments(spec.activation).at(1.0).second for spec in specs[:-1])]
    layers = []
    for (spec, second), described in zip(zip(specs, seconds, strict=True), _described(net), strict=True):
        layers.append(described | {"weights": spec.weights, "sigma_w": 1.0 / math.sqrt(second), "sigma_b": 0.0})
    inputs = {} if net.input_width is None else {"input_width": net.input_width}
    return Network(layers=layers, input_variance=field.input_variance, **inputs)


def _described(net: Network) -> list[dict]:
    """Activation and width of every layer."""
    found = []
    for spec in net.layers:
        table = {"activation": spec.activation} | ({} if spec.width is None else {"width": spec.width})
        found += [table] * spec.repeat
    return found


def lsuv_factors(net: Network, width: int | None = None, batch: int = 64, samples: int = 4, seed: int = 0) -> Array:
    """Factors by which the procedure itself rescales the weights of random networks, (samples, L).

    To compare with `predicted_factors`. Biases are 0, as the procedure has them.
    """
    field = mean_field(net)
    specs, widths = product_layers(field), scaled_widths(net, width)
    batch, samples = whole_number("batch", batch, 2), whole_number("samples", samples, 1)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    factors = np.empty((samples, len(specs)))
    for row in factors:
        signal = rng.standard_normal((widths[0], batch)) * math.sqrt(field.input_variance)
        for layer, (spec, (before, after)) in enumerate(zip(specs, pairwise(widths), strict=True)):
            h = random_weights(spec.weights, after, before, float(spec.sigma_w), rng) @ signal
            row[layer] = 1.0 / h.std()
            signal = spec.activation(h * row[layer])
    return factors


def predicted_factors(net: Network) -> Array:
    """σ_w after over σ_w before, (L,)."""
    before, after = (
        np.array([float(run.spec.sigma_w) for run in mean_field(one).runs for _ in range(run.repeat)])
        for one in (net, lsuv(net))
    )
    return after / before
