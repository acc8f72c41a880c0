"""Random weight matrices with the variance of the fan-in convention."""

from __future__ import annotations

import numpy as np

from ..errors import ConfigError


def random_weights(kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> np.ndarray:
    """Draw W, (n_out, n_in), with Var W_ij = σ_w²/n_in whatever the kind.

    Parameters
    ----------
    kind : "gaussian", "uniform" (on an interval), "rademacher" (two points), or "orthogonal": Haar where square,
        else semi-orthogonal, WWᵀ = σ_w² I for n_out ≤ n_in and WᵀW = σ_w² (n_out/n_in) I for n_out > n_in.
    n_out, n_in : the shape.
    sigma_w : standard deviation of an entry times √n_in.
    rng : the stream to draw from.

    Source
    ------
    Haar measure from QR with the signs of diag R divided out: Mezzadri, Notices AMS 54 (2007), 592–604, section 5.
    """
    scale = sigma_w / np.sqrt(n_in)
    if kind == "gaussian":
        return scale * rng.standard_normal((n_out, n_in))
    if kind == "uniform":
        return rng.uniform(-np.sqrt(3) * scale, np.sqrt(3) * scale, (n_out, n_in))
    if kind == "rademacher":
        return scale * (2.0 * rng.integers(0, 2, (n_out, n_in)) - 1.0)
    if kind == "orthogonal":
        tall, r = np.linalg.qr(rng.standard_normal((max(n_out, n_in), min(n_out, n_in))))
        tall *= scale * np.sqrt(max(n_out, n_in)) * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return tall if n_out >= n_in else np.ascontiguousarray(tall.T)
    raise ConfigError(f"`weights={kind!r}`: allowed are 'gaussian', 'orthogonal', 'uniform', 'rademacher'.")
