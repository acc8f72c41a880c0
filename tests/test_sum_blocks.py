"""Residual blocks with φ after the sum: mean field by integrals, derivative, laws by enumeration and samples."""

from __future__ import annotations

import itertools
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

from spectra import Network, predict, residual_strength, sample
from spectra.advice import Target, tune
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.free_series import free_series_moments
from spectra.correlated.moments import block_moments
from spectra.correlated.network import layers_of
from spectra.errors import ConfigError
from spectra.network.branch_bounds import branch_bounds
from spectra.network.drift import CERTAIN, Values, drifted
from spectra.network.meanfield import mean_field
from spectra.sampling.forward import resolved_layers
from spectra.sampling.matrix_free.jacobian import LiveRows, layer_product
from spectra.sampling.one import OneNetwork, Options
from spectra.sampling.weights import random_weights

BLOCKS: dict[str, Any] = {"kind": "residual", "order": "sum", "sigma_w": 1.0, "input_variance": 1.0}


def net(**keys: Any) -> Network:
    return Network(**(BLOCKS | {"depth": 3, "activation": "relu", "alpha": 0.6} | keys))


# what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"order": "summ"}, ("`order = ", '"sum" for x ← φ(βx + α(Wx + b))', 'did you mean "sum"')),
        ({"normalise": "rms"}, ('`order = "sum"`', 'must be "pre" or "post" in a block with `normalise`')),
        ({"input_variance": "fixed-point"}, ("`input_variance = ", "must be a positive number")),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys: dict, parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        net(**keys)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("ask", "network", "part"),
    [
        (mean_field, net(depth=None, layers=[{"kind": "dense"}, {}]), "the law of x"),
        (mean_field, net(depth=None, layers=[{"order": "post"}, {}]), "the law of x"),
        (mean_field, net(depth=2000), "1,000 in a run at most"),
        (mean_field, net(alpha=1e-3), "too small beside it"),
        (predict, net(depth=None, layers=[{"order": "pre"}, {}]), 'after a block of order "pre"'),
        (predict, net(activation="tanh"), "finitely many slopes"),
        (residual_strength, net(), 'order "pre" and "post" alone'),
        (lambda n: tune(n, Target("s_max", 2.0)), net(activation="tanh"), "finitely many slopes"),
    ],
)
def test_what_is_not_known_is_refused_by_name(ask: Any, network: Network, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ask(network)
    assert part in str(caught.value)
    assert "`" in str(caught.value)


# mean field -------------------------------------------------------------------------------------------------------


def test_laws_on_panels_agree_with_closed_forms() -> None:
    """Of m = ±1 and noise: E cos h = cos 1 e^{−v/2}, P(h > ½); given m each by itself."""
    given = Values(np.array([-1.0, 1.0]), np.array([0.3, 0.7]))
    found, v = drifted(given, 0.16, (0.5,), finest=0.4), 0.16
    h = found.values
    assert h.mean(np.cos(h.places)) == pytest.approx(math.cos(1.0) * math.exp(-v / 2), rel=1e-11)
    above = [0.5 * math.erfc((0.5 - m) / 0.4 / math.sqrt(2.0)) for m in given.places]
    np.testing.assert_allclose(found.kernel @ (h.places > 0.5), above, atol=1e-11)
    np.testing.assert_allclose(found.kernel @ h.places**2, 1.0 + v, rtol=1e-11)
    assert drifted(CERTAIN, 1.0, (), finest=1.0).values.share.sum() == pytest.approx(1.0, rel=1e-12)


def gauss(x: float, variance: float) -> float:
    return math.exp(-0.5 * x * x / variance) / math.sqrt(2.0 * math.pi * variance)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_two_blocks_by_integrals(name: str, count: int) -> None:
    """h_1 is normal, h_2 = βφ(h_1) and noise: E over both by scipy's adaptive quadrature, one inside the other."""
    beta, alpha, w2, b2 = 0.9, 0.7, 1.3**2, 0.2**2
    phi, slope = {
        "relu": (lambda x: max(x, 0.0), lambda x: float(x > 0)),
        "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    }[name]

    def mean(f: Any, variance: float, centre: float = 0.0) -> float:
        reach = 9.0 * math.sqrt(variance)
        ends = sorted({-reach, min(max(-centre, -reach), reach), reach})
        return sum(quad(lambda g: f(centre + g) * gauss(g, variance), a, b, epsabs=1e-12)[0] for a, b in pairwise(ends))

    def noise(r: float) -> tuple[float, float]:
        passed = 1.0
        for _ in range(count - 1):
            q = w2 * r + b2
            r, passed = mean(lambda x: phi(x) ** 2, q), passed * mean(lambda x: slope(x) ** 2, q)
        return alpha**2 * (w2 * r + b2), passed

    v1, passed1 = noise(0.8)
    q1 = beta**2 * 0.8 + v1
    r1 = mean(lambda x: phi(x) ** 2, q1)
    v2, passed2 = noise(r1)
    q2, s2, r2 = (
        mean(lambda h, f=f: mean(f, v2, beta * phi(h)), q1)
        for f in (lambda x: x * x, lambda x: slope(x) ** 2, lambda x: phi(x) ** 2)
    )
    keys = {"skip": beta, "alpha": alpha, "sigma_w": 1.3, "sigma_b": 0.2, "branch_layers": count}
    field = mean_field(net(activation=name, depth=2, input_variance=0.8, **keys))
    np.testing.assert_allclose(field.q, [q1, q2], rtol=1e-10)
    s1 = mean(lambda x: slope(x) ** 2, q1)
    chi = [(beta**2 + alpha**2 * w2**count * p) * s for p, s in ((passed1, s1), (passed2, s2))]
    np.testing.assert_allclose(field.chi, chi, rtol=1e-10)
    assert field.leaving.second == pytest.approx(r2, rel=1e-10)


def test_bounds_have_no_floor() -> None:
    low, high = branch_bounds(mean_field(net(alpha=0.3, sigma_w=0.9, depth=2)))
    assert (low, high) == pytest.approx((-math.inf, 2 * math.log(1 + 2 * 0.3 * 0.9)), rel=1e-13)


# sampling ---------------------------------------------------------------------------------------------------------


def output(phi: Any, specs: list, drawn: list, x: np.ndarray) -> np.ndarray:
    for spec, own in zip(specs, drawn, strict=True):
        y = x
        for k, (w, b) in enumerate(own):
            y = w @ (phi(y) if k else y) + b
        x = phi(spec.skip * x + spec.alpha * y)
    return x


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["relu", "gelu"])
@pytest.mark.parametrize("method", ["auto", "graded"])
def test_sampled_jacobian_is_the_derivative_of_the_forward_map(method: str, name: str, count: int) -> None:
    network = net(activation=name, branch_layers=count, skip=0.8, sigma_b=0.3)
    specs, widths, stream = resolved_layers(network)[0], (8,) * 4, np.random.SeedSequence(5)
    found = OneNetwork(specs, widths, 1.0, Options(method=method))(stream)
    rng = np.random.default_rng(stream)
    x = rng.standard_normal(8)
    x /= np.sqrt(np.mean(x**2))
    drawn = [
        [(random_weights("gaussian", 8, 8, 1.0, rng), 0.3 * rng.standard_normal(8)) for _ in range(count)]
        for _ in specs
    ]
    phi, steps = specs[0].activation, 1e-5 * np.eye(8)
    whole = np.stack(
        [(output(phi, specs, drawn, x + e) - output(phi, specs, drawn, x - e)) / 2e-5 for e in steps], axis=1
    )
    expected = np.linalg.svd(whole, compute_uv=False)
    known = np.exp(found.log_singular_values)
    np.testing.assert_allclose(known, expected[: known.size], rtol=1e-6)
    # Units of slope 0 are counted: they are no small numbers.
    assert np.all(expected[known.size :] < 1e-9)
    assert (name == "relu") == (known.size < 8)


def test_operator_without_matrices_has_the_same_rows() -> None:
    specs, widths = resolved_layers(net(branch_layers=2))[0], (12,) * 4
    product = layer_product(specs, widths, 1.0, np.random.SeedSequence(2))
    whole = product.matmat(np.eye(12))
    np.testing.assert_allclose(product.rmatmat(np.eye(12)), whole.T, atol=1e-12)
    np.testing.assert_array_equal(product.live, np.flatnonzero(np.abs(whole).sum(axis=1)))
    assert 0 < LiveRows(product).shape[0] < 12


# laws -------------------------------------------------------------------------------------------------------------


def by_enumeration(network: Network, u: complex) -> complex:
    """ψ(u) of two ReLU blocks: four mask paths, of probabilities by scipy, and the whole matrix of each inverted."""
    alpha, field = network.layers[0].alpha or 0.0, mean_field(network)
    v1 = alpha**2
    v2 = alpha**2 * (1.0 + v1) / 2.0
    q1 = 1.0 + v1
    # P(h_1 > 0, h_2 > 0), h_2 = relu(h_1) and noise; below 0 each is as likely as not.
    both = quad(lambda h: gauss(h, q1) * 0.5 * math.erfc(-h / math.sqrt(2.0 * v2)), 0.0, 12.0, epsabs=1e-13)[0]
    paths = {(1, 1): both, (1, 0): 0.5 - both, (0, 1): 0.25, (0, 0): 0.25}
    assert field.chi[1] == pytest.approx((1.0 + alpha**2) * (both + 0.25), rel=1e-10)
    zeta = -np.sqrt(complex(u)) if np.sqrt(complex(u)).imag > 0 else np.sqrt(complex(u))
    a, b, corner = np.full(2, -0.02j), np.full(2, -0.02j), 0.0j
    for _ in range(4000):
        means_a, means_b, corner = np.zeros(2, complex), np.zeros(2, complex), 0.0j
        for masks, share in paths.items():
            # r_0, c_0, r_1, c_1, r_2, c_2
            diagonal = [-zeta, -b[0], -masks[0] * a[0], -b[1], -masks[1] * a[1], -zeta]
            matrix = np.diag(np.array(diagonal))
            for k, link in enumerate((1.0, -masks[0], 1.0, -masks[1], 1.0)):
                matrix[k, k + 1] = matrix[k + 1, k] = link
            inverse = np.linalg.inv(matrix)
            corner += share * inverse[0, 0]
            means_a += share * inverse[[1, 3], [1, 3]]
            means_b += share * np.array(masks) * inverse[[2, 4], [2, 4]]
        step = max(np.abs(alpha**2 * means_a - a).max(), np.abs(alpha**2 * means_b - b).max())
        a, b = 0.5 * (a + alpha**2 * means_a), 0.5 * (b + alpha**2 * means_b)
        if step < 1e-15:
            break
    return complex(zeta * corner)


@pytest.mark.parametrize("u", [0.1 - 0.05j, 0.6 - 0.4j, -0.5 - 0.1j])
def test_two_relu_blocks_are_what_enumeration_gives(u: complex) -> None:
    network = net(depth=2)
    found = BlockEquation(blocks_of(layers_of(mean_field(network)))).solve(np.array([u]))
    assert found.solved.all()
    assert found.psi[0] == pytest.approx(by_enumeration(network, u), rel=1e-9)


def test_one_block_is_free() -> None:
    """D (β + X), D² of ReLU by half 0 and 1: S is (1 + w)/(½ + w) times that of β + X; equation and series agree."""
    for weights, count in itertools.product(("gaussian", "orthogonal"), (1, 2)):
        layers = layers_of(mean_field(net(depth=1, weights=weights, branch_layers=count)))
        found = block_moments(BlockEquation(blocks_of(layers)), 4, 8.0)
        np.testing.assert_allclose(found, free_series_moments(layers, 4), rtol=1e-10)
        # m_1 = (β² + α²/2^{n−1})/2.
        assert found[0] == pytest.approx(0.5 * (1.0 + 0.36 / 2 ** (count - 1)), rel=1e-10)


@pytest.mark.parametrize(("name", "count"), [("relu", 1), ("tanh", 2)])
def test_moments_are_those_of_sampled_networks(name: str, count: int) -> None:
    """M_1, and m_2, of widths 40 and 80 extrapolated in 1/N, in 4.5 standard errors and (depth/N)² for the rest.

    Independent slopes have m_1 lower by a fifth or more: many standard errors.
    """
    network = net(activation=name, branch_layers=count, alpha=0.8)
    layers, found = layers_of(mean_field(network)), []
    predicted = block_moments(BlockEquation(blocks_of(layers), 12), 2, 30.0)
    for n, samples in ((40, 260), (80, 130)):
        squares = sample(network, n, samples, seed=9).singular_values ** 2
        each = np.stack([(squares**k).mean(axis=1) for k in (1, 2)])
        found.append((each.mean(axis=1), each.std(axis=1) / math.sqrt(samples)))
    (narrow, its), (wide, error) = found
    sampled, error = 2 * wide - narrow, np.hypot(2 * error, its)
    assert np.all(error < [0.05, 0.12] * predicted)
    assert np.all(np.abs(sampled - predicted) < 4.5 * error + (3 * count / 80) ** 2 * predicted)
    assert predicted[0] - free_series_moments(layers, 1)[0] > 4.5 * error[0]


def test_prediction_of_relu_blocks_is_certified() -> None:
    found = predict(net(depth=2, alpha=0.7))
    assert found.checks.certified
    assert found.spectrum.atom_at_zero == pytest.approx(0.5, abs=1e-12)
    assert len(found.spectrum.arcs) == 2
    assert "m_1 is not the product of chi" in found.checks.notes[1]
    free = free_series_moments(layers_of(found.mean_field), 1)[0]
    assert f"m_1 off by {free / found.moments(1)[0] - 1.0:+.2%}" in found.checks.notes[1]
    assert found.outliers == ()
    # Where the two bulks end, from 4 networks of N = 800: eigenvalues between 0.0231 and 6.05, about 0.24 the fewest.
    low, high = np.exp([-found.spectrum.arcs[-1].high, -found.spectrum.arcs[0].low])
    assert 0.019 < low < 0.0231
    assert 6.05 < high < 6.5


def test_a_bulk_far_below_the_others_is_found() -> None:
    """One block of leaky ReLU: J = D (1 + αW), m_1 = (1 + α²) E D², and half of the law at about 1e-4, D² there."""
    keys: dict[str, Any] = {"kind": "residual", "order": "sum", "activation": "leaky_relu", "input_variance": 1.0}
    prediction = predict(Network(depth=1, alpha=0.7, sigma_w=1.0, **keys))
    assert prediction.checks.certified
    assert prediction.moments(1)[0] == pytest.approx(1.49 * (1.0 + 1e-4) / 2.0, rel=1e-10)
    low, high = prediction.spectrum.support()
    # D (1 + αW)(1 + αW)ᵀ D, D ≤ 1, lies below (1 + 2α)².
    assert 0.0 < low < 1e-4 < high < (1.0 + 2 * 0.7) ** 2
    assert prediction.spectrum.cdf(0.01) == pytest.approx(0.5, abs=1e-9)
