"""Eigenvalues above the law: overlaps against enumeration, places against sampled networks and a known spike."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stand_ins import fuss_catalan

from spectra import Network, crosscheck, predict, sample
from spectra.agreement.matrix_free import compare
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.network import layers_of
from spectra.errors import ConfigError, ConvergenceError
from spectra.network.meanfield import mean_field
from spectra.outliers import Outlier, outliers, passages_of
from spectra.outliers.overlaps import Overlaps
from spectra.prediction import Prediction
from spectra.sampling import Ensemble, matrix_free

BLOCKS: dict[str, Any] = {"activation": "relu", "sigma_w": 1.0, "kind": "residual", "order": "post"}
SIZES = ((160, 24), (80, 48), (40, 96))
BENT = {"name": "leaky_relu", "negative_slope": -0.5}
MODULUS = {"name": "leaky_relu", "negative_slope": -1.0}
DENSE = {"kind": "dense", "activation": {"name": "leaky_relu", "negative_slope": 0.3}, "weights": "orthogonal"}


def found_in(network: Network, edge: float) -> tuple[Outlier, ...]:
    field = mean_field(network)
    passages = passages_of(field)
    assert passages is not None
    return outliers(passages, BlockEquation(blocks_of(layers_of(field)), 9), edge, field.leaving.second)


def by_enumeration(skip: float, bias: float, variances: list[float], zeta: float, a: list, b: list) -> np.ndarray:
    """H of ReLU blocks, σ_w = 1, α = 0.6: every path of masks, its whole matrix inverted, half-normal moments.

    Both e_l and f_l are linear in (x_0, |h_1|, …, |h_L|) given the masks, but for what g has beside h, of variance
    σ_b² (q − σ_b²)/q; E |h| = √(2q/π).
    """
    alpha, second = 0.6, np.array(variances) - bias**2
    depth = len(variances)
    means = np.array([0.0, *(math.sqrt(2.0 * q / math.pi) for q in variances)])
    seconds = np.outer(means, means)
    np.fill_diagonal(seconds, [second[0], *variances])
    total = np.zeros((2 * depth, 2 * depth))
    for masks in itertools.product((0.0, 1.0), repeat=depth):
        # r_0, c_0, r_1, c_1, …
        diagonal = [-zeta]
        for k in range(depth):
            diagonal += [-b[k], -masks[k] * a[k]]
        matrix = np.diag([*diagonal, -zeta])
        for k in range(2 * depth + 1):
            matrix[k, k + 1] = matrix[k + 1, k] = 1.0 if k % 2 == 0 else -skip
        vectors, noise, state = [], [], np.eye(depth + 1)[0]
        for k in range(depth):
            size = 1.0 / math.sqrt(second[k])
            vectors.append((2 * k + 1, size * state))
            here = masks[k] * np.eye(depth + 1)[k + 1]
            own = second[k] / variances[k]
            vectors.append((2 * k + 2, size * alpha * own * here))
            noise.append((size * alpha) ** 2 * masks[k] * own * bias**2)
            state = skip * state + alpha * here
        inverse = np.linalg.inv(matrix)
        for i, (site, x) in enumerate(vectors):
            for j, (other, y) in enumerate(vectors):
                more = noise[i // 2] if i == j and i % 2 else 0.0
                total[i, j] += inverse[site, other] * (x @ seconds @ y + more) / 2**depth
    return total


@pytest.mark.parametrize(("skip", "bias"), [(1.0, 0.0), (0.8, 0.7), (-0.9, 0.4)])
def test_overlaps_are_what_enumeration_gives(skip: float, bias: float) -> None:
    field = mean_field(Network(**BLOCKS, depth=4, alpha=0.6, skip=skip, sigma_b=bias, input_variance=1.3))
    passages = passages_of(field)
    assert passages is not None
    a, b = [0.11, 0.08, 0.13, 0.09], [0.07, 0.12, 0.1, 0.06]
    forms, second = Overlaps(passages, 14).at(0.3, np.array(a), np.array(b))
    assert second == pytest.approx(field.leaving.second, rel=1e-10)
    expected = by_enumeration(skip, bias, field.q.tolist(), 0.3, a, b)
    np.testing.assert_allclose(forms, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("keys", "edge"),
    [
        ({"depth": 8, "alpha": 0.5}, 25.0),
        ({"activation": BENT, "depth": 6, "alpha": 0.6, "weights": "orthogonal"}, 22.4),
        ({"activation": BENT, "sigma_b": 1.0, "depth": 8, "alpha": 0.5, "skip": 0.9}, 9.2),
        ({"alpha": 0.5, "layers": [DENSE, {"repeat": 7}]}, 9.97),
    ],
)
def test_the_largest_eigenvalue_of_sampled_networks_is_the_outlier(keys: dict, edge: float) -> None:
    """Log λ_max at N = 48 and 96, the term in 1/N removed; 4.5 standard errors, (L/N)² for the rest of the series."""
    table = BLOCKS | keys
    network = Network(**table)
    (outlier,) = found_in(network, edge)
    assert outlier.error < 1e-8
    logs, errors = [], []
    for width, samples in ((48, 400), (96, 200)):
        top = 2.0 * sample(network, width, samples, seed=3).log_singular_values[:, :2]
        assert np.all(top[:, 1].mean() < math.log(edge))  # the edge lies between: what is above it is one alone
        logs.append(top[:, 0].mean())
        errors.append(top[:, 0].std() / math.sqrt(samples))
    found, error = 2.0 * logs[1] - logs[0], math.hypot(2.0 * errors[1], errors[0])
    assert error < 0.03
    assert abs(found - math.log(outlier.location)) < 4.5 * error + (network.depth / 96) ** 2


def test_a_homogeneous_network_carries_its_input_out() -> None:
    """J x_0 = x_L for ReLU without biases: some eigenvalue is r_L/r_0 at least."""
    network = Network(**BLOCKS, depth=16, alpha=0.25, input_variance=1.0)
    (outlier,) = found_in(network, 7.85)
    ratio = mean_field(network).leaving.second
    assert ratio < outlier.location < 3.0 * ratio
    # Sampled at N = 400, where λ^k/N is 39.0 − 23.3 in m_3.
    assert outlier.location == pytest.approx(18.6, abs=0.6)


def test_an_outlier_may_be_many_decades_away() -> None:
    """Twenty-four blocks of |x|, α = ½: at least r_L/r_0, J x_0 = x_L, and at most what the norms allow, 2^48."""
    network = Network(**(BLOCKS | {"activation": MODULUS}), depth=24, alpha=0.5, input_variance=1.0)
    (outlier,) = found_in(network, 1e5)
    assert 1e6 < mean_field(network).leaving.second < outlier.location < 2.0**48


@pytest.mark.parametrize(("name", "edge"), [("tanh", 13.8), ("identity", 58.5), ("hardtanh", 23.7)])
def test_without_means_nothing_leaves_the_law(name: str, edge: float) -> None:
    assert found_in(Network(**(BLOCKS | {"activation": name}), depth=8, alpha=0.5, input_variance=1.0), edge) == ()


@pytest.fixture(scope="module")
def six() -> Prediction:
    """Six blocks with φ = |x|, α = 0.4."""
    return predict(Network(**(BLOCKS | {"activation": MODULUS}), depth=6, alpha=0.4, input_variance=1.0))


def test_a_prediction_says_what_lies_above_its_law(six: Prediction) -> None:
    assert six.outliers is not None
    (outlier,) = six.outliers
    record = six.to_dict(points=4)
    assert record["jacobian"]["outliers"] == [outlier.location]
    assert record["mean_field"]["second_moments"] == [1.0, six.mean_field.leaving.second]
    assert any(f"λ = {outlier.location:.6g}" in note for note in six.outlier_notes)
    assert record["checks"]["notes"][-1] == six.outlier_notes[-1]
    # No part of the law, which has mass one and its own moments.
    assert six.spectrum.total_mass == pytest.approx(1.0, abs=1e-10)
    assert predict(Network(**(BLOCKS | {"order": "pre"}), depth=2, alpha=0.5)).outliers is None
    assert "outliers" not in predict(Network(depth=2, activation="relu", sigma_w=1.0)).to_dict(points=4)["jacobian"]


def test_paths_that_miss_the_state_are_refused() -> None:
    field = mean_field(Network(**BLOCKS, depth=2, alpha=0.5))
    passages = passages_of(field)
    assert passages is not None
    with pytest.raises(ConvergenceError, match="E x² is off by"):
        outliers(passages, BlockEquation(blocks_of(layers_of(field)), 9), 5.0, 1.01 * field.leaving.second)


# the verdict ------------------------------------------------------------------------------------------------------


def spiked(width: int, samples: int, spike: float) -> Ensemble:
    """Singular values of Σ^{1/2} W, W Gaussian of variance 1/N, one eigenvalue of Σ at `spike`."""
    rng = np.random.default_rng((7, width))
    logs = []
    for _ in range(samples):
        matrix = rng.standard_normal((width, width)) / math.sqrt(width)
        matrix[0] *= math.sqrt(spike)
        logs.append(np.log(np.linalg.svd(matrix, compute_uv=False)))
    ones = np.ones((samples, 1))
    return Ensemble(np.array(logs), ones, ones, (width, width), 0)


@pytest.mark.parametrize(("factor", "agrees"), [(1.0, True), (1.25, False)])
def test_an_outlier_is_held_against_its_own_prediction(factor: float, agrees: bool) -> None:
    """Baik, Ben Arous, Péché, Ann. Probab. 33 (2005): a spike s of Σ, s > 2, puts an eigenvalue at s + s/(s − 1)."""
    pred, spike = fuss_catalan(1), 8.0
    ensembles = [spiked(width, 3200 // width, spike) for width in (160, 80, 40)]
    pred.outliers = (Outlier(factor * (spike + spike / (spike - 1.0)), 1e-11),)
    found = crosscheck(pred, ensembles)
    assert found.agree is agrees
    assert any("outlier at λ" in note for note in found.notes) is not agrees
    (record,) = found.outliers
    assert (abs(record.z_with_bias) < record.limit) is agrees
    # What is left has the law's moments: 1, 2, 5, 14.
    assert all(abs(m.z_with_bias) < m.limit for m in found.extrapolated)


def test_an_outlier_that_is_not_predicted_is_noticed() -> None:
    pred = fuss_catalan(1)
    assert not crosscheck(pred, [spiked(width, 3200 // width, 30.0) for width in (160, 80, 40)]).agree


def test_nothing_is_left_of_networks_with_one_singular_value() -> None:
    pred = fuss_catalan(1)
    pred.outliers = (Outlier(9.0, 1e-11),)
    with pytest.raises(ConfigError, match="with 1 singular value have none beside those predicted above"):
        crosscheck(pred, [spiked(1, 4, 8.0)])


@pytest.mark.filterwarnings("error")
def test_where_a_network_is_dead_no_outlier_is_compared() -> None:
    pred = fuss_catalan(1)
    pred.outliers = (Outlier(8.0 + 8.0 / 7.0, 1e-11),)
    one = spiked(60, 8, 8.0)
    one.log_singular_values[3] = -np.inf
    found = crosscheck(pred, one)
    assert not found.outliers
    assert any("above the law are not compared" in note for note in found.notes)


def test_without_matrices_an_outlier_is_part_of_what_is_estimated(six: Prediction) -> None:
    """26.3 above a law that ends at 14.8: without it the verdict is another."""
    estimates = [matrix_free.sample(six.network, n, samples=count, seed=2, probes=2, steps=16) for n, count in SIZES]
    unaware = replace(six)
    vars(unaware)["_above"] = (), ()
    found, blind = compare(six, estimates), compare(unaware, estimates)
    assert found.agree
    assert found.lambda_max is not None
    assert found.lambda_max.predicted == pytest.approx(26.32, abs=0.01)
    assert not blind.agree
    assert blind.lambda_max is not None
    assert abs(blind.lambda_max.z_with_bias or 0.0) > (blind.lambda_max.limit or 0.0)
