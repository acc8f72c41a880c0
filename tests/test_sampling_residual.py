"""Sampled residual networks: their Jacobian by differences of the forward map, and what theory says of its moments."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest

from spectra import Network, sample
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.moments import block_moments
from spectra.correlated.network import layers_of
from spectra.network.config import LayerSpec
from spectra.network.meanfield import mean_field
from spectra.sampling import matrix_free
from spectra.sampling.arrays import HostArrays
from spectra.sampling.condition import Condition, block_steps
from spectra.sampling.forward import forward_pass, resolved_layers
from spectra.sampling.graded import GradedProduct
from spectra.sampling.matrix_free.jacobian import layer_product
from spectra.sampling.matrix_free.weights import child, redrawn_weights
from spectra.sampling.memory import _peak_bytes
from spectra.sampling.one import DTYPES, OneNetwork, Options
from spectra.sampling.weights import random_weights

BLOCKS: dict[str, Any] = {"kind": "residual", "sigma_w": 1.0, "input_variance": 1.0}


def net(**keys: Any) -> Network:
    return Network(**(BLOCKS | {"depth": 4, "activation": "tanh", "alpha": 0.5} | keys))


def output(specs: list[LayerSpec], drawn: list[tuple[np.ndarray, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """The forward map, as the README writes it."""
    for spec, (w, b) in zip(specs, drawn, strict=True):
        phi = spec.activation
        if spec.kind == "dense":
            x = phi(w @ x + b)
        elif spec.order == "pre":
            x = spec.skip * x + spec.alpha * (w @ phi(x) + b)
        else:
            x = spec.skip * x + spec.alpha * phi(w @ x + b)
    return x


def numeric(specs: list[LayerSpec], drawn: list[tuple[np.ndarray, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """Its derivative, by central differences: steps of 1e-5 leave 1e-10."""
    steps = 1e-5 * np.eye(x.size)
    return np.stack([(output(specs, drawn, x + e) - output(specs, drawn, x - e)) / 2e-5 for e in steps], axis=1)


def as_sampled(specs: list[LayerSpec], widths: tuple[int, ...], stream: np.random.SeedSequence) -> tuple[Any, Any]:
    """Input, weights and biases of `sample`, in the order in which they are drawn."""
    rng = np.random.default_rng(stream)
    x = rng.standard_normal(widths[0])
    x /= np.sqrt(np.mean(x**2))
    drawn = []
    for spec, (before, after) in zip(specs, pairwise(widths), strict=True):
        w = random_weights(spec.weights, after, before, float(spec.sigma_w), rng)
        b = float(spec.sigma_b) * rng.standard_normal(after) if spec.sigma_b else np.zeros(after)
        drawn.append((w, b))
    return x, drawn


MIXED = Network(
    **BLOCKS | {"input_width": 9, "sigma_b": 0.3, "alpha": 0.6},
    layers=[
        {"kind": "dense", "activation": "identity", "width": 6},
        {"activation": "tanh", "width": 6, "skip": 0.8, "repeat": 2},
        {"activation": "gelu", "width": 6, "weights": "orthogonal", "order": "post"},
        {"kind": "dense", "activation": "softplus", "width": 5},
        {"activation": "sigmoid", "width": 5, "order": "post", "alpha": 1.7, "weights": "rademacher"},
    ],
)
NETWORKS = {
    "pre": (net(activation="gelu", skip=0.7, sigma_b=0.4), (7,) * 5),
    "post": (net(activation="gelu", skip=0.7, sigma_b=0.4, order="post"), (7,) * 5),
    "orthogonal": (net(activation="sin", weights="orthogonal"), (7,) * 5),
    "mixed": (MIXED, (9, 6, 6, 6, 6, 5, 5)),
}


@pytest.mark.parametrize("method", ["auto", "graded", "plain"])
@pytest.mark.parametrize("name", NETWORKS)
def test_sampled_jacobian_is_the_derivative_of_the_forward_map(name: str, method: str) -> None:
    network, widths = NETWORKS[name]
    specs, stream = resolved_layers(network)[0], np.random.SeedSequence(4)
    found = OneNetwork(specs, widths, 1.0, Options(method=method))(stream)
    x, drawn = as_sampled(specs, widths, stream)
    expected = np.linalg.svd(numeric(specs, drawn, x), compute_uv=False)
    np.testing.assert_allclose(np.exp(found.log_singular_values), expected, rtol=1e-6)


def test_layers_on_the_way_say_their_own_jacobian_and_variance() -> None:
    specs, widths, stream = resolved_layers(MIXED)[0], NETWORKS["mixed"][1], np.random.SeedSequence(4)
    x, drawn = as_sampled(specs, widths, stream)
    passes = forward_pass(specs, widths, 1.0, np.random.default_rng(stream))
    for one, spec, (w, b) in zip(passes, specs, drawn, strict=True):
        whole = numeric([spec], [(w, b)], x)
        right = 1.0 if one.right is None else one.right
        assert one.skip == (spec.skip or 0.0)
        j = one.left[:, None] * w * right + (one.skip * np.eye(*w.shape) if one.skip else 0.0)
        np.testing.assert_allclose(j, whole, rtol=0, atol=1e-8)
        h = x if spec.order == "pre" else w @ x + b
        slopes = spec.activation.derivative(h)
        assert one.q == pytest.approx(np.mean(h**2), rel=1e-12)
        scale = 1.0 if spec.alpha is None else spec.alpha
        chi = (spec.skip or 0.0) ** 2 + scale**2 * float(spec.sigma_w) ** 2 * np.mean(slopes**2)
        assert one.chi == pytest.approx(chi, rel=1e-12)
        x = output([spec], [(w, b)], x)


def test_operator_without_matrices_is_the_same_derivative() -> None:
    specs, widths, stream = resolved_layers(MIXED)[0], NETWORKS["mixed"][1], np.random.SeedSequence(6)
    product = layer_product(specs, widths, 1.0, stream)
    x = np.random.default_rng(child(stream, 0)).standard_normal((2, widths[0]))[0]
    x /= np.sqrt(np.mean(x**2))
    drawn = []
    for index, spec in enumerate(specs, start=1):
        own = child(stream, index)
        w = redrawn_weights(spec.weights, widths[index], widths[index - 1], float(spec.sigma_w), child(own, 1))
        b = float(spec.sigma_b or 0.0) * np.random.default_rng(child(own, 0)).standard_normal(widths[index])
        drawn.append((w.times(np.eye(widths[index - 1])), b))
    expected, scale = numeric(specs, drawn, x), np.exp(product.log_scale)
    np.testing.assert_allclose(scale * (product @ np.eye(9)), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(scale * (product.T @ np.eye(5)), expected.T, rtol=0, atol=1e-8)
    assert product.live.size == 5


def test_estimates_without_matrices_agree_with_sampled_moments() -> None:
    network = net(activation="relu", order="post")
    found, emp = matrix_free.sample(network, 60, samples=30, seed=1), sample(network, 60, 30)
    first = (emp.singular_values**2).mean(axis=1)
    error = np.hypot(first.std() / np.sqrt(30), found.moment_errors[0])
    assert abs(first.mean() - found.moments[0]) < 4.5 * error
    assert error < 0.03


# graded products --------------------------------------------------------------------------------------------------


def test_singular_values_of_many_blocks_agree_with_mpmath() -> None:
    specs, n = [net(activation="relu", alpha=1.1).layers[0]] * 170, 6
    product, exact = GradedProduct(n), mpmath.eye(n)
    with mpmath.workdps(120):
        for w, left, right, skip, _, chi, _ in forward_pass(specs, (n,) * 171, 1.0, np.random.default_rng(2)):
            block = HostArrays().beside_skip(w, left, right, skip)
            exact = mpmath.matrix(block.tolist()) * exact
            product.multiply_block(block.copy(), skip, chi)
        values = [float(mpmath.log(v)) for v in mpmath.svd_r(exact, compute_uv=False)]
    assert values[0] - values[-1] > 37  # plain doubles end at 36
    assert product.factorings > 0
    np.testing.assert_allclose(product.log_singular_values(), values, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize(("alpha", "skip", "depth"), [(0.9, 1.0, 1), (0.25, 0.5, 8), (0.125, 1.0, 64)])
def test_condition_of_blocks_is_estimated_well(alpha: float, skip: float, depth: int, order: str) -> None:
    specs = resolved_layers(net(activation="relu", alpha=alpha, skip=skip, depth=depth, order=order))[0]
    n, ratios, estimate = 60, [], Condition()
    for seed in range(5):
        estimate, whole = Condition(), np.eye(n)
        for w, left, right, _, _, chi, _ in forward_pass(specs, (n,) * (depth + 1), 1.0, np.random.default_rng(seed)):
            whole = HostArrays().beside_skip(w, left, right, skip) @ whole
            estimate = estimate.before(block_steps(skip, chi, n))
        ratios.append(estimate.value / np.linalg.cond(whole))
    assert 0.5 < np.median(ratios) < 1000
    assert estimate.value < 2e6  # multiplied plainly


@pytest.mark.parametrize("t", [0.3, 2.0])
def test_condition_does_not_depend_on_the_scale_of_a_block(t: float) -> None:
    plain = scaled = Condition()
    for _ in range(3):
        plain = plain.before(block_steps(1.0, 1.0 + t, 60))
        scaled = scaled.before(block_steps(0.5, 0.25 * (1.0 + t), 60))
    assert scaled.value == pytest.approx(plain.value, rel=1e-12)
    assert scaled.size == pytest.approx(plain.size / 8, rel=1e-12)


@pytest.mark.parametrize("method", ["auto", "graded"])
def test_zeros_that_a_dense_layer_leaves_are_counted_past_the_blocks(method: str) -> None:
    layers = [{"kind": "dense", "activation": "relu"}, {"order": "post", "repeat": 3, "activation": "relu"}]
    network = net(depth=None, layers=layers)
    specs, stream = resolved_layers(network)[0], np.random.SeedSequence(3)
    found = OneNetwork(specs, (20,) * 5, 1.0, Options(method=method))(stream)
    first = next(forward_pass(specs, (20,) * 5, 1.0, np.random.default_rng(stream)))
    assert 0 < np.count_nonzero(first.left) < 20
    assert found.log_singular_values.size == np.count_nonzero(first.left)
    x, drawn = as_sampled(specs, (20,) * 5, stream)
    expected = np.linalg.svd(numeric(specs, drawn, x), compute_uv=False)
    np.testing.assert_allclose(np.exp(found.log_singular_values), expected[: found.log_singular_values.size], rtol=1e-6)


# precision, libraries, memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_single_precision_and_other_libraries_agree(weights: str, order: str) -> None:
    network = net(order=order, weights=weights, sigma_b=0.1, skip=0.9)
    expected = sample(network, 30, 2).log_singular_values
    np.testing.assert_allclose(sample(network, 30, 2, dtype="float32").log_singular_values, expected, atol=2e-5)
    other = sample(network, 30, 2, array_module="array_api_strict").log_singular_values
    np.testing.assert_allclose(other, expected, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.25, 1.2])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_memory_is_no_more_than_estimated(weights: str, alpha: float) -> None:
    network = net(depth=20, weights=weights, alpha=alpha)
    sample(network, 8, 1)  # what is loaded and kept is none of it
    tracemalloc.start()
    sample(network, 150, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.25 * _peak_bytes((150,), "float64") < peak < _peak_bytes((150,), "float64")


def test_rescaling_a_homogeneous_net_changes_nothing(monkeypatch) -> None:
    network = net(activation="relu", sigma_b=0.2, depth=12)
    before = sample(network, 10, 2)
    monkeypatch.setattr("spectra.sampling.forward.RESCALE", 1.2)
    after = sample(network, 10, 2)
    np.testing.assert_allclose(after.log_singular_values, before.log_singular_values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(after.q, before.q, rtol=1e-9)


# theory -----------------------------------------------------------------------------------------------------------


def extrapolated(network: Network, width: int, samples: int, measure: Any) -> tuple[float, float]:
    """Mean of `measure` over networks, and its standard error, the term in 1/N removed: 2 m(2N) − m(N)."""
    found = []
    for n, count in ((width, 2 * samples), (2 * width, samples)):
        each = measure(sample(network, n, count, seed=5).singular_values ** 2)
        found.append((each.mean(), each.std() / np.sqrt(count)))
    (narrow, its), (wide, error) = found
    return float(2 * wide - narrow), float(np.hypot(2 * error, its))


@pytest.mark.parametrize(
    ("activation", "weights", "order"),
    [
        ("tanh", "gaussian", "pre"),
        ("tanh", "orthogonal", "post"),
        ("gelu", "gaussian", "post"),
        ("gelu", "orthogonal", "pre"),
    ],
)
def test_mean_square_gradient_is_the_product_of_the_chi(activation: str, weights: str, order: str) -> None:
    """m_1 = Π (β² + α²σ_w² E φ'²), within 4.5 standard errors and (depth/N)² for what is left of the 1/N series."""
    network = net(activation=activation, weights=weights, order=order, skip=0.9, alpha=0.6, sigma_b=0.2)
    found, error = extrapolated(network, 32, 180, lambda squares: squares.mean(axis=1))
    expected = float(np.prod(mean_field(network).chi))
    assert error < 0.017 * expected
    assert abs(found - expected) < 4.5 * error + (4 / 64) ** 2 * expected


@pytest.mark.parametrize("order", ["pre", "post"])
def test_sampled_variances_are_those_of_mean_field(order: str) -> None:
    """Within 4.5 standard errors and ½ Var q̂/q for the curvature of the maps, which is at most 1/q."""
    network = net(activation="softplus", order=order, sigma_b=0.2, skip=0.9, depth=6)
    emp, field = sample(network, 100, 100), mean_field(network)
    curvature = 0.5 * emp.q.var(axis=0) / field.q**2
    for sampled, expected in ((emp.q, field.q), (emp.chi, field.chi)):
        error = sampled.std(axis=0) / np.sqrt(emp.samples)
        assert np.all(error < 0.025 * expected)
        assert np.all(np.abs(sampled.mean(axis=0) - expected) < 4.5 * error + curvature * expected)


def test_a_skip_below_zero_turns_masks_over() -> None:
    """ReLU, order "pre": x changes its sign from block to block, so that slopes are anticorrelated.

    m_2/m_1² of the blocks' equation, which takes the sign of β from their correlation alone.
    """
    found = {}
    for skip in (-0.9, 0.9):
        network = net(activation="relu", skip=skip, alpha=0.7)
        equation = BlockEquation(blocks_of(layers_of(mean_field(network))), 8)
        first, second = block_moments(equation, 2, 9.0)
        found[skip] = second / first**2
        measure = lambda squares: (squares**2).mean(axis=1) / squares.mean(axis=1) ** 2  # noqa: E731
        sampled, error = extrapolated(network, 48, 180, measure)
        assert abs(sampled - found[skip]) < 4.5 * error
        assert error < 0.03
    assert found[0.9] - found[-0.9] > 0.2


def test_masks_of_blocks_are_those_of_a_forward_pass() -> None:
    """ReLU, L = 4, α = ½: m_2/m_1² is 17/9 with masks that are independent, after the weights, and not before them.

    One block 1 + X, t = α²/2: m_1 = 1 + t, m_2 = 1 + 4t + 3t², for tr (XXᵀ)² = 3t²; m_2/m_1² − 1 adds over free blocks.
    Before the weights x keeps its sign from block to block: 5.06(3)/1.602² = 1.972(12), sampled by other means
    and extrapolated in 1/N.
    """
    measure = lambda squares: (squares**2).mean(axis=1) / squares.mean(axis=1) ** 2  # noqa: E731
    post, error = extrapolated(net(activation="relu", order="post"), 48, 180, measure)
    assert abs(post - 17 / 9) < 4.5 * error
    assert error < 0.013
    pre, error = extrapolated(net(activation="relu"), 48, 180, measure)
    assert abs(pre - 1.972) < 4.5 * np.hypot(error, 0.012)
    assert pre - 17 / 9 > 4.5 * error


@pytest.mark.parametrize(
    ("activation", "sigma_w", "dtype"),
    [
        ("tanh", 3.0, "float64"),
        ("gelu", 3.0, "float64"),
        ("tanh", 100.0, "float64"),
        ("tanh", 10.0, "float32"),
    ],
)
def test_slopes_of_all_sizes_after_the_sum_keep_the_smallest(activation: str, sigma_w: float, dtype: str) -> None:
    """Four blocks of slopes that span up to 300 decades, the very matrices multiplied by mpmath."""
    network = Network(
        kind="residual",
        order="sum",
        activation=activation,
        sigma_w=sigma_w,
        sigma_b=0.0,
        alpha=1.0,
        depth=4,
        input_variance=1.0,
    )
    specs, variance = resolved_layers(network)
    rng = np.random.default_rng(np.random.SeedSequence((0, 6)).spawn(1)[0])
    with mpmath.workdps(1300):
        exact = mpmath.eye(6)
        for layer in forward_pass(specs, (6,) * 5, variance, rng, HostArrays(DTYPES[dtype])):
            block = mpmath.diag([layer.skip] * 6) + mpmath.diag(layer.left.tolist()) * mpmath.matrix(
                layer.weights.tolist()
            )
            exact = mpmath.diag(layer.outer.tolist()) * (block * exact)
        expected = [float(mpmath.log(v)) for v in mpmath.svd_r(exact, compute_uv=False)]
    assert expected[0] - expected[-1] > 15.0
    found = sample(network, 6, 1, dtype=dtype).log_singular_values[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 if dtype == "float64" else 1e-3)


@pytest.mark.parametrize(
    ("order", "activation", "alpha", "skip"),
    [("pre", "tanh", 5.0, 1e-3), ("post", "hard_tanh", 5.0, 1e-3), ("sum", "tanh", 7.4, -1.0)],
)
def test_blocks_of_little_skip_or_one_below_zero_keep_the_smallest(
    order: str, activation: str, alpha: float, skip: float
) -> None:
    """Of units that are off β alone is left, a thousandth of what W gives; the very matrices multiplied by mpmath."""
    network = Network(
        **(BLOCKS | {"sigma_w": 2.7, "sigma_b": 0.0}),
        order=order,
        activation=activation,
        alpha=alpha,
        skip=skip,
        depth=9,
    )
    specs, variance = resolved_layers(network)
    rng = np.random.default_rng(np.random.SeedSequence((0, 5)).spawn(1)[0])
    with mpmath.workdps(400):
        exact, ones = mpmath.eye(5), np.ones(5)
        for layer in forward_pass(specs, (5,) * 10, variance, rng):
            left, right, outer = (
                mpmath.diag((ones if part is None else part * ones).tolist())
                for part in (layer.left, layer.right, layer.outer)
            )
            exact = outer * (
                (mpmath.diag([layer.skip] * 5) + left * mpmath.matrix(layer.weights.tolist()) * right) * exact
            )
        expected = [float(mpmath.log(v)) for v in mpmath.svd_r(exact, compute_uv=False)]
    found = sample(network, 5, 1).log_singular_values[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
