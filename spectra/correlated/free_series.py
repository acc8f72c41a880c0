"""Moments of JJᵀ as if layers were free of each other, branches of any number of weights, by power series."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import reduce

import numpy as np

from .._types import Array
from ..exact.chain import chi_from_psi, psi_from_chi, s_from_chi
from ..exact.power_series import PlainSeries, PowerSeries
from .layers import Layer, hidden_laws, slope_law

# Nodes of a law of slopes: its moments to order 15 are those of the law.
NODES = 8


def free_series_moments(layers: Sequence[Layer], order: int) -> Array:
    """m_1 … m_order of JJᵀ for layers β 1 + √gain W D that are free of each other, W = W_K H_{K−1} ⋯ W_1.

    With X = √gain W D, T_X(w) = w(1 + w) S_X, S_X the product of 1/(1 + w) for every Gaussian factor and of those of
    D² and of H_k²: β 1 + X has the T whose inverse, as a series in y = T, is that of T_X plus that of w(1 + w)/β². S of
    the layers multiply, and m_k = (1/k) [w^{k−1}] ((1 + w)/S)^k.

    Accuracy
    --------
    Rounding, to order 8; tests/test_deep_branches.py holds it against `FreeEquation`.

    Source
    ------
    Haagerup, Larsen, J. Funct. Anal. 176 (2000), 331-367.
    """
    # Coefficients of S to w^{order−1}; scales apart, which may leave the range of doubles together.
    log_mean, whole = 0.0, _one(order)
    for layer, count in Counter(layers).items():
        s = _s_of(layer, order)
        first = s.coefficients[0]
        log_mean -= count * math.log(first)
        own = s * (1.0 / first)
        whole = reduce(lambda product, _: product * own, range(count), whole)
    ratio = _one_plus(order) * whole.inverse()
    found, power = [], _one(order)
    for k in range(1, order + 1):
        power = power * ratio
        found.append(power.coefficients[k - 1] / k * math.exp(k * log_mean))
    return np.array(found)


def _s_of(layer: Layer, order: int) -> PowerSeries:
    """S of the law of J_l J_lᵀ to w^{order−1}."""
    gaussian = 0 if layer.haar else len(layer.hidden) + 1
    product = _one(order) * (1.0 / layer.gain)
    for _ in range(gaussian):
        product = product * _one_plus(order).inverse()
    for squares, share in (slope_law(layer, NODES), *hidden_laws(layer, NODES)):
        psi = PlainSeries([0.0, *(float(share @ squares**k) for k in range(1, order + 1))])
        product = product * s_from_chi(chi_from_psi(psi))
    if layer.skip == 0.0:
        return product
    # T = w (1 + w) S and its inverse, to order + 1 terms.
    noise = psi_from_chi((product * _one_plus(order)).times_x())
    passing = PlainSeries([0.0, 1.0, 1.0, *[0.0] * (order - 2)][: order + 1]) * (1.0 / layer.skip**2)
    both = (noise + passing.revert()).revert()
    return both.over_x() * _one_plus(order).inverse()


def _one(order: int) -> PowerSeries:
    return PlainSeries([1.0, *[0.0] * (order - 1)])


def _one_plus(order: int) -> PowerSeries:
    return PlainSeries([1.0, 1.0, *[0.0] * (order - 2)][:order])
