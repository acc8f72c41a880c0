"""Inits as people write them: what they are in σ_w and σ_b, what is refused, and what the gains do."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

import spectra
from spectra.activations import get_activation
from spectra.errors import ConfigError
from spectra.inits import INITS, calculate_gain, scales
from spectra.inits.explain import explain, gains_for
from spectra.inits.gains import NONLINEARITIES
from spectra.network import fields, schema
from spectra.network.meanfield import mean_field

IN, OUT = 900, 400


def message(**keys: object) -> str:
    with pytest.raises(ConfigError) as caught:
        spectra.Network(**({"depth": 3, "activation": "tanh"} | keys))
    text = str(caught.value)
    assert "\n" not in text
    return text


# Translation: σ_w = std(W) √n_in and σ_b √(3 n_in) of weights drawn by torch 2 (torch.nn.init on nn.Linear(i, o), one
# draw of 360,000 entries; seed 0), in the order (900 → 400), (400 → 900).
TORCH = [
    ({"name": "xavier_uniform", "nonlinearity": "tanh"}, 1.96096, 1.30702),
    ("xavier_normal", 1.17931, 0.78543),
    ("kaiming_uniform", 1.41544, 1.41550),
    ({"name": "kaiming_normal", "mode": "fan_out", "nonlinearity": "selu"}, 1.12692, 0.50041),
    ({"name": "orthogonal", "nonlinearity": "relu"}, 1.41422, 0.94281),
    ("torch_default", 0.57782, 0.57726),
]


@pytest.mark.parametrize(("init", "narrowing", "widening"), TORCH, ids=lambda value: str(value)[:40])
def test_scales_are_those_of_weights_that_torch_draws(init, narrowing: float, widening: float) -> None:
    # 360,000 entries know their standard deviation to 1/√720,000 = 0.12 %.
    assert scales(init, IN, OUT).sigma_w == pytest.approx(narrowing, rel=5e-3)
    assert scales(init, OUT, IN).sigma_w == pytest.approx(widening, rel=5e-3)


def test_torch_default_has_uniform_biases_of_the_weights_variance() -> None:
    found = scales("torch_default", 300, 100)
    assert found.weights == "uniform"
    assert found.sigma_w**2 / 300 == pytest.approx(1 / 900, rel=1e-15)
    assert found.sigma_b == pytest.approx(1 / 30, rel=1e-15)


def test_standard_deviations_and_bounds_count_the_fan_in() -> None:
    assert scales({"name": "normal", "std": 1.0}, 256, 256).sigma_w == 16.0
    # 3 n_in/bound² = 1 is torch's own default.
    assert scales({"name": "uniform", "bound": 0.1}, 100, 7).sigma_w == pytest.approx(math.sqrt(1 / 3), rel=1e-15)


def test_gains_are_torchs() -> None:
    # torch.nn.init.calculate_gain of PyTorch 2.
    table = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "leaky_relu": 1.4141428569978354, "selu": 0.75}
    assert {name: calculate_gain(name) for name in table} == pytest.approx(table, rel=1e-15)
    assert calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04), rel=1e-15)


def test_the_schema_knows_all_names() -> None:
    assert tuple(INITS) == schema.INITS == get_args(fields.InitName)
    assert schema.NONLINEARITIES == NONLINEARITIES


# In a configuration -----------------------------------------------------------------------------------------------


def test_a_run_that_changes_the_width_is_split() -> None:
    net = spectra.Network(
        activation="tanh", init="xavier_normal", input_width=IN, layers=[{"width": OUT, "repeat": 3}, {"width": IN}]
    )
    found = [(spec.sigma_w, spec.repeat, spec.width) for spec in net.layers]
    assert found == [
        (pytest.approx(math.sqrt(2 * 9 / 13), rel=1e-15), 1, OUT),
        (1.0, 2, OUT),
        (pytest.approx(math.sqrt(2 * 4 / 13), rel=1e-15), 1, IN),
    ]
    assert all(spec.weights == "gaussian" for spec in net.layers)
    assert spectra.Network(**net.to_dict()) == net
    assert net.to_dict()["init"] == "xavier_normal"


def test_layers_displace_what_they_inherit() -> None:
    net = spectra.Network(
        activation="tanh", init="orthogonal", layers=[{}, {"sigma_w": 1.2}, {"init": "kaiming_normal"}]
    )
    assert [(spec.weights, spec.sigma_w) for spec in net.layers] == [
        ("orthogonal", 1.0),
        ("orthogonal", 1.2),
        ("gaussian", pytest.approx(2**0.5, rel=1e-15)),
    ]


def test_biases_may_be_given_beside_an_init() -> None:
    assert spectra.Network(depth=2, activation="tanh", init="orthogonal", sigma_b=0.3).layers[0].sigma_b == 0.3
    assert (
        spectra.Network(depth=2, activation="tanh", init="torch_default", sigma_b=0.3, width=9).layers[0].sigma_b == 0.3
    )


@pytest.mark.parametrize(
    ("keys", "fragments"),
    [
        ({"init": "xavier_unifrm"}, ['"xavier_uniform"', '"torch_default"', "did you mean"]),
        ({"init": 3}, ["`init = 3`", "must be one of"]),
        ({"init": {"gain": 2.0}}, ["`init.name`: missing", '"lecun_normal"']),
        ({"init": {"name": "kaiming_normal", "gian": 2.0}}, ["`init.gian = 2.0`", '"gain"']),
        ({"init": {"name": "kaiming_normal", "mode": "fanout"}}, ['"fan_out"', "did you mean"]),
        ({"init": {"name": "kaiming_normal", "gain": -1.0}}, ["`init.gain = -1.0`", "positive"]),
        ({"init": {"name": "xavier_normal", "nonlinearity": "gelu"}}, ["give its `gain`"]),
        ({"init": {"name": "xavier_normal", "mode": "fan_in"}}, ['does not go with "xavier_normal"']),
        ({"init": {"name": "xavier_normal", "gain": 1.0, "nonlinearity": "tanh"}}, ["not both"]),
        ({"init": {"name": "xavier_normal", "negative_slope": 0.1}}, ['`nonlinearity = "leaky_relu"`']),
        ({"init": {"name": "normal"}, "width": 9}, ["`init.std`: missing"]),
        ({"init": "torch_default"}, ["depends on the width", "state `width`"]),
        ({"init": "orthogonal", "sigma_w": 1.0}, ["`sigma_w = 1.0`", "must be left out"]),
        ({"init": "orthogonal", "weights": "gaussian"}, ["`weights", "must be left out"]),
        ({"init": "orthogonal", "q_star": 0.1}, ["`q_star", "must be left out"]),
        ({}, ["`sigma_w`: missing", "`init`"]),
    ],
)
def test_what_does_not_go_is_refused_with_what_does(keys: dict, fragments: list[str]) -> None:
    text = message(**keys)
    for fragment in fragments:
        assert fragment in text


def test_activations_may_be_objects_in_layers_too() -> None:
    tanh = get_activation("tanh")
    assert spectra.Network(sigma_w=1.0, layers=[{"activation": tanh}]).layers[0].activation == tanh


# Gains explained --------------------------------------------------------------------------------------------------


def gauss(function, q: float = 1.0) -> float:
    """E f(√q z) by 200 nodes of Gauss and Hermite."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    return float(weights @ function(math.sqrt(q) * nodes)) / math.sqrt(2 * math.pi)


def test_tanh_with_gain_five_thirds_explodes_by_its_chi() -> None:
    found = explain("tanh", depth=1000)
    assert found.chi_1 is not None
    assert found.chi_1 == pytest.approx(1.2098, abs=5e-5)  # PEERS: measured growth of xavier × 5/3
    q, variance = found.q_star, 25 / 9
    assert q is not None
    assert q == pytest.approx(variance * gauss(lambda x: np.tanh(x) ** 2, q), rel=1e-9)
    assert found.chi_1 == pytest.approx(variance * gauss(lambda x: np.cosh(x) ** -4.0, q), rel=1e-9)
    # From 900 layers to 1000 nothing of the start is left.
    rate = (found.log_m1 - explain("tanh", depth=900).log_m1) / 100
    assert rate == pytest.approx(math.log(found.chi_1), rel=1e-9)
    assert found.critical_gain == 1.0
    assert "1.2098" in found.sentence


def test_he_gain_is_critical_for_relu_and_its_kin() -> None:
    for name in ("relu", "leaky_relu", "linear"):
        found = explain(name, depth=500)
        assert abs(found.log_m1) < 1e-12
        assert found.critical_gain == pytest.approx(found.gain, rel=1e-15)


def test_selu_is_its_own_gain_for_signals_and_not_for_gradients() -> None:
    scale, alpha = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
    below = 0.5 * math.erfc(2 / math.sqrt(2))  # P(z < −2)
    slope2 = scale**2 * (0.5 + alpha**2 * math.exp(2.0) * below)
    found = gains_for("selu")
    assert found.signal == pytest.approx(1.0, rel=1e-12)
    assert found.gradient == pytest.approx(slope2**-0.5, rel=1e-12)
    assert found.mismatch == pytest.approx(slope2, rel=1e-12)


def test_any_activation_has_gains() -> None:
    assert gains_for("gelu").critical == pytest.approx(2.0, rel=1e-12)
    assert gains_for("softplus").critical is None
    with pytest.raises(ConfigError, match="has no standard gain"):
        explain("gelu")


@pytest.mark.parametrize(
    ("activation", "init", "measured", "factor"),
    [
        # PEERS, "Gains that do not do what people think": mean squared singular value at width 1000, depth 32.
        ("tanh", "torch_default", 3e-16, 1.2),
        ("gelu", "torch_default", 4e-35, 1.4),
        ("sigmoid", "torch_default", 4e-55, 1.2),
        # One network: log m_1 scatters by √(Σ 1/N) times its order, some 0.3.
        ("selu", {"name": "kaiming_normal", "nonlinearity": "relu"}, 3230.0, 1.5),
        ("tanh", {"name": "xavier_normal", "nonlinearity": "tanh"}, math.sqrt(144 * 444), 1.8),
    ],
)
def test_gains_do_what_was_measured(activation: str, init, measured: float, factor: float) -> None:
    net = spectra.Network(depth=32, activation=activation, init=init, width=1000, input_variance=1.0)
    predicted = math.exp(math.fsum(run.repeat * math.log(run.chi) for run in mean_field(net).runs))
    assert 1 / factor < predicted / measured < factor
