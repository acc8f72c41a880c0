"""J = D_L W_L ⋯ D_1 W_1 as an operator: slopes are kept, weights are drawn again for every product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import SeedSequence
from scipy.sparse.linalg import LinearOperator

from ...errors import ConvergenceError
from ..forward import RESCALE, is_homogeneous
from .weights import Weights, child, redrawn_weights

if TYPE_CHECKING:
    from ...network.config import LayerSpec


class LayerProduct(LinearOperator):
    """e^{−`log_scale`} J of one network, after its forward pass; O(L N) memory besides weights that are kept.

    Scaled so that no layer changes the length of one random vector: deep nets leave the range of doubles.

    Parameters
    ----------
    weights : W_1 … W_L.
    slopes : φ'(h_1) … φ'(h_L).
    sizes : what every layer multiplies that length by; 1 where that is 0.
    q, chi : mean of h_l² and σ_w² times the mean of φ'(h_l)², (L,).

    Attributes
    ----------
    live : rows of J that are not zero because φ'(h_L) is.
    """

    def __init__(
        self,
        weights: Sequence[Weights],
        slopes: Sequence[np.ndarray],
        sizes: np.ndarray,
        q: np.ndarray,
        chi: np.ndarray,
    ) -> None:
        super().__init__(np.dtype(float), (weights[-1].n_out, weights[0].n_in))
        self.q, self.chi = q, chi
        self.log_scale = float(np.sum(np.log(sizes)))
        self.live = np.flatnonzero(slopes[-1])
        self._weights = tuple(weights)
        self._slopes = tuple(slope / size for slope, size in zip(slopes, sizes, strict=True))

    def _matmat(self, X: np.ndarray) -> np.ndarray:  # scipy's name
        for weights, slopes in zip(self._weights, self._slopes, strict=True):
            X = slopes[:, None] * weights.times(X)
        return X

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        for weights, slopes in zip(reversed(self._weights), reversed(self._slopes), strict=True):
            X = weights.transposed_times(slopes[:, None] * X)
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
    stream : child 0 draws the input, child l the weights and biases of layer l.
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
    homogeneous, log_scale = all(is_homogeneous(spec) for spec in specs), 0.0
    layers: list[Weights] = []
    slopes: list[np.ndarray] = []
    q, chi, sizes = np.empty(len(specs)), np.empty(len(specs)), np.ones(len(specs))
    tangent /= np.linalg.norm(tangent)
    for index, spec in enumerate(specs):
        if interrupted():
            raise InterruptedError("`sample(...)`: stopped.")
        sigma_w, sigma_b = float(spec.sigma_w), float(spec.sigma_b or 0.0)
        own = child(stream, index + 1)
        weights = redrawn_weights(spec.weights, widths[index + 1], widths[index], sigma_w, child(own, 1), room=memory)
        memory -= 8 * weights.kept_doubles(weights.n_out, weights.n_in)
        h, tangent = np.ascontiguousarray(weights.times(np.stack([x, tangent], axis=1)).T)
        if sigma_b:
            with np.errstate(over="ignore", under="ignore"):
                h += sigma_b * np.exp(-log_scale) * np.random.default_rng(child(own, 0)).standard_normal(h.size)
        slope, x = spec.activation.derivative(h), spec.activation(h)
        if not (np.all(np.isfinite(x)) and np.all(np.isfinite(slope))):
            raise ConvergenceError(f"`sample(...)`: the forward pass overflows at layer {index + 1}; lower `sigma_w`.")
        with np.errstate(over="ignore", under="ignore"):
            q[index] = np.mean(h**2) * np.exp(2 * log_scale)
        chi[index] = sigma_w**2 * np.mean(slope**2)
        size = float(np.max(np.abs(x)))
        if homogeneous and size and not 1 / RESCALE < size < RESCALE:
            x, log_scale = x / size, log_scale + np.log(size)
        tangent = slope * tangent
        sizes[index] = np.linalg.norm(tangent) or 1.0
        tangent = tangent / sizes[index]
        layers.append(weights)
        slopes.append(slope)
    return LayerProduct(layers, slopes, sizes, q, chi)
