"""Sampled normalised networks: their Jacobian by differences of the forward map, and what theory says of it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spectra import Network, sample
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.moments import block_moments
from spectra.correlated.network import layers_of
from spectra.errors import ConfigError, ConvergenceError
from spectra.network.architectures.thinned import BatchProjection, Projection, Thinned, mean_square
from spectra.network.config import LayerSpec
from spectra.network.meanfield import mean_field
from spectra.normalisation import batch_norm, batch_norm_jacobian, layer_norm, rms_norm
from spectra.normalisation.batch import batch_moments
from spectra.prediction import predict
from spectra.sampling import estimate, matrix_free
from spectra.sampling.forward import forward_pass, resolved_layers
from spectra.sampling.matrix_free.jacobian import layer_product
from spectra.sampling.matrix_free.weights import child, redrawn_weights
from spectra.sampling.one import OneNetwork, Options
from spectra.sampling.weights import random_weights

LAYERS: dict[str, Any] = {"depth": 3, "activation": "tanh", "sigma_w": 1.1, "sigma_b": 0.3, "input_variance": 1.0}
BLOCKS: dict[str, Any] = LAYERS | {"kind": "residual", "alpha": 0.6, "skip": 0.8}

Drawn = list[tuple[np.ndarray, np.ndarray]]


def normed(spec: LayerSpec, position: str, y: np.ndarray, frozen: np.ndarray | None = None) -> np.ndarray:
    """What the normalisation makes of y, (N, B), where it stands at this position; of `frozen` the statistics."""
    n = spec.normalise
    if n is None or n.position != position:
        return y
    if n.name != "batch":
        norm = layer_norm if n.name == "layer" else rms_norm
        return norm(y.T, gain=n.gain, epsilon=n.epsilon).T
    if frozen is None:
        return batch_norm(y, gain=n.gain, epsilon=n.epsilon)
    return n.gain * (y - frozen.mean(1, keepdims=True)) / np.sqrt(frozen.var(1, keepdims=True) + n.epsilon)


def output(specs: list[LayerSpec], drawn: Drawn, x: np.ndarray, frozen: np.ndarray | None = None) -> np.ndarray:
    """The forward map of a batch (N, B), as the README writes it; with `frozen`, statistics are those of that batch."""
    for spec, (w, b) in zip(specs, drawn, strict=True):

        def step(y: np.ndarray, other: np.ndarray | None, spec=spec, w=w, b=b) -> tuple[np.ndarray, np.ndarray | None]:
            def at(position: str, one: np.ndarray, its: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
                return normed(spec, position, one, its), None if its is None else normed(spec, position, its)

            def linear(one: np.ndarray) -> np.ndarray:
                return w @ one + b[:, None]

            branch, its = y, other
            if spec.order != "pre":
                branch, its = linear(branch), None if its is None else linear(its)
            branch, its = at("before", branch, its)
            branch, its = spec.activation(branch), None if its is None else spec.activation(its)
            branch, its = at("after", branch, its)
            if spec.order == "pre":
                branch, its = linear(branch), None if its is None else linear(its)
            if spec.kind == "dense":
                return branch, its
            total = spec.skip * y + spec.alpha * branch
            whole = None if other is None or its is None else spec.skip * other + spec.alpha * its
            return at("sum", total, whole)

        x, frozen = step(x, frozen)
    return x


def by_differences(specs: list[LayerSpec], drawn: Drawn, x: np.ndarray, *, whole: bool) -> np.ndarray:
    """Derivative of all outputs by all inputs, neuron by neuron, or with statistics held fixed of the first example."""
    step, columns = 1e-5, []
    for place in np.ndindex(x.shape if whole else (x.shape[0], 1)):
        ends = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[place] += sign * step
            found = output(specs, drawn, moved) if whole else output(specs, drawn, moved, x)
            ends.append(found.ravel() if whole else found[:, 0])
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=1)


def as_sampled(
    specs: list[LayerSpec], widths: tuple[int, ...], stream: np.random.SeedSequence, count: int
) -> tuple[np.ndarray, Drawn]:
    """Inputs, weights and biases of `sample`, in the order in which they are drawn."""
    rng = np.random.default_rng(stream)
    x = rng.standard_normal((widths[0], count) if count > 1 else widths[0]).reshape(widths[0], count)
    x /= np.sqrt(np.mean(x**2, axis=0))
    drawn = []
    for spec, (before, after) in zip(specs, pairwise(widths), strict=True):
        w = random_weights(spec.weights, after, before, float(spec.sigma_w), rng)
        b = float(spec.sigma_b) * rng.standard_normal(after) if spec.sigma_b else np.zeros(after)
        drawn.append((w, b))
    return x, drawn


def arrangements() -> dict[str, Network]:
    found = {}
    for name in ("layer", "rms", "batch"):
        for position in ("before", "after", "sum"):
            for order in ("pre", "post", None):
                if order is None and position == "sum":
                    continue
                keys = LAYERS if order is None else BLOCKS | {"order": order}
                table = {"name": name, "position": position, "epsilon": 0.03, "gain": 1.2}
                found[f"{name}-{position}-{order or 'dense'}"] = Network(**keys, normalise=table)
    return found


ARRANGEMENTS = arrangements()


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_sampled_jacobian_is_the_derivative_of_the_forward_map(name: str) -> None:
    net, widths, stream = ARRANGEMENTS[name], (7,) * 4, np.random.SeedSequence(4)
    specs = resolved_layers(net)[0]
    count = 4 * 7 if "batch" in name else 1
    x, drawn = as_sampled(specs, widths, stream, count)
    expected = np.linalg.svd(by_differences(specs, drawn, x, whole=count == 1), compute_uv=False)
    found = OneNetwork(specs, widths, 1.0, Options())(stream)
    rank = found.log_singular_values.size
    np.testing.assert_allclose(np.exp(found.log_singular_values), expected[:rank], rtol=1e-6, atol=1e-9)
    assert np.all(expected[rank:] < 1e-9)
    assert rank == (6 if name in ("layer-before-dense", "layer-after-dense") or "layer-sum" in name else 7)


@pytest.mark.parametrize("keys", [LAYERS, BLOCKS, BLOCKS | {"order": "post"}], ids=["dense", "pre", "post"])
@pytest.mark.parametrize("epsilon", [0.0, 0.03])
def test_whole_batches_have_the_derivative_of_their_statistics(keys: dict, epsilon: float) -> None:
    net = Network(**keys, normalise={"name": "batch", "batch": 5, "epsilon": epsilon})
    specs, widths, stream = resolved_layers(net)[0], (4,) * 4, np.random.SeedSequence(4)
    x, drawn = as_sampled(specs, widths, stream, 5)
    expected = np.linalg.svd(by_differences(specs, drawn, x, whole=True), compute_uv=False)
    found = OneNetwork(specs, widths, 1.0, Options())(stream).log_singular_values
    np.testing.assert_allclose(np.exp(found), expected[: found.size], rtol=1e-6, atol=1e-9)
    # The projection: 2 of a neuron's 5 directions, 1 with ε, unless x goes past it.
    assert found.size == 20 - (0 if "kind" in keys else 4 * (1 if epsilon else 2))
    assert sample(net, 4, 1).log_singular_values.shape == (1, 20)


MIXED = Network(
    sigma_w=1.2,
    sigma_b=0.2,
    input_width=9,
    input_variance=1.0,
    layers=[
        {"activation": "identity", "width": 6, "normalise": "layer"},
        {"kind": "residual", "alpha": 0.7, "activation": "gelu", "width": 6, "normalise": "rms"},
        {"activation": "tanh", "width": 5},
        {"activation": "softplus", "width": 8, "normalise": {"name": "layer", "position": "after"}},
    ],
)


@pytest.mark.parametrize("method", ["auto", "graded"])
def test_widths_may_change_and_zeros_are_counted(method: str) -> None:
    widths = (9, 6, 6, 5, 8)
    specs, stream = resolved_layers(MIXED)[0], np.random.SeedSequence(8)
    x, drawn = as_sampled(specs, widths, stream, 1)
    expected = np.linalg.svd(by_differences(specs, drawn, x, whole=True), compute_uv=False)
    found = OneNetwork(specs, widths, 1.0, Options(method=method))(stream).log_singular_values
    np.testing.assert_allclose(np.exp(found), expected[: found.size], rtol=1e-6)
    assert found.size == 4  # layer norm of six leaves four
    assert np.all(expected[4:] < 1e-9)


@pytest.mark.parametrize("batch", [5, None])
def test_plain_layers_stand_between_normalised_ones(batch: int | None) -> None:
    """Of a batch of five J is of all, of large ones of the first of 24 examples; widths change on the way."""
    norm = {"name": "batch"} | ({"batch": batch} if batch else {})
    layers = [
        {"width": 4},
        {"width": 6, "normalise": norm},
        {"width": 6, "kind": "residual", "alpha": 0.5},
        {"width": 3, "weights": "orthogonal"},
    ]
    net = Network(sigma_w=1.1, sigma_b=0.2, input_variance=1.0, activation="tanh", input_width=5, layers=layers)
    specs, widths, stream = resolved_layers(net)[0], (5, 4, 6, 6, 3), np.random.SeedSequence(4)
    x, drawn = as_sampled(specs, widths, stream, batch or 24)
    expected = np.linalg.svd(by_differences(specs, drawn, x, whole=batch is not None), compute_uv=False)
    found = OneNetwork(specs, widths, 1.0, Options())(stream).log_singular_values
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-6)
    assert found.size == 3 * (batch or 1)


def test_operator_without_matrices_is_the_same_derivative() -> None:
    nets = {k: net for k, net in ARRANGEMENTS.items() if "batch" not in k} | {"mixed": MIXED}
    for name, net in nets.items():
        widths = (9, 6, 6, 5, 8) if name == "mixed" else (6,) * 4
        specs, stream = resolved_layers(net)[0], np.random.SeedSequence(6)
        product = layer_product(specs, widths, 1.0, stream)
        x = np.random.default_rng(child(stream, 0)).standard_normal((2, widths[0]))[0]
        x /= np.sqrt(np.mean(x**2))
        drawn = []
        for index, spec in enumerate(specs, start=1):
            own = child(stream, index)
            w = redrawn_weights(spec.weights, widths[index], widths[index - 1], float(spec.sigma_w), child(own, 1))
            b = float(spec.sigma_b or 0.0) * np.random.default_rng(child(own, 0)).standard_normal(widths[index])
            drawn.append((w.times(np.eye(widths[index - 1])), b))
        expected, scale = by_differences(specs, drawn, x[:, None], whole=True), np.exp(product.log_scale)
        np.testing.assert_allclose(scale * (product @ np.eye(widths[0])), expected, rtol=0, atol=1e-8, err_msg=name)
        back = scale * (product.T @ np.eye(widths[-1]))
        np.testing.assert_allclose(back, expected.T, rtol=0, atol=1e-8, err_msg=name)


def test_what_cannot_be_sampled_is_refused() -> None:
    batch = Network(**LAYERS, normalise="batch")
    with pytest.raises(ConfigError, match="sampled with matrices alone"):
        matrix_free.sample(batch, 20, samples=1)
    layers = [{"normalise": {"name": "batch", "batch": b}} for b in (4, 5)]
    with pytest.raises(ConfigError, match="batches of one size"):
        sample(Network(**(LAYERS | {"depth": None}), layers=layers), 10, 1)
    dead = Network(depth=1, activation="relu", sigma_w=1.0, normalise={"name": "rms", "position": "after"})
    with pytest.raises(ConvergenceError, match="nothing is left to normalise by; give `epsilon`"):
        sample(dead.replace(input_variance=1.0), 1, 8)
    whole = Network(**LAYERS, normalise={"name": "batch", "batch": 1000})
    with pytest.raises(ConfigError, match="more than the"):
        sample(whole, 10**5, 1)
    assert estimate(whole.replace(**{"normalise.batch": 8}), 20).bytes == estimate(Network(**LAYERS), 160).bytes


@pytest.mark.parametrize("name", ["layer-before-dense", "rms-sum-pre", "batch-after-post"])
def test_other_libraries_agree(name: str) -> None:
    net = ARRANGEMENTS[name]
    expected = sample(net, 20, 2).log_singular_values
    other = sample(net, 20, 2, array_module="array_api_strict").log_singular_values
    np.testing.assert_allclose(other, expected, atol=1e-9)
    np.testing.assert_allclose(sample(net, 20, 2, dtype="float32").log_singular_values, expected, atol=2e-3)


# theory -----------------------------------------------------------------------------------------------------------


def extrapolated(net: Network, width: int, samples: int, measure: Any) -> tuple[float, float]:
    """Mean of `measure` over networks, and its standard error, the term in 1/N removed: 2 m(2N) − m(N)."""
    found = []
    for n, count in ((width, 2 * samples), (2 * width, samples)):
        each = measure(sample(net, n, count, seed=5).singular_values ** 2)
        found.append((each.mean(), each.std() / np.sqrt(count)))
    (narrow, its), (wide, error) = found
    return float(2 * wide - narrow), float(np.hypot(2 * error, its))


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_slopes_and_signals_of_samples_are_those_of_mean_field(name: str) -> None:
    """χ_l and q_l at N and 2N, the term in 1/N removed; ReLU, whose mean counts.

    Within 4.5 standard errors, and for the next term of the series the square of the bias of χ at N, 3/N a layer.
    """
    net = ARRANGEMENTS[name].replace(activation="relu")
    specs, field, found = resolved_layers(net)[0], mean_field(net), []
    sizes = ((48, 24), (96, 12)) if "batch" in name else ((96, 120), (192, 60))
    for n, count in sizes:
        streams = np.random.SeedSequence(2).spawn(count)
        passes = [list(forward_pass(specs, (n,) * 4, 1.0, np.random.default_rng(one))) for one in streams]
        each = np.array([[(layer.chi, layer.q) for layer in layers] for layers in passes])
        found.append((each.mean(axis=0), each.std(axis=0) / math.sqrt(count)))
    (narrow, its), (wide, error) = found
    error = np.hypot(2 * error, its)
    expected = np.stack([field.chi, field.q], axis=1)
    assert np.all(error < 0.09 * expected)
    assert np.all(np.abs(2 * wide - narrow - expected) < 4.5 * error + 3 * (3 / sizes[0][0]) ** 2 * expected)


@pytest.mark.parametrize(
    "name", ["layer-before-dense", "batch-after-dense", "batch-before-pre", "rms-sum-pre", "layer-sum-post"]
)
def test_mean_square_gradient_is_the_product_of_the_chi(name: str) -> None:
    """m̂_1 = Π χ̂_l of the same network but for 1/N: what scatters most drops out. Within 4.5 standard errors."""
    net = ARRANGEMENTS[name].replace(activation="gelu")
    found = []
    for n, count in ((32, 60), (64, 30)):
        emp = sample(net, n, count, seed=5)
        each = (emp.singular_values**2).sum(axis=1) / n / emp.chi.prod(axis=1)
        found.append((each.mean(), each.std() / math.sqrt(count)))
    (narrow, its), (wide, error) = found
    error = math.hypot(2 * error, its)
    assert error < 0.06
    assert abs(2 * wide - narrow - 1.0) < 4.5 * error + (3 / 64) ** 2


@pytest.mark.parametrize("name", ["layer-before-pre", "rms-sum-pre", "batch-before-pre", "layer-after-post"])
def test_moments_are_those_of_correlated_blocks(name: str) -> None:
    """m_2/m_1² and m_3/m_1³ of hard tanh, whose masks are atoms; m_1, which fluctuates most, drops out."""
    net = ARRANGEMENTS[name].replace(activation="hardtanh", skip=1.0)
    first, second, third = block_moments(BlockEquation(blocks_of(layers_of(mean_field(net))), 12), 3, 40.0)
    for k, expected in ((2, second / first**2), (3, third / first**3)):
        found, error = extrapolated(net, 24, 100, lambda x, k=k: (x**k).mean(axis=1) / x.mean(axis=1) ** k)
        assert error < 0.05 * expected
        assert abs(found - expected) < 4.5 * error + (3 / 48) ** 2 * k * expected


@pytest.mark.parametrize("normalise", ["layer", "batch"])
def test_the_law_of_dense_layers_is_that_of_samples(normalise: str) -> None:
    """Mean of log s of orthogonal tanh layers: it has no heavy tail, and rounding by ε would show in it."""
    net = Network(depth=4, activation="tanh", weights="orthogonal", sigma_w=1.0, normalise=normalise)
    pred = predict(net)
    measure = lambda squares: (squares**2).mean(axis=1) / squares.mean(axis=1) ** 2  # noqa: E731
    found, error = extrapolated(net, 32, 60, measure)
    m_1, m_2 = pred.moments(2)
    assert error < 0.02 * m_2 / m_1**2
    assert abs(found - m_2 / m_1**2) < 4.5 * error + (4 / 64) ** 2 * m_2 / m_1**2


def test_singular_values_of_whole_batches_have_the_mean_square_of_their_size() -> None:
    """Identity, B = 8: m_1 = (7/8) Π χ, for of eight directions of a batch one never passes."""
    net = Network(depth=2, activation="identity", sigma_w=1.0, input_variance=1.0)
    net = net.replace(normalise={"name": "batch", "batch": 8})
    found, error = extrapolated(net, 10, 60, lambda squares: squares.mean(axis=1))
    expected = 7 / 8 * float(np.prod(mean_field(net).chi))
    assert error < 0.1 * expected
    assert abs(found - expected) < 4.5 * error + (2 / 20) ** 2 * expected


@pytest.mark.parametrize(("activation", "batch"), [("relu", 8), ("tanh", 6)])
def test_gradients_of_whole_batches_grow_by_the_factor_of_their_size(activation: str, batch: int) -> None:
    """|T_3|²/|T_2|² of tangents carried through by the exact Jacobian of every feature, less their mean; N = 200."""
    phi = Network(**(LAYERS | {"activation": activation})).layers[0].activation
    rng, width, ratios = np.random.default_rng(7), 200, []
    for _ in range(60):
        x, tangent = rng.standard_normal((2, width, batch))
        for _ in range(3):
            weights = rng.standard_normal((width, width)) / math.sqrt(width)
            h, before = weights @ x, tangent
            hat = batch_norm(h)
            tangent = phi.derivative(hat) * np.einsum("nij,nj->ni", batch_norm_jacobian(h), weights @ tangent)
            tangent -= tangent.mean(axis=1, keepdims=True)
            x = phi(hat)
        ratios.append(np.sum(tangent**2) / np.sum(before**2))
    expected = batch_moments(phi, batch)
    growth, error = expected.block / expected.spread, float(np.std(ratios)) / math.sqrt(60)
    assert error < 0.03 * growth
    assert abs(np.mean(ratios) - growth) < 4.5 * error + growth / width


def test_forward_signals_of_whole_batches_are_those_of_the_sphere() -> None:
    """E φ(x̂)² and E φ(x̂_i)φ(x̂_j) of sampled layers, N = 400: 4.5 standard errors over neurons and networks."""
    expected = batch_moments(Network(**LAYERS).layers[0].activation, 6)
    rng, seconds, products = np.random.default_rng(3), [], []
    for _ in range(10):
        x = rng.standard_normal((400, 6))
        for _ in range(3):
            x = np.tanh(batch_norm(rng.standard_normal((400, 400)) / 20.0 @ x))
        seconds.append(np.mean(x**2))
        products.append((np.mean(x.sum(axis=1) ** 2) - 6 * np.mean(x**2)) / 30)
    for each, value in ((seconds, expected.second), (products, expected.product)):
        assert abs(np.mean(each) - value) < 4.5 * np.std(each) / math.sqrt(10)


def test_mean_squares_are_those_of_the_matrices() -> None:
    rng = np.random.default_rng(0)
    one = Projection(np.linalg.qr(rng.standard_normal((6, 2)))[0], np.array([0.0, 0.4]))
    many = BatchProjection(np.linalg.qr(rng.standard_normal((3, 2, 1)))[0], rng.uniform(size=(3, 1)))
    for projection in (one, many):
        for inside in (False, True):
            beside = Thinned(rng.standard_normal(6), projection, inside)
            matrix = beside.times(np.eye(6))
            assert mean_square(beside) == pytest.approx(np.sum(matrix**2) / 6, rel=1e-13)
            np.testing.assert_allclose(beside.transposed_times(np.eye(6)), matrix.T, rtol=0, atol=1e-15)
            basis, sizes = projection.range()
            np.testing.assert_allclose(basis * sizes @ basis.T, projection.times(np.eye(6)), rtol=0, atol=1e-14)
