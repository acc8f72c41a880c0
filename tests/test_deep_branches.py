"""Residual branches of several layers: keys, mean field, laws against closed forms and samples, what is refused."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest

from spectra import Network, predict, residual_strength, sample
from spectra.activations import get_activation
from spectra.advice import Target, tune
from spectra.bounds import norm_bound
from spectra.correlated import BlockEquation, FreeEquation, blocks_of
from spectra.correlated.free_product import free_blocks, free_moments
from spectra.correlated.free_series import free_series_moments
from spectra.correlated.known import density_at
from spectra.correlated.law import block_law
from spectra.correlated.moments import block_moments
from spectra.correlated.network import first_two_moments, layers_of
from spectra.errors import ConfigError
from spectra.network.branch_bounds import branch_bounds
from spectra.network.meanfield import mean_field
from spectra.reading import in_words
from spectra.sampling.forward import forward_pass, resolved_layers
from spectra.sampling.matrix_free.jacobian import layer_product
from spectra.sampling.matrix_free.weights import child, redrawn_weights
from spectra.sampling.memory import _peak_bytes
from spectra.sampling.one import OneNetwork, Options
from spectra.sampling.weights import random_weights

BLOCKS: dict[str, Any] = {"kind": "residual", "sigma_w": 1.0, "input_variance": 1.0, "branch_layers": 2}


def net(**keys: Any) -> Network:
    return Network(**(BLOCKS | {"depth": 3, "activation": "tanh", "alpha": 0.5} | keys))


# keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"branch_layers": 0}, ("`branch_layers = 0`", "a whole number from 1 to 8")),
        ({"branch_layers": 9}, ("`branch_layers = 9`", "a whole number from 1 to 8")),
        ({"branch_layers": 2.0}, ("`branch_layers = 2.0`", "whole number")),
        ({"branch_layers": True}, ("`branch_layers = true`", "whole number")),
        ({"branch_layer": 2}, ("`branch_layer = 2`", 'did you mean "branch_layers"')),
        ({"kind": "dense", "alpha": None}, ("`branch_layers = 2`", 'goes only with `kind = "residual"`')),
        ({"normalise": "layer"}, ("`branch_layers = 2`", "must be 1 in a block with `normalise`")),
        ({"depth": None, "layers": [{"branch_layers": -1}]}, ("`layers.0.branch_layers = -1`",)),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(keys: dict, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        net(**keys)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_description_reads_back_the_same() -> None:
    network = net(depth=None, layers=[{"repeat": 2}, {"branch_layers": 1}, {"branch_layers": 3, "order": "post"}])
    assert [spec.branch_layers for spec in network.layers] == [2, 1, 3]
    assert Network(**network.to_dict()) == network
    assert [spec.to_dict().get("branch_layers") for spec in network.layers] == [2, None, 3]
    assert in_words(net()).endswith("α = 0.5, pre-activation, branches of 2 layers")


# mean field -------------------------------------------------------------------------------------------------------


def gaussian_mean(function: Any, q: Any) -> Any:
    with mpmath.workdps(20):
        root = mpmath.sqrt(q)
        return mpmath.quad(lambda z: function(root * z) * mpmath.npdf(z), [-12, -3, 0, 3, 12])


@pytest.mark.parametrize(("order", "count"), [("pre", 2), ("post", 2), ("pre", 3)])
@pytest.mark.parametrize("name", ["tanh", "softplus"])
def test_variances_and_slopes_agree_with_mpmath(name: str, order: str, count: int) -> None:
    phi, (alpha, beta, w2, b2) = get_activation(name), (0.7, 0.9, 1.2**2, 0.3**2)
    r, mu, variances, chis = mpmath.mpf("0.8"), mpmath.mpf(0), [], []
    for _ in range(3):
        # φ and weights in turn, as the branch is written.
        second, slopes, taken = r, mpmath.mpf(1), []
        for step in ["phi", "w"] * count if order == "pre" else ["w", "phi"] * count:
            if step == "w":
                second, slopes = w2 * second + b2, slopes * w2
                continue
            taken.append(second)
            slopes *= gaussian_mean(lambda x: phi.mp(x, 1) ** 2, second)
            first = gaussian_mean(phi.mp, second)
            second = gaussian_mean(lambda x: phi.mp(x) ** 2, second)
        variances.append(float(taken[0] if order == "pre" else taken[-1]))
        chis.append(float(beta**2 + alpha**2 * slopes))
        if order == "pre":
            r = beta**2 * r + alpha**2 * second
        else:
            r = beta**2 * r + alpha**2 * second + 2 * alpha * beta * mu * first
            mu = beta * mu + alpha * first
    field = mean_field(
        net(activation=name, order=order, branch_layers=count, alpha=0.7, skip=0.9, sigma_w=1.2, sigma_b=0.3).replace(
            input_variance=0.8
        )
    )
    np.testing.assert_allclose(field.q, variances, rtol=1e-13)
    np.testing.assert_allclose(field.chi, chis, rtol=1e-13)
    assert field.leaving.second == pytest.approx(float(r), rel=1e-13)


def test_relu_blocks_grow_by_a_factor_each() -> None:
    """E relu² = q/2 twice: r ← β²r + α²(σ_w²(σ_w² r/2 + σ_b²)/2 + σ_b²); χ = β² + α²σ_w⁴/4."""
    keys: dict[str, Any] = {"activation": "relu", "sigma_w": 1.5, "sigma_b": 0.4, "skip": 0.8, "depth": 20}
    field, r = mean_field(net(**keys)), 1.0
    for q in field.q:
        assert q == pytest.approx(r, rel=1e-13)
        r = 0.64 * r + 0.25 * (1.5**2 * (1.5**2 * r / 2 + 0.16) / 2 + 0.16)
    assert len(field.runs) == 1
    assert field.leaving.second == pytest.approx(r, rel=1e-13)
    np.testing.assert_allclose(field.chi, 0.64 + 0.25 * 1.5**4 / 4, rtol=1e-14)


def test_strength_and_bounds_count_every_layer() -> None:
    """ReLU: c = L α²σ_w⁴ (1/2)²; orthogonal weights of norm σ_w, Gaussian ones 2σ_w: β ± α (2σ_w)² sup φ'²."""
    network = net(activation="relu", depth=50, sigma_w=1.1, order="post", alpha="1/sqrt(depth)")
    assert residual_strength(network) == pytest.approx(1.1**4 / 4, rel=1e-13)
    # S → exp(−c (1 + 2w)), of which m_2/m_1² is 1 + 2c, from a block of (1 + 2c/L) but for 1/L².
    deep = network.replace(depth=2000)
    first, second = first_two_moments(mean_field(deep))
    assert second / first**2 == pytest.approx(1 + 2 * 1.1**4 / 4, rel=5 / 2000)
    for weights, norm in (("gaussian", 2.0), ("orthogonal", 1.0)):
        few = net(weights=weights, sigma_w=0.8, alpha=0.3, depth=2)
        low, high = branch_bounds(mean_field(few))
        size = 0.3 * (0.8 * norm) ** 2
        assert (low, high) == pytest.approx((2 * math.log(1 - size), 2 * math.log(1 + size)), rel=1e-13)
        assert norm_bound(few).log_bound == pytest.approx(2 * math.log(1 + size), rel=1e-13)


# sampling ---------------------------------------------------------------------------------------------------------


def output(specs: list, drawn: list[list[tuple[np.ndarray, np.ndarray]]], x: np.ndarray) -> np.ndarray:
    """The forward map, as the README writes it: V, c after W, b."""
    for spec, own in zip(specs, drawn, strict=True):
        phi = spec.activation
        if spec.kind == "dense":
            ((w, b),) = own
            x = phi(w @ x + b)
            continue
        y = phi(x) if spec.order == "pre" else x
        for k, (w, b) in enumerate(own):
            y = w @ (phi(y) if k else y) + b
        x = spec.skip * x + spec.alpha * (y if spec.order == "pre" else phi(y))
    return x


def numeric(specs: list, drawn: list[list[tuple[np.ndarray, np.ndarray]]], x: np.ndarray) -> np.ndarray:
    """Its derivative, by central differences: steps of 1e-5 leave 1e-10."""
    steps = 1e-5 * np.eye(x.size)
    return np.stack([(output(specs, drawn, x + e) - output(specs, drawn, x - e)) / 2e-5 for e in steps], axis=1)


MIXED = Network(
    **BLOCKS | {"input_width": 9, "sigma_b": 0.3, "alpha": 0.6},
    layers=[
        {"kind": "dense", "activation": "identity", "width": 6},
        {"activation": "tanh", "width": 6, "skip": 0.8, "repeat": 2},
        {"activation": "gelu", "width": 6, "weights": "orthogonal", "order": "post"},
        {"kind": "dense", "activation": "softplus", "width": 5},
        {"activation": "sigmoid", "width": 5, "order": "post", "alpha": 1.7, "branch_layers": 3},
        {"activation": "softplus", "width": 5, "order": "post", "branch_layers": 1},
    ],
)
WIDTHS = (9, 6, 6, 6, 6, 5, 5, 5)


@pytest.mark.parametrize("how", [{"method": "auto"}, {"method": "graded"}, {"array_module": "array_api_strict"}])
def test_sampled_jacobian_is_the_derivative_of_the_forward_map(how: dict) -> None:
    specs, stream = resolved_layers(MIXED)[0], np.random.SeedSequence(4)
    found = OneNetwork(specs, WIDTHS, 1.0, Options(**how))(stream)
    rng = np.random.default_rng(stream)
    x = rng.standard_normal(9)
    x /= np.sqrt(np.mean(x**2))
    drawn = []
    for spec, (before, after) in zip(specs, pairwise(WIDTHS), strict=True):
        own = []
        for k in range(spec.branch_layers):
            w = random_weights(spec.weights, after, after if k else before, float(spec.sigma_w), rng)
            own.append((w, 0.3 * rng.standard_normal(after)))
        drawn.append(own)
    expected = np.linalg.svd(numeric(specs, drawn, x), compute_uv=False)
    np.testing.assert_allclose(np.exp(found.log_singular_values), expected, rtol=1e-6)
    for one, spec, own in zip(
        forward_pass(specs, WIDTHS, 1.0, np.random.default_rng(stream)), specs, drawn, strict=True
    ):
        # χ is the mean over the weights for slopes as they are: of those in the branch too.
        h, slopes = (spec.activation(x) if spec.order == "pre" else x), [np.ones(1)]
        for k, (w, b) in enumerate(own):
            slopes.append(spec.activation.derivative(h) if k else np.ones(1))
            h = w @ (spec.activation(h) if k else h) + b
        slopes.append(spec.activation.derivative(x if spec.order == "pre" else h))
        alpha, beta = spec.alpha or 1.0, spec.skip or 0.0
        chi = beta**2 + alpha**2 * np.prod([np.mean(d**2) for d in slopes])
        assert one.chi == pytest.approx(chi, rel=1e-12)
        assert one.q == pytest.approx(np.mean((x if spec.order == "pre" else h) ** 2), rel=1e-12)
        x = output([spec], [own], x)


def test_operator_without_matrices_is_the_same_derivative() -> None:
    specs, stream = resolved_layers(MIXED)[0], np.random.SeedSequence(6)
    product = layer_product(specs, WIDTHS, 1.0, stream)
    x = np.random.default_rng(child(stream, 0)).standard_normal((2, 9))[0]
    x /= np.sqrt(np.mean(x**2))
    drawn = []
    for index, spec in enumerate(specs, start=1):
        own, layers = child(stream, index), []
        for k in range(spec.branch_layers):
            before, after = WIDTHS[index] if k else WIDTHS[index - 1], WIDTHS[index]
            w = redrawn_weights(spec.weights, after, before, float(spec.sigma_w), child(own, 2 * k + 1))
            b = 0.3 * np.random.default_rng(child(own, 2 * k)).standard_normal(after)
            layers.append((w.times(np.eye(before)), b))
        drawn.append(layers)
    expected, scale = numeric(specs, drawn, x), np.exp(product.log_scale)
    np.testing.assert_allclose(scale * (product @ np.eye(9)), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(scale * (product.T @ np.eye(5)), expected.T, rtol=0, atol=1e-8)
    dense = [one.chi for one in forward_pass(specs, WIDTHS, 1.0, np.random.default_rng(0))]
    assert len(dense) == product.chi.size


@pytest.mark.parametrize("order", ["pre", "sum"])
def test_memory_is_no_more_than_estimated(order: str) -> None:
    network = net(depth=8, weights="orthogonal", branch_layers=4, order=order, activation="relu")
    sample(network, 8, 1)  # what is loaded and kept is none of it
    tracemalloc.start()
    sample(network, 150, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.25 * _peak_bytes((150,), "float64") < peak < _peak_bytes((150,), "float64")


# laws -------------------------------------------------------------------------------------------------------------


def equation_of(network: Network, count: int = 8) -> BlockEquation:
    return BlockEquation(blocks_of(layers_of(mean_field(network))), count)


PLACES = np.array([0.1 - 0.05j, 0.3 - 0.2j, -0.4 - 0.3j])


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["identity", "relu"])
def test_one_block_is_algebraic(name: str, weights: str, order: str) -> None:
    """1 + X, X = √t V H W D: with T = u (1 + w)², w_1 = (√(1 + 4T) − 1)/2 and w_X = w − w_1, T = w_X (1 + w_X) S_X.

    S_X is 1/t, over (1 + w)² for two Gaussian factors, times ((1 + w)/(1/2 + w))² for two of ReLU's D² (1, 0 alike).
    """
    t = 0.3
    found = equation_of(net(depth=1, activation=name, weights=weights, order=order, alpha=t**0.5)).solve(PLACES)
    assert found.solved.all()
    w = found.psi
    total = PLACES * (1.0 + w) ** 2
    w_x = w - 0.5 * (np.sqrt(1.0 + 4.0 * total) - 1.0)
    s = np.ones_like(w) / t
    if weights == "gaussian":
        s = s / (1.0 + w_x) ** 2
    if name == "relu":
        s = s * ((1.0 + w_x) / (0.5 + w_x)) ** 2
    np.testing.assert_allclose(w_x * (1.0 + w_x) * s, total, rtol=1e-10)


def test_two_haar_matrices_in_a_branch_are_one() -> None:
    # 1 + √t VW: λ = 1 + t + 2√t cos θ, θ uniform.
    t, where = 0.25, np.array([0.3, 0.8, 1.4, 2.2])
    found = equation_of(net(depth=1, activation="identity", weights="orthogonal", alpha=t**0.5)).solve(1 / where + 0j)
    density = -found.psi.imag / math.pi / where
    assert density == pytest.approx(1.0 / (math.pi * np.sqrt(4.0 * t - (where - 1.0 - t) ** 2)), rel=1e-10)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("order", ["pre", "post"])
def test_the_equation_has_the_moments_of_a_recursion(order: str, weights: str) -> None:
    """m_1 = Π χ; m_2 by Wick's theorem and freeness, from the last block to the first (`two_moments`)."""
    network = net(weights=weights, order=order, activation="gelu", skip=0.9, branch_layers=3, sigma_w=1.2, sigma_b=0.1)
    first, second = block_moments(equation_of(network, 12), 2, 40.0)
    assert first == pytest.approx(float(np.prod(mean_field(network).chi)), rel=1e-9)
    assert (first, second) == pytest.approx(first_two_moments(mean_field(network)), rel=1e-9)


def test_free_moments_by_series() -> None:
    """Of one layer a branch as `FreeEquation` has them; of one block of two, where freeness is exact, as its equation.

    m_1 = 1 + t, m_2 = 1 + 4t + 3t² of linear Gaussian branches of two: 3 is the second Fuss–Catalan number of order 2.
    """
    one = layers_of(mean_field(net(branch_layers=1, order="post", sigma_b=0.2)))
    expected = free_moments(FreeEquation(free_blocks(one, 16)), 6, 10.0)
    np.testing.assert_allclose(free_series_moments(one, 6), expected, rtol=1e-10)
    two = net(depth=1, sigma_w=1.3)
    expected = block_moments(equation_of(two, 12), 4, 6.0)
    np.testing.assert_allclose(free_series_moments(layers_of(mean_field(two)), 4), expected, rtol=1e-9)
    linear = layers_of(mean_field(net(depth=1, activation="identity", alpha=0.5)))
    assert free_series_moments(linear, 2) == pytest.approx([1.25, 1 + 1 + 3 / 16], rel=1e-13)


def ratio(network: Network, width: int, samples: int) -> tuple[float, float]:
    """m_2/m_1² of sampled networks, its term in 1/N removed, 2 m(2N) − m(N), and the standard error."""
    found = []
    for n, count in ((width, 2 * samples), (2 * width, samples)):
        squares = sample(network, n, count, seed=3).singular_values ** 2
        each = (squares**2).mean(axis=1) / squares.mean(axis=1) ** 2
        found.append((each.mean(), each.std() / np.sqrt(count)))
    (narrow, its), (wide, error) = found
    return float(2 * wide - narrow), float(np.hypot(2 * error, its))


@pytest.mark.parametrize(
    ("order", "activation", "weights"),
    [("pre", "relu", "gaussian"), ("pre", "tanh", "orthogonal"), ("post", "gelu", "gaussian")],
)
def test_second_moment_is_that_of_sampled_networks(order: str, activation: str, weights: str) -> None:
    """Within 4.5 standard errors; what is left of the series in 1/N is (depth/N)², 6 matrices of width 64."""
    network = net(order=order, activation=activation, weights=weights, alpha=1.0)
    first, second = first_two_moments(mean_field(network))
    found, error = ratio(network, 32, 150)
    assert error < 0.025 * found
    assert abs(found - second / first**2) < 4.5 * error + (6 / 64) ** 2 * found


def test_prediction_says_by_which_theory_and_how_far_the_free_formula_is_off() -> None:
    found = predict(net(depth=2, activation="relu", alpha=0.5))
    assert found.checks.certified
    assert "freeness over diagonal matrices" in found.checks.notes[0]
    # Both have m_2 by a closed form: masks of x in two blocks agree with probability 1/2 + asin(ρ)/π.
    free = free_series_moments(layers_of(found.mean_field), 2)[1]
    off = free / first_two_moments(found.mean_field)[1] - 1.0
    assert off < -0.003
    assert f"m_2 off by {off:+.2%}" in found.checks.notes[1]
    fresh = predict(net(depth=2, activation="relu", alpha=0.5, order="post", weights="orthogonal"))
    assert fresh.checks.certified
    assert "nearly: the free formula has m_4 off by" in fresh.checks.notes[1]
    assert fresh.outliers == ()
    assert fresh.outlier_notes == ()


def test_blocks_are_tuned_by_their_scale() -> None:
    tuned = tune({"depth": 4, "activation": "tanh"} | {k: BLOCKS[k] for k in BLOCKS}, Target("variance", 0.25))
    assert tuned.found.network is not None
    first, second = first_two_moments(mean_field(tuned.found.network))
    assert second / first**2 - 1.0 == pytest.approx(0.25, rel=1e-8)
    assert "of each layer of its branch" in tuned.reason


@pytest.mark.parametrize(("order", "activation"), [("pre", "gelu"), ("post", "tanh")])
def test_one_block_of_smooth_slopes_is_resolved_beside_its_peak(order: str, activation: str) -> None:
    """Slopes near 0 pile up eigenvalues at β², where twelve nodes of their law left 3e-5 of GELU's density."""
    (layer,) = layers_of(mean_field(net(depth=1, order=order, activation=activation, alpha=0.5)))
    law = block_law([layer])
    assert law.error < 1e-10
    beside = density_at(BlockEquation(blocks_of([layer], finer=6.0), 12), np.array([0.0016, -0.0016]))[0]
    np.testing.assert_allclose(np.exp(law.spectrum.log_density_at(np.array([0.0016, -0.0016]))), beside, rtol=1e-8)
