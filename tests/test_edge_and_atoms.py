"""λ_max, masses of atoms, slopes and exact finite-width moments: right ones pass, wrong ones do not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import Atom, fuss_catalan, given, net, point_mass, relu_layer

from spectra.agreement import crosscheck
from spectra.agreement.edge import OTHER, SOFT, atom_record, edge_record, usable_atoms
from spectra.extrapolation import extrapolate, extrapolate_terms
from spectra.network import Network
from spectra.prediction import predict
from spectra.sampling import companions, sample

HE = {"activation": "relu", "sigma_w": 2**0.5, "input_variance": 1.0}


def test_largest_eigenvalues_follow_tracy_and_widom():
    """White Wishart, real: λ_max = 4 + 2^{4/3} N^{-2/3} TW_1 + … (Johnstone 2001, theorem 1.1, square)."""
    pred, width, count = fuss_catalan(1), 400, 60
    ensemble = sample(net(1), width, count, seed=5)
    y = 2 * ensemble.log_singular_values[:, 0] - math.log(4.0)
    unit = 2 ** (4 / 3) * width ** (-2 / 3) / 4
    found = edge_record(pred, (ensemble,), np.array([1 / width]), 0.01)
    assert found is not None
    # The spacing in these units, which is what the mean of c rests on: (3π/2)^{2/3}, up to its own order 1/N^{2/3}.
    assert found.spacing == pytest.approx((1.5 * math.pi) ** (2 / 3) * unit, rel=0.06)
    scatter = 1.268 * unit / math.sqrt(count)
    # The next order is N^{-1} here: a few hundredths of the shift.
    assert y.mean() == pytest.approx(-1.2065 * unit, abs=4 * scatter + 0.05 * unit)
    assert y.std(ddof=1) == pytest.approx(SOFT[2] * found.spacing, rel=4 / math.sqrt(2 * count) + 0.06)
    assert SOFT[0] * found.spacing == pytest.approx(-1.2065 * unit, rel=0.06)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_independent_values_fall_short_of_their_edge_as_assumed(exponent):
    # P(λ > 1 − x) = x^p, N values: the largest is 1 − (E/N)^{1/p}, E exponential; mean Γ(1 + 1/p) of the spacing.
    mean, spread, _ = OTHER
    assert mean - 2 * spread <= -math.gamma(1 + 1 / exponent) <= mean + 2 * spread


@pytest.mark.parametrize("keys", [{"depth": 2}, HE | {"depth": 3}, {"depth": 3, "weights": "orthogonal", **HE}])
def test_an_edge_is_accepted_and_one_that_is_far_off_is_not(keys):
    network = net(**keys)
    pred = predict(network)
    ensemble = sample(network, 80, 8, seed=3)
    all_widths = (ensemble, *companions(ensemble))
    bias = np.array([keys["depth"] / e.width for e in all_widths])
    found = edge_record(pred, all_widths, bias, 0.001)
    assert found is not None
    assert abs(found.z_with_bias) < found.limit
    assert found.detectable is not None
    low, high = found.interval
    assert low is not None
    assert high is not None
    assert found.value is not None
    assert found.predicted is not None
    assert low < found.predicted < high
    # Samples that are larger by twice what is said to be noticed half of the time.
    factor = math.log1p(found.detectable) + abs(math.log(found.value / found.predicted))
    shifted = [replace(e, log_singular_values=e.log_singular_values + factor) for e in all_widths]
    far = edge_record(pred, tuple(shifted), bias, 0.001)
    assert far is not None
    assert far.z_with_bias > far.limit


def test_an_atom_at_the_top_is_the_edge_to_rounding():
    pred = point_mass(1.0)
    exact = crosscheck(pred, sample(net(3, weights="orthogonal"), 20, 4))
    assert exact.edge is not None
    assert exact.edge.spacing == 0.0
    assert exact.edge.value == pytest.approx(1.0, abs=1e-7)


def test_a_law_without_end_has_no_edge_to_compare():
    pred = fuss_catalan(2)
    inner = pred.spectrum.icdf
    pred.spectrum.icdf = lambda p: np.where(np.asarray(p) >= 1.0, np.inf, inner(p))
    check = crosscheck(pred, sample(net(2), 30, 4))
    assert check.edge is None
    assert any("λ_max is not compared" in note for note in check.notes)


def test_dead_units_are_a_mass_at_zero():
    emp = sample(net(1, **HE), 80, 8, seed=1)
    (atom,) = crosscheck(relu_layer(), emp).atoms
    assert (atom.location, atom.predicted) == (0.0, 0.5)
    assert atom.sampled == pytest.approx(np.mean(np.isneginf(emp.log_eigenvalues)), abs=1e-12)
    assert abs(atom.z_with_bias) < atom.limit


@pytest.mark.parametrize("depth", [4, 16])
def test_the_largest_of_many_dead_fractions_is_within_its_allowance(depth):
    # Rank of a product = the fewest live units: simulated without matrices, 400 verdicts at 5 %.
    rng, level, exceeded = np.random.default_rng(8), 0.05, 0
    pred = predict(net(depth, **HE))
    (atom,) = pred.spectrum.atoms
    assert atom.mass == pytest.approx(0.5)
    for _ in range(400):
        ensembles = []
        for width, samples in ((100, 8), (50, 32), (25, 128)):
            live = rng.binomial(width, 0.5, (samples, depth)).min(axis=1)
            logs = np.where(np.arange(width) < live[:, None], 0.0, -np.inf)
            shape = np.ones((samples, depth))
            ensembles.append(replace(given(logs), widths=(width,) * (depth + 1), q=shape, chi=shape))
        h = np.array([depth / e.width for e in ensembles])
        found = atom_record(pred, atom, tuple(ensembles), h, level)
        exceeded += abs(found.z) > found.limit
    assert exceeded <= 400 * level + 4 * math.sqrt(400 * level)


def test_a_wrong_mass_is_noticed_and_a_small_one_left_alone():
    emp = sample(net(1, **HE), 200, 8, seed=2)
    pred = relu_layer()
    pred.spectrum.atoms = [Atom(0.0, 0.3)]
    (atom,) = crosscheck(pred, emp, companions=False).atoms
    assert atom.z_with_bias > atom.limit
    pred.spectrum.atoms = [Atom(0.0, 0.005)]  # 8 eigenvalues of 1600: counts, not a normal variable
    assert usable_atoms(pred, (emp,)) == []


def test_slopes_and_their_intervals_are_those_of_the_bias():
    """Log m̂ = α + c_1 h + noise: the slope's interval holds c_1 95 times in a hundred."""
    rng, trials, held = np.random.default_rng(21), 1500, 0
    h = np.array([0.05, 0.1, 0.2])
    for _ in range(trials):
        c, d = rng.standard_normal(2)
        y = [c * x + d * x**2 + 0.02 * rng.standard_normal(n) for x, n in zip(h, (8, 32, 128), strict=True)]
        found = extrapolate(y, h, 0.01, 1e-8)
        held += abs(found.slope - c) <= found.slope_half_width
        assert found.coefficients[0] == pytest.approx(found.value)
        assert found.coefficients[1] == pytest.approx(found.slope)
    assert held / trials == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / trials) + 0.01)  # Welch is approximate


def test_slopes_of_exact_values_are_found_in_terms_of_the_width():
    # One Gaussian layer: E m̂_2 = 2 + 1/N exactly, so log m̂_2 = log 2 + 1/(2N) − …
    check = crosscheck(predict(net(1)), [sample(net(1), n, s, seed=6) for n, s in ((60, 100), (30, 400), (15, 1600))])
    second = check.extrapolated[1]
    low, high = second.slope_interval
    assert second.value is not None
    assert low < 0.5 < high
    assert second.slope == pytest.approx((low + high) / 2)
    assert second.fit[0] == pytest.approx(math.log(second.value / 2.0), abs=1e-9)
    assert second.fit[1] == pytest.approx(second.slope)


def test_known_terms_and_floors_are_counted():
    y = [np.full(8, 1.0 + 2.0 * t) for t in (0.1, 0.2)]
    found = extrapolate_terms(y, [np.array([1.0, 2.0]) * 10], 0.05, np.full(2, 1e-12))
    # t = 10, 20 with c ~ N(0, 1): y = 1 + 0.02 t.
    assert found.value == pytest.approx(1.0, abs=1e-4)
    assert found.slope == pytest.approx(0.02, abs=1e-4)
    wide = extrapolate_terms(y, [np.zeros(2)], 0.05, np.full(2, 0.08))
    assert wide.standard_error == pytest.approx(math.sqrt(0.08 / 16))


@pytest.mark.parametrize("keys", [{"depth": 3}, HE | {"depth": 2}, HE | {"depth": 2, "weights": "orthogonal"}])
def test_exact_finite_width_moments_pass_and_see_two_per_cent(keys):
    network = net(**keys)
    pred = predict(network)
    widths, samples = (40, 30), 1500
    sampled = [sample(network, n, samples, seed=9) for n in widths]
    right = crosscheck(pred, sampled)
    assert [row.k for row in right.finite] == [1, 2]
    assert right.finite[0].widths == widths
    for row in right.finite:
        assert abs(row.z) < row.limit
    # φ(cx) = cφ(x): the same networks at 1.02 σ_w (test_scale_of_the_weights_is_a_shift_at_any_depth).
    shift = network.depth * math.log(1.02)
    broken = [replace(e, log_singular_values=e.log_singular_values + shift) for e in sampled]
    wrong = crosscheck(pred, broken)
    assert not wrong.agree
    assert wrong.finite[0].z > wrong.finite[0].limit
    assert any("exact expectation" in note for note in wrong.notes)


def test_scatter_between_networks_stands_beside_its_theory():
    check = crosscheck(predict(net(2, **HE)), sample(net(2, **HE), 80, 8, seed=1))
    assert [row.width for row in check.scatter] == [80, 40, 20]
    for row in check.scatter:
        assert row.exact
        assert row.predicted == pytest.approx(row.sampled, abs=4 * row.standard_error)
        assert row.gradient == pytest.approx((1 + 5 / row.width) ** 2 - 1)
        assert row.gradient_sampled is not None
    tanh = Network(depth=2, activation="tanh", sigma_w=1.2, sigma_b=0.1)
    (row, *_) = crosscheck(predict(tanh), sample(tanh, 40, 4)).scatter
    assert not row.exact
    assert row.predicted is not None
    assert row.gradient is None
