"""Statistics of a spectrum that depend little on the overall scale or on single large eigenvalues, and see its depth.

log λ of a product of layers is nearly a sum over them: its mean moves with every layer by far more than it scatters
(2 log N/N² and E log φ'² over N), while m_k scatter like exp(normal) and say little of the single layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# Quantile of the nonzero law below which log λ is clipped. Where λ = 0 has mass, finite networks have more of it, by
# order N^{−1/2} (the largest of L fractions of dead neurons): clipped higher than that, the bias is of order 1/N.
_CLIP, _CLIP_WITH_ZEROS = 0.02, 0.25
# Eigenvalues of a network below the clip, at least: the lowest few follow laws of their own, with no expansion in 1/N.
_CLIPPED = 2
# Variance of log q_l that a linear Gaussian layer adds, times its width.
LINEAR = 2.0
_LEVELS = 20_000  # midpoints at which quantiles of the law are taken: its mean of log λ is exact to 1e-4 of its spread


@dataclass(frozen=True)
class Shape:
    """Mean and variance of max(log λ, log c): numbers for a law, arrays (samples,) for sampled spectra."""

    mean: Any
    variance: Any


def clip(spectrum: Any, count: int) -> float:
    """Return log c, c the 2 % quantile of the nonzero law (25 % where 0 has mass), or higher for few eigenvalues."""
    zero = float(sum(a.mass for a in spectrum.atoms if a.location == 0))
    share = max(_CLIP_WITH_ZEROS if zero > 0.0 else _CLIP, min(0.5, _CLIPPED / (max(1.0 - zero, 1e-6) * count)))
    with np.errstate(divide="ignore"):
        return max(float(np.log(spectrum.icdf(zero + (1.0 - zero) * share))), -700.0)


def shape_of_law(spectrum: Any, log_clip: float) -> Shape:
    """Return the shape of a predicted law."""
    levels = (np.arange(_LEVELS) + 0.5) / _LEVELS
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(spectrum.icdf(levels)), log_clip)
    return Shape(float(logs.mean()), float(logs.var()))


def shape_of_samples(log_eigenvalues: np.ndarray, log_clip: float) -> Shape:
    """Return the shapes of sampled spectra, given all logarithms of eigenvalues, (samples, N_L)."""
    # Where nothing is above the clip the variance is 0, not that of its rounding.
    above = np.maximum(log_eigenvalues - log_clip, 0.0)
    return Shape(log_clip + above.mean(axis=1), above.var(axis=1))


def amplification(q: np.ndarray, h: float) -> float:
    """Variance of log q_l between networks, the largest of all layers, over 2h, h = Σ 1/N_l; at least 1.

    2h is what linear Gaussian layers add up to, where the expansions are known.

    The laws of D² depend on q_l; where its fluctuations of order 1/√N are amplified from layer to layer, so is the
    bias of everything that is not linear in them.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.var(np.log(q), axis=0, ddof=1)
    found = float(np.max(spread[np.isfinite(spread)], initial=0.0)) / (LINEAR * h)
    return max(1.0, found) if math.isfinite(found) else 1.0
