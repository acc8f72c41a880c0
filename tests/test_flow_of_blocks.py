"""Signals and gradients through residual and normalised blocks: integrals by another route, closed forms, networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import spectra
from spectra.advice import audit
from spectra.errors import ConfigError
from spectra.flow import flow
from spectra.flow.sampled import sample_flow
from spectra.network.meanfield import mean_field

BASE = {"kind": "residual", "sigma_w": 1.0, "input_variance": 1.0, "alpha": 0.6, "depth": 4, "width": 120}


def net(**keys: Any) -> spectra.Network:
    return spectra.Network(**(BASE | {"activation": "relu"} | keys))


# Other routes -----------------------------------------------------------------------------------------------------


def test_two_blocks_with_tanh_after_the_sum_by_a_double_integral() -> None:
    # h_1 = √(β² r + v_1) z, x = φ(h_1), h_2 = βx + √v_2 z′; the gradient that comes out of block 2 knows x.
    alpha, beta, w2, b2, r = 0.6, 0.9, 1.3**2, 0.3**2, 0.8
    found = flow(net(activation="tanh", order="sum", depth=2, skip=beta, sigma_w=1.3, sigma_b=0.3, input_variance=r))
    z, weights = np.polynomial.hermite_e.hermegauss(180)
    weights = weights / weights.sum()

    def slope2(h: np.ndarray) -> np.ndarray:
        return np.cosh(h) ** -4.0

    q_1 = beta**2 * r + alpha**2 * (w2 * r + b2)
    h_1 = math.sqrt(q_1) * z
    x = np.tanh(h_1)
    second = float(weights @ x**2)
    h_2 = beta * x[:, None] + alpha * math.sqrt(w2 * second + b2) * z
    given_x = slope2(h_2) @ weights
    mean_2 = float(weights @ given_x)
    after = beta**2 * given_x + alpha**2 * w2 * mean_2
    one = float(weights @ after)
    both = (beta**2 + alpha**2 * w2) * float(weights @ (slope2(h_1) * after))
    assert np.exp(found.log_grad_x) == pytest.approx([both, one, 1.0], rel=1e-9)
    delta = [alpha**2 * float(weights @ (slope2(h_1) * after)), alpha**2 * mean_2]
    assert np.exp(found.log_grad_b) == pytest.approx(delta, rel=1e-9)
    assert np.exp(found.log_grad_w) == pytest.approx([delta[0] * r, delta[1] * second], rel=1e-9)
    assert np.exp(found.log_h) == pytest.approx([q_1, float(weights @ (h_2**2 @ weights))], rel=1e-9)


@pytest.mark.parametrize("order", ["pre", "post", "sum"])
def test_linear_branches_of_three(order: str) -> None:
    # E δ_k² = α² σ_w^{2(3 − k)} E g², what W_k takes is σ_w^{2(k − 1)} r, x grows by β² + α²σ_w⁶ and so do gradients.
    alpha, beta, w2 = 0.6, 0.8, 1.2**2
    found = flow(net(activation="identity", order=order, branch_layers=3, sigma_w=1.2, skip=beta, depth=2))
    growth = beta**2 + alpha**2 * w2**3
    assert np.exp(found.log_x) == pytest.approx([1.0, growth, growth**2], rel=1e-10)
    assert np.exp(found.log_grad_x) == pytest.approx([growth**2, growth, 1.0], rel=1e-10)
    one = alpha**2 * np.array([w2**2, w2, 1.0])
    assert np.exp(found.log_grad_b) == pytest.approx([*(growth * one), *one], rel=1e-10)
    # The two powers of σ_w make up for each other.
    assert np.exp(found.log_grad_w) == pytest.approx(np.full(6, alpha**2 * w2**2 * growth), rel=1e-10)
    assert found.layer.tolist() == [1, 1, 1, 2, 2, 2]
    assert found.log_grad_w_norm is not None
    assert found.log_grad_w_norm.shape == (6,)


@pytest.mark.parametrize("keys", [{}, {"branch_layers": 2, "sigma_w": 1.4}, {"activation": "hardtanh"}])
def test_gradients_have_the_first_moment_of_the_spectrum(keys: dict[str, Any]) -> None:
    # The moment comes from the equation of the blocks, on a circle.
    one = net(order="sum", depth=3, **keys)
    assert math.exp(flow(one).log_grad_x[0]) == pytest.approx(spectra.predict(one).moments(1)[0], rel=1e-7)


def test_a_dense_layer_between_blocks_after_the_sum_makes_them_fresh() -> None:
    # Behind weights of their own all neurons are alike: the growths of the two parts multiply.
    block = {"kind": "residual", "order": "sum", "alpha": 0.6, "repeat": 2}
    parts = [{"activation": "identity"}, block, {"activation": "identity"}, block]
    keys = {"activation": "tanh", "sigma_w": 1.1, "input_variance": 1.0}
    whole = flow(spectra.Network(**keys, layers=parts))
    second = flow(spectra.Network(**(keys | {"input_variance": math.exp(whole.log_x[4])}), layers=[block]))
    assert whole.log_grad_x[4] == pytest.approx(second.log_grad_x[0], rel=1e-10)
    first = flow(spectra.Network(**keys, layers=parts[:2]))
    assert whole.log_grad_x[0] - whole.log_grad_x[3] == pytest.approx(first.log_grad_x[0], rel=1e-10)


@pytest.mark.parametrize("position", ["before", "after", "sum"])
@pytest.mark.parametrize("order", ["pre", "post"])
def test_normalised_blocks_pass_on_what_chi_says(order: str, position: str) -> None:
    one = net(order=order, activation="tanh", normalise={"name": "rms", "position": position}, sigma_b=0.2)
    found = flow(one)
    assert -np.diff(found.log_grad_x) == pytest.approx(np.log(mean_field(one).chi), abs=1e-13)
    if position == "sum":
        # Nothing leaves with another mean square than 1.
        assert found.log_x == pytest.approx(np.zeros(5), abs=1e-13)


def test_phase_after_the_sum_is_that_of_gradients_and_not_of_chi() -> None:
    # Four blocks of Π χ = 0.20 have m_1 = 0.36; with a stronger branch one grows while the other still falls.
    field = mean_field(net(activation="tanh", order="sum", alpha=0.5))
    assert field.chi_1 is None
    assert np.prod(field.chi) == pytest.approx(0.2018, abs=1e-4)
    assert "m_1^(1/L) = 0.775" in " ".join(field.notes)
    grown = mean_field(net(activation="relu", order="sum", alpha=0.5, depth=8))
    assert np.prod(grown.chi) < 0.5
    assert grown.phase == "chaotic"
    assert grown.chi_1 is None


def test_batches_of_finite_size_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`normalise.batch = 8`"):
        flow(net(normalise={"name": "batch", "batch": 8}))


# Networks ---------------------------------------------------------------------------------------------------------

CASES: dict[str, dict[str, Any]] = {
    "sum, relu": {"order": "sum"},
    "sum, tanh": {"order": "sum", "activation": "tanh", "sigma_w": 1.3, "sigma_b": 0.3, "weights": "orthogonal"},
    "sum, two layers": {"order": "sum", "activation": "gelu", "branch_layers": 2, "sigma_w": 1.4, "sigma_b": 0.2},
    "pre, two layers": {"branch_layers": 2, "sigma_w": 1.4, "sigma_b": 0.2},
    "post, three layers": {"order": "post", "activation": "tanh", "branch_layers": 3, "sigma_w": 1.4},
    "batch norm": {"normalise": "batch", "depth": 2, "width": 60},
    "layer norm": {"order": "post", "activation": "tanh", "normalise": {"name": "layer", "position": "after"}},
    "RMS norm of the sum": {"order": "post", "normalise": {"name": "rms", "position": "sum"}},
}


@pytest.mark.parametrize("name", CASES)
def test_variances_are_those_of_real_networks(name: str) -> None:
    one = net(**CASES[name])
    sampled = sample_flow(one, samples=100, seed=1)
    for quantity, (deviation, error) in sampled.deviations(flow(one)).items():
        # Five standard errors, and a bias of the order of weights in a row over the width.
        layers = one.depth * one.layers[0].branch_layers
        allowed = 5 * error + 0.5 * layers / min(sampled.widths) + 1e-12
        assert (np.abs(deviation) < allowed).all(), (quantity, deviation, error)
        assert (error < 0.08).all(), (quantity, error)


def test_gradients_of_the_sampled_pass_are_those_of_finite_differences() -> None:
    """Of every matrix of weights, each through a direction, in the network that the sampler draws."""
    rng = np.random.default_rng(5)
    width, alpha, beta = 7, 0.6, 0.9
    first, second = (rng.standard_normal((width, width)) / width**0.5 for _ in range(2))
    x, cost, step = rng.standard_normal(width), rng.standard_normal(width), 1e-6

    def forward(w: np.ndarray, v: np.ndarray) -> float:
        return float(cost @ np.tanh(beta * x + alpha * (v @ np.tanh(w @ x))))

    from spectra.network.architectures import architecture_of

    spec = net(order="sum", activation="tanh", branch_layers=2, skip=beta, alpha=alpha, depth=1).layers[0]
    architecture = architecture_of(spec)
    inner = first @ architecture.take(spec, x).value
    passed = architecture.give(spec, x, second @ spec.activation(inner))
    assert isinstance(passed.outer, np.ndarray)
    assert isinstance(passed.slopes, np.ndarray)
    delta = passed.slopes * passed.outer * cost
    gradients = [np.outer(spec.activation.derivative(inner) * (second.T @ delta), x), np.outer(delta, np.tanh(inner))]
    for k, gradient in enumerate(gradients):
        way = rng.standard_normal((width, width))
        moved = [[w + sign * step * way if j == k else w for j, w in enumerate((first, second))] for sign in (1, -1)]
        slope = (forward(*moved[0]) - forward(*moved[1])) / (2 * step)
        assert float(np.sum(gradient * way)) == pytest.approx(slope, rel=1e-7)


# Audits -----------------------------------------------------------------------------------------------------------


def test_an_audit_without_a_spectrum_has_two_moments() -> None:
    one = net(order="sum", activation="tanh", alpha=0.5)
    found = audit(one, advise=False)
    numbers = found.to_dict()["numbers"]
    assert numbers["s_max"] is None
    log = 2.0 * np.asarray(spectra.sample(one, width=150, samples=24, seed=3).log_singular_values)
    ratios = np.exp(2 * log).mean(axis=1) / np.exp(log).mean(axis=1) ** 2
    # Bias of order depth/width.
    error = 4 * ratios.std(ddof=1) / math.sqrt(len(ratios))
    assert abs(ratios.mean() - 1 - numbers["relative_variance"]) < error + 4 / 150 * ratios.mean()
    assert len(numbers["log10_weight_gradients"]) == 4
    assert numbers["weight_layers"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("keys", "verdict"),
    [
        ({"order": "sum", "activation": "tanh", "depth": 40, "alpha": 0.1}, "fair"),
        ({"order": "sum", "activation": "sigmoid", "depth": 10}, "vanishing"),
        ({"order": "sum", "depth": 12, "alpha": 1.0, "branch_layers": 2, "sigma_w": 1.5}, "exploding"),
        ({"branch_layers": 2, "depth": 40, "sigma_w": 1.4}, "exploding"),
        ({"kind": "dense", "alpha": None, "normalise": "batch", "depth": 20}, "exploding"),
    ],
)
def test_verdicts(keys: dict[str, Any], verdict: str) -> None:
    given = {key: value for key, value in (BASE | {"activation": "relu"} | keys).items() if value is not None}
    assert audit(spectra.Network(**given), advise=False).verdict == verdict
