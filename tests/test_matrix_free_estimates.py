"""Matrix-free estimates: λ_max, moments, curves, operators from elsewhere, bad input, comparison, command line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from command_line import RELU, TANH, answer, refused
from matrix_free_cases import linear_operator, normal_operator, rectangular, tanh_net
from scipy.sparse import random_array
from scipy.special import digamma

from spectra import Network, predict
from spectra.agreement.matrix_free import compare
from spectra.cli import main
from spectra.errors import ConfigError, ConvergenceError
from spectra.sampling import matrix_free
from spectra.sampling.matrix_free.curves import between, midpoints
from spectra.sampling.matrix_free.lanczos import lanczos

# estimates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("probes", "steps"), [(16, 32), (4, 10), (1, 12)])
@pytest.mark.parametrize("shape", [(200, 200), (100, 300), (300, 100)])
def test_largest_eigenvalue_is_that_of_a_dense_svd(shape, probes, steps):
    j = normal_operator(*shape)
    found, exact = matrix_free.estimate(j, probes=probes, steps=steps), np.linalg.norm(j, 2) ** 2
    error = abs(math.exp(found.log_top[0]) / exact - 1)
    assert error <= found.top_bound[0] + 1e-13
    assert found.top_bound[0] <= 1e-6
    assert found.lambda_max_error <= 1e-6 * exact


def test_what_does_not_settle_is_said():
    crowded = np.diag(np.sqrt(np.linspace(0.999, 1.0, 2000)))
    with pytest.raises(ConvergenceError, match="raise `steps`"):
        matrix_free.estimate(crowded, probes=1, steps=2, orders=3, tolerance=1e-12)


@pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
def test_moments_are_traces_within_the_error_that_hutchinson_has(shape):
    j, probes = normal_operator(*shape), 400
    # More eigenvalues on the left: those beyond the rank are zeros, counted exactly.
    g = j @ j.T if shape[0] < shape[1] else j.T @ j
    found = matrix_free.estimate(j, probes=probes, steps=6, tolerance=0.5)
    for k in range(1, 5):
        power = np.linalg.matrix_power(g, k)
        # Var zᵀAz = 2 Σ_{i≠j} A_ij² for random signs (Hutchinson 1989).
        error = math.sqrt(2 * (np.sum(power**2) - np.sum(np.diagonal(power) ** 2)) / probes) / shape[0]
        assert abs(found.moments[k - 1] - np.trace(power) / shape[0]) < 4.5 * error
        # An estimated standard deviation scatters by √((kurtosis − 1)/4P) of itself; kurtosis 4 is ample.
        assert found.moment_errors[k - 1] == pytest.approx(error, rel=4.5 * math.sqrt(3 / (4 * probes)))


def test_one_layer_of_an_orthogonal_network_has_no_scatter():
    # JJᵀ is diagonal there: zᵀ(JJᵀ)^k z is the trace for all signs.
    found = matrix_free.sample(tanh_net(depth=1, weights="orthogonal"), 30, samples=1)
    assert np.ptp(found.log_probe_moments[0], axis=0) == pytest.approx(0.0, abs=1e-13)


def test_errors_are_over_networks_where_there_are_several():
    found = matrix_free.estimate([normal_operator(seed=i) for i in range(5)], probes=3, steps=8)
    means = np.exp(found.log_probe_moments).mean(axis=1)
    np.testing.assert_allclose(found.moment_errors, means.std(axis=0, ddof=1) / math.sqrt(5), rtol=1e-12)
    np.testing.assert_allclose(found.moments, means.mean(axis=0), rtol=1e-12)
    assert found.lambda_max_error == pytest.approx(np.exp(found.log_top).std(ddof=1) / math.sqrt(5), rel=1e-12)
    assert np.isnan(matrix_free.estimate(normal_operator(), probes=1, steps=8).moment_errors).all()


def test_logarithm_of_a_mean_over_probes_is_corrected():
    # x_p Gamma distributed with shape a: E log Σ_p x_p = ψ(aP), so the jackknife's expectation is known as well.
    a, probes, samples = 2.0, 4, 20000
    values = np.random.default_rng(6).gamma(a, size=(samples, probes, 1))
    fill = np.zeros((samples, probes, 2))
    none = np.empty((samples, 0))
    flat = matrix_free.Estimate(np.log(values), fill, fill, fill > 0, none, none, 0, none, none, (2, 2), 0)
    plain, corrected = flat.log_moments()[:, 0], flat.log_moments(corrected=True)[:, 0]
    mean = [digamma(a * p) - math.log(p) for p in (probes - 1, probes)]
    for found, expected in ((plain, mean[1]), (corrected, probes * mean[1] - (probes - 1) * mean[0])):
        assert abs(found.mean() - expected) < 4.5 * found.std() / math.sqrt(samples)
    assert abs(corrected.mean() - math.log(a)) < abs(plain.mean() - math.log(a)) / 5


def test_products_are_counted():
    counted = Counting(normal_operator())
    found = matrix_free.estimate(counted, probes=3, steps=5)
    assert found.products == counted.columns


# distribution functions -------------------------------------------------------------------------------------------

SPECTRA = {
    "smooth": np.linspace(0.0, 2.0, 300) ** 2,
    "hard edge": np.linspace(0.0, 1.0, 300) ** 6,
    "atoms": np.concatenate([np.zeros(60), np.full(80, 0.5), np.linspace(1.0, 2.0, 100), np.full(60, 3.0)]),
    "few": np.repeat([0.0, 1.0, 2.5], 100),
    "one": np.full(300, 1.7),
}


def measure(name, steps=20):
    """Spectral measures in random signs: exact distribution function of λ (and just below), and the Gauss rules."""
    values, rng = SPECTRA[name], np.random.default_rng(5)
    basis = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    start = rng.integers(0, 2, (300, 4)) * 2.0 - 1.0
    rule = lanczos(lambda x: basis @ (values[:, None] * (basis.T @ x)), start, steps).gauss_rule()
    mass = (basis.T @ start) ** 2 / 300

    def exact(x, p, *, strict):
        return np.array([mass[(values < y - 1e-9) if strict else (values <= y + 1e-9), p].sum() for y in x])

    return mass, exact, rule


@pytest.mark.parametrize("name", SPECTRA)
def test_gauss_rules_have_the_moments_of_the_spectral_measure(name):
    mass, _, (nodes, weights, _) = measure(name)
    for k in range(2 * 20):
        power = SPECTRA[name] ** k @ mass
        np.testing.assert_allclose(np.sum(weights * nodes**k, axis=1), power, rtol=1e-9)


@pytest.mark.parametrize("name", SPECTRA)
def test_bounds_hold_for_every_probe_and_the_curve_keeps_within_them(name):
    _, exact, (nodes, weights, converged) = measure(name)
    for p in range(4):
        own = nodes[p].copy()
        for value in np.unique(SPECTRA[name]):  # a converged node is an eigenvalue to rounding only
            own = np.where(abs(own - value) < 1e-9, value, own)
        x = np.concatenate([[0.0], np.linspace(1e-8, 4.2, 500), own, [0.5, 1.0, 1.7, 2.5, 3.0]])
        with np.errstate(divide="ignore"):
            log_nodes, u = np.log(own), np.log(x)
        pair = between(u, log_nodes, weights[p], converged[p])
        below, at = exact(x, p, strict=True), exact(x, p, strict=False)
        assert np.all(pair[:, 0] <= below + 1e-9)
        assert np.all(pair[:, 1] >= at - 1e-9)
        middle = midpoints(u, log_nodes, weights[p], converged[p])
        assert np.all(middle[:, 1] >= pair[:, 0] - 1e-12)
        assert np.all(middle[:, 0] <= pair[:, 1] + 1e-12)
        if name in ("few", "one"):
            np.testing.assert_allclose(pair, np.stack([below, at], axis=1), rtol=0, atol=1e-9)
            np.testing.assert_allclose(middle, np.stack([at, below], axis=1), rtol=0, atol=1e-9)


def test_the_curve_through_the_middle_is_closer_than_its_bounds():
    # Chebyshev nodes cos((2j−1)π/2K) with weights 1/K are the Gauss rule of the arcsine law: the middle is exact there.
    k = 20
    nodes = np.log(1 + np.cos((2 * np.arange(k, 0, -1) - 1) * np.pi / (2 * k)))
    found = midpoints(nodes, nodes, np.full(k, 1 / k), np.zeros(k, bool))
    expected = 1 - np.arccos(np.exp(nodes) - 1) / np.pi
    np.testing.assert_allclose(found, np.stack([expected, expected], axis=1), rtol=0, atol=1e-12)


def test_pooled_distribution_function_is_that_of_the_dense_matrix():
    j, probes = normal_operator(60, 80), 64
    found = matrix_free.estimate(j, probes=probes, steps=12)
    values = np.linalg.svd(j, compute_uv=False) ** 2
    x = np.linspace(0.0, 4.0, 200)
    exact = np.array([np.mean(values <= y) for y in x])
    low, high = found.cdf_bounds(x)
    noise = 1e-12 + 4.5 * np.sqrt(2 * exact / (60 * probes))  # Var zᵀPz/n ≤ 2 rank(P)/n² for a projection
    assert np.all(low <= exact + noise)
    assert np.all(high >= exact - noise)
    assert np.max(np.abs(found.cdf(x) - exact)) < 0.06  # half of the largest weight is 0.07
    assert np.all(found.cdf_error(x) <= 1.5 * np.sqrt(2 / (60 * probes)))
    assert found.cdf(np.array([[-1.0, 100.0]])).tolist() == [[0.0, 1.0]]


def test_missing_directions_are_zeros_of_the_law():
    found = matrix_free.estimate(normal_operator(80, 60), probes=8, steps=10)
    assert found.cdf(np.array(0.0)) == pytest.approx(0.25, abs=1e-12)
    relu = matrix_free.sample(Network(depth=1, activation="relu", sigma_w=1.4, input_variance=1.0), 60, samples=1)
    share = float(relu.cdf(np.array(0.0)))
    assert share == pytest.approx(1 - round(60 * (1 - share)) / 60, abs=1e-12)
    assert 0.2 < share < 0.8


# operators from elsewhere -----------------------------------------------------------------------------------------


class Counting:
    """What a user may give: three members, no base class."""

    def __init__(self, j):
        self.shape, self.j, self.columns = j.shape, j, 0

    def matmat(self, x):
        self.columns += x.shape[1]
        return self.j @ x

    def rmatmat(self, x):
        self.columns += x.shape[1]
        return self.j.T @ x


def test_operators_of_all_kinds_are_taken():
    j = normal_operator()
    operator = linear_operator(j.shape, matvec=lambda v: j @ v, rmatvec=lambda v: j.T @ v)
    found = [matrix_free.estimate(x, probes=3, steps=9) for x in (j, Counting(j), operator)]
    for other in found[1:]:
        np.testing.assert_allclose(other.moments, found[0].moments, rtol=1e-12)
    sparse = random_array((50, 70), density=0.1, rng=np.random.default_rng(1))
    top = matrix_free.estimate(sparse).lambda_max
    assert top == pytest.approx(np.linalg.norm(sparse.toarray(), 2) ** 2, rel=1e-6)


@pytest.mark.parametrize(
    ("operator", "fragment"),
    [
        ("no operator", "needs `shape`"),
        (np.zeros((3, 4)) + 1j, "must be real"),
        (np.full((3, 4), np.nan), "not finite"),
        (linear_operator((3, 3), matvec=lambda v: v), "a product failed"),
        (linear_operator((3, 3), matvec=lambda v: v, rmatvec=lambda v: 2 * v), "not the transposed"),
        ([np.eye(3), np.eye(4)], "different shapes"),
    ],
)
def test_what_is_no_operator_is_refused(operator, fragment):
    with pytest.raises(ConfigError, match=fragment):
        matrix_free.estimate(operator)


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"probes": 0}, "probes"),
        ({"steps": 1}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"orders": 0}, "orders"),
        ({"orders": 8, "steps": 4}, "raise `steps`"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": math.nan}, "tolerance"),
        ({"samples": 0}, "samples"),
        ({"seed": -1}, "seed"),
        ({"width": 0}, "width"),
        ({"width": 10**12}, "memory"),
        ({"width": 10**400}, "memory"),
    ],
)
def test_impossible_efforts_are_refused(options, fragment):
    with pytest.raises(ConfigError, match=fragment):
        matrix_free.sample(tanh_net(), **({"width": 20} | options))


def test_progress_is_told():
    told = []
    matrix_free.sample(tanh_net(), 10, samples=3, progress=lambda *x: told.append(x))
    matrix_free.estimate([np.eye(4)] * 2, progress=lambda *x: told.append(x))
    assert told == [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)]


# comparison -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        tanh_net(),
        tanh_net(weights="orthogonal", activation="hardtanh"),  # atoms at both ends
        tanh_net(activation="relu", sigma_w=math.sqrt(2), sigma_b=0.0),
        Network(depth=3, activation="identity", weights="orthogonal", sigma_w=1.0),  # one atom
        rectangular(),
    ],
)
def test_right_predictions_agree(network):
    pred = predict(network)
    found = [matrix_free.sample(network, n, samples=s, seed=1, probes=8, steps=20) for n, s in ((200, 6), (100, 12))]
    result = compare(pred, found)
    assert result.agree, result.notes
    assert [row.width for row in result.widths] == [200, 100]
    assert result.ks_limit is not None
    assert result.widths[0].ks_beyond_bounds <= result.widths[0].ks + 1e-12
    alone = compare(pred, found[0])
    assert alone.agree
    assert alone.ks_limit is None


def test_wrong_predictions_do_not():
    network = Network(depth=2, activation="relu", sigma_w=1.4, input_variance=1.0)
    found = matrix_free.sample(network, 500, samples=8, probes=8, steps=16)
    assert compare(predict(network), found).agree
    wrong = compare(predict(network.replace(sigma_w=1.6)), found)
    assert not wrong.agree
    assert any("moment 1" in note for note in wrong.notes)
    assert any("largest eigenvalue" in note for note in wrong.notes)


def test_what_cannot_be_compared_is_refused():
    pred, found = predict(tanh_net()), matrix_free.sample(tanh_net(), 20, samples=2)
    cases: Any = (
        ([], "needs what"),
        ([1], "needs what"),
        (matrix_free.sample(tanh_net(), 20, samples=1), "2 samples"),
        ([found, found], "same width"),
        ([found, matrix_free.sample(tanh_net(depth=4), 10, samples=2)], "differ in depth"),
        (matrix_free.estimate([np.eye(4)] * 2), "elsewhere"),
    )
    for estimates, fragment in cases:
        with pytest.raises(ConfigError, match=fragment):
            compare(pred, estimates)


# command line -----------------------------------------------------------------------------------------------------


def test_check_matrix_free_has_the_shape_of_check(net, capsys):
    arguments = ("check", net(), "--matrix-free", "--samples", "4", "--probes", "5", "--steps", "9")
    record = answer(capsys, *arguments)
    assert record["agree"] is True
    assert record["schema"] == 1
    assert record["prediction"]["jacobian"]["moments"]
    row = record["widths"][0]
    assert (row["width"], row["samples"], row["probes"], row["steps"]) == (60, 4, 5, 9)
    assert {"ks", "ks_standard_error", "ks_resolution", "products"} <= set(row)
    for m in [*row["moments"], row["lambda_max"], record["lambda_max"]]:
        assert {"predicted", "sampled", "standard_error", "z", "z_with_bias"} <= set(m)
        assert m["z"] == pytest.approx((m["sampled"] - m["predicted"]) / m["standard_error"], rel=0.1)
    assert [m["k"] for m in record["extrapolated"]] == [1, 2, 3, 4]
    assert record == answer(capsys, *arguments)


def test_check_matrix_free_prints_a_verdict(net, capsys):
    assert main(["check", net(RELU), "--matrix-free", "--widths", "60,30", "--samples", "4"]) == 0
    out, _ = capsys.readouterr()
    for text in ("agree within", "λ_max", "resolution", "m_4"):
        assert text in out


def test_check_matrix_free_ends_with_one_where_it_disagrees(net, capsys, monkeypatch):
    wrong = predict(Network(depth=6, activation="tanh", weights="gaussian", sigma_w=1.5, sigma_b=0.3))
    monkeypatch.setattr("spectra.prediction.predict", lambda _net: wrong)
    record = answer(capsys, "check", net(), "--matrix-free", "--width", "300", status=1)
    assert record["agree"] is False


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--probes", "4"], "--matrix-free"),
        (["--matrix-free", "--probes", "0"], "--probes"),
        (["--matrix-free", "--steps", "2"], "--steps"),
        (["--matrix-free", "--width", "1" + 400 * "0"], "memory"),
    ],
)
def test_check_matrix_free_refuses_what_does_not_go(net, capsys, monkeypatch, arguments, fragment):
    monkeypatch.setattr("spectra.prediction.predict", None)
    assert fragment in refused(capsys, "check", net(TANH), *arguments)
