"""Deep nets with Gaussian weights have no limit, λ_max ~ e L: that edge exactly, and as a series in 1/L for any net."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError


def gaussian_edge(depth: float, share: float = 1.0) -> float:
    """λ_max = ((1 + w)/w) (1 + w/p)^L, w = 2p/(L − 1 + √((L − 1)² + 4Lp)), of L critical Gaussian layers of rank p.

    Square layers σ_w W followed by D of zeros and ones, σ_w² = 1/p: linear nets (p = 1; then (L + 1)^{L+1}/L^L), ReLU
    (p = 1/2), hard-tanh (p = erf(1/√(2q*))).  s_max is its square root.  λ_max = e (L/p + 1 − 1/(2p) + O(1/L)).

    Parameters
    ----------
    depth : L ≥ 1; real numbers are allowed, for ⊠ powers.
    share : p in (0, 1], P(φ' ≠ 0).

    Raises
    ------
    ConfigError : L or p outside of these.

    Accuracy
    --------
    1e-15 relative per e-folding of λ_max, at any depth (tests/test_gaussian_limits.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, NeurIPS 2017, for ReLU and hard-tanh; p = 1: Fuss and Catalan, see
    `spectra.laws.FussCatalan`.

    Examples
    --------
    >>> round(gaussian_edge(4, 0.5), 9)
    21.858249318
    """
    if not (math.isfinite(depth) and depth >= 1.0):
        raise ConfigError(f"`gaussian_edge(depth={depth})`: `depth` must be a number ≥ 1.")
    if not 0.0 < share <= 1.0:
        raise ConfigError(
            f"`gaussian_edge(share={share})`: `share` must lie in (0, 1]: the share of units with φ' ≠ 0."
        )
    w = 2.0 * share / (depth - 1.0 + math.sqrt((depth - 1.0) ** 2 + 4.0 * depth * share))
    return (1.0 + w) / w * math.exp(depth * math.log1p(w / share))


@dataclass(frozen=True)
class DeepEdge:
    """λ_max of a net in which it is far above the mean, from three moments.

    Parameters
    ----------
    leading : e m_2/m_1: for L equal Gaussian layers e L μ_2/μ_1² m_1, to leading order, s_max² ~ eL of linear ones.
    corrected : e (m_3/m_2 − m_2/(2 m_1)), one order further: its relative error is O(1/L²).
    """

    leading: float
    corrected: float


def deep_edge(first: float, second: float, third: float) -> DeepEdge:
    """λ_max ≈ e (m_3/m_2 − m_2/(2 m_1)) where m_2/m_1² is large; every net whose relative variance grows with L.

    With log S + log m_1 = −v w + b w² a layer, log λ = −log w + log(1 + w) + L (v w − b w²) + … has its least value at
    w = 1/(Lv): λ_max/m_1 = e (L v + 1 − b/v + O(1/L)).  In moments: g_1 = m_2/m_1² and g_2 = m_3/m_1³ − (3/2) g_1² are
    the first coefficients of log(w/u), and this is e (g_1 + g_2/g_1).

    Parameters
    ----------
    first, second, third : m_1, m_2, m_3 of JJᵀ, as `Prediction.moments(3)` gives them.

    Raises
    ------
    ConfigError : moments that are not positive.

    Accuracy
    --------
    Relative error of about 1/L² (p = 1: 1/(24 L²)): measured in tests/test_gaussian_limits.py.
    """
    values = np.array([first, second, third], float)
    if not (np.isfinite(values).all() and (values > 0.0).all()):
        raise ConfigError(f"`deep_edge({first}, {second}, {third})`: the three moments must be positive and finite.")
    return DeepEdge(math.e * second / first, math.e * (third / second - 0.5 * second / first))
