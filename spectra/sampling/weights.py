"""Random weight matrices with the variance of the fan-in convention."""

from __future__ import annotations

import numpy as np

from ..errors import ConfigError
from .reflectors import HaarMatrix, haar


def draw_weights(
    kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator, dtype: type = np.float64
) -> np.ndarray | HaarMatrix:
    """Draw W, (n_out, n_in), as `random_weights` does, a Haar matrix left as reflectors.

    Parameters
    ----------
    kind, n_out, n_in, sigma_w, rng : see `random_weights`.
    dtype : float64 or float32; the stream is the same, its doubles are rounded.
    """
    scale = sigma_w / np.sqrt(n_in)
    if kind == "gaussian":
        weights = rng.standard_normal((n_out, n_in))
        weights *= scale
    elif kind == "uniform":
        weights = rng.uniform(-np.sqrt(3) * scale, np.sqrt(3) * scale, (n_out, n_in))
    elif kind == "rademacher":
        weights = scale * (2.0 * rng.integers(0, 2, (n_out, n_in)) - 1.0)
    elif kind == "orthogonal":
        normals = rng.standard_normal((max(n_out, n_in), min(n_out, n_in))).astype(dtype, copy=False)
        return haar(normals, scale * np.sqrt(max(n_out, n_in)), transposed=n_out < n_in)
    else:
        raise ConfigError(f"`weights={kind!r}`: allowed are 'gaussian', 'orthogonal', 'uniform', 'rademacher'.")
    return weights.astype(dtype, copy=False)


def random_weights(kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> np.ndarray:
    """Draw W, (n_out, n_in), with Var W_ij = σ_w²/n_in whatever the kind.

    Parameters
    ----------
    kind : "gaussian", "uniform" (on an interval), "rademacher" (two points), or "orthogonal": Haar where square,
        else semi-orthogonal, WWᵀ = σ_w² I for n_out ≤ n_in and WᵀW = σ_w² (n_out/n_in) I for n_out > n_in.
    n_out, n_in : the shape.
    sigma_w : standard deviation of an entry times √n_in.
    rng : the stream to draw from.
    """
    weights = draw_weights(kind, n_out, n_in, sigma_w, rng)
    return weights.dense() if isinstance(weights, HaarMatrix) else weights
