"""One forward pass of one random network, layer by layer: weights, slopes, and the variances on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConvergenceError
from ..network.resolve import resolved_runs, start
from .arrays import HostArrays

if TYPE_CHECKING:
    from ..network.config import LayerSpec, Network
    from ..network.meanfield import MeanField
    from .arrays import Arrays

RESCALE = 1e100  # entries of a homogeneous net's state beyond this (or below its inverse) are rescaled


def dense_layers(state: MeanField) -> list[LayerSpec]:
    """The description of every layer, one after the other.

    Raises
    ------
    NotImplementedError : a layer that is not dense.
    """
    return _all_dense([run.spec for run in state.runs for _ in range(run.repeat)])


def resolved_layers(net: Network) -> tuple[list[LayerSpec], float]:
    """What `dense_layers` gives, and the input variance, without the mean field.

    Its variances may be beyond all doubles where a sampled Jacobian is harmless in logarithms.

    Raises
    ------
    ConfigError : no critical point, or no fixed point where one was asked for.
    NotImplementedError : a layer that is not dense.
    """
    runs, _ = resolved_runs(net)
    specs = [replace(run.spec, repeat=1) for run in runs for _ in range(run.spec.repeat)]
    return _all_dense(specs), start(net, runs).input_variance


def _all_dense(specs: list[LayerSpec]) -> list[LayerSpec]:
    for spec in specs:
        if spec.kind != "dense":
            raise NotImplementedError(f"`sample(...)`: cannot sample layers of kind {spec.kind!r} yet; use 'dense'.")
    return specs


def forward_pass(
    specs: list[LayerSpec],
    widths: tuple[int, ...],
    input_variance: float,
    rng: np.random.Generator,
    arrays: Arrays | None = None,
) -> Iterator[tuple[Any, np.ndarray, float, float]]:
    """Run one forward pass; yield (W_l, φ'(h_l), mean h_l², σ_w² mean φ'(h_l)²) layer by layer.

    W_l is a matrix of `arrays` (numpy where left out; a Haar matrix as reflectors). The state is a numpy vector of
    doubles whatever the matrices are.
    """
    arrays = HostArrays() if arrays is None else arrays
    x = rng.standard_normal(widths[0])
    x *= np.sqrt(input_variance / np.mean(x**2))
    # Where every φ is positively homogeneous (identity, ReLU and kin), φ(cx) = cφ(x), the state may be rescaled
    # freely: deep nets off criticality leave the range of doubles although J itself is harmless.
    homogeneous = all(is_homogeneous(spec) for spec in specs)
    rescale = RESCALE if arrays.dtype is np.float64 else RESCALE**0.1  # what W may meet in single precision
    log_scale = 0.0
    for index, spec in enumerate(specs):
        sigma_w, sigma_b = float(spec.sigma_w), float(spec.sigma_b or 0.0)
        weights = arrays.weights(spec.weights, widths[index + 1], widths[index], sigma_w, rng)
        h = arrays.host(weights @ arrays.array(x))
        if sigma_b:
            with np.errstate(over="ignore", under="ignore"):
                h = h + sigma_b * np.exp(-log_scale) * rng.standard_normal(h.size)
        slopes = spec.activation.derivative(h)
        x = spec.activation(h)
        if not (np.all(np.isfinite(x)) and np.all(np.isfinite(slopes))):
            raise ConvergenceError(f"`sample(...)`: the forward pass overflows at layer {index + 1}; lower `sigma_w`.")
        with np.errstate(over="ignore", under="ignore"):
            q = float(np.mean(h**2) * np.exp(2 * log_scale))
        yield weights, slopes, q, sigma_w**2 * float(np.mean(slopes**2))
        size = float(np.max(np.abs(x)))
        if homogeneous and size and not 1 / rescale < size < rescale:
            x, log_scale = x / size, log_scale + np.log(size)


def is_homogeneous(spec: LayerSpec) -> bool:
    """φ(cx) = cφ(x) for c > 0: straight branches that meet at the origin, in the origin."""
    straight = all(branch.constant_slope is not None for branch in spec.activation.branches)
    return straight and set(spec.activation.kinks) <= {0.0} and float(spec.activation(np.zeros(1))[0]) == 0.0
