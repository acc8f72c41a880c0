"""Correlation maps: arc-cosine and arc-sine kernels, the two routes against each other, c* and its slope."""

import math

import numpy as np
import pytest

from spectra.activations import get_activation
from spectra.network.correlation import CorrelationMap, _pair
from spectra.network.expectations import gaussian_moments
from spectra.network.qmap import VarianceMap

CORRELATIONS = (-1.0, -0.999, -0.5, 0.0, 0.2, 0.9, 0.97, 0.9999, 1.0)


@pytest.mark.parametrize("q", [1e-4, 1.3, 1e4])
@pytest.mark.parametrize("c", CORRELATIONS)
def test_relu_is_the_arc_cosine_kernel(q: float, c: float) -> None:
    """Cho, Saul (2009)."""
    relu = CorrelationMap(get_activation("relu"), math.sqrt(2.0), 0.0, q)
    assert relu(c) == pytest.approx((math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi, abs=2e-15)
    assert relu.slope(c) == pytest.approx((math.pi - math.acos(c)) / math.pi, abs=2e-15)


@pytest.mark.parametrize("q", [1e-4, 1.3, 100.0])
@pytest.mark.parametrize("c", CORRELATIONS)
def test_erf_is_the_arc_sine_kernel(q: float, c: float) -> None:
    """Williams (1998): E erf erf = (2/π) asin(2 a c/(1 + 2a)), a = πq/4."""
    b = math.pi * q / 2.0
    erf = CorrelationMap(get_activation("erf"), 1.0, 0.0, q)
    assert erf(c) * q == pytest.approx(2 / math.pi * math.asin(c * b / (1 + b)), abs=2e-15)
    assert erf.slope(c) == pytest.approx(1 / math.sqrt((1 + b) ** 2 - (b * c) ** 2), abs=2e-15)


@pytest.mark.parametrize(
    "name", ["tanh", "hardtanh", "gelu", "elu", "selu", "sin", "shifted_relu", "softsign", "relu6"]
)
@pytest.mark.parametrize("q", [0.05, 2.0])
def test_hermite_series_and_cut_integrals_agree(name: str, q: float) -> None:
    activation = get_activation(name)
    series = CorrelationMap(activation, 1.0, 0.0, q)._short
    second = gaussian_moments(activation).at(q).second
    for c in (-0.6, 0.0, 0.3, 0.7):
        assert series.covers(c)
        half_square, product = _pair(activation, q, 1.0 - c)
        assert abs(second - half_square - series.value(c)) <= 1e-14 * second
        assert abs(product - series.slope(c) / q) <= 1e-13


@pytest.mark.parametrize("name", ["tanh", "hardtanh", "softsign"])
def test_correlation_map_agrees_with_direct_double_quadrature(name: str) -> None:
    # trapezoid rule on a fine grid: crude but of another kind; exact to its step for kinked φ
    activation, q, c = get_activation(name), 0.8, 0.35
    z = np.linspace(-9.0, 9.0, 1801)
    weight = np.exp(-z * z / 2.0) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi)
    u, v = np.meshgrid(math.sqrt(q) * z, math.sqrt(q) * z, indexing="ij")
    w = c * u + math.sqrt(1.0 - c * c) * v
    both = activation(u) * activation(w)
    slopes = activation.derivative(u) * activation.derivative(w)
    correlation = CorrelationMap(activation, 1.1, 0.2, q)
    tolerance = 1e-9 if name == "tanh" else 1e-2
    assert correlation(c) == pytest.approx((1.21 * (weight @ both @ weight) + 0.04) / q, abs=min(tolerance, 1e-4))
    assert correlation.slope(c) == pytest.approx(1.21 * (weight @ slopes @ weight), abs=tolerance)


@pytest.mark.parametrize(
    ("sigma_w", "c_star", "chi"),
    [(2.5, 0.122103747306, 0.822229172723562), (4.0, 0.029695921580, 0.759743605012182)],
)
def test_fixed_point_in_the_chaotic_phase(sigma_w: float, c_star: float, chi: float) -> None:
    """Parameters of Poole et al. (2016), σ_b = 0.3; values at 14 digits by two quadratures."""
    tanh = get_activation("tanh")
    (point,) = VarianceMap(tanh, sigma_w, 0.3).fixed_points().points
    correlation = CorrelationMap(tanh, sigma_w, 0.3, point.q)
    assert correlation.fixed_point == pytest.approx(c_star, abs=1e-12)
    assert correlation.slope(correlation.fixed_point) == pytest.approx(chi, rel=1e-13)


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [
        ("tanh", 1.2, 0.1),
        ("hardtanh", 1.03, 0.1),  # c* = 0.992: by the cut integrals
        ("sigmoid", 20.0, 0.1),  # c* = 0.89: by the long series
        ("shifted_relu", 1.3, 0.1),
        ("tanh", 1.196, 0.1),  # χ_1 − 1 = 2e-3, c* = 0.999…
    ],
)
def test_fixed_point_is_fixed_and_stable(name: str, sigma_w: float, sigma_b: float) -> None:
    activation = get_activation(name)
    q = VarianceMap(activation, sigma_w, sigma_b).fixed_points().stable_positive[0].q
    correlation = CorrelationMap(activation, sigma_w, sigma_b, q)
    c = correlation.fixed_point
    assert 0.0 <= c < 1.0
    half_square, product = _pair(activation, q, 1.0 - c)
    assert sigma_w**2 * half_square / (q * (1.0 - c)) == pytest.approx(1.0, abs=1e-11)
    assert 0.0 < sigma_w**2 * product < 1.0
    assert correlation.slope(c) == pytest.approx(sigma_w**2 * product, rel=1e-12)


def test_fixed_point_is_one_in_the_ordered_phase() -> None:
    tanh = get_activation("tanh")
    q = VarianceMap(tanh, 1.0, 0.5).fixed_points().stable_positive[0].q
    assert CorrelationMap(tanh, 1.0, 0.5, q).fixed_point == 1.0


def test_correlations_beyond_one_are_refused() -> None:
    with pytest.raises(ValueError, match="correlation"):
        CorrelationMap(get_activation("tanh"), 1.0, 0.0, 1.0)(1.1)
