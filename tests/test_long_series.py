"""Moments of high order: closed forms, and the density's own quadrature where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra import Network, moments, predict
from spectra.laws import FussCatalan
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.series import IN_DOUBLES, log_scaled_moments, scaled_moments


def test_one_layer_of_relu_has_moments_of_one_half() -> None:
    net = Network(depth=1, activation="relu", weights="orthogonal", sigma_w=1.0, input_variance=1.0)
    assert predict(net).moments(100) == pytest.approx(np.full(100, 0.5), rel=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_products_of_gaussian_matrices_have_the_numbers_of_fuss_and_catalan(depth: int) -> None:
    expected = [math.comb((depth + 1) * k, k) // (depth * k + 1) for k in range(1, 101)]
    net = Network(depth=depth, activation="identity", weights="gaussian", sigma_w=1.0, input_variance=1.0)
    assert predict(net).moments(100) == pytest.approx(np.array(expected, float), rel=1e-12)
    assert moments(FussCatalan(depth), 100) == pytest.approx(np.array(expected, float), rel=1e-12)


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "tanh", "weights": "orthogonal", "depth": 32, "q_star": 2e-4},
        {"activation": "hardtanh", "weights": "orthogonal", "depth": 4, "q_star": 0.3},
        {"activation": "gelu", "weights": "orthogonal", "depth": 2, "q_star": 1.0},
    ],
    ids=lambda keys: keys["activation"],
)
def test_high_moments_are_those_of_the_density(keys: dict) -> None:
    found = predict(Network(sigma_w="critical", **keys))
    logs = np.log(found.moments(80))
    for k in (20, 40, 60, 80):
        # An integral of positive terms; the rule of its pieces is good for 20 panels' worth of e^{−kU}.
        assert logs[k - 1] == pytest.approx(found.spectrum.log_moment_by_quadrature(k), abs=1e-9)


def test_both_arithmetics_agree_where_doubles_still_do() -> None:
    equation = jacobian_equation(mean_field(Network(depth=6, activation="gelu", sigma_w="critical", q_star=0.5)))
    short, long = np.log(scaled_moments(equation, IN_DOUBLES)), log_scaled_moments(equation, 40)
    assert short == pytest.approx(long[:IN_DOUBLES], abs=1e-12)


@pytest.mark.parametrize("order", [0, -1, True, 2.0])
def test_order_must_be_a_positive_integer(order: object) -> None:
    found = predict(Network(depth=1, activation="relu", sigma_w=1.0, input_variance=1.0))
    with pytest.raises(ValueError, match="must be a positive integer"):
        found.moments(order)  # type: ignore[arg-type]
