"""One forward pass of one random network, layer by layer: weights, slopes, and the variances on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ConfigError, ConvergenceError
from ..network.architectures import architecture_of
from ..network.architectures.thinned import Beside, Thinned, mean_square
from ..network.resolve import resolved_runs, start
from .arrays import HostArrays
from .parallel import ahead

if TYPE_CHECKING:
    from ..network.config import LayerSpec, Network
    from .arrays import Arrays

RESCALE = 1e100  # entries of a homogeneous net's state beyond this (or below its inverse) are rescaled


class LayerPass(NamedTuple):
    """One layer of a forward pass, with J_l = outer (skip · 1 + left W right), diagonals or such beside projections.

    Parameters
    ----------
    weights : W, a matrix of the arrays it was drawn with; of a branch of several layers the derivative of what the
        last weights give by what the first ones take.
    left, right, outer : slopes after and before W, and after the sum; `right` and `outer` None for 1.
    skip : factor of the identity.
    q, chi : mean h_l², and the mean square of J_l over W: (skip² + σ_w² mean left² · mean right²) mean outer²; for each
        further layer of a branch times σ_w² and the mean square of the slopes between.
    """

    weights: Any
    left: Any  # `Beside`; an array, in all layers without a normalisation
    right: Any
    skip: float
    q: float
    chi: float
    outer: Any


def resolved_layers(net: Network) -> tuple[list[LayerSpec], float]:
    """The description of every layer, one after the other, and the input variance, without the mean field.

    Its variances may be beyond all doubles where a sampled Jacobian is harmless in logarithms.

    Raises
    ------
    ConfigError : no critical point, or no fixed point where one was asked for.
    """
    runs, _ = resolved_runs(net)
    specs = [replace(run.spec, repeat=1) for run in runs for _ in range(run.spec.repeat)]
    return specs, start(net, runs).input_variance


def forward_pass(
    specs: list[LayerSpec],
    widths: tuple[int, ...],
    input_variance: float,
    rng: np.random.Generator,
    arrays: Arrays | None = None,
) -> Iterator[LayerPass]:
    """Run one forward pass; yield W_l, the slopes, mean h_l² and χ_l layer by layer.

    W_l is a matrix of `arrays` (numpy where left out; a Haar matrix as reflectors). The state is a numpy vector of
    doubles whatever the matrices are.
    """
    arrays = HostArrays() if arrays is None else arrays
    x = batch_of_inputs(specs, widths, input_variance, rng)
    whole = is_whole_batch(specs)
    # Where every φ is positively homogeneous (identity, ReLU and kin), φ(cx) = cφ(x), the state may be rescaled
    # freely: deep nets off criticality leave the range of doubles although J itself is harmless.
    homogeneous = are_homogeneous(specs)
    rescale = RESCALE if arrays.dtype is np.float64 else RESCALE**0.1  # what W may meet in single precision
    log_scale = 0.0
    draws = _draws(specs, widths, rng, arrays)
    for index, drawn in enumerate(ahead(draws) if arrays.far else draws):
        spec = specs[index]
        architecture = architecture_of(spec)
        taken, right = architecture.take(spec, x)
        image, weights, sigma_w = _through(spec, taken, drawn, arrays, log_scale)
        x, h, left, outer = architecture.give(spec, x, image)
        right, left, outer = (of_example(part, whole) for part in (right, left, outer))
        assert left is not None
        refuse_overflow(index + 1, x, left, right)
        with np.errstate(over="ignore", under="ignore"):
            # What has died stays at 0, however far the scale went before.
            q = float(size / h.size * np.exp(2 * log_scale)) if (size := np.vdot(h, h)) else 0.0
        skip = architecture.skip(spec)
        chi = mean_square_of_layer(sigma_w, left, right, skip, outer)
        yield LayerPass(weights, left, right, skip, q, chi, outer)
        if homogeneous:
            size = float(np.max(np.abs(x)))
            if size and not 1 / rescale < size < rescale:
                x, log_scale = x / size, log_scale + np.log(size)


# What is drawn for weights, and for biases, None without.
_Drawn = tuple[Any, np.ndarray | None]


def _draws(
    specs: list[LayerSpec], widths: tuple[int, ...], rng: np.random.Generator, arrays: Arrays
) -> Iterator[list[_Drawn]]:
    """What is drawn for every layer, one after the other for those of a branch."""

    def one(spec: LayerSpec, before: int, after: int) -> _Drawn:
        drawn = arrays.drawn(spec.weights, after, before, float(spec.sigma_w), rng)
        return drawn, (rng.standard_normal(after) if spec.sigma_b else None)

    for spec, (before, after) in zip(specs, pairwise(widths), strict=True):
        yield [one(spec, before if k == 0 else after, after) for k in range(spec.branch_layers)]


def _through(
    spec: LayerSpec, taken: np.ndarray, drawn: list[_Drawn], arrays: Arrays, log_scale: float
) -> tuple[np.ndarray, Any, float]:
    """What the weights give, their derivative, and the root mean square of a row of that, for slopes as they are."""
    sigma_w, sigma_b = float(spec.sigma_w), float(spec.sigma_b or 0.0)
    image, whole, size = taken, None, 1.0
    while drawn:
        # Nothing is kept that was used.
        own, bias = drawn.pop(0)
        weights, slopes = arrays.weights(own), None
        del own
        if whole is not None:
            slopes = spec.activation.derivative(image)
            image = spec.activation(image)
        image = arrays.host(weights @ arrays.array(image))
        if bias is not None:
            with np.errstate(over="ignore", under="ignore"):
                biases = sigma_b * np.exp(-log_scale) * bias
                image = image + (biases if image.ndim == 1 else biases[:, None])
        size *= sigma_w
        if slopes is not None:
            size *= float(np.sqrt(np.mean(slopes**2)))
            whole = weights @ arrays.beside_skip(whole, slopes, None, 0.0)
        else:
            whole = weights
    return image, whole, size


def batch_of_inputs(
    specs: list[LayerSpec], widths: tuple[int, ...], input_variance: float, rng: np.random.Generator
) -> np.ndarray:
    """x_0, (N_0,) of exactly this mean square; (N_0, B) where some layer needs a batch of B, of whatever width."""
    count = examples(specs, max(widths))
    x = rng.standard_normal(widths[0] if count == 1 else (widths[0], count))
    x *= np.sqrt(input_variance / np.mean(x**2, axis=0))
    return x


def examples(specs: list[LayerSpec], width: int) -> int:
    """How many go through together.

    Raises
    ------
    ConfigError : batches of two sizes.
    """
    counts = {architecture_of(spec).batch(spec, width) for spec in specs} - {1}
    if len(counts) > 1:
        raise ConfigError("`normalise.batch`: the layers of a network that is sampled need batches of one size.")
    return max(counts, default=1)


def is_whole_batch(specs: list[LayerSpec]) -> bool:
    """Whether J is the derivative of all examples by all."""
    return any(architecture_of(spec).whole_batch(spec) for spec in specs)


def together(specs: list[LayerSpec], width: int) -> int:
    """How many examples J is the derivative of."""
    return examples(specs, width) if is_whole_batch(specs) else 1


def of_example(beside: Beside | None, whole: bool) -> Beside | None:
    """A diagonal over a batch as one of all examples, neuron by neuron, or of the first."""
    if beside is None or isinstance(beside, Thinned) or beside.ndim == 1:
        return beside
    return beside.ravel() if whole else beside[:, 0]


def refuse_overflow(layer: int, *parts: Beside | None) -> None:
    """Raise `ConvergenceError` where something a layer gave is not finite."""
    vectors = (part.slopes if isinstance(part, Thinned) else part for part in parts)
    if not all(vector is None or np.isfinite(vector).all() for vector in vectors):
        raise ConvergenceError(f"`sample(...)`: the forward pass overflows at layer {layer}; lower `sigma_w`.")


def mean_square_of_layer(
    sigma_w: float, left: Beside, right: Beside | None, skip: float, outer: Beside | None = None
) -> float:
    """χ of one layer with these slopes: the mean of |J_l v|²/|v|² over its weights and over v."""
    return (skip**2 + sigma_w**2 * mean_square(left) * mean_square(right)) * mean_square(outer)


def are_homogeneous(specs: list[LayerSpec]) -> bool:
    """Whether c x leads to c times what x leads to, c > 0, in all layers."""
    return all(is_homogeneous(spec) and architecture_of(spec).keeps_scale for spec in specs)


def is_homogeneous(spec: LayerSpec) -> bool:
    """φ(cx) = cφ(x) for c > 0: straight branches that meet at the origin, in the origin."""
    return spec.activation.is_homogeneous and float(spec.activation(np.zeros(1))[0]) == 0.0
