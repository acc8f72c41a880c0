"""Moments of JJᵀ as if layers were free of each other, branches of any number of weights, by power series."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._types import Array
from ..exact.chain import chi_from_psi, psi_from_chi, s_from_chi
from ..exact.power_series import PlainSeries, PowerSeries
from .layers import Layer, hidden_laws, slope_laws

# Nodes of a law of slopes: its moments to order 15 are those of the law.
NODES = 8


def free_series_moments(layers: Sequence[Layer], order: int) -> Array:
    """m_1 … m_order of JJᵀ for layers β 1 + √gain W D that are free of each other, W = W_K H_{K−1} ⋯ W_1.

    With X = √gain W D, T_X(w) = w(1 + w) S_X, S_X the product of 1/(1 + w) for every Gaussian factor and of those of
    D² and of H_k²: β 1 + X has the T whose inverse, as a series in y = T, is that of T_X plus that of w(1 + w)/β².
    Where φ comes after the sum S_{D²} is a factor of S by itself instead. S of the layers multiply, and
    m_k = (1/k) [w^{k−1}] ((1 + w)/S)^k.

    Accuracy
    --------
    Rounding, to order 8; tests/test_deep_branches.py holds it against `FreeEquation`.

    Source
    ------
    Haagerup, Larsen, J. Funct. Anal. 176 (2000), 331-367.
    """
    # Coefficients of S to w^{order−1}; scales apart, which may leave the range of doubles together.
    log_mean, whole = 0.0, _one(order)
    for layer, law in zip(layers, slope_laws(layers, NODES), strict=True):
        s = _s_of(layer, law, order)
        first = s.coefficients[0]
        log_mean -= math.log(first)
        whole = whole * (s * (1.0 / first))
    ratio = _one_plus(order) * whole.inverse()
    found, power = [], _one(order)
    for k in range(1, order + 1):
        power = power * ratio
        found.append(power.coefficients[k - 1] / k * math.exp(k * log_mean))
    return np.array(found)


def _s_of(layer: Layer, law: tuple[Array, Array], order: int) -> PowerSeries:
    """S of the law of J_l J_lᵀ to w^{order−1}; `law` that of D²."""
    product = _one(order) * (1.0 / layer.gain)
    for _ in range(0 if layer.haar else len(layer.hidden) + 1):
        product = product * _one_plus(order).inverse()
    for hidden in hidden_laws(layer, NODES):
        product = product * _s_of_squares(hidden, order)
    own = _s_of_squares(law, order)
    if layer.drift is not None:
        return _beside_skip(product, layer.skip, order) * own
    return _beside_skip(product * own, layer.skip, order)


def _s_of_squares(law: tuple[Array, Array], order: int) -> PowerSeries:
    squares, share = law
    psi = PlainSeries([0.0, *(float(share @ squares**k) for k in range(1, order + 1))])
    return s_from_chi(chi_from_psi(psi))


def _beside_skip(product: PowerSeries, skip: float, order: int) -> PowerSeries:
    """S of β 1 + X from that of X."""
    if skip == 0.0:
        return product
    # T = w (1 + w) S and its inverse, to order + 1 terms.
    noise = psi_from_chi((product * _one_plus(order)).times_x())
    passing = PlainSeries([0.0, 1.0, 1.0, *[0.0] * (order - 2)][: order + 1]) * (1.0 / skip**2)
    both = (noise + passing.revert()).revert()
    return both.over_x() * _one_plus(order).inverse()


def _one(order: int) -> PowerSeries:
    return PlainSeries([1.0, *[0.0] * (order - 1)])


def _one_plus(order: int) -> PowerSeries:
    return PlainSeries([1.0, 1.0, *[0.0] * (order - 2)][:order])
