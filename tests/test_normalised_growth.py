"""How gradients grow through normalised blocks, by where the normalisation stands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from spectra import Network
from spectra.errors import ConfigError
from spectra.network.meanfield import mean_field
from spectra.normalisation.growth import gradient_growth, growth


def deep(position: str, name: str, order: str, depth: int, activation: str = "relu", **keys: Any) -> Network:
    table = {"name": name, "position": position}
    shared = {"activation": activation, "sigma_w": math.sqrt(2), "kind": "residual", "alpha": 1.0, "order": order}
    return Network(**(shared | {"depth": depth, "normalise": table} | keys))


@pytest.mark.parametrize(
    ("name", "order", "activation", "exponent"),
    [
        ("rms", "pre", "relu", 1.0),
        ("layer", "pre", "relu", 1.0),
        ("batch", "pre", "relu", math.pi / (math.pi - 1)),
        ("batch", "post", "relu", math.pi / (math.pi - 1)),
        ("layer", "post", "tanh", math.nan),  # E tanh'²/E tanh²
        ("rms", "post", "relu", 0.0),  # means add up
    ],
)
def test_in_the_branch_gradients_grow_like_a_power(name: str, order: str, activation: str, exponent: float) -> None:
    found = growth(deep("before", name, order, 4, activation))
    if activation == "tanh":
        exponent = gradient_growth("tanh", "rms")
    assert found.rate == 0.0
    assert found.exponent == pytest.approx(exponent, rel=1e-10)
    # Σ κ/(l + c) over the second half of L = 4000 blocks is κ (log 2 − c/L) but for terms in 1/L², c ≤ 6 blocks being
    # what x is to begin with; where means add up, κ = 0, and Σ 1/l² is 1/L.
    chi = mean_field(deep("before", name, order, 4000, activation)).chi
    assert float(np.sum(np.log(chi[2000:]))) == pytest.approx(exponent * math.log(2), abs=1.5 * 6 / 4000)


@pytest.mark.parametrize(
    ("name", "order", "chi", "word"),
    [
        ("batch", "pre", 2 / (2 - 1 / math.pi), "explode"),  # (β² + σ_w²/2)/(β² + σ_w² Var φ), Var φ = ½ − 1/2π
        ("layer", "post", 2 / (2 - 1 / math.pi), "explode"),
        ("batch", "post", 2 / (2 - 1 / math.pi), "explode"),
        ("rms", "pre", 1.0, "keep their size"),
        ("layer", "pre", 1.0, "keep their size"),
    ],
)
def test_after_the_sum_gradients_grow_by_a_factor(name: str, order: str, chi: float, word: str) -> None:
    found = growth(deep("sum", name, order, 4))
    assert found.rate == pytest.approx(math.log(chi), abs=1e-12)
    assert found.exponent == 0.0
    assert word in found.reason


def test_rms_norm_after_the_sum_of_means_vanishes() -> None:
    """β = α = 1, σ_w² = 2: μ = (μ + E φ)/s, s² = 2 + 2μ E φ with E φ = 1/√π; χ = 2/s². By its own iteration."""
    mu, first = 0.0, 1 / math.sqrt(math.pi)
    for _ in range(200):
        square = 2 + 2 * mu * first
        mu = (mu + first) / math.sqrt(square)
    found = growth(deep("sum", "rms", "post", 4))
    assert found.rate == pytest.approx(math.log(2 / square), abs=1e-12)
    assert "vanish" in found.reason


def test_a_smaller_skip_lets_the_branch_keep_up() -> None:
    """β < 1: x² rests at K/(1 − β²), and χ = β² + (1 − β²) κ, κ as the exponent of β = 1."""
    found = growth(deep("before", "batch", "pre", 4, skip=0.8))
    assert found.rate == pytest.approx(math.log(0.64 + 0.36 * math.pi / (math.pi - 1)), rel=1e-10)
    assert growth(deep("before", "batch", "pre", 4, skip=1.5)).rate == pytest.approx(2 * math.log(1.5), rel=1e-12)
    layers = [{"normalise": "batch"}, {"normalise": "rms"}]
    for net in (
        deep("after", "layer", "pre", 4),
        deep("before", "layer", "pre", 4).replace(**{"normalise.epsilon": 0.1}),
        deep("before", "batch", "post", 4).replace(depth=None, layers=layers),
    ):
        with pytest.raises(ConfigError, match=r"`growth\(net\)`"):
            growth(net)
