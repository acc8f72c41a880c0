"""Variances forward and backward: identities, another route, and real networks; inputs; unit-variance rescaling."""

from __future__ import annotations

import math

import numpy as np
import pytest

import spectra
from spectra.errors import ConfigError
from spectra.flow import Inputs, flow
from spectra.flow.lsuv import lsuv, lsuv_factors, predicted_factors
from spectra.flow.sampled import sample_flow
from spectra.network.meanfield import mean_field

WIDTHS = (784, 300, 100, 100, 10)


def linear(init) -> spectra.Network:
    layers = [{"width": width} for width in WIDTHS[1:]]
    return spectra.Network(activation="identity", init=init, input_width=WIDTHS[0], input_variance=1.0, layers=layers)


# Rectangular linear nets, by hand: q_l multiplies by N_{l−1} Var W, gradients by N_l Var W. ------------------------


def test_fan_in_keeps_signals() -> None:
    found = flow(linear({"name": "kaiming_normal", "nonlinearity": "linear"}))
    assert found.log_h == pytest.approx(np.zeros(4), abs=1e-14)
    assert found.log_grad_x == pytest.approx(np.log(10 / np.array(WIDTHS)), abs=1e-14)


def test_fan_out_keeps_gradients() -> None:
    found = flow(linear({"name": "kaiming_normal", "nonlinearity": "linear", "mode": "fan_out"}))
    assert found.log_grad_x == pytest.approx(np.zeros(5), abs=1e-14)
    assert found.log_h == pytest.approx(np.log(784 / np.array(WIDTHS[1:])), abs=1e-13)
    # Per entry ∂C/∂W_l has mean square E δ² E x²: here N_0/N_{l−1}.
    assert found.log_grad_w == pytest.approx(np.log(784 / np.array(WIDTHS[:-1])), abs=1e-13)


def test_xavier_lies_between() -> None:
    found = flow(linear("xavier_normal"))
    before, after = np.array(WIDTHS[:-1]), np.array(WIDTHS[1:])
    variance = 2 / (before + after)
    assert found.log_h == pytest.approx(np.cumsum(np.log(before * variance)), abs=1e-13)
    assert np.diff(found.log_grad_x) == pytest.approx(-np.log(after * variance), abs=1e-13)


def test_norms_of_gradients_are_the_moments_of_the_jacobian() -> None:
    net = spectra.Network(
        activation="tanh", init="xavier_uniform", input_width=90, layers=[{"width": 60, "repeat": 2}, {"width": 30}]
    )
    found = flow(net)
    assert 2 * found.log_grad_norm[0] == pytest.approx(math.log(spectra.predict(net).moments(1)[0]), abs=1e-10)
    norm2 = np.exp(2 * found.log_grad_norm)
    assert norm2 == pytest.approx(np.exp(found.log_grad_x) * np.array([90, 60, 60, 30]) / 30, rel=1e-13)
    assert found.log_grad_w_norm is not None
    # ‖∂C/∂W_1‖² = N_1 N_0 E δ_1² E x_0², over N_L E (∂C/∂x_L)².
    expected = 60 * 90 / 30 * math.exp(found.log_grad_h[0] + found.log_x[0])
    assert math.exp(2 * found.log_grad_w_norm[0]) == pytest.approx(expected, rel=1e-13)


def test_xavier_tanh_after_a_hundred_layers_by_plain_iteration() -> None:
    found = flow(spectra.Network(depth=100, activation="tanh", init="xavier_uniform", input_variance=1.0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    q, log_m1, signals = 1.0, 0.0, []
    for _ in range(100):
        h = math.sqrt(q) * nodes
        signals.append(q)
        log_m1 += math.log(weights @ np.cosh(h) ** -4.0)
        q = float(weights @ np.tanh(h) ** 2)
    assert np.exp(found.log_h) == pytest.approx(signals, rel=1e-7)
    assert found.log_grad_x[0] == pytest.approx(log_m1, rel=1e-7)
    # Critical at q* = 0: it decays like a power of the depth, not like an exponential.
    # E tanh² = q − 2q² + …, so q ≈ 1/(2l).
    assert signals[-1] == pytest.approx(1 / 200, rel=0.05)


def test_weights_of_standard_deviation_one_overflow_within_some_thirty_layers() -> None:
    wide = {"depth": 100, "activation": "identity", "width": 256, "input_variance": 1.0}
    layer = flow(spectra.Network(init={"name": "normal", "std": 1.0}, **wide)).overflow()
    # 16^l · 3 > 3.4e38.
    assert layer == math.ceil(math.log(3.4028e38 / 3) / math.log(16)) == 32
    assert flow(spectra.Network(init={"name": "normal", "std": 1 / 16}, **wide)).overflow() is None
    assert layer is not None
    rng = np.random.default_rng(0)
    x = rng.standard_normal(256).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        done = 0
        while np.isfinite(x).all() and done < 40:
            x = rng.standard_normal((256, 256)).astype(np.float32) @ x
            done += 1
    assert abs(done - layer) <= 1


# Real networks ----------------------------------------------------------------------------------------------------

CASES = {
    "rectangular xavier tanh": dict(
        activation="tanh",
        init="xavier_uniform",
        input_variance=1.0,
        input_width=200,
        layers=[{"width": 100, "repeat": 2}, {"width": 150}, {"width": 80}],
    ),
    "fan-out relu": dict(
        activation="relu",
        init={"name": "kaiming_normal", "mode": "fan_out", "nonlinearity": "relu"},
        input_variance=2.0,
        input_width=120,
        layers=[{"width": 180}, {"width": 90}, {"width": 150}],
    ),
    "gelu with biases": dict(depth=5, activation="gelu", sigma_w=1.4, sigma_b=0.2, width=150),
    "torch default": dict(depth=6, activation="tanh", init="torch_default", width=120),
}


@pytest.mark.parametrize("name", CASES)
def test_variances_are_those_of_real_networks(name: str) -> None:
    net = spectra.Network(**CASES[name])
    sampled = sample_flow(net, samples=150, seed=1)
    for quantity, (deviation, error) in sampled.deviations(flow(net)).items():
        # Five standard errors (some hundred numbers are looked at), and a bias of half of depth/width.
        allowed = 5 * error + 0.5 * net.depth / min(sampled.widths) + 1e-12
        assert (np.abs(deviation) < allowed).all(), (quantity, deviation, error)
        assert (error < 0.06).all()


def test_orthogonal_weights_that_widen_keep_the_variance_of_their_entries() -> None:
    net = spectra.Network(
        activation="identity",
        init="orthogonal",
        input_width=40,
        input_variance=1.0,
        layers=[{"width": 80}, {"width": 20}],
    )
    sampled = sample_flow(net, samples=60)
    deviation, error = sampled.deviations(flow(net))["h"]
    # The first layer keeps lengths exactly: |h|² = |x|², spread over twice the entries.
    assert sampled.h[:, 0] == pytest.approx(0.5, rel=1e-12)
    assert abs(deviation[1]) < 5 * error[1]
    assert (
        np.abs(sampled.deviations(flow(net))["grad_x"][0]) < 5 * sampled.deviations(flow(net))["grad_x"][1] + 1e-12
    ).all()


# Inputs -----------------------------------------------------------------------------------------------------------


def test_the_first_layer_knows_inputs_by_their_mean_square() -> None:
    net = spectra.Network(depth=3, activation="tanh", sigma_w=1.5, sigma_b=0.5)
    inputs = Inputs(mean=0.5, variance=0.75)
    q, c = inputs.first_layer(net)
    assert q == pytest.approx(2.25 * 1.0 + 0.25, rel=1e-15)
    assert c == pytest.approx((2.25 * 0.25 + 0.25) / 2.5, rel=1e-15)
    assert mean_field(inputs.into(net)).q[0] == pytest.approx(2.5, rel=1e-15)


def test_statistics_of_data() -> None:
    rng = np.random.default_rng(3)
    data = 2.0 + 0.5 * rng.standard_normal((400, 8, 30))
    found = Inputs.of(data)
    assert (found.mean, found.variance) == (pytest.approx(2.0, rel=0.01), pytest.approx(0.25, rel=0.02))
    assert found.mean_square == pytest.approx(float(np.mean(data**2)), rel=1e-12)
    flat = data.reshape(400, -1)
    products = flat @ flat.T / flat.shape[1]
    off = products[~np.eye(400, dtype=bool)].mean()
    assert found.correlation == pytest.approx(off / found.mean_square, rel=1e-10)
    assert found.correlation == pytest.approx(4.0 / 4.25, rel=1e-3)
    assert found.spread == pytest.approx(np.std(np.mean(flat**2, axis=1)) / found.mean_square, rel=1e-12)


@pytest.mark.parametrize(
    "data", [np.zeros(0), np.zeros((2, 3)), np.array(["a"]), np.array([1.0, np.nan]), np.array([1j])]
)
def test_data_without_a_signal_are_refused(data: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        Inputs.of(data)


# Layer-sequential unit variance -----------------------------------------------------------------------------------


def test_rescaling_gives_unit_variance_and_the_factors_that_the_procedure_finds() -> None:
    net = spectra.Network(
        activation="tanh",
        sigma_w=0.7,
        input_variance=2.0,
        input_width=200,
        layers=[{"width": 150, "repeat": 3}, {"width": 90}],
    )
    assert np.exp(flow(lsuv(net)).log_h) == pytest.approx(np.ones(4), rel=1e-13)
    sampled = lsuv_factors(net, samples=6, seed=2)
    # A batch of 64 through 90 units knows a standard deviation to 1 %, the weights' own scatter is as large.
    assert sampled.mean(axis=0) == pytest.approx(predicted_factors(net), rel=0.04)


def test_unit_variance_makes_gradients_grow() -> None:
    # Factsheet E.1: E φ'²/Var φ of tanh 1.1778072323, of ReLU E φ'²/E φ² = 1.
    for activation, chi in (("tanh", 1.1778072323), ("relu", 1.0)):
        net = lsuv(spectra.Network(depth=4, activation=activation, sigma_w=2.0, input_variance=1.0))
        assert mean_field(net).chi[1:] == pytest.approx([chi] * 3, rel=1e-9)
