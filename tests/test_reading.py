"""The plain sentence about a spectrum: true for each kind of network, by the table beside it."""

import re

import numpy as np
import pytest

from spectra.network import Network
from spectra.prediction import predict
from spectra.reading import in_words, reading

HE = {"activation": "relu", "sigma_w": 2**0.5, "input_variance": 1.0}
DEEP = {"depth": 400, "activation": "tanh", "sigma_w": "critical", "sigma_b": 0.05}


def said(**keys) -> str:
    return reading(predict(Network(**({"weights": "orthogonal"} | keys))))


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        (
            {"depth": 10, "activation": "identity", "sigma_w": 1.0, "input_variance": 1.0},
            ["All the singular values are 1:", "pass almost unchanged"],
        ),
        (
            HE | {"depth": 1},
            ["Half of all directions are lost", "all the others are 1.414", "neither vanish nor explode"],
        ),
        (
            HE | {"depth": 20},
            ["Half of all directions", "98 % of the others spread over 18 decades", "vanish along some"],
        ),
        (
            {"depth": 16, "activation": "tanh", "sigma_w": "critical", "q_star": 1e-3},
            ["98 % of the singular values lie between", "near-isometry"],
        ),
        (
            {"depth": 20, "activation": "shifted_relu", "sigma_w": "critical", "q_star": 0.02},
            ["0.0203 % of all directions", "at least 98 % of the others are 1.002", "near-isometry"],
        ),
        ({"depth": 50, "activation": "tanh", "sigma_w": 0.5, "sigma_b": 0.3}, ["gradients vanish in all directions"]),
        ({"depth": 50, "activation": "sin", "sigma_w": 3.0, "sigma_b": 0.3}, ["explode for most directions"]),
        (
            {"depth": 30, "weights": "gaussian", "activation": "relu", "sigma_w": 2.0, "input_variance": 1.0},
            ["Half of all directions", "vanish along some directions and explode along others"],
        ),
        (DEEP | {"weights": "gaussian"}, ["spread over 415 decades", "vanish for most directions"]),
        # Hard tanh at small q*: the mass at 0 is 1.5e-12, and not worth a word.
        (
            {"depth": 16, "activation": "hardtanh", "sigma_w": "critical", "q_star": 0.02},
            ["98 % of the singular values are"],
        ),
    ],
)
def test_sentence_says_what_the_law_does(keys, parts) -> None:
    sentence = said(**keys)
    assert sentence.endswith(".")
    for part in parts:
        assert part in sentence
    assert ("lost" in sentence) == any("of all directions" in part for part in parts)


def test_rectangular_networks_lose_output_directions() -> None:
    sentence = said(activation="tanh", sigma_w=1.2, input_width=100, input_variance=1.0, layers=[{"width": 400}])
    assert sentence.startswith("75 % of all output directions are lost")


def test_quantiles_named_are_quantiles() -> None:
    pred = predict(Network(depth=16, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=0.1))
    low, high = (f"{s:.3g}" for s in pred.singular_values.icdf(np.array([0.01, 0.99])))
    assert "98 % of the singular values spread" in reading(pred) or f"lie between {low} and {high}" in reading(pred)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"depth": 1} | HE, "1 relu layer, Gaussian weights, σ_w = 1.41421, σ_b = 0"),
        (
            {"depth": 1_000_000, "activation": {"expr": "tanh(x) + x/10"}, "sigma_w": "critical", "q_star": 0.1},
            "1,000,000 layers of tanh(x) + x/10, Gaussian weights, critical at q* = 0.1",
        ),
    ],
)
def test_network_in_words(keys, words) -> None:
    assert in_words(Network(**keys)) == words


def test_ends_of_a_narrow_law_are_told_apart() -> None:
    # c = 1/N_0: singular values within 1 ± √c, here 1 ± 0.0026; the middle 98 % nearly reach these ends.
    net = Network(activation="identity", sigma_w=1.0, input_width=150528, layers=[{"width": 1}])
    sentence = reading(predict(net))
    low, high = (float(x) for x in re.findall(r"between (\S+) and ([0-9.]+\d)", sentence)[0])
    assert 0.8 * 2 / 150528**0.5 < high - low < 1.2 * 2 / 150528**0.5
