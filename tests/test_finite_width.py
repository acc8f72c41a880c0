"""Finite-width theory against enumeration of all weights of a cubature, angles of Haar matrices, and samples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from spectra.finite_width import finite_moments, log_variance
from spectra.network import Network
from spectra.network.meanfield import mean_field
from spectra.sampling import sample

HERMITE = np.polynomial.hermite_e.hermegauss(4)  # exact to degree 7; no node at 0, where the sign of h would be lost


def network(widths: tuple[int, ...], **keys) -> Network:
    layers = [{"width": n} for n in widths[1:]]
    return Network(**({"input_width": widths[0], "layers": layers, "input_variance": 1.0, "sigma_w": 1.3} | keys))


def gaussian_matrices(n_out: int, n_in: int, scale: float):
    """Every matrix of the tensor Gauss–Hermite cubature, with its weight."""
    nodes, weights = HERMITE
    for picked in itertools.product(range(4), repeat=n_out * n_in):
        index = list(picked)
        yield scale * nodes[index].reshape(n_out, n_in), math.prod(weights[index]) / (2 * math.pi) ** (len(index) / 2)


def haar_matrices(scale: float):
    """O(2) by 8 angles and both determinants: exact for trigonometric polynomials of degree 7, closed under flips."""
    for k, sign in itertools.product(range(8), (1.0, -1.0)):
        c, s = math.cos(0.3 + k * math.pi / 4), math.sin(0.3 + k * math.pi / 4)
        yield scale * np.array([[c, -s], [sign * s, sign * c]]), 1 / 16


def enumerated(widths: tuple[int, ...], weights: str, left: float, bias: float) -> tuple[float, float, float, float]:
    """E m̂_1, E m̂_2, E m̂_1² and E ‖J e_1‖⁴/E² with a real forward pass through φ(h) = max(h, left·h)."""
    total = np.zeros(5)
    v = np.zeros(widths[0])
    v[0] = 1.0

    def run(x: np.ndarray, product: np.ndarray, layer: int, mass: float) -> None:
        if layer == len(widths):
            spectrum = product @ product.T
            m_1, m_2 = np.trace(spectrum) / widths[-1], np.sum(spectrum**2) / widths[-1]
            size = float(np.sum((product @ v) ** 2))
            total[:] += mass * np.array([m_1, m_2, m_1**2, size, size**2])
            return
        n_out, n_in = widths[layer], widths[layer - 1]
        scale = 1.3 / math.sqrt(n_in)
        draws = haar_matrices(1.3) if weights == "orthogonal" else gaussian_matrices(n_out, n_in, scale)
        for w, share in draws:
            # Biases come with both signs, jointly or not: symmetric, as Gaussian ones are.
            for signs in itertools.product((1.0, -1.0), repeat=n_out if bias else 0):
                h = w @ x + (bias * np.array(signs) if bias else 0.0)
                slopes = np.where(h > 0, 1.0, left)
                run(slopes * h, slopes[:, None] * (w @ product), layer + 1, mass * share / (2**n_out if bias else 1))

    x = np.array([0.9, -0.35, 0.6])[: widths[0]]
    run(x, np.eye(widths[0]), 1, 1.0)
    return total[0], total[1], total[2], total[4] / total[3] ** 2


CASES = [
    ((2, 2), "gaussian", 0.0, 0.0),
    ((2, 2), "gaussian", 0.0, 0.4),
    ((2, 2), "gaussian", 1.0, 0.0),
    ((1, 3), "gaussian", 0.3, 0.0),
    ((3, 2), "gaussian", 0.3, 0.0),
    ((2, 1, 2), "gaussian", 0.0, 0.2),
    ((1, 2, 2), "gaussian", 0.0, 0.0),
    ((2, 2, 2), "orthogonal", 0.0, 0.0),
    ((2, 2, 2), "orthogonal", 0.3, 0.2),
]


@pytest.mark.parametrize(("widths", "weights", "left", "bias"), CASES)
def test_expectations_are_those_of_every_forward_pass(widths, weights, left, bias):
    activation = {0.0: "relu", 1.0: "identity"}.get(left, {"name": "leaky_relu", "negative_slope": left})
    net = network(widths, activation=activation, weights=weights, sigma_b=bias)
    found = finite_moments(mean_field(net), widths)
    assert found is not None
    m_1, m_2, square, fourth = enumerated(widths, weights, left, bias)
    assert math.exp(found.log_first) == pytest.approx(m_1, rel=1e-12)
    assert math.exp(found.log_second) == pytest.approx(m_2, rel=1e-12)
    assert found.relative_variance == pytest.approx(square / m_1**2 - 1, abs=1e-12)
    # e_1 is as good as any v: W is invariant under rotations of the input, and φ' sees signs of h alone.
    assert found.gradient_variance == pytest.approx(fourth - 1, abs=1e-12)


@pytest.mark.parametrize(("activation", "per_layer"), [("identity", 2.0), ("relu", 5.0)])
def test_gradients_scatter_as_hanin_and_nica_say(activation, per_layer):
    widths = (7, 5, 30, 11, 4)
    found = finite_moments(mean_field(network(widths, activation=activation)), widths)
    assert found is not None
    expected = math.prod(1 + per_layer / n for n in widths[1:]) - 1
    assert found.gradient_variance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_expectations_tend_to_the_predicted_moments(weights, activation):
    from spectra.prediction import predict

    net = network((4, 4, 2, 6), activation=activation, weights=weights)
    m_1, m_2 = predict(net).moments(2)
    for factor in (1000, 10_000):
        widths = (4 * factor, 4 * factor, 2 * factor, 6 * factor)
        found = finite_moments(mean_field(net), widths)
        assert found is not None
        assert math.exp(found.log_first) == pytest.approx(m_1, rel=1e-12)
        # Each layer and width shifts m_2 by a few 1/N.
        assert math.exp(found.log_second) == pytest.approx(m_2, rel=10 / factor)
        assert found.relative_variance < 10 / factor


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "relu"},
        {"activation": "relu", "weights": "orthogonal"},
        {"activation": "leaky_relu", "sigma_b": 0.3},
    ],
)
def test_samples_at_changing_widths_have_the_exact_moments(keys):
    widths, count = (12, 16, 9, 14), 1500
    net = network(widths, **keys)
    found = finite_moments(mean_field(net), widths)
    assert found is not None
    ensemble = sample(net, samples=count, seed=4)
    m_1, m_2 = (np.exp(2 * k * ensemble.log_singular_values).sum(axis=1) / widths[-1] for k in (1, 2))
    variance = math.exp(2 * found.log_first) * found.relative_variance
    assert m_1.mean() == pytest.approx(math.exp(found.log_first), abs=4 * math.sqrt(variance / count))
    assert m_2.mean() == pytest.approx(math.exp(found.log_second), abs=4 * m_2.std() / math.sqrt(count))
    spread = (m_1 - m_1.mean()) ** 2
    assert spread.mean() == pytest.approx(variance, abs=4 * spread.std() / math.sqrt(count))


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.2},
        {"activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.2, "weights": "orthogonal"},
        {"activation": "hardtanh", "sigma_w": 1.2, "sigma_b": 0.1, "weights": "orthogonal"},
        {"activation": "gelu", "sigma_w": 1.5, "sigma_b": 0.0},
    ],
)
def test_leading_scatter_of_the_first_moment_is_that_of_samples(keys):
    net, width, count = Network(depth=4, input_variance=1.0, **keys), 160, 400
    ensemble = sample(net, width, count, seed=2)
    logs = np.log(np.exp(2 * ensemble.log_singular_values).sum(axis=1))
    predicted = log_variance(mean_field(net), ensemble.widths)
    assert predicted is not None
    # Sampling: √(2/S) of a variance. Theory: relative O(Σ 1/N_l) = 0.025, a few times that for gelu.
    assert logs.var(ddof=1) == pytest.approx(predicted, rel=4 * math.sqrt(2 / count) + 5 * 4 / width)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_leading_scatter_is_the_exact_one_at_great_width(weights):
    net, widths = network((3, 4, 2, 5), activation="leaky_relu", weights=weights, sigma_b=0.2), (30_000, 40_000, 20_000)
    widths = (*widths, 50_000)
    field = mean_field(net)
    exact, leading = finite_moments(field, widths), log_variance(field, widths)
    assert exact is not None
    assert leading == pytest.approx(exact.relative_variance, rel=1e-3)


@pytest.mark.parametrize("keys", [{"activation": "tanh"}, {"activation": "relu", "weights": "rademacher"}])
def test_what_has_no_recursion_has_no_exact_moments(keys):
    net = Network(depth=2, sigma_w=1.0, sigma_b=0.1, input_variance=1.0, **keys)
    assert finite_moments(mean_field(net), (5, 5, 5)) is None
