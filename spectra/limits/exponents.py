"""Lyapunov exponents of Gaussian matrices of finite size, lim (1/L) log s_i, exactly.

Depth first, at any width: digamma functions.  As N grows they fill the law of `spectra.limits.lyapunov`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .._types import Array
from ..errors import ConfigError


def gaussian_exponents(widths: int | Sequence[int], sigma_w: float = 1.0) -> Array:
    """½ (log(2 σ_w²/N) + Ψ((N − i + 1)/2)), i = 1 … N: Lyapunov exponents of N × N real Gaussian matrices, descending.

    Of rectangular ones, N_{l−1} → N_l, repeated in a cycle: the mean over l of ½ (log(2 σ_w²/N_{l−1}) +
    Ψ((N_l − i + 1)/2)), i up to the least width.  Var W_ij = σ_w²/fan_in; Ψ is the digamma function.  For every L it is
    E log of the factor by which the volume of i fixed directions grows, less that of i − 1; Σ_i is E log|det J|/L.

    Parameters
    ----------
    widths : N, or N_0, N_1, …, N_L with N_L = N_0.
    sigma_w : σ_w > 0.

    Raises
    ------
    ConfigError : widths that are not positive whole numbers, or do not close.

    Accuracy
    --------
    1e-15.

    Source
    ------
    Newman, Comm. Math. Phys. 103 (1986), 121-126.

    Examples
    --------
    >>> gaussian_exponents(1)  # ½ E log z²
    array([-0.63518142])
    """
    from scipy.special import digamma

    sizes = _sizes("gaussian_exponents", widths, sigma_w)
    i = np.arange(1, min(sizes) + 1)
    steps = [
        0.5 * (math.log(2.0 * sigma_w**2 / before) + digamma((after - i + 1) / 2.0))
        for before, after in pairwise(sizes)
    ]
    return np.mean(steps, axis=0)


def gaussian_exponent_variances(widths: int | Sequence[int]) -> Array:
    """¼ Ψ'((N − i + 1)/2), i = 1 … N: Var(log s_i)/L, L → ∞, for Gaussian layers; for many widths their mean.

    Logarithms of singular values become independent and normal, with means L · `gaussian_exponents`.

    Source
    ------
    Akemann, Burda, Kieburg, J. Phys. A 47 (2014) 395202, for complex matrices; χ² variables in place of theirs.
    """
    from scipy.special import polygamma

    sizes = _sizes("gaussian_exponent_variances", widths, 1.0)
    i = np.arange(1, min(sizes) + 1)
    return np.mean([0.25 * polygamma(1, (after - i + 1) / 2.0) for after in sizes[1:]], axis=0)


def _sizes(name: str, widths: int | Sequence[int], sigma_w: float) -> list[int]:
    sizes = [widths, widths] if isinstance(widths, (int, np.integer)) else list(widths)
    if len(sizes) < 2 or not all(isinstance(n, (int, np.integer)) and n >= 1 for n in sizes):
        raise ConfigError(f"`{name}(widths={widths!r})`: a whole width ≥ 1, or at least two of them.")
    if sizes[0] != sizes[-1]:
        raise ConfigError(
            f"`{name}(widths={widths!r})`: the first and the last width must be equal, for the layers to be repeated."
        )
    if not (math.isfinite(sigma_w) and sigma_w > 0.0):
        raise ConfigError(f"`{name}(sigma_w={sigma_w})`: `sigma_w` must be positive and finite.")
    return [int(n) for n in sizes]
