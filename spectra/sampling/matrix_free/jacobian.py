"""J = J_L ⋯ J_1 as an operator: slopes are kept, weights are drawn again for every product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import SeedSequence
from scipy.sparse.linalg import LinearOperator

from ...errors import ConfigError
from ...network.architectures import architecture_of
from ...network.architectures.thinned import Beside, Thinned
from ..forward import RESCALE, are_homogeneous, mean_square_of_layer, refuse_overflow
from .weights import Chain, Weights, child, redrawn_weights

if TYPE_CHECKING:
    from ...network.config import LayerSpec


@dataclass(frozen=True)
class LayerOperator:
    """J_l = outer (skip · 1 + left W right), `right` and `outer` None for 1."""

    weights: Weights | Chain
    left: Any  # `Beside`, an array in all layers without a normalisation
    right: Any
    skip: float
    outer: Any = None

    def over(self, size: float) -> LayerOperator:
        """J_l / size."""
        left = self.left
        left = left._replace(slopes=left.slopes / size) if isinstance(left, Thinned) else left / size
        return replace(self, left=left, skip=self.skip / size)

    def times(self, X: np.ndarray) -> np.ndarray:
        """J_l X."""
        return _times(self.outer, self.before_outer(X, self.weights.times(_times(self.right, X))))

    def before_outer(self, X: np.ndarray, image: np.ndarray) -> np.ndarray:
        """What `outer` is to multiply, of X and of W right X."""
        image = _times(self.left, image)
        return image + self.skip * X if self.skip else image

    def transposed_times(self, X: np.ndarray) -> np.ndarray:
        """J_lᵀ X."""
        X = _times(self.outer, X, transposed=True)
        image = _times(
            self.right, self.weights.transposed_times(_times(self.left, X, transposed=True)), transposed=True
        )
        return image + self.skip * X if self.skip else image


def _times(beside: Beside | None, X: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """What stands beside W, or its transpose, times the columns of X, or one vector."""
    if beside is None:
        return X
    if isinstance(beside, Thinned):
        return beside.transposed_times(X) if transposed else beside.times(X)
    return beside * X if X.ndim == 1 else beside[:, None] * X


class LayerProduct(LinearOperator):
    """e^{−`log_scale`} J of one network, after its forward pass; O(L N) memory besides weights that are kept.

    Scaled so that no layer changes the length of one random vector: deep nets leave the range of doubles.

    Parameters
    ----------
    layers : J_1 … J_L.
    sizes : what every layer multiplies that length by; 1 where that is 0.
    q, chi : mean of h_l² and the mean square of J_l, (L,).

    Attributes
    ----------
    live : rows of J that are not zero because φ'(h_L) is.
    """

    def __init__(self, layers: Sequence[LayerOperator], sizes: np.ndarray, q: np.ndarray, chi: np.ndarray) -> None:
        super().__init__(np.dtype(float), (layers[-1].weights.n_out, layers[0].weights.n_in))
        self.q, self.chi = q, chi
        self.log_scale = float(np.sum(np.log(sizes)))
        last = layers[-1]
        whole = last.skip or isinstance(last.left, Thinned)
        rows = np.arange(self.shape[0]) if whole else np.flatnonzero(last.left)
        self.live = rows[last.outer[rows] != 0.0] if isinstance(last.outer, np.ndarray) else rows
        self._layers = tuple(layer.over(size) for layer, size in zip(layers, sizes.tolist(), strict=True))

    def _matmat(self, X: np.ndarray) -> np.ndarray:  # scipy's name
        for layer in self._layers:
            X = layer.times(X)
        return X

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        for layer in reversed(self._layers):
            X = layer.transposed_times(X)
        return X


class LiveRows(LinearOperator):
    """The rows of J that the last layer leaves alive: what is left out are zeros of JJᵀ, counted, not estimated."""

    def __init__(self, product: LayerProduct) -> None:
        super().__init__(np.dtype(float), (product.live.size, product.shape[1]))
        self._product = product

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        return self._product.matmat(X)[self._product.live]

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        whole = np.zeros((self._product.shape[0], X.shape[1]))
        whole[self._product.live] = X
        return self._product.rmatmat(whole)


def layer_product(
    specs: Sequence[LayerSpec],
    widths: tuple[int, ...],
    input_variance: float,
    stream: SeedSequence,
    *,
    memory: float = 0.0,
    interrupted: Callable[[], bool] = lambda: False,
) -> LayerProduct:
    """Run the forward pass of one network and keep its slopes.

    Parameters
    ----------
    specs, widths, input_variance : as `spectra.sampling.forward.forward_pass` takes them.
    stream : child 0 draws the input, child l the weights and biases of layer l: its children 1 and 0, and 3 and 2 and
        so on for further layers of a branch.
    memory : bytes for weights that are kept, from the first layer on as far as it goes.
    interrupted : asked before every layer whether to stop.

    Raises
    ------
    ConvergenceError : the forward pass left the range of doubles.
    """
    # The vector whose length sets the scale goes along as a second column: the mean, √χ, is far from what most
    # directions see of a deep narrow net.
    x, tangent = np.random.default_rng(child(stream, 0)).standard_normal((2, widths[0]))
    x *= np.sqrt(input_variance / np.mean(x**2))
    if any(architecture_of(spec).batch(spec, max(widths)) > 1 for spec in specs):
        raise ConfigError('`normalise = "batch"`: a batch as large as that is sampled with matrices alone.')
    homogeneous, log_scale = are_homogeneous(list(specs)), 0.0
    layers: list[LayerOperator] = []
    q, chi, sizes = np.empty(len(specs)), np.empty(len(specs)), np.ones(len(specs))
    tangent /= np.linalg.norm(tangent)
    for index, spec in enumerate(specs):
        if interrupted():
            raise InterruptedError("`sample(...)`: stopped.")
        sigma_w, sigma_b = float(spec.sigma_w), float(spec.sigma_b or 0.0)
        own = child(stream, index + 1)
        architecture = architecture_of(spec)
        (taken, right), skip = architecture.take(spec, x), architecture.skip(spec)
        pair = np.stack([taken, _times(right, tangent)], axis=1)
        between: list[np.ndarray] = []
        factors: list[Weights] = []
        for k in range(spec.branch_layers):
            if k:
                between.append(spec.activation.derivative(pair[:, 0]))
                pair = np.stack([spec.activation(pair[:, 0]), between[-1] * pair[:, 1]], axis=1)
            drawn_from, n_in = child(own, 2 * k + 1), widths[index + (k > 0)]
            factors.append(redrawn_weights(spec.weights, widths[index + 1], n_in, sigma_w, drawn_from, room=memory))
            memory -= 8 * factors[-1].kept_doubles(factors[-1].n_out, n_in)
            pair = factors[-1].times(pair)
            if sigma_b:
                biases = np.random.default_rng(child(own, 2 * k)).standard_normal(pair.shape[0])
                with np.errstate(over="ignore", under="ignore"):
                    pair[:, 0] += sigma_b * np.exp(-log_scale) * biases
        weights = Chain(factors, between) if between else factors[0]
        image, along = np.ascontiguousarray(pair.T)
        x, h, left, outer = architecture.give(spec, x, image)
        refuse_overflow(index + 1, x, left, right)
        with np.errstate(over="ignore", under="ignore"):
            q[index] = np.mean(h**2) * np.exp(2 * log_scale)
        size_of_weights = sigma_w**spec.branch_layers * float(np.sqrt(np.prod([np.mean(d**2) for d in between])))
        chi[index] = mean_square_of_layer(size_of_weights, left, right, skip, outer)
        size = float(np.max(np.abs(x)))
        if homogeneous and size and not 1 / RESCALE < size < RESCALE:
            x, log_scale = x / size, log_scale + np.log(size)
        layers.append(LayerOperator(weights, left, right, skip, outer))
        tangent = _times(outer, layers[-1].before_outer(tangent, along))
        sizes[index] = np.linalg.norm(tangent) or 1.0
        tangent = tangent / sizes[index]
    return LayerProduct(layers, sizes, q, chi)
