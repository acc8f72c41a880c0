"""Normalisation of a list of numbers by its own mean and spread, and the exact Jacobian of that.

Batch norm does it to the values of one feature over a batch, layer norm to those of one example over the features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array


def batch_norm(x: ArrayLike, *, gain: float = 1.0, epsilon: float = 0.0) -> Array:
    """γ x̂, x̂ = (x − μ)/√(σ² + ε), μ and σ² the mean and the variance (of 1/B) of the last axis.

    Parameters
    ----------
    x : (…, B); B values of one feature each.
    gain, epsilon : γ and ε ≥ 0.

    Raises
    ------
    ValueError : fewer than two values, a negative or not finite number, or no spread at all where ε = 0.

    Source
    ------
    Ioffe, Szegedy, ICML 2015, Algorithm 1.
    """
    return gain * _standardised(x, epsilon, True, "batch_norm")[0]


def batch_norm_jacobian(x: ArrayLike, *, gain: float = 1.0, epsilon: float = 0.0) -> Array:
    """∂y_i/∂x_j = (γ/s)(1 − 11ᵀ/B − x̂x̂ᵀ/B), s = √(σ² + ε): the exact Jacobian of `batch_norm`, statistics included.

    With ε = 0 it is γ/s times a projection of corank 2: neither a shift nor a dilation of the batch comes through.

    Parameters
    ----------
    x, gain, epsilon : see `batch_norm`.

    Returns
    -------
    (…, B, B), symmetric; units: those of γ over those of x.

    Raises
    ------
    ValueError : see `batch_norm`.

    Accuracy
    --------
    Rounding of x − μ: 1e-16 |μ|/σ relative (tests/test_normalisation.py: finite differences, torch's autograd).

    Source
    ------
    Ioffe, Szegedy, ICML 2015, the derivatives before their Algorithm 2, put together.
    """
    return _jacobian(x, gain, epsilon, True, "batch_norm_jacobian")


#: Layer norm is the same of the features of one example: x of shape (…, N).
layer_norm = batch_norm
layer_norm_jacobian = batch_norm_jacobian


def rms_norm(x: ArrayLike, *, gain: float = 1.0, epsilon: float = 0.0) -> Array:
    """γ x̂, x̂ = x/√(E x² + ε), the mean over the last axis, (…, N); nothing is subtracted.

    Raises
    ------
    ValueError : no values, a negative or not finite number, or zeros alone where ε = 0.

    Source
    ------
    Zhang, Sennrich, NeurIPS 2019, eq. 4.
    """
    return gain * _standardised(x, epsilon, False, "rms_norm")[0]


def rms_norm_jacobian(x: ArrayLike, *, gain: float = 1.0, epsilon: float = 0.0) -> Array:
    """∂y_i/∂x_j = (γ/s)(1 − x̂x̂ᵀ/N), s = √(E x² + ε): of corank 1 where ε = 0.

    Returns
    -------
    (…, N, N), symmetric.

    Raises
    ------
    ValueError : see `rms_norm`.
    """
    return _jacobian(x, gain, epsilon, False, "rms_norm_jacobian")


def _jacobian(x: ArrayLike, gain: float, epsilon: float, centred: bool, name: str) -> Array:
    hat, spread = _standardised(x, epsilon, centred, name)
    size = hat.shape[-1]
    plain = np.eye(size) - (1.0 / size if centred else 0.0)
    return (gain / spread)[..., None] * (plain - hat[..., :, None] * hat[..., None, :] / size)


def _standardised(x: ArrayLike, epsilon: float, centred: bool, name: str) -> tuple[Array, Array]:
    """x̂, and s with a last axis of 1."""
    values = np.asarray(x, dtype=float)
    least = 2 if centred else 1
    _refuse(values.ndim == 0 or values.shape[-1] < least, name, f"`x` needs at least {least} values on its last axis")
    _refuse(not np.isfinite(values).all(), name, "`x` must be finite")
    _refuse(not 0.0 <= epsilon < np.inf, name, f"`epsilon` must be 0 or a positive number, not {epsilon!r}")
    rest = values - values.mean(axis=-1, keepdims=True) if centred else values
    spread = np.sqrt(np.mean(rest**2, axis=-1, keepdims=True) + epsilon)
    _refuse(not (spread > 0.0).all(), name, "`x` has no spread, and `epsilon` is 0: there is nothing to divide by")
    return rest / spread, spread


def _refuse(wrong: bool, name: str, reason: str) -> None:
    if wrong:
        raise ValueError(f"`{name}(...)`: {reason}.")


#: What a normalisation does to one list of numbers, and its Jacobian, by name.
FUNCTIONS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "batch": (batch_norm, batch_norm_jacobian),
    "layer": (layer_norm, layer_norm_jacobian),
    "rms": (rms_norm, rms_norm_jacobian),
}
