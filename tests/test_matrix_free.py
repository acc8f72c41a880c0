"""Matrix-free sampling: operators against matrices, Haar reflectors, streams, scales, memory."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from matrix_free_cases import drawn, matrix, rectangular, stream, tanh_net

from spectra import Network
from spectra.network.meanfield import mean_field
from spectra.sampling import matrix_free
from spectra.sampling.graded import GradedProduct
from spectra.sampling.matrix_free.jacobian import layer_product
from spectra.sampling.matrix_free.weights import PANEL, child, redrawn_weights

KINDS = ("gaussian", "orthogonal", "uniform", "rademacher")
SHAPES = ((90, 90), (50, 80), (80, 50), (1, 7), (7, 1), (1, 1))


# weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_products_belong_to_the_same_matrix(kind, shape, monkeypatch):
    monkeypatch.setattr("spectra.sampling.matrix_free.weights.BLOCK", 400)  # several blocks of rows
    weights = drawn(kind, shape, 1.3)
    w = matrix(weights)
    assert w.shape == shape
    np.testing.assert_allclose(weights.transposed_times(np.eye(shape[0])), w.T, rtol=0, atol=1e-14)
    x = np.random.default_rng(0).standard_normal((shape[1], 3))
    np.testing.assert_allclose(weights.times(x), w @ x, rtol=0, atol=1e-13)
    kept = drawn(kind, shape, 1.3, room=1e6)
    for _ in range(2):  # drawn, then remembered
        np.testing.assert_array_equal(kept.times(x), weights.times(x))
    assert not np.allclose(matrix(drawn(kind, shape, 1.3, 2)), w) or shape == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30)])
def test_entries_have_variance_over_fan_in(kind, shape):
    draws = np.array([matrix(drawn(kind, shape, 1.7, i)) for i in range(30)])
    squares = draws**2 * shape[1] / 1.7**2
    assert abs(squares.mean() - 1) < 4.5 * squares.mean(axis=(1, 2)).std() / math.sqrt(30) + 1e-12
    assert abs(draws.mean()) < 4.5 * 1.7 / math.sqrt(shape[1] * draws.size)
    if kind == "rademacher":
        np.testing.assert_allclose(squares, 1, rtol=1e-14)
    if kind == "uniform":
        assert np.max(squares) <= 3
    if kind == "orthogonal":
        w = draws[0] if shape[0] <= shape[1] else draws[0].T
        ratio = 1.0 if shape[0] <= shape[1] else shape[0] / shape[1]
        np.testing.assert_allclose(w @ w.T, 1.7**2 * ratio * np.eye(min(shape)), rtol=0, atol=1e-13)


def test_reflectors_are_haar_and_not_merely_orthogonal(monkeypatch):
    # Exact: E Q = 0 (not so without the signs), E Q_ij^2 = 1/n, E Q_ij^4 = 3/(n(n+2)), E (tr Q)^2 = 1.
    monkeypatch.setattr("spectra.sampling.matrix_free.weights.PANEL", 2)  # several panels
    n, trials = 5, 2000
    q = np.array([matrix(redrawn_weights("orthogonal", n, n, 1.0, s)) for s in stream().spawn(trials)])
    np.testing.assert_allclose(q @ q.transpose(0, 2, 1), np.broadcast_to(np.eye(n), q.shape), atol=1e-14)
    assert np.max(np.abs(q.mean(axis=0))) < 4.5 / math.sqrt(n * trials)
    for power, expected in ((2, 1 / n), (4, 3 / (n * (n + 2)))):
        spread = (q**power).std(axis=0) / math.sqrt(trials)
        assert np.max(np.abs((q**power).mean(axis=0) - expected) / spread) < 4.5
    traces = np.trace(q, axis1=1, axis2=2) ** 2
    assert abs(traces.mean() - 1) < 4.5 * traces.std() / math.sqrt(trials)
    assert abs(np.mean(np.linalg.det(q))) < 4.5 / math.sqrt(trials)


def test_panels_hold_the_product_of_single_reflections():
    weights = drawn("orthogonal", (2 * PANEL + 3, PANEL + 5), 1.0)
    product = np.eye(weights.n_out)
    for start in range(0, weights.n_in, PANEL):
        vectors, _, signs = weights._panel(start)
        for column in vectors.T:
            v = np.append(np.zeros(start), column)
            product = product @ (np.eye(v.size) - 2 * np.outer(v, v) / (v @ v))
        diagonal = np.ones(weights.n_out)
        diagonal[start : start + signs.size] = signs
        product = product @ np.diag(diagonal)
    expected = math.sqrt(weights.n_out / weights.n_in) * product[:, : weights.n_in]
    np.testing.assert_allclose(matrix(weights), expected, rtol=0, atol=1e-13)


# the Jacobian -----------------------------------------------------------------------------------------------------


def explicit(network, widths) -> Any:
    """The operator, and J by the chain rule in a forward pass of its own, with the variances on the way."""
    state = mean_field(network)
    specs = [run.spec for run in state.runs for _ in range(run.repeat)]
    x = np.random.default_rng(child(stream(), 0)).standard_normal((2, widths[0]))[0]
    x *= math.sqrt(0.7 / np.mean(x**2))
    j, q, chi = np.eye(widths[0]), [], []
    for index, spec in enumerate(specs, start=1):
        own = child(stream(), index)
        w = matrix(redrawn_weights(spec.weights, widths[index], widths[index - 1], 1.5, child(own, 1)))
        h = w @ x + 0.3 * np.random.default_rng(child(own, 0)).standard_normal(widths[index])
        slopes = spec.activation.derivative(h)
        x, j = spec.activation(h), np.diag(slopes) @ w @ j
        q.append(np.mean(h**2))
        chi.append(1.5**2 * np.mean(slopes**2))
    return layer_product(specs, widths, state.input_variance, stream()), j, q, chi


@pytest.mark.parametrize(
    ("network", "widths"),
    [*((tanh_net(weights=kind), (40,) * 4) for kind in KINDS), (rectangular(), (30, 50, 20, 40))],
)
def test_operator_is_the_explicit_product_along_the_forward_pass(network, widths):
    product, j, q, chi = explicit(network, widths)
    scale = math.exp(product.log_scale)
    np.testing.assert_allclose(scale * (product @ np.eye(widths[0])), j, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scale * (product.T @ np.eye(widths[-1])), j.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(product.q, q, rtol=1e-12)
    np.testing.assert_allclose(product.chi, chi, rtol=1e-12)


def test_jacobians_can_be_had_as_operators():
    found = matrix_free.sample(tanh_net(), 50, samples=2, seed=3)
    for index in range(2):
        j = matrix_free.jacobian(tanh_net(), 50, index, seed=3) @ np.eye(50)
        assert np.exp(found.log_top[index]) == pytest.approx(np.linalg.norm(j, 2) ** 2, rel=1e-10)


def test_networks_depend_on_seed_and_index_alone():
    one, again = (matrix_free.sample(tanh_net(), 30, samples=2, seed=3, memory=m) for m in (0.0, 1e9))
    longer = matrix_free.sample(tanh_net(), 30, samples=3, seed=3)
    for name in ("log_probe_moments", "log_nodes", "weights", "converged", "log_top", "q", "chi"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(one, name), getattr(longer, name)[:2])
    other = matrix_free.sample(tanh_net(), 30, samples=2, seed=4)
    assert not np.isin(other.log_top, one.log_top).any()
    assert (one.samples, one.probes, one.steps, one.width, one.depth) == (2, 16, 30, 30, 3)


def test_variances_on_the_way_are_those_of_mean_field():
    found, state = (
        matrix_free.sample(tanh_net(), 400, samples=8, probes=1, steps=3, tolerance=0.5),
        mean_field(tanh_net()),
    )
    for sampled, expected in ((found.q, state.q), (found.chi, state.chi)):
        error = sampled.std(axis=0, ddof=1) / math.sqrt(8)
        # Bias of order depth/N, beside the scatter.
        assert np.all(np.abs(sampled.mean(axis=0) - expected) < 6 * error + 3 / 400 * np.abs(expected))


def test_scales_beyond_doubles_are_kept_in_logarithms():
    chaotic = Network(depth=400, activation="tanh", weights="gaussian", sigma_w=30.0, input_variance=1.0)
    found, state = matrix_free.sample(chaotic, 12, samples=1, seed=2), mean_field(chaotic)
    network = np.random.SeedSequence((2, 12, 1)).spawn(1)[0]
    specs = [run.spec for run in state.runs for _ in range(run.repeat)]
    layers = layer_product(specs, (12,) * 401, state.input_variance, network)
    product = GradedProduct(12)
    for layer in layers._layers:
        product.multiply(matrix(layer.weights), layer.left)
    assert abs(found.log_top[0]) > 800
    expected = 2 * (product.log_singular_values()[0] + layers.log_scale)
    assert found.log_top[0] == pytest.approx(expected, abs=1e-6)


def test_a_network_that_passes_nothing_is_zero():
    dead = Network(depth=30, activation="relu", sigma_w=1.4, input_variance=1.0)
    found = matrix_free.sample(dead, 1, samples=2)
    assert np.isneginf(found.log_top).all()
    np.testing.assert_array_equal(found.moments, 0.0)
    np.testing.assert_array_equal(found.cdf(np.array([-1.0, 0.0, 1.0])), [0.0, 1.0, 1.0])


def test_memory_is_of_order_width():
    for kind in ("gaussian", "orthogonal"):
        network = tanh_net(depth=1, weights=kind)
        matrix_free.sample(network, 40, samples=1)  # imports
        tracemalloc.start()
        options = {"probes": 4, "steps": 4, "tolerance": 0.9, "memory": 0.0}
        matrix_free.sample(network, 2000, samples=1, **options)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * 2000**2 / 9
