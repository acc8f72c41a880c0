"""Residual nets with fresh slopes, infinitely deep with α² ~ 1/L: one law, and one number that is left of all else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..convolve import affine
from ..errors import ConfigError
from ..network.architectures import architecture_of
from ..network.expectations import gaussian_moments
from ..network.meanfield import mean_field
from .deep import SmoothLimit

if TYPE_CHECKING:
    from ..law import Law
    from ..line.numbers import Number
    from ..network.config import Network


def residual_limit(strength: Number) -> Law:
    """The law of JJᵀ with S(w) = exp(−c (1 + 2w)): residual nets with β = 1 and slopes fresh in every block, L → ∞.

    Support [1/λ_+, λ_+], λ_+ = (1 + c + r) e^r, r = √(c (c + 2)); m_1 = e^c, m_2 = e^{2c} (1 + 2c); log λ is symmetric
    about 0. It is `SmoothLimit(2c)` times e^c. Gaussian and orthogonal weights have the same one.

    Parameters
    ----------
    strength : c > 0, see `residual_strength`.

    Raises
    ------
    ValueError : c is not positive and finite.

    Accuracy
    --------
    That of `SmoothLimit`.

    Notes
    -----
    Order "post" tends to it, with differences of order 1/L; means of x do not matter for the law. Order "pre" does not:
    there the slopes of a neuron stay correlated however deep the net is.

    Source
    ------
    Tarnowski, Warchoł, Jastrzębski, Tabor, Nowak, AISTATS 2019.

    Examples
    --------
    >>> low, high = residual_limit(0.5).spectrum().support()
    >>> print(f"{low:.9f} {high:.9f}")
    0.124873052 8.008132909
    """
    if not (math.isfinite(strength) and strength > 0):
        raise ValueError(
            f"`residual_limit({strength})`: `strength` must be positive and finite; at 0 all is `Dirac(1)`."
        )
    return affine(SmoothLimit(2 * strength), math.exp(strength))


def residual_strength(net: Network) -> float:
    """Return c = Σ_l α_l²σ_w² E φ'(h_l)²/β_l² of residual blocks; of JJᵀ/Π β_l² the limit is `residual_limit(c)`.

    Of branches of n layers σ_w^{2n}, and E φ'² of all n, multiply.

    α = 1/√L and σ_w: linear σ_w², ReLU σ_w²/2, leaky ReLU σ_w² (1 + a²)/2, whatever the depth; for other φ the h_l
    change on the way, and c with the depth.

    Raises
    ------
    ConfigError : a layer without a skip, or as `mean_field`.

    Examples
    --------
    >>> from spectra import Network
    >>> keys = {"sigma_w": 1.0, "kind": "residual", "alpha": "1/sqrt(depth)", "order": "post", "input_variance": 1.0}
    >>> round(residual_strength(Network(depth=100, activation="relu", **keys)), 12)
    0.5
    """
    total = 0.0
    for run in mean_field(net).runs:
        architecture = architecture_of(run.spec)
        skip2 = architecture.skip(run.spec) ** 2
        if not skip2:
            raise ConfigError(f'`kind = "{run.spec.kind}"`: c is of residual blocks alone.')
        if not architecture.multiplies:
            raise ConfigError('`order = "sum"`: c is of residual blocks of order "pre" and "post" alone.')
        slopes = gaussian_moments(run.spec.activation)
        hidden = math.prod(slopes.at(v).slope2 for v in architecture.hidden(run.spec, run.q, run.level))
        total += run.repeat * architecture.gain(run.spec, run.level) * run.slope_moment * hidden / skip2
    return total
