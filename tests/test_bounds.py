"""Norm bounds against spectra, chains of scalar units, recurrences."""

from __future__ import annotations

import math

import numpy as np
import pytest

import spectra
from spectra.activations import get_activation
from spectra.bounds import norm_bound, recurrent_bound, scalar_chain_bound, scalar_mean_square_ratio
from spectra.errors import ConfigError


def test_a_linear_gaussian_net_has_a_bound_of_two_to_the_depth() -> None:
    for depth in (1, 4, 30):
        found = norm_bound(spectra.Network(depth=depth, activation="identity", sigma_w=1.0))
        assert found.log_bound == pytest.approx(depth * math.log(2), rel=1e-14)
        # Factsheet B.4: λ_max = (L + 1)^{L+1}/L^L.
        edge = 0.5 * ((depth + 1) * math.log(depth + 1) - depth * math.log(depth))
        assert found.log_s_max == pytest.approx(edge, rel=1e-10)
    assert norm_bound(spectra.Network(depth=1, activation="identity", sigma_w=1.0)).looseness == pytest.approx(1.0)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "sigmoid", "hardtanh"])
def test_the_bound_is_never_below_the_spectrum(weights: str, activation: str) -> None:
    net = spectra.Network(
        activation=activation, weights=weights, sigma_w=1.3, sigma_b=0.1, input_width=100, input_variance=1.0,
        layers=[{"width": 200, "repeat": 2}, {"width": 50}],
    )  # fmt: skip
    assert norm_bound(net).looseness >= 1.0 - 1e-9


def test_norms_are_those_of_sampled_matrices() -> None:
    from spectra.sampling.weights import random_weights

    rng = np.random.default_rng(0)
    for weights, widths in (("gaussian", (400, 100)), ("gaussian", (150, 300)), ("orthogonal", (50, 150))):
        net = spectra.Network(
            activation="identity", weights=weights, sigma_w=1.7, input_width=widths[0], layers=[{"width": widths[1]}]
        )
        norm = np.linalg.norm(random_weights(weights, widths[1], widths[0], 1.7, rng), 2)
        assert math.exp(norm_bound(net).log_weights) == pytest.approx(norm, rel=0.03)


def test_unbounded_slopes_have_no_bound() -> None:
    net = spectra.Network(depth=2, activation={"expr": "x + x**3/30"}, sigma_w=0.5, input_variance=1.0)
    assert norm_bound(net).looseness == math.inf


def test_scalar_chains() -> None:
    assert scalar_chain_bound(get_activation("sigmoid"), 10) == 4.0**-10
    assert scalar_chain_bound(get_activation("tanh"), 10) == 1.0
    assert scalar_chain_bound(get_activation("tanh"), 3, weight=-2.0) == pytest.approx(8.0, rel=1e-15)
    # A chain of real units stays below.
    rng = np.random.default_rng(1)
    x, gradient = 0.3, 1.0
    for _ in range(10):
        h = x + rng.standard_normal()
        x = 1 / (1 + math.exp(-h))
        gradient *= x * (1 - x)
    assert 0.0 < gradient < 4.0**-10
    with pytest.raises(ConfigError, match="at least 1"):
        scalar_chain_bound(get_activation("tanh"), 0)
    with pytest.raises(ConfigError, match="finite number"):
        scalar_chain_bound("tanh", 3, weight=math.nan)


def test_the_ratio_of_a_relu_unit_asks_for_a_variance_of_two() -> None:
    relu = get_activation("relu")
    assert scalar_mean_square_ratio(relu, 2.0) == 1.0
    assert scalar_mean_square_ratio(relu, 1.0) == 0.5
    weights = 1.3 * np.random.default_rng(2).standard_normal(200_000)
    ratio = np.maximum(weights * 0.7, 0.0) / 0.7
    assert np.mean(ratio**2) == pytest.approx(scalar_mean_square_ratio(relu, 1.69), rel=0.02)
    with pytest.raises(ConfigError, match="positively homogeneous"):
        scalar_mean_square_ratio("tanh", 2.0)
    with pytest.raises(ConfigError, match="must be a number ≥ 0"):
        scalar_mean_square_ratio("relu", -2.0)


def test_recurrences() -> None:
    tanh = {"depth": 20, "activation": "tanh", "sigma_b": 0.1}
    lost = recurrent_bound(spectra.Network(sigma_w=0.4, **tanh))
    assert lost.step == pytest.approx(0.8, rel=1e-15)
    assert "vanish for certain" in lost.verdict
    assert lost.log_bound == pytest.approx(20 * math.log(0.8), rel=1e-13)
    assert lost.log_s_max < lost.log_bound
    assert "says nothing" in recurrent_bound(spectra.Network(sigma_w=0.9, **tanh)).verdict
    assert "may explode" in recurrent_bound(spectra.Network(sigma_w=1.5, **tanh)).verdict
    with pytest.raises(ConfigError, match="one square W"):
        recurrent_bound(spectra.Network(activation="tanh", sigma_w=1.0, layers=[{}, {"activation": "relu"}]))
